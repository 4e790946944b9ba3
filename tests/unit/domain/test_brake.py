from __future__ import annotations

from fractions import Fraction
from itertools import count
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.brake import HIGHEST_SURCHARGE, TIERS, Brake, Moderation, room, surcharge

STRICT = Brake(strict=True)


def seen(violations: int = 0, in_flight: int = 0, *, finished: int = 0, rejected: int = 0) -> Moderation:
    return Moderation(violations, in_flight, finished, rejected)


# -- the rate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finished", "rejected", "rate"),
    [
        (0, 0, Fraction(1, 10)),
        (1, 1, Fraction(3, 21)),
        (20, 0, Fraction(1, 20)),
        (20, 20, Fraction(22, 40)),
        (980, 98, Fraction(100, 1000)),
        (980, 0, Fraction(2, 1000)),
        (180, 28, Fraction(3, 20)),
    ],
)
def test_the_rate_starts_at_a_tenth_with_the_weight_of_twenty_tasks(finished, rejected, rate):
    assert seen(finished=finished, rejected=rejected).rate == rate


def test_what_is_expected_is_counted_plus_the_share_in_flight():
    assert seen(7, 30).expected == 10
    assert seen(7).expected == 7
    assert seen(0, 5).expected == Fraction(1, 2)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_rate_is_never_nothing_and_never_all(finished, accepted):
    rejected = max(0, finished - accepted)
    assert 0 < seen(finished=finished, rejected=rejected).rate < 1


# -- the surcharge ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("violations", "percent"),
    [(0, 1), (1, 1), (19, 1), (20, 5), (21, 5), (100, 5), (101, 10), (102, 10), (10_000, 10)],
)
def test_the_surcharge_rises_with_the_twentieth_and_the_hundred_and_first(violations, percent):
    assert surcharge(violations) == percent


def test_the_tiers_are_those_of_the_provider():
    assert TIERS == ((1, 1), (20, 5), (101, 10))
    assert HIGHEST_SURCHARGE == 10


# -- the room -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("brake", "moderation", "tasks"),
    [
        # 190 tasks at a tenth make 19 violations, one more might make the 20th
        (Brake(), seen(), 190),
        (Brake(), seen(0, 190), 0),
        (Brake(), seen(0, 189), 1),
        (Brake(), seen(0, 500), 0),
        (Brake(), seen(10), 90),
        (Brake(), seen(19), 0),
        (Brake(), seen(20), 800),
        (Brake(), seen(100), 0),
        (Brake(), seen(101), None),
        (Brake(), seen(5_000, 5_000), None),
        (STRICT, seen(), 19),
        (STRICT, seen(14, 5), 0),
        (STRICT, seen(14, 4), 1),
        (STRICT, seen(19), 0),
        (STRICT, seen(20), 80),
        (STRICT, seen(100), 0),
        (STRICT, seen(101, 7), None),
        (Brake(allowed=60), seen(), 600),
        (Brake(allowed=60, strict=True), seen(), 60),
        (Brake(allowed=60, strict=True), seen(40, 20), 0),
        (Brake(allowed=60, strict=True), seen(60), 0),
        (Brake(allowed=0, strict=True), seen(), 0),
        (Brake(allowed=0), seen(), 0),
        (Brake(allowed=5), seen(6), 0),
        (Brake(allowed=5), seen(700, 10), 0),
        (Brake(allowed=500), seen(101), 3_990),
    ],
)
def test_how_many_more_may_be_submitted(brake, moderation, tasks):
    assert room(brake, moderation) == tasks


def test_a_brake_is_neither_strict_nor_released_unless_somebody_says_so():
    assert Brake() == Brake(allowed=None, strict=False)


def test_what_was_seen_moves_the_room():
    assert room(Brake(), seen(finished=180)) == 1_900
    assert room(Brake(), seen(finished=180, rejected=98)) == 38
    assert room(STRICT, seen(finished=180, rejected=98)) == 19


# Few of each: the plain search below counts up one by one.
SEEN = st.builds(
    lambda violations, in_flight, rejected, accepted: Moderation(violations, in_flight, rejected + accepted, rejected),
    *(st.integers(0, 130), st.integers(0, 60), st.integers(0, 200), st.integers(0, 200)),
)
BRAKES = st.builds(Brake, st.none() | st.integers(0, 150), st.booleans())


@given(BRAKES, SEEN)
def test_the_room_is_the_most_that_stays_below_the_limit(brake, moderation):
    if brake.allowed is not None:
        limit = brake.allowed + 1
    elif moderation.violations >= 101:
        assert room(brake, moderation) is None
        return
    else:
        limit = 20 if moderation.violations < 20 else 101
    rate = 1 if brake.strict else Fraction(2 + moderation.rejected, 20 + moderation.finished)

    def fits(tasks: int) -> bool:
        return moderation.violations + ceil((moderation.in_flight + tasks) * rate) < limit

    assert room(brake, moderation) == next(tasks for tasks in count() if not fits(tasks + 1) or not fits(0))


@given(BRAKES, SEEN)
def test_strict_is_never_the_laxer_one(brake, moderation):
    usual = room(Brake(brake.allowed), moderation)
    strict = room(Brake(brake.allowed, strict=True), moderation)
    assert (usual is None) == (strict is None)
    assert usual is None or strict <= usual


@given(SEEN, st.integers(0, 80))
def test_under_the_strict_brake_not_even_the_worst_crosses_a_tier(moderation, wanted):
    begun = min(wanted, room(STRICT, moderation) or 0)
    worst = moderation.violations + moderation.in_flight + begun
    if begun:
        assert surcharge(worst) == surcharge(moderation.violations or 1)
