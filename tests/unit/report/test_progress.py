"""How far everything is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts, BatchTally
from seedbatch.domain.states import JobState
from seedbatch.report.progress import Progress, expected_end, told

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def progress(counts, ages=(), accounts=None):
    endings = [NOW - timedelta(seconds=age) for age in ages]
    return Progress([BatchTally("b", counts)], accounts or Accounts(), endings, NOW)


@pytest.mark.parametrize(
    ("left", "ages", "seconds"),
    [
        ({JobState.PENDING: 8, JobState.RUNNING: 2}, range(10, 60, 10), 100),  # five in fifty seconds
        ({JobState.PENDING: 1, JobState.IN_DOUBT: 9, JobState.FAILED: 9}, range(10, 60, 10), 10),  # doubt is no work
        ({JobState.PENDING: 10}, range(210, 260, 10), 500),  # a pause counts against the pace
        ({JobState.PENDING: 10}, range(10, 50, 10), None),  # four are no pace
        ({JobState.PENDING: 10}, range(700, 760, 10), None),  # nor is what is long over
        ({JobState.COMPLETED: 10}, range(10, 60, 10), None),
    ],
)
def test_the_expected_end(left, ages, seconds):
    end = expected_end(progress(left, ages))
    assert end == (None if seconds is None else NOW + timedelta(seconds=seconds))


def test_what_is_owed_of_what_may_be():
    accounts = Accounts(
        batches={"b": Spent(3, {"USD": 600_000, "EUR": 5}), "other": Spent(9, {"USD": 7})},
        budgets={"b": Budget(10, Money(2_000_000, "USD")), "other": Budget(9)},
    )
    says = told(progress({JobState.COMPLETED: 3}, (), accounts))
    assert says["owed"] == [(5, "EUR"), (600_000, "USD")]  # of the batches that are looked at
    assert says["caps"] == [{"batch": "b", "cost": [(600_000, "USD"), (2_000_000, "USD")], "jobs": [3, 10]}]
    assert says["counts"] == {"completed": 3}
    assert told(progress({}))["caps"] == []


def test_names_are_shown_as_text():
    tally = BatchTally("a\x1b[31m\u202eb", {JobState.PENDING: 1})
    assert told(Progress([tally], Accounts(), [], NOW))["batches"] == ["a␛[31m�b"]
