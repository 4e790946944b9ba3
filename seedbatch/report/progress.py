"""How far everything is, as the live page shows it: counts, what is owed against each cap, and what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.records import Accounts, BatchTally
from seedbatch.domain.states import JobState
from seedbatch.report.cards import shown


def told(
    tallies: Sequence[BatchTally], accounts: Accounts, says: Sequence[str] = (), warns: Sequence[str] = ()
) -> dict[str, Any]:
    """All these batches together, as JSON. Money is `[micros, currency]`; `says` and `warns` are words beside it."""
    counts: Counter[JobState] = Counter()
    for tally in tallies:
        counts.update(tally.counts)
    names = [tally.batch for tally in tallies]
    spent = {name: accounts.batches.get(name, Spent()) for name in names}
    return {
        "batches": [shown(name) for name in names],
        "counts": {str(state): counts[state] for state in JobState if counts[state]},
        "owed": _owed(spent.values()),
        "caps": [cap for name in names if (cap := _cap(name, spent[name], accounts.budgets.get(name)))],
        "says": [shown(line) for line in says],
        "warns": [shown(line) for line in warns],
    }


def _owed(spent: Iterable[Spent]) -> list[tuple[int, str]]:
    """What may be owed, by currency."""
    sums: Counter[str] = Counter()
    for one in spent:
        sums.update(one.exposure)
    return [(sums[currency], currency) for currency in sorted(sums)]


def _cap(name: str, spent: Spent, budget: Budget | None) -> Mapping[str, Any] | None:
    """What a batch owes against what it may; None without a cap."""
    if not budget:
        return None
    cost = budget.max_cost
    return {
        "batch": shown(name),
        "cost": cost and [(spent.exposure.get(cost.currency, 0), cost.currency), (cost.micros, cost.currency)],
        "jobs": None if budget.max_jobs is None else [spent.submissions, budget.max_jobs],
    }
