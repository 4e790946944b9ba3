"""What the ledger tells to those who only read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from seedbatch.domain.brake import Moderation
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.fingerprint import Json
from seedbatch.domain.jobs import Request, Scalar
from seedbatch.domain.money import Money
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.work import JobName


@dataclass(frozen=True, slots=True)
class Identity:
    """Which ledger it is, and how far it went. `kind` is `real` or `sandbox`; the id is None where there is none yet.

    `generation` counts the submissions that were claimed in it; `begun` is the digest of the plan file that it began
    to carry out last.
    """

    kind: str
    ledger_id: str | None = None
    generation: int = 0
    begun: str = ""


class Standing(StrEnum):
    """How a recorded job stands to the manifest: wanted now, replaced by a later revision, or no longer named."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Artifact:
    """An output on our disk. `path` is absolute."""

    path: str
    bytes: int
    sha256: str
    content_type: str


@dataclass(frozen=True, slots=True)
class RecordedJob:
    """One revision of one job, as the ledger knows it.

    `task_id`, `intended_at` and what follows `artifacts` but for `created_at`, `axes` and its place in the manifest are
    those of its latest attempt; `took` is in seconds. `reason` tells why it failed or is in doubt. `cost` is what may
    be owed for all its attempts, `price` what the next one would cost; None where no price is known.
    """

    job_id: int
    batch: str
    address: str
    base: str
    take: int
    revision: int
    standing: Standing
    state: JobState
    failure: FailureClass | None
    reason: str
    request: Request
    fingerprint: str
    output: str
    tags: tuple[str, ...]
    attempts: int
    task_id: str | None
    expires_at: datetime | None
    updated_at: datetime
    intended_at: datetime | None
    price: Money | None = None
    cost: Money | None = None
    artifacts: tuple[Artifact, ...] = ()
    accepted_at: datetime | None = None
    called_at: datetime | None = None
    ended_at: datetime | None = None
    took: float | None = None
    created_at: datetime | None = None
    axes: Mapping[str, Json] = field(default_factory=dict)
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Paid:
    """A job whose request was paid for, or may have been, and where it stands: one of `states.PAID`."""

    name: JobName
    state: JobState

    def __str__(self) -> str:
        return f"{self.name}, which {_STANDS[self.state]}"


_STANDS = {
    JobState.COMPLETED: "is on disk",
    JobState.SUCCEEDED: "is finished, and not on disk yet",
    JobState.RUNNING: "is running at the provider",
    JobState.SUBMITTING: "is being submitted",
    JobState.IN_DOUBT: "is in doubt",
}


@dataclass(frozen=True, slots=True)
class RecordedAttempt:
    """One try at a job: our own moments, and those of the provider's clock (`began_at`, `finished_at`) if it told them.

    `outcome` is None while it is open, `took` the provider's seconds, `cost` what may be owed for it; None where no
    price is known.
    """

    number: int
    task_id: str | None
    outcome: str | None
    intended_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    began_at: datetime | None = None
    finished_at: datetime | None = None
    took: float | None = None
    cost: Money | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a job beyond its record: its place in the matrix, its attempts, when its last file came."""

    axes: Mapping[str, Scalar] = field(default_factory=dict)
    attempts: tuple[RecordedAttempt, ...] = ()
    stored_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sharer:
    """A job that is not sent, and waits for the files of another one's task."""

    name: JobName
    source: Paid


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event of a job's story."""

    seq: int
    at: datetime
    type: str
    from_state: JobState | None
    to_state: JobState | None
    attempt: int | None
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Pulse:
    """How far a ledger is: `commits` changes with what others write, `last` is the number of its last event."""

    commits: int
    last: int


@dataclass(frozen=True, slots=True)
class Notable:
    """An event that somebody who looks on wants to hear of, and whose it is."""

    seq: int
    at: datetime
    type: str
    job_id: int
    batch: str
    address: str
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class BatchTally:
    """How many jobs of a batch are in each state; earlier revisions that are still unfinished count as well."""

    batch: str
    counts: Mapping[JobState, int]
    orphans: int = 0

    @property
    def total(self) -> int:
        """All jobs counted."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Accounts:
    """What may be owed, by batch and on this UTC day, and what moderation has taken.

    Of that, what is on the wire or `running` and what is `in_doubt`, by batch.
    """

    batches: Mapping[str, Spent] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    day: Spent = field(default_factory=Spent)
    moderation: Moderation = field(default_factory=lambda: Moderation(0, 0, 0, 0))
    running: Mapping[str, Spent] = field(default_factory=dict)
    in_doubt: Mapping[str, Spent] = field(default_factory=dict)

    @property
    def exposure(self) -> tuple[Money, ...]:
        """What may be owed in all, by currency."""
        sums: Counter[str] = Counter()
        for one in self.batches.values():
            sums.update(one.exposure)
        return tuple(Money(sums[currency], currency) for currency in sorted(sums))

    @property
    def unpriced(self) -> int:
        """Submissions whose price nobody knows."""
        return sum(one.unpriced for one in self.batches.values())


@dataclass(frozen=True, slots=True)
class ExtraTask:
    """A task beyond the one of its submission: the provider took one request for two."""

    task_id: str
    batch: str
    address: str
    found_at: datetime
    cost: Money | None


@dataclass(frozen=True, slots=True)
class StrayCall:
    """A callback at a genuine token that no submission of this ledger has. `task_id` is what it names, if anything."""

    received_at: datetime
    task_id: str | None
    body: str


@dataclass(frozen=True, slots=True)
class Standings:
    """Where everything stands. `at_risk` are results whose link dies soon and whose files are not all on disk.

    `with_webhook` and `without_webhook` count results that a callback was asked for: whether it came.
    """

    batches: tuple[BatchTally, ...]
    at_risk: tuple[RecordedJob, ...] = ()
    in_doubt: tuple[RecordedJob, ...] = ()
    extras: tuple[ExtraTask, ...] = ()
    strays: tuple[StrayCall, ...] = ()
    with_webhook: int = 0
    without_webhook: int = 0
    accounts: Accounts = field(default_factory=Accounts)
    meta: Mapping[str, str] = field(default_factory=dict)
