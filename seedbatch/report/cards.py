"""What the gallery knows of a job, as JSON: the page shows it as text, whatever it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any, Final

from seedbatch.domain.fingerprint import Json
from seedbatch.domain.money import Money
from seedbatch.domain.records import Artifact, History, RecordedAttempt, RecordedJob, Standing

# Control characters except tab and line feed, marks that turn the reading direction around, halves of characters.
_HOSTILE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PICTURES: Final = 0x2400  # U+2400 to U+241F are pictures of the first 32 control characters
_SPACE: Final = " "


@dataclass(frozen=True, slots=True)
class Look:
    """A file as the gallery has it: `name` in its folder `media`, pixels and seconds as far as known.

    `poster` is the name of its poster, empty without one; `there` is false if the file is not on disk.
    """

    name: str
    there: bool
    poster: str = ""
    width: int = 0
    height: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A job of the sheet: its present revision, and earlier ones, the latest first."""

    job: RecordedJob
    earlier: tuple[RecordedJob, ...] = ()

    @classmethod
    def of(cls, revisions: Iterable[RecordedJob]) -> Entry | None:
        """What the revisions of one job come to, the latest last; None where only replaced ones are among them."""
        jobs = list(revisions)
        present = [job for job in jobs if job.standing is not Standing.SUPERSEDED]
        if not present:
            return None
        job = present[-1]
        return cls(job, tuple(sorted((one for one in jobs if one.job_id != job.job_id), key=lambda one: -one.revision)))

    @property
    def revisions(self) -> tuple[RecordedJob, ...]:
        """All of them, the present one first."""
        return (self.job, *self.earlier)


def card(entry: Entry, histories: Mapping[int, History], look: Callable[[Artifact], Look]) -> dict[str, Any]:
    """One job with its earlier revisions. Members that say nothing are left out; moments are milliseconds from 1970."""
    now, *earlier = (_revision(job, histories[job.job_id], look) for job in entry.revisions)
    job = entry.job
    whole = {
        "batch": shown(job.batch),
        "address": shown(job.address),
        "base": shown(job.base),
        "take": job.take,
        "standing": str(job.standing) if job.standing != "current" else "",
        "tags": [shown(tag) for tag in job.tags],
        "axes": {shown(name): shown_value(value) for name, value in histories[job.job_id].axes.items()},
        **now,
        "earlier": earlier,
    }
    return _told(whole)


def _revision(job: RecordedJob, history: History, look: Callable[[Artifact], Look]) -> dict[str, Any]:
    whole = {
        "revision": job.revision,
        "state": str(job.state),
        "failure": str(job.failure or ""),
        "reason": shown(job.reason),
        "model": shown(job.request.model),
        "input": {shown(name): shown_value(value) for name, value in job.request.input.items()},
        "fingerprint": job.fingerprint,
        "task": shown(job.task_id or ""),
        "cost": _money(job.cost),
        "expires": _millis(job.expires_at),
        "updated": _millis(job.updated_at),
        "stored": _millis(history.stored_at),
        "files": [_file(artifact, look(artifact)) for artifact in job.artifacts],
        "attempts": [_attempt(attempt) for attempt in history.attempts],
    }
    return _told(whole)


def _file(artifact: Artifact, look: Look) -> dict[str, Any]:
    return _told(
        {
            "sha256": artifact.sha256,
            "bytes": artifact.bytes,
            "type": artifact.content_type,
            "name": shown(PurePath(artifact.path).name),
            "media": look.name if look.there else "",
            "poster": look.poster,
            "size": [look.width, look.height] if look.width else [],
            "seconds": round(look.seconds, 2),
        }
    )


def _attempt(attempt: RecordedAttempt) -> dict[str, Any]:
    return _told(
        {
            "number": attempt.number,
            "task": shown(attempt.task_id or ""),
            "outcome": attempt.outcome,
            "sent": _millis(attempt.intended_at),
            "accepted": _millis(attempt.accepted_at),
            "ended": _millis(attempt.ended_at),
            "began": _millis(attempt.began_at),
            "finished": _millis(attempt.finished_at),
            "took": attempt.took,
            "cost": _money(attempt.cost),
        }
    )


def shown(text: str) -> str:
    """Foreign text as it may be shown, lines kept: a control character becomes its picture, other hostile ones `�`."""
    return _HOSTILE.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    return chr(_PICTURES + ord(match[0])) if match[0] < _SPACE else "�"


def shown_value(value: Json) -> Json:
    """The same for every text in a JSON value."""
    match value:
        case str():
            return shown(value)
        case list():
            return [shown_value(one) for one in value]
        case dict():
            return {shown(name): shown_value(one) for name, one in value.items()}
        case _:
            return value


def _told(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value or value is False}


def _millis(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _money(money: Money | None) -> Sequence[Any]:
    return () if money is None else (money.micros, money.currency)
