from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from samples import NOON

from seedbatch.cli.headway import Frame, Headway, headway_json, outlook_text, range_text, spent_text
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.jobs import Limits
from seedbatch.domain.money import Money
from seedbatch.domain.progress import Expiring, Progress
from seedbatch.domain.records import Accounts
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName
from seedbatch.engine.outlook import Range, Unknown

TOOK = {"m": [100.0] * 20}
WAITING = Progress({JobState.PENDING: 600}, {"m": 1.0}, submitted=30, took=TOOK)


@pytest.mark.parametrize(
    ("earliest", "latest", "words"),
    [
        (0, 0, "any moment"),
        (3.4, 9.1, "in 3 to 10 s"),
        (0, 130, "in 0 to 3 min"),
        (20, 130, "in 20 s to 3 min"),
        (239, 541, "in 3 to 10 min"),
        (240, 240, "in about 4 min"),
        (120, 14_400, "in 2 min to 4 h"),
        (5_400, 13_000, "in 1.5 to 4 h"),
        (90_000, 400_000, "in 25 h to 5 d"),
    ],
)
def test_a_range_is_rounded_outwards(earliest, latest, words):
    assert range_text(earliest, latest) == words


def test_what_a_range_rests_on_is_told():
    few = outlook_text(Range(120, 14_400, ("new\x1b[31m",)))
    assert few == "expected end: in 2 min to 4 h (too few of new�[31m were seen: the provider's own numbers)"
    assert "but for 2 overdue" in outlook_text(Range(60, 120, (), 2))
    assert "not known, 1 task overdue" in outlook_text(Range(0, 0, (), 1))
    assert outlook_text(Unknown("too few")) == "expected end: not known, too few"


def test_the_cap_that_leaves_least_stands_first():
    accounts = Accounts(
        batches={"a": Spent(4, {"USD": 1_000_000}), "b": Spent(9, {"USD": 500_000})},
        budgets={"a": Budget(None, Money(10_000_000, "USD")), "b": Budget(10)},
        day=Spent(13, {"USD": 1_500_000}),
    )
    frame = Frame(run=Budget(None, Money(2_000_000, "USD")), day=Budget(None, Money(1_600_000, "USD")))
    text = spent_text(Progress({}, accounts=accounts, own=Spent(2, {"USD": 700_000})), frame)
    assert text == ("may be owed: 1.50 of 1.60 USD (today, UTC), 9 of 10 submissions (batch b), and 2 more caps")
    assert spent_text(Progress({}, accounts=replace(accounts, budgets={})), Frame()) == "may be owed: 1.50 USD"
    assert spent_text(Progress({}), Frame()) == ""


def test_the_pace_that_is_seen_counts_where_there_is_room():
    """Six hundred of 100 s each, thirty a minute: twenty minutes; at the named sixty it would be ten."""
    limits = Limits(in_flight=1_000, submits_per_minute=60)
    long_ago = Headway(Frame(limits)).outlook(WAITING, NOON, 0.0)
    assert long_ago.earliest == pytest.approx(1_300, rel=0.01)
    young = Headway(Frame(limits), since=0.0)
    assert young.outlook(WAITING, NOON, 1.0).earliest == pytest.approx(700, rel=0.01)
    assert young.outlook(WAITING, NOON, 10.0) == Unknown("nothing is being submitted")
    own = replace(WAITING, own=Spent(5))
    assert young.outlook(own, NOON, 10.0).earliest == pytest.approx(1_300, rel=0.01)


def test_places_that_are_taken_explain_a_slow_pace():
    full = replace(
        WAITING, counts={JobState.PENDING: 10, JobState.RUNNING: 10}, running=[("m", NOON)] * 10, submitted=0
    )
    found = Headway(Frame(Limits(in_flight=10, submits_per_minute=60))).outlook(full, NOON, 0.0)
    assert 190 < found.earliest < found.latest < 260


def test_what_a_cap_keeps_back_is_not_waited_for():
    """Six hundred are pending; a budget has room for sixty more of a quarter each, and a run for thirty."""
    quarters = Spent(40, {"USD": 10_000_000})
    accounts = Accounts(batches={"b": quarters}, budgets={"b": Budget(None, Money(25_000_000, "USD"))})
    capped = replace(WAITING, accounts=accounts, own=quarters)
    limits = Limits(in_flight=1_000, submits_per_minute=30)
    assert Headway(Frame(limits)).outlook(capped, NOON, 0.0).earliest == pytest.approx(120 + 100, rel=0.02)
    run = Headway(Frame(limits, run=Budget(70)))
    assert run.outlook(capped, NOON, 0.0).earliest == pytest.approx(60 + 100, rel=0.02)
    open_ended = replace(accounts, budgets={**accounts.budgets, "c": Budget()})
    free = replace(capped, accounts=open_ended)
    assert Headway(Frame(limits)).outlook(free, NOON, 0.0).earliest == pytest.approx(1_300, rel=0.02)


def test_who_submits_nothing_waits_for_what_runs():
    both = replace(WAITING, counts={JobState.PENDING: 10, JobState.RUNNING: 1}, running=[("m", NOON)])
    found = Headway(Frame(submits=False)).outlook(both, NOON + timedelta(seconds=40), 0.0)
    assert found.earliest == pytest.approx(60, abs=1)
    assert Headway(Frame(submits=False)).outlook(WAITING, NOON, 0.0) is None


def test_lines_and_json_say_the_same():
    expiring = Expiring(JobName("b", "j1"), NOON + timedelta(days=6, hours=2))
    progress = replace(WAITING, expiring=expiring)
    headway = Headway(Frame(Limits(in_flight=1_000, submits_per_minute=60)))
    found = headway.outlook(progress, NOON, 0.0)
    assert list(headway.lines(progress, found, NOON)) == [
        "pace: 30 submissions in the last minute (at most 60)",
        "expected end: in 21 to 28 min",
        "next link to expire: b/j1, in 6 d 2 h",
    ]
    told = headway_json(progress, found)
    assert told["submitted_last_minute"] == 30
    assert told["expected_end"]["earliest"] == pytest.approx(1_300, rel=0.01)
    assert told["next_expiry"] == {"batch": "b", "key": "j1", "expires_at": "2026-11-29T14:00:00.000000Z"}
    assert headway_json(Progress({}), None) == {
        "submitted_last_minute": 0,
        "expected_end": None,
        "next_expiry": None,
    }
