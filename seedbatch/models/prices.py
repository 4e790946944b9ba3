"""The price table that the user names: rows of `seedbatch.toml`, or of a file of its own.

A row is `{model, resolution, unit, price, currency, date, source}`; `unit` is `second`, `clip` or `image`, and a row
without `resolution` is for all that no other row names. What a request leaves out counts as the model's schema
says that the provider takes it. No prices are built in: the provider publishes none of Seedance (maxapi contract, 7).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from seedbatch.domain.errors import UsageError
from seedbatch.domain.money import CURRENCY, Money, micros
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.models.catalogue import catalogue

_REQUIRED: Final = ("model", "unit", "price", "currency")
_KNOWN: Final = (*_REQUIRED, "resolution", "date", "source")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def price_table(rows: Iterable[object], origin: str) -> PriceTable:
    """The table that these rows make; `origin` is where they stand, for messages.

    Raises:
        UsageError: a row is wrong, or two rows price the same thing; the message names the row.
    """
    found: dict[tuple[str, str | None], PriceRow] = {}
    for number, raw in enumerate(rows, start=1):
        where = f"{origin}, price {number}"
        row = _row(raw, where)
        twin = found.setdefault((row.model, row.resolution), row)
        if twin is not row:
            at = f" at {row.resolution}" if row.resolution else ""
            raise UsageError(f"{where}: {row.model}{at} has a price already", hint="remove one of the two rows")
    return PriceTable(found, catalogue().charged)


def _row(raw: object, where: str) -> PriceRow:
    if not isinstance(raw, Mapping):
        raise UsageError(f"{where}: must be a table", hint=f"with {', '.join(_KNOWN)}")
    for name in raw:
        if name not in _KNOWN:
            near = difflib.get_close_matches(str(name), _KNOWN, n=1)
            raise UsageError(
                f"{where}: there is no {name!r} in a price",
                hint=f"did you mean {near[0]}?" if near else f"known are {', '.join(_KNOWN)}",
            )
    missing = [name for name in _REQUIRED if raw.get(name) in (None, "")]
    if missing:
        raise UsageError(f"{where}: {', '.join(missing)} is missing", hint=f"a price needs {', '.join(_REQUIRED)}")
    return PriceRow(
        model=_text(raw["model"], "model", where),
        resolution=None if raw.get("resolution") is None else _text(raw["resolution"], "resolution", where),
        unit=_unit(raw["unit"], where),
        price=Money(_amount(raw["price"], where), _currency(raw["currency"], where)),
        date=_day(raw.get("date", ""), where),
        source=_text(raw.get("source", ""), "source", where),
    )


def _text(value: object, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where}: {name} must be text")
    return value


def _unit(value: object, where: str) -> Unit:
    try:
        return Unit(str(value))
    except ValueError:
        raise UsageError(f"{where}: unit cannot be {value!r}", hint=f"it is {', '.join(Unit)}") from None


def _amount(value: object, where: str) -> int:
    try:
        return micros(value)
    except ValueError as error:
        raise UsageError(f"{where}: price {error}", hint='write it as text: price = "0.05"') from None


def _currency(value: object, where: str) -> str:
    if not isinstance(value, str) or not CURRENCY.fullmatch(value):
        raise UsageError(f"{where}: currency must be three capital letters", hint='such as "USD"')
    return value


def _day(value: object, where: str) -> str:
    text = value.isoformat() if isinstance(value, date) else value
    if not isinstance(text, str) or (text and not _DAY.fullmatch(text)):
        raise UsageError(f"{where}: date must be a day", hint='such as "2026-11-24"')
    return text
