from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from samples import NOON

from seedbatch.engine.cadence import PROVIDER, SANDBOX, Cadence, backoff, link_expiry

WEEK = timedelta(days=7)


@pytest.mark.parametrize("cadence", [PROVIDER, SANDBOX, Cadence(first=10, shortest=1, longest=5)])
def test_the_first_query_is_spread_over_a_tenth(cadence):
    waits = [(cadence.first_query(NOON, number) - NOON).total_seconds() for number in range(1, 1001)]
    assert cadence.first <= min(waits)
    assert max(waits) <= 1.1 * cadence.first
    tenths = {int((wait - cadence.first) / (0.01 * cadence.first)) for wait in waits[:100]}
    assert tenths >= set(range(10))


def test_tasks_submitted_together_are_not_asked_about_together():
    moments = sorted(PROVIDER.first_query(NOON, number) for number in range(1, 101))
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    assert min(gaps) > 0
    assert max(gaps) < 0.36  # evenly it would be 0.12


@pytest.mark.parametrize("number", [1, 2, 3, 1_000, 987_654])
@pytest.mark.parametrize("hours", [0, 0.01, 0.1, 1, 4, 100])
def test_a_gap_is_between_the_bounds_whatever_the_age(number, hours):
    now = NOON + timedelta(hours=hours)
    gap = (PROVIDER.next_query(NOON, now, number) - now).total_seconds()
    assert 0.9 * PROVIDER.shortest <= gap <= PROVIDER.longest == 1790


def test_a_clock_set_back_does_not_put_off_the_next_query():
    now = NOON - timedelta(hours=3)
    assert timedelta(seconds=27) <= PROVIDER.next_query(NOON, now, 5) - now <= timedelta(seconds=30)


@pytest.mark.parametrize("minutes", [2, 5, 10, 30, 60, 120, 240])
def test_few_queries_and_little_lateness(minutes):
    ends = NOON + timedelta(minutes=minutes)
    queries = 1
    at = PROVIDER.first_query(NOON, 7)
    while at < ends:
        at = PROVIDER.next_query(NOON, at, 7)
        queries += 1
    assert queries <= 16
    assert at - ends <= max((ends - NOON) / 2, timedelta(seconds=30))


@pytest.mark.parametrize(
    ("misses", "seconds"), [(1, 2), (2, 4), (3, 8), (7, 128), (8, 256), (9, 300), (100, 300), (10**9, 300)]
)
def test_a_back_off_doubles_to_its_limit(misses, seconds):
    assert backoff(misses) == timedelta(seconds=seconds)


def test_a_back_off_takes_other_bounds():
    assert [backoff(n, first=0.5, longest=3).total_seconds() for n in range(1, 6)] == [0.5, 1, 2, 3, 3]


def test_links_die_seven_days_after_the_providers_last_word():
    earlier, later = NOON - timedelta(hours=5), NOON + timedelta(hours=5)
    assert link_expiry(earlier, NOON) == earlier + WEEK
    assert link_expiry(None, NOON) == NOON + WEEK
    assert link_expiry(later, NOON) == NOON + WEEK  # its clock may be ahead of ours, but nothing dies later for it


def test_a_callback_that_is_ahead_of_the_query_is_asked_about_again_soon():
    for seconds, gap in ((1, 30), (60, 60), (300, 300), (10**5, 1790)):
        now = NOON + timedelta(hours=2)
        soon = PROVIDER.next_query(NOON, now, 0, called_at=now - timedelta(seconds=seconds))
        assert soon - now == timedelta(seconds=gap)


def test_the_first_query_comes_when_three_in_ten_of_the_models_tasks_have_ended():
    assert PROVIDER.first_query(NOON, 0, (600, 900)) == NOON + timedelta(seconds=600)
    assert PROVIDER.first_query(NOON, 0, (1, 2)) == NOON + timedelta(seconds=5)
    assert SANDBOX.first_query(NOON, 0, (600, 900)) == NOON + timedelta(seconds=SANDBOX.first)


def test_while_most_tasks_end_the_gaps_are_no_longer_than_that_takes():
    at = NOON + timedelta(seconds=1_200)
    assert PROVIDER.next_query(NOON, at, 0) - at == timedelta(seconds=600)
    assert PROVIDER.next_query(NOON, at, 0, (1_180, 1_240)) - at == timedelta(seconds=60)
    late = NOON + timedelta(seconds=2_000)  # later than most: the gaps grow again
    assert PROVIDER.next_query(NOON, late, 0, (1_180, 1_240)) - late == timedelta(seconds=820)
