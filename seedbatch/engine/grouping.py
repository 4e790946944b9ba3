"""The price of a plan in parts: by batch, model, tag, and any axis, var or parameter. Counters; no job is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from seedbatch.domain.money import Money
from seedbatch.engine.planned import Planned
from seedbatch.engine.pricing import BATCH, MODEL, OF_EVERY_PLAN, By

# A column may have a million values. The first so many are told apart, what comes later is summed up.
MOST_GROUPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Sums:
    """What so many submissions cost, by currency: once each in `price`, with every retry in `worst`."""

    submissions: int = 0
    unpriced: int = 0
    price: tuple[Money, ...] = ()
    worst: tuple[Money, ...] = ()


@dataclass(frozen=True, slots=True)
class Parting:
    """A price in parts, the dearest first. `without` is what has no such thing; `beyond` has values beyond the first.

    `overlaps`: a job counts in several parts, so that these come to more than the whole.
    """

    by: str
    parts: tuple[tuple[str, Sums], ...]
    without: Sums
    beyond: Sums
    overlaps: bool


@dataclass(slots=True)
class Tally:
    """Sums that grow."""

    submissions: int = 0
    unpriced: int = 0
    tries: int = 0
    price: Counter[str] = field(default_factory=Counter)
    worst: Counter[str] = field(default_factory=Counter)

    def add(self, price: Money | None, tries: int) -> None:
        """One more submission, that may be tried so often."""
        self.submissions += 1
        self.tries += tries
        if price is None:
            self.unpriced += 1
        else:
            self.price[price.currency] += price.micros
            self.worst[price.currency] += price.micros * tries

    def include(self, sums: Sums) -> None:
        """Those of others as well."""
        self.submissions += sums.submissions
        self.unpriced += sums.unpriced
        self.price.update({money.currency: money.micros for money in sums.price})
        self.worst.update({money.currency: money.micros for money in sums.worst})

    def sums(self, less: Tally | None = None) -> Sums:
        """As they stand, without those of `less`."""
        less = less or Tally()
        submissions = self.submissions - less.submissions
        if not submissions:
            return Sums()
        unpriced = self.unpriced - less.unpriced
        priced = submissions > unpriced
        return Sums(
            submissions,
            unpriced,
            monies(self.price, less.price) if priced else (),
            monies(self.worst, less.worst) if priced else (),
        )


@dataclass(slots=True)
class _Dimension:
    """One way to part a price; `having` is what has such a thing at all."""

    parts: dict[str, Tally] = field(default_factory=dict)
    having: Tally = field(default_factory=Tally)
    beyond: Tally = field(default_factory=Tally)
    overlaps: bool = False

    def add(self, values: list[str], price: Money | None, tries: int) -> None:
        self.having.add(price, tries)
        told = [value for value in values if value in self.parts or len(self.parts) < MOST_GROUPS]
        for value in told:
            self.parts.setdefault(value, Tally()).add(price, tries)
        if len(told) < len(values):
            self.beyond.add(price, tries)
        self.overlaps = self.overlaps or len(values) > 1


class Grouping:
    """Parts the price of what a plan submits, job by job."""

    def __init__(self, by: By) -> None:
        self._all = by.all
        names = [*by.names, *(OF_EVERY_PLAN if by.all else ())]
        self._dimensions = {name: _Dimension() for name in dict.fromkeys(names)}
        self._whole = Tally()

    def take(self, job: Planned, tries: int) -> None:
        """One more submission."""
        if not self._dimensions:
            return
        self._whole.add(job.price, tries)
        found: dict[str, list[str]] = {}
        for name, value in ((BATCH, job.batch), (MODEL, job.model), *job.labels):
            found.setdefault(name, []).append(value)
        for name, values in found.items():
            dimension = self._dimensions.get(name)
            if dimension is None and self._all:
                dimension = self._dimensions[name] = _Dimension()
            if dimension is not None:
                dimension.add(values, job.price, tries)

    def partings(self) -> Iterator[Parting]:
        """What it came to."""
        for name, dimension in self._dimensions.items():
            parts = [(value, tally.sums()) for value, tally in dimension.parts.items()]
            yield Parting(
                name,
                tuple(sorted(parts, key=lambda part: (-_largest(part[1]), -part[1].submissions))),
                without=self._whole.sums(less=dimension.having),
                beyond=dimension.beyond.sums(),
                overlaps=dimension.overlaps,
            )


def monies(sums: Counter[str], less: Counter[str] | None = None) -> tuple[Money, ...]:
    """By currency, in their order."""
    left = {currency: sums[currency] - (less or Counter())[currency] for currency in sorted(sums)}
    return tuple(Money(amount, currency) for currency, amount in left.items() if amount or not less)


def _largest(sums: Sums) -> int:
    return max((money.micros for money in sums.price), default=0)
