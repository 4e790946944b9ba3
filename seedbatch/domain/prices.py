"""What a request costs, by a table that the user names: the provider tells prices nowhere.

Source: maxapi contract, 7.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

from seedbatch.domain.fingerprint import Json
from seedbatch.domain.money import MOST, Money

_DIGITS: Final = 18  # of a count: more overflow what a ledger can add up


class Unit(StrEnum):
    """What a price is for: a second of `input.duration`, a clip, or one of `input.n` images."""

    SECOND = "second"
    CLIP = "clip"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The price of one unit of a model, at one resolution or (None) at any that no other row names.

    `date` is when the price was seen, `source` where.
    """

    model: str
    resolution: str | None
    unit: Unit
    price: Money
    date: str = ""
    source: str = ""


Charged = Callable[[str, Mapping[str, Json]], Mapping[str, Json]]


def as_asked(_model: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
    """What a request is charged for, where nothing else is known: what it asks for."""
    return params


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Rows by model and resolution; `charged` tells for which input a request with this model and input is charged."""

    rows: Mapping[tuple[str, str | None], PriceRow] = field(default_factory=dict)
    charged: Charged = field(default=as_asked, compare=False, repr=False)

    def row(self, model: str, params: Mapping[str, Json]) -> PriceRow | None:
        """The row that speaks of a request with this model and input: its resolution's, else the model's."""
        return self._row(model, self.charged(model, params))

    def _row(self, model: str, params: Mapping[str, Json]) -> PriceRow | None:
        resolution = params.get("resolution")
        if isinstance(resolution, str) and (named := self.rows.get((model, resolution))):
            return named
        return self.rows.get((model, None))

    def price(self, model: str, params: Mapping[str, Json]) -> Money | None:
        """What one submission of a request costs; None if the table does not tell."""
        params = self.charged(model, params)
        row = self._row(model, params)
        count = None if row is None else _count(row.unit, params)
        if row is None or count is None or row.price.micros * count > MOST:
            return None
        return Money(row.price.micros * count, row.price.currency)

    def row_to_add(self, model: str, params: Mapping[str, Json]) -> str:
        """The row that would price a request, in the table's own currency if it has one."""
        currencies = {row.price.currency for row in self.rows.values()}
        currency = currencies.pop() if len(currencies) == 1 else "…"
        return row_to_add(model, self.charged(model, params), currency)


def row_to_add(model: str, params: Mapping[str, Json], currency: str) -> str:
    """Lines for the end of `seedbatch.toml` that would price a request, the amount left to whoever knows it."""
    resolution = params.get("resolution")
    unit = Unit.SECOND if _whole(params.get("duration")) else Unit.IMAGE if "n" in params else Unit.CLIP
    facts = {
        "model": model,
        **({"resolution": resolution} if isinstance(resolution, str) else {}),
        "unit": unit,
        "price": "…",
        "currency": currency,
        "date": "…",
    }
    return "\n".join(["[[prices]]", *(f"{name} = {_toml(value)}" for name, value in facts.items())])


def _toml(text: str) -> str:
    """A string of TOML: as JSON writes it, and what cannot be seen by its number."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in quoted)


def _count(unit: Unit, params: Mapping[str, Json]) -> int | None:
    match unit:
        case Unit.SECOND:
            return _whole(params.get("duration"))
        case Unit.CLIP:
            return 1
        case Unit.IMAGE:
            # One where the request does not say. Source: maxapi contract, 3.
            return _whole(params.get("n", 1))
        case _:
            assert_never(unit)


def _whole(value: Json) -> int | None:
    """A count from 1; text of digits counts as well, since some models take durations as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and len(value) <= _DIGITS and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and value >= 1 else None
