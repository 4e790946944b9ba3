"""What separates the jobs a manifest wants from the jobs a ledger holds.

`plan` shows this difference and the ledger writes it down, so what is shown is what happens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from seedbatch.domain.jobs import JobSpec
from seedbatch.domain.records import Standing
from seedbatch.domain.states import JobState


class Change(StrEnum):
    """What recording a wanted job does to the ledger."""

    ADD = "add"  # a job of this name is new
    KEEP = "keep"  # this request is the recorded one
    RESTORE = "restore"  # an earlier revision, or an orphan, asked for the same: it is wanted again
    AMEND = "amend"  # the request changed before anything was sent: the same revision, rewritten
    REVISE = "revise"  # the request changed after a submission: the next revision


@dataclass(frozen=True, slots=True)
class Known:
    """A recorded revision, as far as the difference must know it. `tried`: it has at least one attempt."""

    job_id: int
    base: str
    take: int
    revision: int
    standing: Standing
    state: JobState
    fingerprint: str
    tried: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One wanted job and what becomes of it. `target` is the row that is kept, restored or amended.

    `before` is the revision that was current until now, if another one was.
    """

    spec: JobSpec
    change: Change
    revision: int
    target: Known | None = None
    before: Known | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """`steps` in the manifest's order; `vanished` are the current jobs that it no longer names."""

    steps: tuple[Step, ...]
    vanished: tuple[Known, ...]


def difference(wanted: Iterable[JobSpec], recorded: Iterable[Known]) -> Difference:
    """Compare one batch's wanted jobs with all its recorded revisions."""
    revisions: defaultdict[tuple[str, int], list[Known]] = defaultdict(list)
    for known in recorded:
        revisions[known.base, known.take].append(known)
    steps = tuple(_steps(wanted, revisions))
    named = {(step.spec.base, step.spec.take) for step in steps}
    vanished = tuple(
        known
        for name, group in revisions.items()
        if name not in named
        for known in group
        if known.standing is Standing.CURRENT
    )
    return Difference(steps, vanished)


def _steps(wanted: Iterable[JobSpec], revisions: dict[tuple[str, int], list[Known]]) -> Iterator[Step]:
    for spec in wanted:
        yield _step(spec, revisions.get((spec.base, spec.take), []))


def _step(spec: JobSpec, group: list[Known]) -> Step:
    if not group:
        return Step(spec, Change.ADD, revision=1)
    current = next((known for known in group if known.standing is Standing.CURRENT), None)
    same = next((known for known in group if known.fingerprint == spec.fingerprint), None)
    if same is not None:
        if same is current:
            return Step(spec, Change.KEEP, same.revision, same)
        return Step(spec, Change.RESTORE, same.revision, same, current)
    blank = next((known for known in group if known.state is JobState.PENDING and not known.tried), None)
    if blank is not None:
        return Step(spec, Change.AMEND, blank.revision, blank, current if current is not blank else None)
    last = max(group, key=lambda known: known.revision)
    return Step(spec, Change.REVISE, last.revision + 1, None, current or last)
