"""What a plan would cost, what caps leave room for, and how many violations are to be expected: pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seedbatch.domain.brake import Moderation, surcharge
from seedbatch.domain.budget import Budget, Spent, obstacle
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts
from seedbatch.domain.work import Caps
from seedbatch.engine.planned import SPENDING, Plan, Planned


@dataclass(frozen=True, slots=True)
class Kept:
    """Submissions that a cap keeps back: how many, and the words for the first."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """`price` by currency of all that has one; `unpriced` submissions by model; `kept` by caps as they stand now.

    `worst` is the price with every try that the manifests' retries allow; `by_batch` parts the price by batch.
    """

    submissions: int
    price: tuple[Money, ...]
    unpriced: Mapping[str, int]
    kept: Kept | None
    exposure_after: tuple[Money, ...]
    moderation: Moderation
    worst: tuple[Money, ...] = ()
    by_batch: Mapping[str, tuple[Money, ...]] = field(default_factory=dict)

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
    parts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    unpriced: Counter[str] = Counter()
    caps_ = _Caps({batch.name: batch.budget for batch in batches}, accounts, caps)
    for job in plan.of(*SPENDING):
        if job.price is None:
            unpriced[job.model] += 1
        else:
            parts[job.batch][job.price.currency] += job.price.micros
        caps_.take(job)
    sums = sum(parts.values(), Counter[str]())
    worst: Counter[str] = Counter()
    for batch in batches:
        # A task that moderation takes costs less than its price, so no surcharge is more.
        worst.update({currency: micros * batch.attempts for currency, micros in parts[batch.name].items()})
    after = Counter({money.currency: money.micros for money in accounts.exposure}) + sums
    return Forecast(
        submissions=plan.submissions,
        price=_monies(sums),
        unpriced=unpriced,
        kept=caps_.kept,
        exposure_after=_monies(after),
        moderation=accounts.moderation,
        worst=_monies(worst),
        by_batch={name: _monies(own) for name, own in parts.items() if own},
    )


class _Caps:
    """In the ledger's own order: a batch stops at the first job that does not fit, one without a price is passed."""

    def __init__(self, budgets: Mapping[str, Budget], accounts: Accounts, caps: Caps) -> None:
        self._budgets = budgets
        self._caps = caps
        self._batches = dict(accounts.batches)
        self._day = accounts.day
        self._run = Spent()
        self._full: set[str] = set()
        self.kept: Kept | None = None

    def take(self, job: Planned) -> None:
        """One more submission, or one more that is kept back."""
        own = self._batches.get(job.batch, Spent())
        named = (
            (self._budgets.get(job.batch, Budget()), own),
            (self._caps.run, self._run),
            (self._caps.day, self._day),
        )
        found = next((one for budget, spent in named if (one := obstacle(budget, spent, job.price))), None)
        if found is not None and not found.unpriced:
            self._full.add(job.batch)
        if job.batch in self._full or found is not None:
            reason = found.reason if found else ""
            self.kept = Kept(1, reason) if self.kept is None else Kept(self.kept.count + 1, self.kept.reason)
            return
        self._batches[job.batch] = own.plus(job.price)
        self._day, self._run = self._day.plus(job.price), self._run.plus(job.price)


def _monies(sums: Counter[str]) -> tuple[Money, ...]:
    return tuple(Money(sums[currency], currency) for currency in sorted(sums))
