"""What the provider said, or did not say, as frozen values that decisions read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from seedbatch.domain.fingerprint import Json

# -- submit -----------------------------------------------------------------------------------------------------


class Refusal(StrEnum):
    """Why a submit was refused: the first two concern the job, the others the whole run."""

    INVALID = "invalid"
    MODERATION = "moderation"
    KEY = "key"
    CREDITS = "credits"
    ADDRESS = "address"
    CALLBACK = "callback"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is kept of an answer: HTTP status, envelope `code` and `msg`, and the first bytes of the body as text."""

    status: int | None = None
    code: int | None = None
    message: str = ""
    body: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A task exists and is charged for."""

    task_id: str
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that no byte of the request left: the request-headers hook did not fire.

    `hopeless` marks causes that trying again cannot mend, such as an untrusted certificate.
    """

    cause: str
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """An explicit answer that no task was created, and none was charged."""

    refusal: Refusal
    evidence: Evidence
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Throttled:
    """An explicit answer that the provider takes nothing now; `retry_after` in seconds, if it said so."""

    retry_after: float | None
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The request may have been accepted and charged.

    `wrong_address`: a redirect, which says that the base URL is wrong. `task_id`: a contradictory answer that
    nevertheless named one.
    """

    cause: str
    evidence: Evidence = field(default_factory=Evidence)
    wrong_address: bool = False
    task_id: str | None = None


SubmitAnswer = Accepted | NotSent | Refused | Throttled | InDoubt

# -- query ------------------------------------------------------------------------------------------------------


class TaskStatus(StrEnum):
    """The provider's words for a task. Source: maxapi contract, 4.2."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUBMITTED = "SUBMITTED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


class MediaKind(StrEnum):
    """`result.type`. Source: maxapi contract, 4.1."""

    VIDEO = "video"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One authenticated answer about a task.

    `status` is the provider's word as it came, known or not; `urls` are the outputs in order, without repetition;
    `echo` is the echoed input, which is neither complete nor minimal.
    """

    task_id: str
    status: str
    kind: MediaKind | None = None
    urls: tuple[str, ...] = ()
    failure_reason: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    echo: Mapping[str, Json] = field(default_factory=dict)

    @property
    def took(self) -> float | None:
        """How many seconds the task took by the provider's own clock; None where it does not say."""
        if self.created_at is None or self.updated_at is None or self.updated_at < self.created_at:
            return None
        return (self.updated_at - self.created_at).total_seconds()


@dataclass(frozen=True, slots=True)
class NotFound:
    """The provider does not know the task, or does not yet."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class QueryRefused:
    """An answer that asking again will not change: a refused key or a wrong address."""

    refusal: Refusal
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No usable answer this time; a query is free and is asked again."""

    cause: str
    retry_after: float | None = None


QueryAnswer = TaskReport | NotFound | QueryRefused | Unanswered

# -- download ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A complete, verified and synced file. `path` is relative to the output folder, with its extension."""

    path: str
    bytes: int
    sha256: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The result host says that the file is no longer there (403, 404, 410)."""

    cause: str


@dataclass(frozen=True, slots=True)
class FetchLater:
    """It did not work this time and may work later."""

    cause: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class FetchRefused:
    """What was offered must not be taken: a private address, another scheme, content that is no whole video."""

    cause: str


@dataclass(frozen=True, slots=True)
class CannotStore:
    """The local side failed: the disk is full, the folder is read-only, the name is taken. Downloads stop."""

    cause: str


FetchResult = StoredFile | Gone | FetchLater | FetchRefused | CannotStore
