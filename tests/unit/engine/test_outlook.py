from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.engine.outlook import Range, Unknown, Work, outlook

STEADY = {"m": [100.0] * 20}
SPREAD = {"m": [float(seconds) for seconds in range(60, 360, 3)]}


def test_one_running_task_ends_when_its_like_did():
    found = outlook(Work(running=1, ages=[("m", 40.0)]), STEADY)
    assert found == Range(pytest.approx(60, abs=0.1), pytest.approx(85, abs=0.1))  # found a quarter late at worst


def test_the_last_of_many_takes_longer_than_one_does():
    one = outlook(Work(running=1, ages=[("m", 0.0)]), SPREAD)
    many = outlook(Work(running=50, ages=[("m", 0.0)] * 50), SPREAD)
    assert one.earliest < 100
    assert many.earliest > 300
    assert one.latest < many.latest
    assert many.latest - many.earliest < one.latest - one.earliest


def test_a_sample_of_the_running_stands_for_all():
    whole = outlook(Work(running=80, ages=[("m", 10.0)] * 80), SPREAD)
    some = outlook(Work(running=80, ages=[("m", 10.0)] * 8), SPREAD)
    assert some.earliest == pytest.approx(whole.earliest)
    assert some.latest == pytest.approx(whole.latest)


def test_the_pace_holds_the_end_up():
    found = outlook(Work(pending=600, shares={"m": 1.0}, per_minute=60.0), STEADY)
    assert found.earliest == pytest.approx(600 + 100, rel=0.02)
    assert found.latest == pytest.approx(600 * 1.25 + 125, rel=0.02)  # slower at times


def test_places_in_flight_hold_it_up():
    """A thousand of 100 s, ten at a time, with half of the places taken."""
    work = Work(pending=1_000, shares={"m": 1.0}, running=5, ages=[("m", 50.0)] * 5, in_flight=10)
    found = outlook(work, STEADY)
    assert 9_900 < found.earliest < 10_200
    assert found.latest == pytest.approx(found.earliest * 1.25, rel=0.02)


def test_downloads_hold_it_up_where_results_queue():
    assert outlook(Work(to_download=3, stored_per_minute=1.0), {}) == Range(0, 0)
    found = outlook(Work(to_download=300, running=20, ages=[("m", 99.0)], stored_per_minute=60.0), STEADY)
    assert (found.earliest, found.latest) == (300, 320 * 1.25)


def test_what_was_never_seen_takes_what_the_provider_says():
    work = Work(pending=3, shares={"new": 0.5, "m": 0.5}, per_minute=60.0, in_flight=100)
    found = outlook(work, STEADY)
    assert found.promised == ("new",)
    assert 100 <= found.earliest <= 125
    assert found.latest == pytest.approx(14_400, rel=0.01)


def test_nothing_is_invented():
    unknown = outlook(Work(pending=3, shares={"new": 1.0}), {"new": [1.0] * 7}, promised=None)
    assert unknown == Unknown("too few tasks of new have ended to tell")
    assert outlook(Work(pending=3, shares={"m": 1.0}, per_minute=0.0), STEADY) == Unknown("nothing is being submitted")


def test_a_task_that_takes_longer_than_any_is_told_apart():
    found = outlook(Work(running=2, ages=[("m", 500.0), ("m", 0.0)]), STEADY)
    assert found.overdue == 1
    assert found.latest == pytest.approx(125, abs=0.1)
    assert outlook(Work(running=1, ages=[("m", 500.0)]), STEADY) == Range(0, 0, (), 1)


def test_eight_in_ten_ends_lie_within():
    """Many runs of 40 jobs, six at a time: the range that was told at their start holds most of their ends."""
    chance = random.Random(7)
    held, runs = 0, 200
    for _ in range(runs):
        took = [chance.lognormvariate(5, 0.4) for _ in range(100)]
        found = outlook(Work(pending=40, shares={"m": 1.0}, in_flight=6), {"m": took})
        places = [0.0] * 6
        for _ in range(40):
            soonest = places.index(min(places))
            places[soonest] += chance.lognormvariate(5, 0.4) * chance.uniform(1, 1.25)
        held += found.earliest <= max(places) <= found.latest
    assert 0.7 * runs <= held, held


@given(
    pending=st.integers(0, 10**6),
    running=st.integers(0, 500),
    in_flight=st.none() | st.integers(1, 500),
    per_minute=st.none() | st.floats(0.1, 10_000),
    took=st.lists(st.floats(0, 20_000), max_size=40),
    age=st.floats(0, 10_000),
    more=st.integers(1, 1_000),
)
def test_a_range_is_a_range_and_more_work_never_ends_sooner(pending, running, in_flight, per_minute, took, age, more):
    ages = [("m", age)] * min(running, 10)

    def told(jobs):
        shares = {"m": 1.0} if jobs else {}
        return outlook(Work(jobs, shares, running, ages, 0, in_flight, per_minute), {"m": took})

    found, longer = told(pending), told(pending + more)
    assert 0 <= found.earliest <= found.latest < float("inf")
    assert longer.latest >= found.latest - 0.01 * (1 + found.latest)
