"""What a task costs in the sandbox. The provider publishes no prices of Seedance; these keep its proportions.

Every price is a whole number of hundreds, so that a surcharge of 1, 5 or 10 % is a whole number of units.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

_PER_SECOND: Final[Mapping[str, int]] = {"480p": 1000, "720p": 2000, "1080p": 5000, "4k": 10_000}
_PER_IMAGE: Final[Mapping[str, int]] = {"1k": 2000, "2k": 4000, "4k": 6000, "720p": 1000, "1080p": 2000}
_OF_FULL_PRICE: Final[Mapping[str, Fraction]] = {
    "seedance-2.0-fast": Fraction(4, 5),
    "seedance-1.5-pro": Fraction(1, 2),
}
_LOW_TIER_BELOW, _MIDDLE_TIER_TO = 20, 100


def price(model: str, kind: str, params: Mapping[str, Any]) -> int:
    """The units charged for one task: seconds by resolution for a video, `n` by resolution for images."""
    resolution = str(params.get("resolution", ""))
    if kind == "video":
        full = _PER_SECOND.get(resolution, 2000) * int(params.get("duration", 5))
    else:
        full = _PER_IMAGE.get(resolution, 2000) * int(params.get("n", 1))
    return int(full * _OF_FULL_PRICE.get(model, Fraction(1)))


def surcharge(units: int, violations: int) -> int:
    """What a refused task keeps of its price, `violations` being those of the UTC day, this one included."""
    if violations < _LOW_TIER_BELOW:
        percent = 1
    elif violations <= _MIDDLE_TIER_TO:
        percent = 5
    else:
        percent = 10
    return units * percent // 100
