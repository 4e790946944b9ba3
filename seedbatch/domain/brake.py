"""The moderation brake: how many more tasks may be in flight before a surcharge tier would be crossed.

A task that moderation rejects after generation costs a surcharge, which rises with the number of violations of that UTC
day; what is in flight can still be rejected, so the brake goes by the expected count. Source: maxapi contract, 6;
why it is done this way: docs/decisions/0007-moderation-brake.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

# The first violation of each dearer tier, and the surcharge in percent from there on.
TIERS: Final = ((1, 1), (20, 5), (101, 10))
HIGHEST_SURCHARGE: Final = TIERS[-1][1]
# Before anything was seen: one in ten, with the weight of twenty tasks.
_ASSUMED_REJECTED: Final = 2
_ASSUMED_FINISHED: Final = 20


@dataclass(frozen=True, slots=True)
class Moderation:
    """What the ledger has seen: violations of this UTC day, and all tasks that ended, with those rejected among them.

    `in_flight` tasks are submitting or running.
    """

    violations: int
    in_flight: int
    finished: int
    rejected: int

    @property
    def rate(self) -> Fraction:
        """The share of tasks that moderation rejects, as far as this ledger can tell."""
        return Fraction(_ASSUMED_REJECTED + self.rejected, _ASSUMED_FINISHED + self.finished)

    @property
    def expected(self) -> Fraction:
        """The violations that this day will have seen when everything in flight has ended."""
        return self.violations + self.in_flight * self.rate


@dataclass(frozen=True, slots=True)
class Brake:
    """How careful to be. `allowed`: the violations of a day that a person accepts; None: not one into a dearer tier.

    `strict` counts every task in flight as a violation.
    """

    allowed: int | None = None
    strict: bool = False


def room(brake: Brake, seen: Moderation) -> int | None:
    """How many more tasks may be submitted now; None if no number is too many.

    With so many more in flight, what is expected of all, rounded up to whole violations, leaves the day below the
    first violation of the next dearer tier (or within those that are allowed).
    """
    limit = _limit(brake, seen.violations)
    if limit is None:
        return None
    rate = Fraction(1) if brake.strict else seen.rate
    left = limit - 1 - seen.violations
    return max(0, left // rate - seen.in_flight) if left > 0 else 0


def surcharge(violations: int) -> int:
    """The percent of its price that a task rejected now costs, `violations` being those of the day, it included."""
    return next(percent for first, percent in reversed(TIERS) if violations >= first or first == TIERS[0][0])


def _limit(brake: Brake, violations: int) -> int | None:
    if brake.allowed is not None:
        return brake.allowed + 1
    return next((first for first, _ in TIERS[1:] if violations < first), None)
