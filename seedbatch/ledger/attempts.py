"""What the verbs of one attempt share: finding it open, ending it, and what its end means for its job."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from seedbatch.domain.answers import Evidence, TaskReport
from seedbatch.domain.brake import HIGHEST_SURCHARGE
from seedbatch.domain.calls import Binding
from seedbatch.domain.errors import StaleCaller
from seedbatch.domain.fingerprint import Json
from seedbatch.domain.moments import stamp
from seedbatch.domain.states import JobState
from seedbatch.domain.work import Failure
from seedbatch.ledger.rows import move, note

_LINKS_LIVE: Final = timedelta(days=7)  # contract: a result's link
_NO_LINK: Final = "unknown"
_TWICE: Final = "the provider named a task that another attempt already holds"
_SETTLED_BY_A_PERSON: Final = frozenset({"lost", "resubmitted", "abandoned"})
# Proof, or a person's word, that no task exists: nothing is owed.
_FREE: Final = frozenset({"not_sent", "throttled", "turned_away", "refused", "lost"})


def open_attempt(connection: sqlite3.Connection, attempt_id: int, condition: str) -> int:
    """The job of an open attempt that meets a condition.

    Raises:
        StaleCaller: it has ended, or does not meet it.
    """
    row = connection.execute(
        f"SELECT job_id FROM attempts WHERE id = ? AND outcome IS NULL AND {condition}",  # noqa: S608 - our words
        (attempt_id,),
    ).fetchone()
    if row is None:
        raise StaleCaller(f"attempt {attempt_id} has moved on")
    return int(row[0])


def doubts_in_a_row(connection: sqlite3.Connection) -> int:
    """How many of the latest answers to submissions, of all processes, were doubtful ones without any other."""
    count = 0
    for task_id, doubted, outcome in connection.execute(
        "SELECT task_id, doubt, outcome FROM attempts WHERE doubt IS NOT NULL OR outcome IS NOT NULL"
        " OR task_id IS NOT NULL ORDER BY id DESC LIMIT 20"
    ):
        if outcome == "not_sent":
            continue  # says nothing of the answers
        if task_id is not None or doubted is None:
            break
        count += 1
    return count


class TaskTaken(StaleCaller):
    """The task belongs to another attempt."""


def accepted(
    connection: sqlite3.Connection, attempt_id: int, task_id: str, now: datetime, query_at: datetime
) -> Binding:
    """The provider's answer named the task of an attempt: running; see the port for the rarer cases."""
    try:
        return bind(connection, attempt_id, task_id, now, query_at, event="accepted")
    except TaskTaken:
        job_id = open_attempt(connection, attempt_id, "task_id IS NULL")
        doubt(connection, job_id, attempt_id, _TWICE, data={"task_id": task_id}, now=now)
        return Binding.IN_DOUBT


def bind(
    connection: sqlite3.Connection,
    attempt_id: int,
    task_id: str,
    now: datetime,
    query_at: datetime,
    *,
    event: str,
    data: Mapping[str, object] | None = None,
) -> Binding:
    """Write down the task that an authenticated answer named for an attempt, wherever it belongs.

    Answer, callback and query may name it in any order, and any number of times.

    Raises:
        TaskTaken: another attempt holds it.
    """
    job_id, outcome, held, price, currency = connection.execute(
        "SELECT job_id, outcome, task_id, price, currency FROM attempts WHERE id = ?", (attempt_id,)
    ).fetchone()
    holder = connection.execute(
        "SELECT id FROM attempts WHERE task_id = ?1 UNION ALL SELECT attempt_id FROM extras WHERE task_id = ?1",
        (task_id,),
    ).fetchone()
    if holder is not None and holder[0] != attempt_id:
        raise TaskTaken(f"the task {task_id} belongs to another attempt")
    if holder is not None:
        return Binding.KNOWN
    facts = {"task_id": task_id, **(data or {})}
    if held is None and outcome is None:
        connection.execute(
            "UPDATE attempts SET task_id = ?, accepted_at = ?, query_at = ? WHERE id = ?",
            (task_id, stamp(now), stamp(query_at), attempt_id),
        )
        move(connection, job_id, JobState.RUNNING, now, event, attempt_id=attempt_id, data=facts)
        return Binding.RUNNING
    if held is None and outcome in _SETTLED_BY_A_PERSON:
        connection.execute(
            "UPDATE attempts SET task_id = ?, accepted_at = ?, counted = 1, exposure = coalesce(price, 0) WHERE id = ?",
            (task_id, stamp(now), attempt_id),
        )
        note(connection, now, "surfaced", job_id, attempt_id=attempt_id, data=facts)
        return Binding.SURFACED
    connection.execute(
        "INSERT INTO extras (attempt_id, task_id, price, currency, exposure, found_at) VALUES (?, ?, ?, ?, ?, ?)",
        (attempt_id, task_id, price, currency, price or 0, stamp(now)),
    )
    note(connection, now, "extra", job_id, attempt_id=attempt_id, data=facts)
    return Binding.EXTRA


def violated(connection: sqlite3.Connection, attempt_id: int, at: datetime) -> None:
    """Moderation took the task of a failed attempt: a violation of that day of the provider's clock."""
    connection.execute("UPDATE attempts SET violated_on = ? WHERE id = ?", (stamp(at)[:10], attempt_id))
    reduce_to_surcharge(connection, attempt_id)


def reduce_to_surcharge(connection: sqlite3.Connection, attempt_id: int) -> None:
    """A task that moderation took owes a surcharge at most.

    The highest one: other tools may have raised the account's tier, and nobody tells. Source: maxapi contract, 6.
    """
    connection.execute(
        "UPDATE attempts SET exposure = (exposure * ? + 99) / 100 WHERE id = ?", (HIGHEST_SURCHARGE, attempt_id)
    )


def end(connection: sqlite3.Connection, attempt_id: int, outcome: str, now: datetime) -> None:
    """Close an attempt; if no task can exist, its price is free again."""
    freed = ", counted = 0, exposure = 0" if outcome in _FREE else ""
    connection.execute(
        f"UPDATE attempts SET outcome = ?, ended_at = ?, query_at = NULL, asker = NULL{freed} WHERE id = ?",  # noqa: S608
        (outcome, stamp(now), attempt_id),
    )


def fail(
    connection: sqlite3.Connection,
    job_id: int,
    attempt_id: int,
    *,
    event: str,
    failure: Failure,
    data: Mapping[str, object],
    now: datetime,
) -> None:
    """The job of an attempt that has ended is failed."""
    columns = {"failure": failure.cls, "reason": failure.reason}
    facts = {"class": failure.cls, "reason": failure.reason, **data}
    move(connection, job_id, JobState.FAILED, now, event, attempt_id=attempt_id, data=facts, columns=columns)


def doubt(
    connection: sqlite3.Connection,
    job_id: int,
    attempt_id: int,
    cause: str,
    *,
    data: Mapping[str, object],
    now: datetime,
) -> None:
    """An open attempt may have made a task: in doubt, or so for one more reason."""
    connection.execute("UPDATE attempts SET doubt = ? WHERE id = ?", (cause, attempt_id))
    ((state,),) = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,))
    facts = {"cause": cause, **data}
    if state == JobState.IN_DOUBT:
        note(connection, now, "doubted", job_id, attempt_id=attempt_id, data=facts)
    else:
        move(connection, job_id, JobState.IN_DOUBT, now, "doubted", attempt_id=attempt_id, data=facts)


def seen(evidence: Evidence) -> dict[str, object]:
    """What an event keeps of an answer."""
    facts = {
        "status": evidence.status,
        "code": evidence.code,
        "message": evidence.message or None,
        "body": evidence.body or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def times(report: TaskReport) -> dict[str, object]:
    """The provider's own moments, as an event keeps them."""
    moments = {"created_at": report.created_at, "updated_at": report.updated_at}
    return {name: stamp(value) for name, value in moments.items() if value is not None}


def ended_elsewhere(
    connection: sqlite3.Connection,
    job_id: int,
    attempt_id: int,
    kind: str,
    ended_at: datetime,
    outputs: int,
    now: datetime,
    **data: Json,
) -> None:
    """A running task is known to have succeeded, from its files and not from the provider: its links are not."""
    connection.execute("UPDATE attempts SET kind = ? WHERE id = ?", (kind, attempt_id))
    end(connection, attempt_id, "succeeded", ended_at)
    columns = {"expires_at": stamp(ended_at + _LINKS_LIVE), "not_before": None, "misses": 0, "gone": 0}
    move(
        connection, job_id, JobState.SUCCEEDED, now, "succeeded",
        attempt_id=attempt_id, data={"outputs": outputs, **data}, columns=columns,
    )  # fmt: skip


def offered_somewhere(connection: sqlite3.Connection, attempt_id: int, position: int) -> None:
    """Its output had a link that nobody here knows."""
    connection.execute(
        "INSERT INTO outputs (attempt_id, position, url) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (attempt_id, position, _NO_LINK),
    )
