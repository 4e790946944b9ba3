"""A person's word on a job: every one is an event that tells whose it was."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from seedbatch.domain.errors import StaleCaller
from seedbatch.domain.states import HELD, FailureClass, JobState
from seedbatch.domain.work import Failure
from seedbatch.ledger.attempts import bind, end, fail
from seedbatch.ledger.rows import move


def adopted(connection: sqlite3.Connection, job_id: int, task_id: str, by: str, now: datetime) -> None:
    """The task of an in-doubt attempt is this one: running, and asked about at once."""
    attempt_id = _doubtful(connection, job_id)
    bind(connection, attempt_id, task_id, now, now, event="adopted", data={"by": by})


def given_up(connection: sqlite3.Connection, job_id: int, by: str, now: datetime) -> None:
    """An in-doubt attempt made no task: failed as lost, and its money is free."""
    attempt_id = _doubtful(connection, job_id)
    end(connection, attempt_id, "lost", now)
    failure = Failure(FailureClass.LOST, f"given up as lost by {by}")
    fail(connection, job_id, attempt_id, event="given_up", failure=failure, data={"by": by}, now=now)


def resubmitted(connection: sqlite3.Connection, job_id: int, by: str, now: datetime) -> None:
    """An in-doubt job may be sent again, and may be billed twice: pending, its earlier price stays reserved."""
    attempt_id = _doubtful(connection, job_id)
    end(connection, attempt_id, "resubmitted", now)
    later = {"not_before": None}
    move(
        connection, job_id, JobState.PENDING, now, "resubmitted", attempt_id=attempt_id, data={"by": by}, columns=later
    )


def retried(connection: sqlite3.Connection, job_id: int, by: str, now: datetime) -> None:
    """A failed, expired or abandoned job is wanted again: pending."""
    ((state,),) = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,))
    if state not in HELD:  # others may become pending too, but not by this word
        raise StaleCaller(f"job {job_id} is {state}")
    columns = {"not_before": None, "misses": 0, "gone": 0, "expires_at": None}
    move(connection, job_id, JobState.PENDING, now, "retried", data={"by": by}, columns=columns)


def abandoned(connection: sqlite3.Connection, job_id: int, by: str, now: datetime) -> None:
    """An unfinished job is no longer wanted: its attempt ends, and what it may cost stays counted."""
    row = connection.execute("SELECT id FROM attempts WHERE job_id = ? AND outcome IS NULL", (job_id,)).fetchone()
    ((state,),) = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,))
    if state == JobState.SUBMITTING:
        raise StaleCaller(f"job {job_id} is being submitted")
    attempt_id = None if row is None else int(row[0])
    if attempt_id is not None:
        end(connection, attempt_id, "abandoned", now)
    columns = {"reason": f"by {by}", "not_before": None}
    move(
        connection,
        job_id,
        JobState.ABANDONED,
        now,
        "abandoned",
        attempt_id=attempt_id,
        data={"by": by},
        columns=columns,
    )


def _doubtful(connection: sqlite3.Connection, job_id: int) -> int:
    row = connection.execute(
        "SELECT a.id FROM jobs j JOIN attempts a ON a.job_id = j.id AND a.outcome IS NULL"
        " WHERE j.id = ? AND j.state = 'in_doubt'",
        (job_id,),
    ).fetchone()
    if row is None:
        raise StaleCaller(f"job {job_id} is not in doubt")
    return int(row[0])
