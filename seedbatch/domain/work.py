"""What the ledger hands to a role, and what a role hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from seedbatch.domain.answers import MediaKind, StoredFile
from seedbatch.domain.brake import Brake
from seedbatch.domain.budget import Budget
from seedbatch.domain.fingerprint import Json
from seedbatch.domain.jobs import Request
from seedbatch.domain.secret import Secret
from seedbatch.domain.states import FailureClass


@dataclass(frozen=True, slots=True)
class JobName:
    """A job as people name it: `batch/address`."""

    batch: str
    address: str

    def __str__(self) -> str:
        return f"{self.batch}/{self.address}"


@dataclass(frozen=True, slots=True)
class Submission:
    """An attempt whose intent is durable and whose POST may now leave.

    `tries` counts the attempts at this job that reached the provider, this one included. `reference` is the
    `user_id` that is sent along for tracing. `callback_url` holds the attempt's token; None where no callback can come.
    """

    job_id: int
    attempt_id: int
    name: JobName
    request: Request
    tries: int
    reference: str
    callback_url: Secret | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """What a claim obeys beside the limits and each batch's own budget.

    `run` counts what this process submits, `day` what the whole ledger submits on this UTC day. Unless `reuse`, a
    request that was paid for already is sent again for another job.
    """

    run: Budget = field(default_factory=Budget)
    day: Budget = field(default_factory=Budget)
    brake: Brake = field(default_factory=Brake)
    reuse: bool = True


class Barrier(StrEnum):
    """What keeps pending jobs from being submitted, although the limits have room."""

    BUDGET = "budget"
    UNPRICED = "unpriced"
    MODERATION = "moderation"


@dataclass(frozen=True, slots=True)
class Bar:
    """One reason why pending jobs stay pending, and what a person can do about it."""

    barrier: Barrier
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What may be submitted now.

    `due` is the moment at which the next one may be claimed, None if only another change can tell. `bars` tell what
    keeps others back; while `in_flight` tasks (submitting or running, of the whole ledger) end, they may lift.
    """

    submissions: tuple[Submission, ...] = ()
    due: datetime | None = None
    bars: tuple[Bar, ...] = ()
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task to ask about.

    `misses` counts the answers in a row that were of no use, `empties` those that said success and offered nothing;
    `called_at` is when a callback last said that it has ended, `awaits_call` that none did although one was asked for.

    `tries` counts the attempts at this job that reached the provider, `tries_allowed` is what the manifest's retry
    policy grants.
    """

    job_id: int
    attempt_id: int
    name: JobName
    task_id: str
    model: str
    accepted_at: datetime
    misses: int
    empties: int
    tries: int
    tries_allowed: int
    called_at: datetime | None = None
    awaits_call: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """A URL that a succeeded task offers; `position` counts from 1."""

    position: int
    url: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A succeeded task whose `outputs` are not yet on disk, of the `offered` that it gave.

    `output` is the relative path without extension, `revision` the job's, `sidecar` what the file's sidecar tells
    beside the file's own facts, `misses` the fetches in a row that failed, `gone` how many of them because the
    host no longer had the file, `renewals` how often the provider was asked for fresh URLs.
    """

    job_id: int
    attempt_id: int
    name: JobName
    task_id: str
    kind: MediaKind
    outputs: tuple[Output, ...]
    output: str
    revision: int
    expires_at: datetime
    misses: int
    gone: int
    renewals: int
    sidecar: Mapping[str, Json]
    offered: int


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file that another job has on disk. `path` is absolute, `position` counts from 1."""

    position: int
    path: str
    bytes: int
    sha256: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Share:
    """A job whose request is that of a completed one, `source`: its `files` belong at the path `output` as well.

    `attempt_id` and `task_id` are the source's, the `sidecar` is the job's own. Where others paid for it, `source` is
    the lock file, and the two ids are 0.
    """

    job_id: int
    source_id: int
    attempt_id: int
    name: JobName
    source: str
    task_id: str
    kind: MediaKind
    output: str
    files: tuple[SharedFile, ...]
    sidecar: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: the class for machines, the reason for people.

    `retryable`: the provider documents that a retry is allowed.
    """

    cls: FailureClass
    reason: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Download:
    """One file to fetch.

    `name` is the relative POSIX path without extension, `part` distinguishes its temporary file from all others,
    `sidecar` is the JSON object that is written beside the file, to which the store adds `file`, `bytes`, `sha256`
    and `content_type`.
    """

    url: str
    name: str
    kind: MediaKind
    part: str
    sidecar: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Relocation:
    """A `file` that lies where an earlier manifest wanted it, and belongs at `path`.

    Both are relative to `folder`, the absolute path of its output folder; the `sidecar` tells of it there. `held_by`
    names another job that has the same clip at that path: where a task is shared, nothing on disk tells them apart.
    """

    artifact_id: int
    job_id: int
    name: JobName
    folder: str
    file: StoredFile
    path: str
    sidecar: Mapping[str, Json]
    held_by: str = ""


@dataclass(frozen=True, slots=True)
class Occupant:
    """A file of another revision, of an earlier try, or of a job that wants it elsewhere or is wanted no longer.

    It stands where a new one belongs. `path` is relative to the output folder; `tries` counts the attempts at that
    revision that left such a file, up to this one's; of another job's file it is a number that sets it apart.
    """

    artifact_id: int
    path: str
    revision: int
    tries: int
