"""What the ledger knows of one job beside its row and its events: where it is wanted, and every try at it."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from seedbatch.domain.attempts import Origin, Received, RecordedAttempt
from seedbatch.domain.moments import moment
from seedbatch.domain.money import Money


def origin(connection: sqlite3.Connection, job_id: int) -> Origin:
    """Where a job is wanted.

    The commit is that of its batch's last declaration; of a revision that is no longer wanted, that of the run which
    declared it first.
    """
    batch, file, line, commit, dirty, tries, standing = connection.execute(
        'SELECT b.name, j.file, j.line, b."commit", b.dirty, b.tries, j.standing'
        " FROM jobs j JOIN batches b ON b.id = j.batch_id WHERE j.id = ?",
        (job_id,),
    ).fetchone()
    first = connection.execute(
        "SELECT r.id, json_extract(value, '$.commit'), json_extract(value, '$.dirty') FROM runs r, json_each(r.batches)"
        " WHERE json_extract(value, '$.batch') = ? AND r.event >= (SELECT min(seq) FROM events WHERE job_id = ?)"
        " ORDER BY r.id LIMIT 1",
        (batch, job_id),
    ).fetchone()
    run = None if first is None else first[0]
    if standing != "current" and first is not None:
        _, commit, dirty = first
    return Origin(file, line, commit, bool(dirty), run, tries)


def attempts(connection: sqlite3.Connection, job_id: int) -> list[RecordedAttempt]:
    """Every try at a job, the first one first."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    rows = cursor.execute(
        "SELECT a.*, r.id AS run,"
        " (SELECT sum(exposure) FROM extras x WHERE x.attempt_id = a.id) AS beside"
        " FROM attempts a LEFT JOIN runs r ON r.owner = a.owner WHERE a.job_id = ? ORDER BY a.number",
        (job_id,),
    ).fetchall()
    return [_attempt(connection, row) for row in rows]


def _attempt(connection: sqlite3.Connection, row: sqlite3.Row) -> RecordedAttempt:
    received = connection.execute(
        "SELECT received_at, coalesce(verdict, ''), reason FROM callbacks WHERE token = ? ORDER BY id", (row["token"],)
    )
    extras = connection.execute("SELECT task_id FROM extras WHERE attempt_id = ? ORDER BY id", (row["id"],))
    owed = row["exposure"] + (row["beside"] or 0)
    return RecordedAttempt(
        number=row["number"],
        run=row["run"],
        reference=row["reference"],
        intended_at=moment(row["intended_at"]),
        accepted_at=_moment(row["accepted_at"]),
        ended_at=_moment(row["ended_at"]),
        task_id=row["task_id"],
        outcome=row["outcome"],
        doubt=row["doubt"] or "",
        status=row["status"] or "",
        took=row["took"],
        price=None if row["price"] is None else Money(row["price"], row["currency"]),
        cost=None if row["price"] is None else Money(owed, row["currency"]),
        asked=row["token"] is not None,
        received=tuple(Received(moment(at), verdict, reason) for at, verdict, reason in received),
        extras=tuple(task for (task,) in extras),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else moment(text)
