"""How long tasks take, learned from those that ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Final

from seedbatch.engine.cadence import Usual

# What is read of a ledger when a run begins, and what is remembered of one model.
RECENT: Final = 2_000
_REMEMBERED: Final = 100
_ENOUGH: Final = 8


class Experience:
    """The latest durations by model, in seconds by the provider's own clock; `known` has the latest first."""

    def __init__(self, known: Mapping[str, Sequence[float]] | None = None) -> None:
        self._seconds = {
            model: deque(reversed(latest[:_REMEMBERED]), _REMEMBERED) for model, latest in (known or {}).items()
        }
        self._usual: dict[str, Usual] = {}

    def add(self, model: str, seconds: float) -> None:
        """One more task has ended."""
        self._seconds.setdefault(model, deque(maxlen=_REMEMBERED)).append(seconds)
        self._usual.pop(model, None)

    def usual(self, model: str) -> Usual | None:
        """When results of a model usually arrive; None as long as few are known."""
        if model not in self._usual:
            seconds = self._seconds.get(model, ())
            if len(seconds) < _ENOUGH:
                return None
            tenths = quantiles(seconds, n=10)
            self._usual[model] = (tenths[2], tenths[6])
        return self._usual[model]
