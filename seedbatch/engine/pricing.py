"""What each job of a plan costs, and under which names that is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from seedbatch.domain.errors import UsageError
from seedbatch.domain.jobs import BatchSpec, JobSpec
from seedbatch.domain.money import Money
from seedbatch.domain.selection import Facts, label_names, label_of

# What is no axis, var or parameter. A colon tells them apart, as in a selection: `tag:hero` is no `tag=hero`.
TAG, BATCH, MODEL = "tag:", "batch:", "model:"
OF_EVERY_PLAN: Final = (BATCH, MODEL, TAG)
_MOST_ROWS: Final = 100

Label = tuple[str, str]  # what a job is counted under, and as what: ("ratio", "16:9"), ("tag:", "hero")


@dataclass(frozen=True, slots=True)
class By:
    """What a plan's price is parted by: `names` of `OF_EVERY_PLAN`, and of axes, vars and parameters.

    `all`: by all of `OF_EVERY_PLAN` and by every axis, beside those that are named.
    """

    names: tuple[str, ...] = ()
    all: bool = False


@dataclass(slots=True)
class Pricer:
    """Prices job by job; remembers which models have no price, and which names no job had.

    `rows_to_add` holds by model the row of a price table that would price its first request without a price.
    """

    by: By = field(default_factory=By)
    rows_to_add: dict[str, str] = field(default_factory=dict)
    _missing: set[str] = field(init=False)
    _known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._missing = set(self.by.names).difference(OF_EVERY_PLAN)

    def look(self, spec: JobSpec) -> None:
        """Note which names a job has, whatever becomes of it."""
        if self._missing:
            names = label_names(spec.axes, spec.request.input, spec.vars)
            self._known |= names
            self._missing -= names

    def price(self, batch: BatchSpec, spec: JobSpec) -> Money | None:
        """What submitting a job costs; None if its batch's prices do not tell."""
        model, params = spec.request.model, spec.request.input
        price = batch.prices.price(model, params) if batch.prices.rows else None
        if price is None and model not in self.rows_to_add and len(self.rows_to_add) < _MOST_ROWS:
            self.rows_to_add[model] = batch.prices.row_to_add(model, params)
        return price

    def labels(self, spec: JobSpec) -> tuple[Label, ...]:
        """What a job that is sent is counted under."""
        return tuple(dict.fromkeys(self._labels(spec))) if self.by.names or self.by.all else ()

    def check_names(self) -> None:
        """Once all jobs were seen.

        Raises:
            UsageError: none of them has an axis, a var or a parameter of a name that is asked for.
        """
        for name in sorted(self._missing):
            raise _unknown(name, self._known)

    def _labels(self, spec: JobSpec) -> Iterator[Label]:
        if self.by.all or TAG in self.by.names:
            yield from ((TAG, tag) for tag in spec.tags)
        facts = Facts("", "", "", (), spec.axes, spec.request.input, vars=spec.vars)
        for name in (*(spec.axes if self.by.all else ()), *self.by.names):
            value = None if name in OF_EVERY_PLAN else label_of(name, facts)
            if value is not None:
                yield name, value


def _unknown(name: str, known: Iterable[str]) -> UsageError:
    names = sorted(({one.removesuffix(":") for one in OF_EVERY_PLAN} | set(known)) - {name})
    near = get_close_matches(name, names, n=1)
    more = ", …" if len(names) > 20 else ""  # noqa: PLR2004 - a line
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names[:20])}{more}"
    return UsageError(f"no job has an axis, a var or a parameter named {name[:60]!r}", hint=hint)
