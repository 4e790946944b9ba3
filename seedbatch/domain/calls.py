"""Callbacks as the engine reads them: hints, of which only an authenticated query makes facts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from seedbatch.domain.jobs import Request
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName, RunningTask


class Verdict(StrEnum):
    """What became of a callback."""

    HEARD = "heard"  # its task is asked about now
    KNOWN = "known"  # the task had ended already, and this ledger knew it
    ADOPTED = "adopted"  # it named the task of a submission whose answer was lost
    SURFACED = "surfaced"  # the same, after a person had settled that submission otherwise
    EXTRA = "extra"  # it named a second task of one submission
    REFUSED = "refused"  # the provider does not confirm what it says
    UNKNOWN = "unknown"  # a genuine token that this ledger does not know: kept for a person


class Binding(StrEnum):
    """Where a task was written down that the provider named for an attempt."""

    RUNNING = "running"
    IN_DOUBT = "in_doubt"  # another attempt holds that task: nobody knows whose it is
    KNOWN = "known"  # it stood there already
    SURFACED = "surfaced"  # a person had settled the attempt before: its price counts again, the job stays as it is
    EXTRA = "extra"  # a second task of one attempt: its price counts as well


@dataclass(frozen=True, slots=True)
class Called:
    """The attempt whose token was called. `open`: it has not ended."""

    job_id: int
    attempt_id: int
    name: JobName
    request: Request
    task_id: str | None
    open: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A body that came at a token, unread; `misses` counts the queries about it that had no usable answer.

    `attempt` is None where this ledger knows no attempt of that token: it was restored from an older copy, or is
    another project's.
    """

    call_id: int
    body: bytes
    misses: int
    attempt: Called | None


@dataclass(frozen=True, slots=True)
class Hint:
    """What a callback's body says, as far as it can be read. `task_id` is well-formed or None."""

    task_id: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """What became of a task that a callback named and a query confirmed.

    `state` is the job's now; `task` the claimed one, if it runs from now on and this process reports on it.
    """

    verdict: Verdict
    state: JobState
    task: RunningTask | None = None
