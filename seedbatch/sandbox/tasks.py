"""A task as it is kept, and what a query tells about it: a pure function of the row and the moment.

Moments are whole microseconds since 1970 in UTC, as the provider's timestamps carry six digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from seedbatch.sandbox.models import MODELS

SECOND: Final = 1_000_000
FILE_LIFETIME: Final = 7 * 24 * 3600 * SECOND  # "valid for 7 days from generation"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST, _SPREAD = 2 * SECOND, 3 * SECOND
_EARLY: Final = 0.2  # of the task time: where parameters and credits are looked at
_SLOW: Final = 20
_PROCESSING_FROM, _SUBMITTED_FROM = 0.1, 0.25


class Status(StrEnum):
    """What the provider calls the stages of a task."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUBMITTED = "SUBMITTED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


class Outcome(StrEnum):
    """How a task will end; decided when it is accepted, from its prompt and its parameters."""

    SUCCESS = "success"
    FAIL = "fail"
    MODERATION = "moderation"
    INVALID = "invalid"
    POINTS = "points"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"

    @property
    def status(self) -> Status:
        """The terminal status it leads to."""
        match self:
            case Outcome.SUCCESS:
                return Status.SUCCESS
            case Outcome.TIMEOUT:
                return Status.TIMEOUT
            case Outcome.CANCELLED:
                return Status.CANCELLED
            case _:
                return Status.FAILURE

    @property
    def reason(self) -> str | None:
        """The `failure_reason` it is reported with."""
        return _REASONS.get(self)

    @property
    def early(self) -> bool:
        """Whether it is found before the task is handed upstream: the failure then comes straight from PENDING."""
        return self in {Outcome.INVALID, Outcome.POINTS}


_REASONS: Final[Mapping[Outcome, str]] = {
    Outcome.MODERATION: "CONTENT_MODERATION",
    Outcome.INVALID: "INVALID_PARAMETERS",
    Outcome.POINTS: "INSUFFICIENT_POINTS",
}


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One accepted task. `input` is the echo, `model` merged into it; `units` is what it was charged."""

    task_id: str
    model: str
    kind: str
    input: Mapping[str, Any]
    user_id: str | None
    callback_url: str | None
    outcome: Outcome
    outputs: int
    units: int
    created: int
    ends: int
    visible_from: int

    def file_name(self, position: int) -> str:
        """The name of its output at a 1-based position, as it stands in the result's URL."""
        return f"{self.task_id}-{position}.{self.extension}"

    @property
    def extension(self) -> str:
        """That of its outputs."""
        return "mp4" if self.kind == "video" else MODELS[self.model].picture


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a task stands at a moment, and since when."""

    status: Status
    since: int


def ends_at(task_id: str, created: int, outcome: Outcome, *, slow: bool, speed: float) -> int:
    """When a task accepted at `created` ends: after 2 to 5 seconds that only its id decides, divided by `speed`."""
    spread = int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:8])
    length = _SHORTEST + spread % _SPREAD
    if outcome.early:
        length = int(length * _EARLY)
    if slow:
        length *= _SLOW
    return created + max(1, int(length / speed))


def standing(row: TaskRow, now: int) -> Standing:
    """The status of a task at a moment: PENDING, PROCESSING, SUBMITTED and the end, or PENDING and an early failure."""
    if now >= row.ends:
        return Standing(row.outcome.status, row.ends)
    if row.outcome.early:
        return Standing(Status.PENDING, row.created)
    length = row.ends - row.created
    submitted, processing = row.created + int(length * _SUBMITTED_FROM), row.created + int(length * _PROCESSING_FROM)
    if now >= submitted:
        return Standing(Status.SUBMITTED, submitted)
    if now >= processing:
        return Standing(Status.PROCESSING, processing)
    return Standing(Status.PENDING, row.created)


def visible(row: TaskRow, now: int) -> bool:
    """Whether a query finds the task yet."""
    return now >= row.visible_from


def report(row: TaskRow, now: int, origin: str) -> dict[str, Any]:
    """The `data` of a query's answer; URLs of outputs begin with `origin`."""
    stand = standing(row, now)
    result = None
    if stand.status is Status.SUCCESS:
        names = [row.file_name(position) for position in range(1, row.outputs + 1)]
        result = {"type": row.kind, "urls": [f"{origin}/files/{name}" for name in names]}
    return {
        "taskId": row.task_id,
        "status": stand.status.value,
        "input": dict(row.input),
        "result": result,
        "failure_reason": row.outcome.reason if stand.status is Status.FAILURE else None,
        "created_at": stamp(row.created),
        "updated_at": stamp(stand.since),
    }


def file_expired(row: TaskRow, now: int) -> bool:
    """Whether the outputs of a succeeded task are gone."""
    return now > row.ends + FILE_LIFETIME


def stamp(moment: int) -> str:
    """A moment as the provider writes it: RFC 3339, six digits, `Z`."""
    return moment_of(moment).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment_of(moment: int) -> datetime:
    """A moment as an aware datetime."""
    return _EPOCH + timedelta(microseconds=moment)
