"""What a plan would cost, what caps leave room for, and how many violations are to be expected: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seedbatch.domain.brake import Moderation, surcharge
from seedbatch.domain.budget import Budget, Spent, obstacle
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts
from seedbatch.domain.work import Caps
from seedbatch.engine.plan import SPENDING, Plan, Planned


@dataclass(frozen=True, slots=True)
class Kept:
    """Submissions that a cap keeps back: how many, and the words for the first."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """`price` by currency of all that has one; `unpriced` submissions by model; `kept` by caps as they stand now."""

    submissions: int
    price: tuple[Money, ...]
    unpriced: Mapping[str, int]
    kept: Kept | None
    exposure_after: tuple[Money, ...]
    moderation: Moderation

    @property
    def surcharge(self) -> int:
        """What the next violation of this day costs, in percent of its task."""
        return surcharge(self.moderation.violations + 1)

    @property
    def expected_violations(self) -> float:
        """What these submissions add to the day's violations, by the rate that this ledger has seen."""
        return float(self.submissions * self.moderation.rate)


def forecast(plan: Plan, batches: Sequence[BatchSpec], accounts: Accounts, caps: Caps) -> Forecast:
    """What applying a plan comes to."""
    spending = [job for job in plan.jobs if job.action in SPENDING]
    sums: Counter[str] = Counter()
    for job in spending:
        if job.price is not None:
            sums[job.price.currency] += job.price.micros
    after = Counter({money.currency: money.micros for money in accounts.exposure}) + sums
    return Forecast(
        submissions=len(spending),
        price=_monies(sums),
        unpriced=Counter(job.model for job in spending if job.price is None),
        kept=_kept(spending, {batch.name: batch.budget for batch in batches}, accounts, caps),
        exposure_after=_monies(after),
        moderation=accounts.moderation,
    )


def _kept(spending: Sequence[Planned], budgets: Mapping[str, Budget], accounts: Accounts, caps: Caps) -> Kept | None:
    """In the ledger's own order: a batch stops at the first job that does not fit, one without a price is passed."""
    day, run = accounts.day, Spent()
    batches = dict(accounts.batches)
    full: set[str] = set()
    reasons: list[str] = []
    for job in spending:
        own = batches.get(job.batch, Spent())
        named = ((budgets.get(job.batch, Budget()), own), (caps.run, run), (caps.day, day))
        found = next((one for budget, spent in named if (one := obstacle(budget, spent, job.price))), None)
        if job.batch in full or found is not None:
            reasons.append(found.reason if found else reasons[-1])
            if found is not None and not found.unpriced:
                full.add(job.batch)
            continue
        batches[job.batch], day, run = own.plus(job.price), day.plus(job.price), run.plus(job.price)
    return Kept(len(reasons), reasons[0]) if reasons else None


def _monies(sums: Counter[str]) -> tuple[Money, ...]:
    return tuple(Money(sums[currency], currency) for currency in sorted(sums))
