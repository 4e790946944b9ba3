"""The plan: what separates a manifest from the ledger, each job with what becomes of it and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from seedbatch.domain.difference import Change, Difference, Known, Step, difference
from seedbatch.domain.jobs import BatchSpec, Request
from seedbatch.domain.money import Money
from seedbatch.domain.records import RecordedJob, Standing
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.ports import Records


class Action(StrEnum):
    """What applying does with a job."""

    CREATE = "create"
    REGENERATE = "regenerate"
    COLLECT = "collect"
    DOWNLOAD = "download"
    RETRY = "retry"
    UNCHANGED = "unchanged"
    HELD = "held"
    ORPHAN = "orphan"


SPENDING = frozenset({Action.CREATE, Action.REGENERATE, Action.RETRY})


@dataclass(frozen=True, slots=True)
class Planned:
    """One job of a plan. `output` is its relative path without extension; `known` its row, if there is one.

    `price` is what its submission costs: None where nothing is submitted, or where the price table does not tell.
    """

    batch: str
    address: str
    revision: int
    action: Action
    reason: str
    model: str
    output: str
    known: Known | None = None
    price: Money | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying would do, batches and jobs in the manifest's order."""

    jobs: tuple[Planned, ...]

    @property
    def counts(self) -> Counter[Action]:
        """Jobs by action."""
        return Counter(job.action for job in self.jobs)

    @property
    def submissions(self) -> int:
        """How many requests applying would send, retries aside."""
        return sum(count for action, count in self.counts.items() if action in SPENDING)

    @property
    def changes(self) -> bool:
        """Whether applying would do anything at all."""
        return any(job.action not in {Action.UNCHANGED, Action.HELD, Action.ORPHAN} for job in self.jobs)


def make_plan(batches: Sequence[BatchSpec], records: Records | None, *, retry_failed: bool = False) -> Plan:
    """Compare manifests with the ledger; None where there is no ledger yet.

    `retry_failed`: what failed is sent again, but for what moderation refused.
    """
    return Plan(tuple(job for batch in batches for job in _batch(batch, records, retry_failed=retry_failed)))


def _batch(batch: BatchSpec, records: Records | None, *, retry_failed: bool) -> Iterator[Planned]:
    known = [] if records is None else records.known(batch.name)
    recorded = {} if records is None or not known else {job.job_id: job for job in records.jobs({batch.name})}
    found = difference(batch.jobs, known)
    for step in found.steps:
        planned = _planned(batch.name, step, recorded)
        if retry_failed and step.target is not None and may_be_retried(recorded[step.target.job_id]):
            planned = replace(planned, action=Action.RETRY)
        if planned.action in SPENDING:
            request = step.spec.request
            planned = replace(planned, price=batch.prices.price(request.model, request.input))
        yield planned
    yield from _remaining(batch.name, found, known, recorded)


def may_be_retried(job: RecordedJob) -> bool:
    """Whether `--retry-failed` sends a job again: it failed, and not by moderation, which is never asked twice."""
    return job.state is JobState.FAILED and job.failure is not FailureClass.MODERATION


def _planned(batch: str, step: Step, recorded: Mapping[int, RecordedJob]) -> Planned:
    spec = step.spec
    match step.change:
        case Change.ADD:
            action, reason = Action.CREATE, "new"
        case Change.AMEND:
            action, reason = Action.CREATE, "its request changed before it was submitted"
        case Change.REVISE:
            assert step.before is not None
            action, reason = Action.REGENERATE, _changed(recorded[step.before.job_id].request, spec.request)
        case Change.KEEP | Change.RESTORE:
            assert step.target is not None
            action, reason = _standing_still(recorded[step.target.job_id])
            if step.change is Change.RESTORE:
                reason = f"{reason}; wanted again"
        case _:
            assert_never(step.change)
    known = step.target or step.before
    return Planned(batch, spec.address, step.revision, action, reason, spec.request.model, spec.output, known)


def _remaining(
    batch: str, found: Difference, known: Sequence[Known], recorded: Mapping[int, RecordedJob]
) -> Iterator[Planned]:
    """Orphans, and earlier revisions to which something may still happen."""
    vanished = {row.job_id for row in found.vanished}
    replaced = {step.before.job_id for step in found.steps if step.before is not None}
    kept = {step.target.job_id for step in found.steps if step.target is not None}
    for row in known:
        if row.job_id in kept:
            continue
        if row.job_id in vanished or row.standing is Standing.ORPHAN:
            yield _aside(batch, recorded[row.job_id], Action.ORPHAN)
        elif (row.job_id in replaced or row.standing is Standing.SUPERSEDED) and row.state in _UNFINISHED:
            yield _aside(batch, recorded[row.job_id], _UNFINISHED[row.state])


_UNFINISHED = {
    JobState.SUBMITTING: Action.COLLECT,
    JobState.IN_DOUBT: Action.HELD,
    JobState.RUNNING: Action.COLLECT,
    JobState.SUCCEEDED: Action.DOWNLOAD,
}


def _aside(batch: str, job: RecordedJob, action: Action) -> Planned:
    if action is Action.ORPHAN:
        reason = "no longer in the manifest"
        if job.state in _UNFINISHED:
            reason = f"{reason}; {job.state}, and still looked after"
        elif job.state is JobState.PENDING:
            reason = f"{reason}; never submitted"
    else:
        reason = f"an earlier revision, {job.state}"
    return Planned(batch, job.address, job.revision, action, reason, job.request.model, job.output)


def _standing_still(job: RecordedJob) -> tuple[Action, str]:
    match job.state:
        case JobState.PENDING:
            return Action.CREATE, "recorded, not submitted yet"
        case JobState.SUBMITTING:
            return Action.COLLECT, "being submitted"
        case JobState.RUNNING:
            return Action.COLLECT, "running at the provider"
        case JobState.SUCCEEDED:
            return Action.DOWNLOAD, "finished, not on disk yet"
        case JobState.COMPLETED:
            return Action.UNCHANGED, "on disk"
        case JobState.IN_DOUBT:
            return Action.HELD, "in doubt: it may have been accepted and charged, so it is not sent again"
        case JobState.FAILED | JobState.EXPIRED | JobState.ABANDONED:
            return Action.HELD, f"{job.state}: {job.reason}" if job.reason else str(job.state)
        case _:
            assert_never(job.state)


def _changed(before: Request, after: Request) -> str:
    parts = [] if before.model == after.model else [f"model {before.model} → {after.model}"]
    for name in sorted({*before.input, *after.input}):
        old, new = before.input.get(name), after.input.get(name)
        if old == new and type(old) is type(new):
            continue
        if name == "prompt" or isinstance(old, list | dict) or isinstance(new, list | dict):
            parts.append(f"{name} changed")
        else:
            parts.append(f"{name} {_shown(old)} → {_shown(new)}")
    return ", ".join(parts) or "its request changed"


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def foreign_files(plan: Plan, records: Records | None, taken: Callable[[Iterable[str]], list[str]]) -> list[Planned]:
    """Jobs whose output name is taken by a file that the ledger knows nothing of.

    `taken` tells at which of some names a file lies. A job whose finished task may have reached the disk before the
    ledger heard of it is not among them: its file is recognised when it is fetched.
    """
    spending = {job.output: job for job in plan.jobs if job.action in SPENDING}
    lying = taken(list(spending))
    if not lying:
        return []
    ours = set() if records is None else _known_names(records, {job.batch for job in plan.jobs})
    return [spending[name] for name in lying if name not in ours]


def _known_names(records: Records, scope: set[str]) -> set[str]:
    return {job.output for job in records.jobs(scope) if job.artifacts or job.state is JobState.SUCCEEDED}
