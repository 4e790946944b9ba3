"""The plan: what separates a manifest from the ledger, each job with what becomes of it and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar, assert_never

from seedbatch.domain.difference import Change, Difference, Known, Step
from seedbatch.domain.jobs import BatchSpec, Request, further_names
from seedbatch.domain.locked import Locks
from seedbatch.domain.records import RecordedJob, Standing
from seedbatch.domain.selection import Choice
from seedbatch.domain.states import HELD, FailureClass, JobState
from seedbatch.domain.wording import word_difference
from seedbatch.engine.choosing import Chooser
from seedbatch.engine.planned import SPENDING, Action, Plan, Planned
from seedbatch.engine.pricing import By, Pricer
from seedbatch.engine.sharing import sharing
from seedbatch.ports import Records

_AT_ONCE: Final = 500


def make_plan(
    batches: Sequence[BatchSpec],
    records: Records | None,
    *,
    retry_failed: bool = False,
    reuse: bool = True,
    choice: Choice | None = None,
    by: By | None = None,
    locks: Locks | None = None,
) -> Plan:
    """Compare manifests with the ledger; None where there is no ledger yet.

    `retry_failed`: what failed is sent again, but for what moderation refused. Unless `reuse`, a request that was paid
    for already is sent again for another job; `locks` tell what others paid for. `choice`: of all that the manifests
    want only these jobs; neither what left them nor earlier revisions. `by`: what the prices of submissions will be
    parted by.

    Raises:
        UsageError: no job has an axis, a var or a parameter that the choice names, or that a price is parted by.
    """
    chooser, pricer = Chooser(choice or Choice()), Pricer(by or By())
    planned = (job for batch in batches for job in _batch(batch, records, chooser, pricer, retry_failed=retry_failed))
    plan = Plan(sharing(planned, batches, records, locks) if reuse else planned, pricer.rows_to_add)
    chooser.check_names()
    pricer.check_names()
    return plan


def _batch(
    batch: BatchSpec, records: Records | None, chooser: Chooser, pricer: Pricer, *, retry_failed: bool
) -> Iterator[Planned]:
    found = Difference(
        batch.jobs, lambda names: () if records is None else records.revisions(batch.name, names), batch.renames
    )
    asked = _asked_with_reasons if chooser.asks_for_reasons else _asked_of_step
    for step, recorded in _with_details(found.steps(), asked, records):
        pricer.look(step.spec)
        if not chooser.takes(batch.name, step, recorded):
            continue
        yield _planned(batch, step, recorded, pricer, retry_failed=retry_failed)
    if records is not None and chooser.everything:
        remaining = (known for known in records.known(batch.name, found.kept) if _remains(known, found))
        for known, recorded in _with_details(remaining, lambda known: known.job_id, records):
            assert recorded is not None
            gone = found.vanished(known) or known.standing is Standing.ORPHAN
            yield _aside(batch.name, known, recorded, Action.ORPHAN if gone else _UNFINISHED[known.state])


T = TypeVar("T")


def _with_details(
    values: Iterable[T], asked: Callable[[T], int | None], records: Records | None
) -> Iterator[tuple[T, RecordedJob | None]]:
    """Each value with the recorded job that it asks for: read some hundreds at a time."""
    source = iter(values)
    while chunk := tuple(islice(source, _AT_ONCE)):
        ids = [job_id for job_id in map(asked, chunk) if job_id is not None]
        details = records.details(ids) if records is not None and ids else {}
        for value in chunk:
            job_id = asked(value)
            yield value, None if job_id is None else details[job_id]


def _asked_of_step(step: Step) -> int | None:
    """The row whose words the plan of a job needs: of most jobs it needs none."""
    if step.change is Change.REVISE:
        return None if step.before is None else step.before.job_id
    return step.target.job_id if step.target is not None and step.target.state in HELD else None


def _asked_with_reasons(step: Step) -> int | None:
    """The same, where a selection asks for reasons: of whatever is recorded."""
    row = step.before if step.change is Change.REVISE else step.target
    return None if row is None else row.job_id


def may_be_retried(job: RecordedJob) -> bool:
    """Whether `--retry-failed` sends a job again: it failed, and not by moderation, which is never asked twice."""
    return job.state is JobState.FAILED and job.failure is not FailureClass.MODERATION


def _planned(
    batch: BatchSpec, step: Step, recorded: RecordedJob | None, pricer: Pricer, *, retry_failed: bool
) -> Planned:
    spec = step.spec
    match step.change:
        case Change.ADD:
            action, reason = Action.CREATE, "new"
        case Change.AMEND:
            action, reason = Action.CREATE, "its request changed before it was submitted"
        case Change.REVISE:
            assert recorded is not None
            action, reason = Action.REGENERATE, difference_text(recorded.request, spec.request)
        case Change.KEEP | Change.RESTORE:
            assert step.target is not None
            action, reason = _standing_still(step.target.state, recorded)
            if step.change is Change.RESTORE:
                reason = f"{reason}; wanted again"
            if action is Action.UNCHANGED and step.target.output != spec.output:
                action, reason = Action.MOVE, f"{reason}; its file moves from {step.target.output} to {spec.output}"
            if retry_failed and recorded is not None and may_be_retried(recorded):
                action = Action.RETRY
        case _:
            assert_never(step.change)
    if step.renamed:
        reason = f"{reason}; was {step.renamed[0].base}"
    model, known = spec.request.model, step.target or step.before
    price, labels = (pricer.price(batch, spec), pricer.labels(spec)) if action in SPENDING else (None, ())
    return Planned(
        *(batch.name, spec.address, step.revision, action, reason, model, spec.output),
        *(spec.fingerprint, spec.take, known, price, spec.files, labels),
    )


def _remains(known: Known, found: Difference) -> bool:
    """Orphans, and earlier revisions to which something may still happen."""
    if found.keeps(known):
        return False
    if found.vanished(known) or known.standing is Standing.ORPHAN:
        return True
    return (found.replaces(known) or known.standing is Standing.SUPERSEDED) and known.state in _UNFINISHED


_UNFINISHED = {
    JobState.SUBMITTING: Action.COLLECT,
    JobState.IN_DOUBT: Action.HELD,
    JobState.RUNNING: Action.COLLECT,
    JobState.SUCCEEDED: Action.DOWNLOAD,
}


def _aside(batch: str, known: Known, job: RecordedJob, action: Action) -> Planned:
    if action is Action.ORPHAN:
        reason = "no longer in the manifest"
        if job.state in _UNFINISHED:
            reason = f"{reason}; {job.state}, and still looked after"
        elif job.state is JobState.PENDING:
            reason = f"{reason}; never submitted"
    else:
        reason = f"an earlier revision, {job.state}"
    return Planned(
        *(batch, job.address, job.revision, action, reason, job.request.model, job.output),
        *(job.fingerprint, job.take, known),
    )


def _standing_still(state: JobState, recorded: RecordedJob | None) -> tuple[Action, str]:
    match state:
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
            reason = "" if recorded is None else recorded.reason
            return Action.HELD, f"{state}: {reason}" if reason else str(state)
        case _:
            assert_never(state)


def difference_text(before: Request, after: Request) -> str:
    """What changed of a request, in words."""
    parts = [] if before.model == after.model else [f"model {before.model} → {after.model}"]
    for name in sorted({*before.input, *after.input}):
        old, new = before.input.get(name), after.input.get(name)
        if old == new and type(old) is type(new):
            continue
        parts.append(f"{name} {_difference(old, new)}")
    return ", ".join(parts) or "its request changed"


def _difference(old: object, new: object) -> str:
    match old, new:
        case (list() | dict(), _) | (_, list() | dict()):
            return "changed"
        case str(), str() if len(old.split()) > 1 or len(new.split()) > 1:
            return word_difference(old, new) or "has other spaces"
        case _:
            return f"{_shown(old)} → {_shown(new)}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def foreign_files(
    plan: Plan, records: Records | None, taken: Callable[[Iterable[str]], list[str]]
) -> list[tuple[Planned, str]]:
    """Jobs with the name of theirs at which a file lies that is not their own and does not go away.

    `taken` tells at which of some names a file lies. A job whose finished task may have reached the disk before the
    ledger heard of it is not among them: its file is recognised when it is fetched, as is one that is moved.
    """
    spending = plan.of(*SPENDING)
    lying: list[tuple[Planned, str]] = []
    while chunk := {name: job for job in islice(spending, _AT_ONCE) for name in further_names(job.output, job.files)}:
        lying += [(chunk[name], name) for name in taken(list(chunk))]
    if not lying:
        return []
    ours = set() if records is None else _own_files(records, set(plan.by_batch))
    leaving = _leaving(plan)
    return [
        (job, name)
        for job, name in lying
        if name not in leaving and (job.known is None or (job.batch, job.known.base, job.known.take, name) not in ours)
    ]


def blocked_moves(plan: Plan, taken: Callable[[Iterable[str]], list[str]]) -> list[tuple[Planned, str]]:
    """Jobs whose file is to move, with the name at which another one lies that does not move away itself."""
    leaving = _leaving(plan)
    moving = plan.of(Action.MOVE)
    blocked: list[tuple[Planned, str]] = []
    while chunk := {name: job for job in islice(moving, _AT_ONCE) for name in further_names(job.output, job.files)}:
        blocked += [(chunk[name], name) for name in taken(list(chunk)) if name not in leaving]
    return blocked


def _leaving(plan: Plan) -> set[str]:
    """The names that files leave."""
    return {
        name
        for job in plan.of(Action.MOVE)
        if job.known is not None
        for name in further_names(job.known.output, job.files)
    }


def _own_files(records: Records, scope: set[str]) -> set[tuple[str, str, int, str]]:
    """The names of each job's files: of other revisions too, since those make way."""
    return {
        (job.batch, job.base, job.take, name)
        for job in records.jobs(scope)
        if job.artifacts or job.state is JobState.SUCCEEDED
        for name in further_names(job.output, max(1, len(job.artifacts)))
    }
