"""Problems for people: each place once, of each file no more than anybody reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from seedbatch.domain.errors import Problem
from seedbatch.manifest.expand import Finding
from seedbatch.manifest.reader import Document, Remark

# Of each file; beyond that nobody reads on, and one mistake in a template is many problems.
_MOST_TOLD: Final = 100
MORE: Final = "problems/more"
_LONGEST_AXES: Final = 200
_MOST_REMARKS: Final = 10_000


class Told:
    """Problems of one file, in the order in which they were found: the first hundred, and how many more there are."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.more = 0

    @property
    def count(self) -> int:
        """All of them."""
        return len(self.problems) + self.more

    def add(self, problem: Problem) -> None:
        """One more."""
        if len(self.problems) < _MOST_TOLD:
            self.problems.append(problem)
        else:
            self.more += 1


@dataclass(slots=True)
class _Places:
    """Where one remark is so: the words of the first place, and how many others there are."""

    first: str
    last: str = ""
    seen: set[int] = field(default_factory=set)
    more: int = 0

    def add(self, axes: str) -> None:
        if not axes:
            return
        if len(self.seen) < _MOST_REMARKS:
            self.seen.add(hash(axes))
        else:  # rows, one after the other: a million need not be remembered
            self.more += axes != self.last
        self.last = axes

    @property
    def others(self) -> int:
        return len(self.seen) - 1 + self.more


class Findings:
    """Each remark once, however many combinations and rows it concerns.

    `count` are the findings, `wrong` those of them that are no mere warnings.
    """

    def __init__(self) -> None:
        self.count = 0
        self.wrong = 0
        self._groups: dict[bool, dict[Remark, _Places]] = {False: {}, True: {}}

    def add(self, finding: Finding) -> None:
        """One more."""
        self.count += 1
        self.wrong += not finding.warning
        groups = self._groups[finding.warning]
        remark = Remark(finding.pointer, finding.code, finding.message, finding.hint, finding.at_key)
        if remark in groups or len(groups) < _MOST_REMARKS:
            groups.setdefault(remark, _Places(finding.axes)).add(finding.axes)

    def remarks(self, *, warnings: bool) -> Iterator[Remark]:
        """What stops the manifest, or what is worth knowing."""
        for remark, places in self._groups[warnings].items():
            if not places.first:
                yield remark
                continue
            first = places.first
            where = first if len(first) <= _LONGEST_AXES else f"{first[:_LONGEST_AXES]}…"
            more = f" and {places.others:,} more" if places.others else ""
            before = "" if where.startswith("row ") else "where "
            yield replace(remark, message=f"{remark.message} ({before}{where}{more})")


def told(document: Document, remarks: Sequence[Remark]) -> list[Problem]:
    """The remarks with their places, the last of very many standing for the rest."""
    return with_more(document.problems(remarks[:_MOST_TOLD]), len(remarks) - _MOST_TOLD)


def with_more(problems: list[Problem], more: int) -> list[Problem]:
    """The problems of one file, and one that stands for `more`."""
    if more <= 0:
        return problems
    last = problems[-1]
    rest = Problem(last.file, last.line, last.column, MORE, f"and {more:,} more in this file", "mend these first")
    return [*problems, rest]


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By file and place, what stands for the rest of a file at its end."""
    return tuple(sorted(problems, key=lambda problem: (problem.file, problem.code == MORE, problem)))
