"""How far everything is, as the live page is told."""

from __future__ import annotations

from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts, BatchTally
from seedbatch.domain.states import JobState
from seedbatch.report.progress import told


def test_what_is_owed_of_what_may_be():
    accounts = Accounts(
        batches={"b": Spent(3, {"USD": 600_000, "EUR": 5}), "other": Spent(9, {"USD": 7})},
        budgets={"b": Budget(10, Money(2_000_000, "USD")), "other": Budget(9)},
    )
    says = told([BatchTally("b", {JobState.COMPLETED: 3})], accounts)
    assert says["owed"] == [(5, "EUR"), (600_000, "USD")]  # of the batches that are looked at
    assert says["caps"] == [{"batch": "b", "cost": [(600_000, "USD"), (2_000_000, "USD")], "jobs": [3, 10]}]
    assert says["counts"] == {"completed": 3}
    assert told([BatchTally("b", {})], Accounts())["caps"] == []


def test_what_others_wrote_is_shown_as_text():
    tally = BatchTally("a\x1b[31m\u202eb", {JobState.PENDING: 1})
    says = told([tally], Accounts(), ["ends\x1b[31m"], ["EXTRA\u202e"])
    assert says["batches"] == ["a␛[31m�b"]
    assert (says["says"], says["warns"]) == (["ends␛[31m"], ["EXTRA�"])
