"""What separates the jobs a manifest wants from the jobs a ledger holds.

`plan` shows this difference and the ledger writes it down, so what is shown is what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, islice
from typing import Final

from seedbatch.domain.jobs import JobSpec
from seedbatch.domain.records import Standing
from seedbatch.domain.renames import Rename, former_names
from seedbatch.domain.states import JobState

_AT_ONCE: Final = 500
_ROOM: Final = 4_096  # grown by so many bytes at once


class Change(StrEnum):
    """What recording a wanted job does to the ledger."""

    ADD = "add"  # a job of this name is new
    KEEP = "keep"  # this request is the recorded one
    RESTORE = "restore"  # an earlier revision, or an orphan, asked for the same: it is wanted again
    AMEND = "amend"  # the request changed before anything was sent: the same revision, rewritten
    REVISE = "revise"  # the request changed after a submission: the next revision


@dataclass(frozen=True, slots=True)
class Known:
    """A recorded revision, as far as the difference must know it.

    `tried`: it has at least one attempt. `output` is where its files are, or will be.
    """

    job_id: int
    base: str
    take: int
    revision: int
    standing: Standing
    state: JobState
    fingerprint: str
    tried: bool
    output: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One wanted job and what becomes of it. `target` is the row that is kept, restored or amended.

    `before` is the revision that was current until now, if another one was. `renamed` are all its revisions, where
    they are recorded under a name that it has no longer.
    """

    spec: JobSpec
    change: Change
    revision: int
    target: Known | None = None
    before: Known | None = None
    renamed: tuple[Known, ...] = ()


Name = tuple[str, int]  # base and take
Revisions = Callable[[Sequence[Name]], Iterable[Known]]


class Difference:
    """One batch's wanted jobs beside its recorded revisions, some hundreds at a time: either may be a million.

    `revisions` gives all recorded revisions of the names that it is asked for. A job whose name is not recorded is
    looked for under those that it had before the `renames`. `steps` comes first and is read to its end; then `keeps`,
    `replaces` and `vanished` can tell of any recorded revision, and `kept` holds the rows that stay.
    """

    def __init__(self, wanted: Iterable[JobSpec], revisions: Revisions, renames: Sequence[Rename] = ()) -> None:
        self._wanted = wanted
        self._revisions = revisions
        self._renames = renames
        self.kept = Ids()
        self._replaced = Ids()

    def steps(self) -> Iterator[Step]:
        """What becomes of each wanted job, in the manifest's order."""
        wanted = iter(self._wanted)
        while chunk := tuple(islice(wanted, _AT_ONCE)):
            former = {(spec.base, spec.take): self._former(spec) for spec in chunk}
            groups: dict[Name, list[Known]] = {}
            for known in self._revisions([*former, *chain.from_iterable(former.values())]):
                groups.setdefault((known.base, known.take), []).append(known)
            for spec in chunk:
                name = spec.base, spec.take
                step = _step(spec, groups.get(name, []))
                if name not in groups and (renamed := self._renamed(former[name], groups)):
                    step = replace(_step(spec, renamed), renamed=tuple(renamed))
                if step.target is not None:
                    self.kept.add(step.target.job_id)
                if step.before is not None:
                    self._replaced.add(step.before.job_id)
                yield step

    def _renamed(self, former: Sequence[Name], groups: Mapping[Name, list[Known]]) -> list[Known]:
        """The revisions under the latest of these names, unless another job goes on with them."""
        held = next((groups[name] for name in former if name in groups), [])
        return [] if any(self.keeps(known) or self.replaces(known) for known in held) else held

    def _former(self, spec: JobSpec) -> tuple[Name, ...]:
        """The names that a job had before, the latest first."""
        return tuple((base, spec.take) for base in former_names(spec.base, self._renames)) if self._renames else ()

    def keeps(self, known: Known) -> bool:
        """Whether this revision is one that the manifest wants."""
        return known.job_id in self.kept

    def replaces(self, known: Known) -> bool:
        """Whether this revision was current until now, and another one is wanted in its place."""
        return known.job_id in self._replaced

    def vanished(self, known: Known) -> bool:
        """Whether this revision is current and its job is no longer named."""
        return known.standing is Standing.CURRENT and not self.keeps(known) and not self.replaces(known)


class Ids(Container[int]):
    """Row numbers, a bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> None:
        """Hold one more."""
        index, bit = divmod(number, 8)
        if index >= len(self._bits):
            self._bits.extend(bytes(index + 1 - len(self._bits) + _ROOM))
        self._bits[index] |= 1 << bit

    def __contains__(self, number: object) -> bool:
        assert isinstance(number, int)
        index, bit = divmod(number, 8)
        return index < len(self._bits) and bool(self._bits[index] >> bit & 1)


def _step(spec: JobSpec, group: list[Known]) -> Step:
    if not group:
        return Step(spec, Change.ADD, revision=1)
    current = same = blank = None
    for known in group:
        if known.standing is Standing.CURRENT:
            current = known
        if known.fingerprint == spec.fingerprint:
            same = same or known
        if known.state is JobState.PENDING and not known.tried:
            blank = blank or known
    if same is not None:
        if same is current:
            return Step(spec, Change.KEEP, same.revision, same)
        return Step(spec, Change.RESTORE, same.revision, same, current)
    if blank is not None:
        return Step(spec, Change.AMEND, blank.revision, blank, current if current is not blank else None)
    last = max(group, key=lambda known: known.revision)
    return Step(spec, Change.REVISE, last.revision + 1, None, current or last)
