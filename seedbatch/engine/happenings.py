"""What a run tells while it works, for those who look on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from seedbatch.domain.fingerprint import Json
from seedbatch.domain.work import JobName


class Kind(StrEnum):
    """The types of the events in machine-readable output: `docs/json-output.md`."""

    LISTENING = "listening"  # a receiver of callbacks is ready
    SUBMITTED = "submitted"  # the taskId is durable
    NOT_SENT = "not_sent"
    THROTTLED = "throttled"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"
    ADOPTED = "adopted"  # a doubtful answer or a callback named its task, and a query confirmed it
    EXTRA = "extra"  # a task beyond the one of its submission: it is charged as well
    MISCALLED = "miscalled"  # a callback that the provider does not confirm, or that belongs to no submission
    AWAITED = "awaited"  # nothing is left but jobs in doubt, whose callbacks may still come
    UNCALLED = "uncalled"  # results come, but no callback does
    PROBED = "probed"  # a free query that asks whether the provider is well again
    BARRED = "barred"  # a cap or the moderation brake keeps jobs back
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    UNANSWERED = "unanswered"
    STORED = "stored"
    COMPLETED = "completed"
    REUSED = "reused"  # completed with the files of a task that was paid for by another job
    MOVED = "moved"  # a file, to where the manifest wants it now
    NOT_MOVED = "not_moved"
    NOT_FETCHED = "not_fetched"
    EXPIRED = "expired"
    STOPPED = "stopped"  # a role gives up for this run


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that has just become durable (or, for `stopped`, a decision of this run)."""

    at: datetime
    kind: Kind
    name: JobName | None = None
    data: Mapping[str, Json] = field(default_factory=dict)


Witness = Callable[[Happening], None]
