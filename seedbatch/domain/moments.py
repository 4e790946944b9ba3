"""Moments as the ledger writes them: ISO 8601 UTC of fixed width, so that text order is time order."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_WIDTH = len("2026-11-23T18:07:00.000000Z")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")


def stamp(moment: datetime) -> str:
    """`moment` (aware) as text such as `2026-11-23T18:07:00.000000Z`."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{text[:-6]}Z"


def moment(text: str) -> datetime:
    """The aware moment that `stamp` wrote.

    Raises:
        ValueError: it did not write this.
    """
    if len(text) != _WIDTH or text[-1] != "Z":
        raise ValueError(text)
    return datetime.fromisoformat(text)


def provider_moment(text: object) -> datetime | None:
    """A provider's RFC 3339 text with `Z` or an offset and 0 to 9 fractional digits; None if it is not one.

    Source: maxapi contract, 4.5 and open question 26.
    """
    match = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    seconds, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone
    micros = (fraction or "0").ljust(6, "0")[:6]
    try:
        return datetime.fromisoformat(f"{seconds.replace(' ', 'T').upper()}.{micros}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
