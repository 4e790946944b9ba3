"""Renamed keys: what a manifest calls a job now, and what it was called before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rename:
    """One entry of `moved`: a key, with all its axes and takes; or one of its combinations: `river[ratio=16:9]`."""

    before: str
    now: str

    def former(self, base: str) -> str | None:
        """What this job was called before, if that is one whose name this entry changed."""
        if base == self.now:
            return self.before
        if self._is_key and base.startswith(f"{self.now}["):
            return f"{self.before}{base[len(self.now) :]}"
        return None

    def concerns(self, base: str) -> bool:
        """Whether this job still has the name that was given up."""
        return base == self.before or (self._is_key and base.startswith(f"{self.before}["))

    @property
    def _is_key(self) -> bool:
        """Whether it is about a key, and not about one of its combinations."""
        return "[" not in self.before and "[" not in self.now


def former_names(base: str, renames: Sequence[Rename]) -> Iterator[str]:
    """Every name that a job had, the latest first; renames are in the order in which they were made."""
    names = [base]
    for rename in reversed(renames):
        for name in tuple(names):
            former = rename.former(name)
            if former is not None and former not in names:
                names.append(former)
                yield former
