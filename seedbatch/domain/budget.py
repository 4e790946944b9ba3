"""Whether one more submission fits under every cap: pure, in whole micro-units.

The exposure of an attempt is reserved when its intent is recorded, and only ever falls afterwards: to nothing when it
is proven that no task exists, to the highest surcharge when moderation took the task. So a cap that holds at the
reservation holds for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seedbatch.domain.money import Money, amount_text


@dataclass(frozen=True, slots=True)
class Budget:
    """A cap on submissions, on money, on both, or (None and None) on nothing."""

    max_jobs: int | None = None
    max_cost: Money | None = None

    def __bool__(self) -> bool:
        return self.max_jobs is not None or self.max_cost is not None


@dataclass(frozen=True, slots=True)
class Spent:
    """What counts against a cap.

    `submissions` were accepted or may have been; `exposure` is in micro-units by currency; `unpriced` submissions have
    no known price.
    """

    submissions: int = 0
    exposure: Mapping[str, int] = field(default_factory=dict)
    unpriced: int = 0

    def plus(self, price: Money | None) -> Spent:
        """The same with one more submission."""
        if price is None:
            return Spent(self.submissions + 1, self.exposure, self.unpriced + 1)
        sums = {**self.exposure, price.currency: self.exposure.get(price.currency, 0) + price.micros}
        return Spent(self.submissions + 1, sums, self.unpriced)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a submission does not fit. `unpriced`: only a price, not a higher cap, would help."""

    reason: str
    unpriced: bool = False


def obstacle(budget: Budget, spent: Spent, price: Money | None) -> Obstacle | None:
    """What keeps one more submission at `price` from fitting; None if it fits."""
    if budget.max_jobs is not None and spent.submissions >= budget.max_jobs:
        return Obstacle(f"{spent.submissions:,} of {budget.max_jobs:,} submissions are used")
    if budget.max_cost is None:
        return None
    cap = budget.max_cost
    if price is None:
        return Obstacle(f"it has no price, and {cap} is the most that may be spent", unpriced=True)
    if price.currency != cap.currency:
        return Obstacle(f"its price is in {price.currency}, and the cap in {cap.currency}", unpriced=True)
    if spent.unpriced:
        return Obstacle(
            f"{spent.unpriced:,} earlier submissions have no price, so nobody knows what is left", unpriced=True
        )
    foreign = sorted(currency for currency, sum_ in spent.exposure.items() if sum_ and currency != cap.currency)
    if foreign:
        return Obstacle(
            f"earlier submissions were priced in {', '.join(foreign)}, and the cap is in {cap.currency}", unpriced=True
        )
    used = spent.exposure.get(cap.currency, 0)
    if used + price.micros > cap.micros:
        return Obstacle(
            f"{amount_text(used)} of {cap} may be owed already, and one more costs {amount_text(price.micros)}"
        )
    return None
