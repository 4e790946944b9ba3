"""How far everything is, as the live page shows it: counts, what is owed against each cap, when it may be over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts, BatchTally
from seedbatch.domain.states import JobState
from seedbatch.report.cards import shown

_UNFINISHED: Final = (JobState.PENDING, JobState.SUBMITTING, JobState.RUNNING, JobState.SUCCEEDED)
_ENOUGH: Final = 5  # endings that make a pace
_QUIET: Final = timedelta(minutes=10)  # without an ending after which no end is foretold


@dataclass(frozen=True, slots=True)
class Progress:
    """What is counted at one moment. `endings` are the latest ones, the latest first."""

    tallies: Sequence[BatchTally]
    accounts: Accounts
    endings: Sequence[datetime]
    now: datetime

    @property
    def counts(self) -> Counter[JobState]:
        """All batches together."""
        counts: Counter[JobState] = Counter()
        for tally in self.tallies:
            counts.update(tally.counts)
        return counts

    @property
    def batches(self) -> list[str]:
        """Their names."""
        return [tally.batch for tally in self.tallies]

    @property
    def owed(self) -> tuple[Money, ...]:
        """What may be owed for these batches, by currency."""
        sums: Counter[str] = Counter()
        for name in self.batches:
            sums.update(self.accounts.batches.get(name, Spent()).exposure)
        return tuple(Money(sums[currency], currency) for currency in sorted(sums))


def expected_end(progress: Progress) -> datetime | None:
    """When the last job may end at the pace of the latest ones; None where there is no pace, or nothing to wait for."""
    left = sum(progress.counts[state] for state in _UNFINISHED)
    recent = [at for at in progress.endings if progress.now - at < _QUIET]
    if not left or len(recent) < _ENOUGH:
        return None
    # From the first of them until now, so that a pause counts against the pace.
    return progress.now + (progress.now - recent[-1]) / len(recent) * left


def told(progress: Progress) -> dict[str, Any]:
    """The same as JSON. Moments are milliseconds from 1970, money is `[micros, currency]`."""
    counts, end = progress.counts, expected_end(progress)
    return {
        "batches": [shown(name) for name in progress.batches],
        "counts": {str(state): counts[state] for state in JobState if counts[state]},
        "owed": [_money(one) for one in progress.owed],
        "caps": [
            cap
            for name in progress.batches
            if (cap := _cap(name, progress.accounts.batches.get(name, Spent()), progress.accounts.budgets.get(name)))
        ],
        "end": end and round(end.timestamp() * 1000),
    }


def _cap(name: str, spent: Spent, budget: Budget | None) -> Mapping[str, Any] | None:
    """What a batch owes against what it may; None without a cap."""
    if not budget:
        return None
    cost = budget.max_cost
    return {
        "batch": shown(name),
        "cost": cost and [_money(Money(spent.exposure.get(cost.currency, 0), cost.currency)), _money(cost)],
        "jobs": None if budget.max_jobs is None else [spent.submissions, budget.max_jobs],
    }


def _money(money: Money) -> tuple[int, str]:
    return money.micros, money.currency
