"""What caps leave room for: which submissions of a plan they would keep back, and whether all of it fits. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from seedbatch.domain.budget import Budget, Spent, obstacle
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts
from seedbatch.domain.work import Caps
from seedbatch.engine.grouping import Tally
from seedbatch.engine.planned import Planned


@dataclass(frozen=True, slots=True)
class Kept:
    """Submissions that caps keep back: how many, and the words for the first."""

    count: int
    reason: str


@dataclass(slots=True)
class Room:
    """One cap: its scope is `batch`, this UTC `day` or this `run`. `spent` counts against it before the plan.

    `asked` is what the plan submits, `retries` what tasks that run already may add; `kept` are the submissions that it
    keeps back as it stands, `taken` what counts against it once it has let the others pass.
    """

    scope: str
    budget: Budget
    spent: Spent
    batch: str | None = None
    asked: Tally = field(default_factory=Tally)
    retries: Spent = field(default_factory=Spent)
    kept: int = 0
    taken: Spent = field(init=False)

    def __post_init__(self) -> None:
        self.taken = self.spent

    @property
    def jobs_left(self) -> int | None:
        """How many more submissions it allows; None if it does not count them."""
        return None if self.budget.max_jobs is None else max(0, self.budget.max_jobs - self.spent.submissions)

    @property
    def left(self) -> Money | None:
        """How much more money it allows; None if it does not count that, or nobody knows."""
        cap = self.budget.max_cost
        if cap is None or self.spent.unpriced or _foreign(self.spent.exposure, cap.currency):
            return None
        return Money(max(0, cap.micros - self.spent.exposure.get(cap.currency, 0)), cap.currency)

    @property
    def fits(self) -> bool:
        """Whether it has room for all that the plan submits."""
        return self._holds(self.asked.submissions, self.asked.unpriced, self.asked.price)

    @property
    def fits_at_most(self) -> bool:
        """Whether it has room for every retry as well."""
        worst = self.asked.worst + Counter(self.retries.exposure)
        return self._holds(
            self.asked.tries + self.retries.submissions, self.asked.unpriced + self.retries.unpriced, worst
        )

    def _holds(self, submissions: int, unpriced: int, price: Mapping[str, int]) -> bool:
        if not submissions:
            return True
        if self.jobs_left is not None and submissions > self.jobs_left:
            return False
        if self.budget.max_cost is None:
            return True
        currency, left = self.budget.max_cost.currency, self.left
        known = left is not None and not unpriced and not _foreign(price, currency)
        return known and left is not None and price.get(currency, 0) <= left.micros


class Rooms:
    """In the ledger's own order: a batch stops at the first job that does not fit, one without a price is passed."""

    def __init__(self, budgets: Mapping[str, Budget], accounts: Accounts, caps: Caps) -> None:
        self._batches = {
            name: Room("batch", budget, accounts.batches.get(name, Spent()), name) for name, budget in budgets.items()
        }
        self._run = Room("run", caps.run, Spent())
        self._day = Room("day", caps.day, accounts.day)
        self._full: dict[str, Room] = {}
        self._by_batch: dict[str, Sequence[Room]] = {}
        self.kept: Kept | None = None

    @property
    def named(self) -> Sequence[Room]:
        """Those that cap anything."""
        return tuple(room for room in (*self._batches.values(), self._day, self._run) if room.budget)

    def take(self, job: Planned, tries: int) -> None:
        """One more submission, or one more that is kept back."""
        rooms = self._of(job.batch)
        for room in rooms:
            room.asked.add(job.price, tries)
        full, found = self._full.get(job.batch), None
        for room in rooms:
            if found := obstacle(room.budget, room.taken, job.price):
                full = full or room
                if not found.unpriced:
                    self._full[job.batch] = full
                break
        if full is None:
            for room in rooms:
                room.taken = room.taken.plus(job.price)
            return
        full.kept += 1
        reason = found.reason if found else ""
        self.kept = Kept(1, reason) if self.kept is None else replace(self.kept, count=self.kept.count + 1)

    def retry(self, batch: str, running: Spent, retries: int) -> None:
        """The tasks of a batch that run already may be sent so often again."""
        for room in self._of(batch):
            exposure = Counter(room.retries.exposure)
            exposure.update({currency: amount * retries for currency, amount in running.exposure.items()})
            room.retries = Spent(
                room.retries.submissions + running.submissions * retries,
                exposure,
                room.retries.unpriced + running.unpriced * retries,
            )

    def _of(self, batch: str) -> Sequence[Room]:
        """Those that cap a batch, in the order in which they are asked."""
        if batch not in self._by_batch:
            named = (self._batches.get(batch), self._run, self._day)
            self._by_batch[batch] = tuple(room for room in named if room is not None and room.budget)
        return self._by_batch[batch]


def _foreign(sums: Mapping[str, int], currency: str) -> bool:
    return any(amount for other, amount in sums.items() if other != currency)
