"""What those are told who only look on."""

from __future__ import annotations

from samples import NOON

from seedbatch.cli.onlooking import Herald
from seedbatch.domain.brake import Moderation
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.money import Money
from seedbatch.domain.progress import Progress
from seedbatch.domain.records import Accounts, BatchTally, ExtraTask
from seedbatch.domain.states import JobState
from seedbatch.settings import load

RUNNING = {JobState.RUNNING: 1}


def running(seconds, **accounts):
    return Progress(RUNNING, running=[("m", NOON)], took={"m": [seconds] * 20}, accounts=Accounts(**accounts))


def test_the_live_page_says_what_the_terminal_says(tmp_path):
    herald = Herald(load({}, {}, tmp_path))
    tallies = [BatchTally("b", RUNNING)]
    seen = Moderation(3, in_flight=1, finished=20, rejected=5)
    assert herald.says(running(240.0), tallies, NOON) == ["expected end: in 4 to 5 min"]
    assert herald.says(Progress({JobState.COMPLETED: 1}), [], NOON) == []
    _, moderation = herald.says(running(240.0, moderation=seen), tallies, NOON)
    assert moderation.startswith("Moderation: 3 violations today")


def test_the_cap_of_a_batch_that_is_over_holds_nothing_up(tmp_path):
    herald = Herald(load({}, {}, tmp_path))
    full = {"batches": {"old": Spent(3)}, "budgets": {"old": Budget(3)}}
    waiting = Progress(
        {JobState.PENDING: 2}, {"m": 1.0}, submitted=9, took={"m": [60.0] * 20}, accounts=Accounts(**full)
    )
    over = [BatchTally("old", {JobState.COMPLETED: 3}), BatchTally("new", {JobState.PENDING: 2})]
    assert herald.says(waiting, over, NOON)[0].startswith("expected end: in ")
    assert herald.says(waiting, [BatchTally("old", {JobState.PENDING: 2})], NOON) == []  # nothing more is sent


def test_tasks_beyond_what_was_submitted_are_named(tmp_path):
    extra = ExtraTask("task-2", "b", "river", NOON, Money(200_000, "USD"))
    title, one, advice = Herald(load({}, {}, tmp_path)).warns([extra])
    assert title == "EXTRA: 1 task beyond what was submitted, charged as well:"
    assert one.startswith("b/river ")
    assert one.endswith("0.20 USD  task task-2")
    assert "ask its support about it" in advice
    assert Herald(load({}, {}, tmp_path)).warns([]) == []
