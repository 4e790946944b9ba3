"""Which events deserve a line of their own, and what it says."""

from __future__ import annotations

from collections import Counter
from typing import Final

from seedbatch.cli.words import clean
from seedbatch.engine.happenings import Happening, Kind

# Lines for single jobs are a pleasure up to here and noise beyond.
SMALL_BATCH: Final = 100

_WORDS = {
    Kind.NOT_SENT: "not sent   ",
    Kind.THROTTLED: "throttled  ",
    Kind.REFUSED: "refused    ",
    Kind.IN_DOUBT: "in doubt   ",
    Kind.ADOPTED: "adopted    ",
    Kind.EXTRA: "extra task ",
    Kind.MISCALLED: "miscalled  ",
    Kind.UNCALLED: "no callback",
    Kind.AWAITED: "waiting    ",
    Kind.PROBED: "probed     ",
    Kind.BARRED: "kept back  ",
    Kind.FAILED: "failed     ",
    Kind.RETRIED: "retried    ",
    Kind.NOT_FETCHED: "not fetched",
    Kind.EXPIRED: "expired    ",
    Kind.STOPPED: "stopped    ",
    Kind.COMPLETED: "completed  ",
    Kind.REUSED: "reused     ",
    Kind.MOVED: "moved      ",
    Kind.NOT_MOVED: "not moved  ",
}
# What went wrong for good, what may cost money, and what ends the work: each is told, however many they are.
_ALWAYS = frozenset({Kind.REFUSED, Kind.IN_DOUBT, Kind.EXTRA, Kind.BARRED, Kind.FAILED, Kind.EXPIRED, Kind.STOPPED})
_PLEASANT = frozenset({Kind.COMPLETED, Kind.REUSED, Kind.MOVED})
# What passes by itself may come a thousand times: so many of a kind are told, the rest is counted.
_TOLD_OF_A_KIND: Final = 3


class Sieve:
    """Lets those events through that deserve a line, and counts what it holds back of the notable ones."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.small = True
        self._quiet = quiet
        self._verbose = verbose
        self._told: Counter[Kind] = Counter()
        self._held: Counter[Kind] = Counter()

    def lets(self, kind: Kind) -> bool:
        """Whether this event is told now."""
        if kind in _ALWAYS:
            return True
        if self._quiet:
            return False
        if self._verbose:
            return True
        if kind in _PLEASANT:
            return self.small
        if kind not in _WORDS:
            return False
        self._told[kind] += 1
        if self._told[kind] <= _TOLD_OF_A_KIND:
            return True
        self._held[kind] += 1
        return False

    def held(self) -> str:
        """`12 more retried, 3 more throttled` since this was last asked; empty if nothing was held back."""
        text = ", ".join(f"{number:,} more {_WORDS[kind].strip()}" for kind, number in sorted(self._held.items()))
        self._held.clear()
        return text


def line_of(happening: Happening) -> str:
    """An event in words."""
    word = _WORDS.get(happening.kind, f"{happening.kind:<11}")
    detail = happening.data.get("reason") or happening.data.get("path") or happening.data.get("task_id") or ""
    name = f"{happening.name}  " if happening.name else ""
    return f"  {word}  {clean(name)}{clean(str(detail))}".rstrip()


def style_of(kind: Kind) -> str:
    """Its colour on a terminal; words carry the meaning."""
    if kind in _PLEASANT:
        return "green"
    return "red" if kind in _ALWAYS else "yellow" if kind in _WORDS else "dim"
