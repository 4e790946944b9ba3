"""What a plan would cost, what caps leave room for, and how many violations are to be expected: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seedbatch.domain.brake import Moderation, surcharge
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts
from seedbatch.domain.work import Caps
from seedbatch.engine.grouping import Grouping, Parting, Sums, Tally, monies
from seedbatch.engine.planned import SPENDING, Plan
from seedbatch.engine.pricing import By
from seedbatch.engine.room import Kept, Room, Rooms


@dataclass(frozen=True, slots=True)
class Forecast:
    """`price` by currency of all that has one; `unpriced` submissions by model; `kept` by caps as they stand now.

    `worst` is the price with every try that the manifests' retries allow: no surcharge adds to it, since what
    moderation takes costs less than its price. `by_batch` parts both by batch, `by` as it was asked for; `rooms` are
    the caps that somebody named; `rows_to_add` would price a request of each model without a price.

    `exposure` is what may be owed already, `in_doubt` that of attempts in doubt among it; `exposure_after` with the
    price of the plan, `exposure_at_most` with every retry, those of tasks that run already included.
    """

    submissions: int
    price: tuple[Money, ...]
    unpriced: Mapping[str, int]
    kept: Kept | None
    exposure_after: tuple[Money, ...]
    moderation: Moderation
    worst: tuple[Money, ...] = ()
    by_batch: Mapping[str, Sums] = field(default_factory=dict)
    by: tuple[Parting, ...] = ()
    rooms: tuple[Room, ...] = ()
    rows_to_add: Mapping[str, str] = field(default_factory=dict)
    exposure: tuple[Money, ...] = ()
    in_doubt: tuple[Money, ...] = ()
    exposure_at_most: tuple[Money, ...] = ()

    @property
    def surcharge(self) -> int:
        """What the next violation of this day costs, in percent of its task."""
        return surcharge(self.moderation.violations + 1)

    @property
    def expected_violations(self) -> float:
        """What these submissions add to the day's violations, by the rate that this ledger has seen."""
        return float(self.submissions * self.moderation.rate)


def forecast(
    plan: Plan, batches: Sequence[BatchSpec], accounts: Accounts, caps: Caps, by: By | None = None
) -> Forecast:
    """What applying a plan comes to, parted as `by` says."""
    tries = {batch.name: batch.attempts for batch in batches}
    whole, of_batches, unpriced = Tally(), dict[str, Tally](), Counter[str]()
    rooms, grouping = Rooms({batch.name: batch.budget for batch in batches}, accounts, caps), Grouping(by or By())
    for job in plan.of(*SPENDING):
        allowed = tries.get(job.batch, 1)
        whole.add(job.price, allowed)
        of_batches.setdefault(job.batch, Tally()).add(job.price, allowed)
        if job.price is None:
            unpriced[job.model] += 1
        rooms.take(job, allowed)
        grouping.take(job, allowed)
    retries = Counter[str]()
    for name, running in accounts.running.items():
        again = tries.get(name, 1) - 1
        rooms.retry(name, running, again)
        retries.update({currency: again * amount for currency, amount in running.exposure.items()})
    owed = Counter({money.currency: money.micros for money in accounts.exposure})
    return Forecast(
        submissions=plan.submissions,
        price=monies(whole.price),
        unpriced=unpriced,
        kept=rooms.kept,
        exposure_after=monies(owed + whole.price),
        moderation=accounts.moderation,
        worst=monies(whole.worst),
        by_batch={name: tally.sums() for name, tally in of_batches.items()},
        by=tuple(grouping.partings()),
        rooms=tuple(rooms.named),
        rows_to_add=plan.rows_to_add,
        exposure=accounts.exposure,
        in_doubt=monies(sum((Counter(one.exposure) for one in accounts.in_doubt.values()), Counter[str]())),
        exposure_at_most=monies(owed + whole.worst + retries),
    )
