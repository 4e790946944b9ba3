"""Money in whole micro-units: a sum that is compared with a cap is never a float."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

MICROS: Final = 1_000_000
_PLACES: Final = 6
CURRENCY: Final = re.compile(r"[A-Z]{3}")
# Far beyond any budget, and far below where a column of 64 bits could overflow when sums are added.
MOST: Final = 10**12 * MICROS


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in millionths of a currency's unit; `currency` is its ISO 4217 code."""

    micros: int
    currency: str

    def __str__(self) -> str:
        return f"{amount_text(self.micros)} {self.currency}"


def micros(value: object) -> int:
    """What a number or a decimal text (`0.05`) means in micro-units, exactly.

    Raises:
        ValueError: not a finite amount from 0 to 1,000,000 million, or finer than a micro-unit.
    """
    try:
        amount = _decimal(value)
    except InvalidOperation:
        raise ValueError("must be an amount such as 12.50") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError("must be a finite amount, and not negative")
    if amount > MOST // MICROS:
        raise ValueError("is more than anybody spends here")
    if not amount:
        return 0  # whatever its exponent
    # By its digits: arithmetic on decimals would round the twenty-ninth away.
    _, digits, exponent = amount.as_tuple()
    assert isinstance(exponent, int)
    finer = max(0, -_PLACES - exponent)
    if finer and any(digits[-finer:]):
        raise ValueError("has more than six decimal places")
    kept = int("".join(map(str, digits[: len(digits) - finer])) or "0")
    return kept * int(10 ** max(0, exponent + _PLACES))


def _decimal(value: object) -> Decimal:
    match value:
        case bool():
            raise InvalidOperation
        case float():
            return Decimal(repr(value))  # the shortest text of a float is what was written in the file
        case int() | str() | Decimal():
            return Decimal(value)
        case _:
            raise InvalidOperation


def amount_text(amount: int) -> str:
    """Micro-units as people write them: `1,250.00`, `0.0525`; at least two decimal places, no more than needed."""
    whole, rest = divmod(amount, MICROS)
    places = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{places}"
