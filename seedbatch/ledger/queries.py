"""Claiming running tasks to ask about, and how long tasks took."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.work import JobName, RunningTask
from seedbatch.ledger.rows import scope_names
from seedbatch.ports import Scope

_TASKS: Final = (
    "SELECT j.id, a.id, b.name, j.address, a.task_id, j.model, a.accepted_at, a.called_at, a.misses, a.empties,"
    " b.tries, a.token IS NOT NULL, (SELECT count(*) FROM attempts t WHERE t.job_id = j.id"
    "  AND (t.outcome IS NULL OR t.outcome NOT IN ('not_sent', 'throttled', 'turned_away')))"
    " FROM attempts a JOIN jobs j ON j.id = a.job_id JOIN batches b ON b.id = j.batch_id"
    " WHERE a.outcome IS NULL AND a.task_id IS NOT NULL AND a.asker IS NULL"
)
_IN_SCOPE: Final = "(? IS NULL OR b.name IN (SELECT value FROM json_each(?)))"


def claim_queries(
    connection: sqlite3.Connection, asker: str, scope: Scope, now: datetime, most: int
) -> tuple[list[RunningTask], datetime | None]:
    """Up to `most` running tasks whose query is due and about which nobody is asking; and when the next one is due."""
    rows = connection.execute(
        f"{_TASKS} AND a.query_at <= ? AND {_IN_SCOPE} ORDER BY a.query_at LIMIT ?",
        (stamp(now), *scope_names(scope), most),
    ).fetchall()
    connection.executemany("UPDATE attempts SET asker = ? WHERE id = ?", [(asker, row[1]) for row in rows])
    ((due,),) = connection.execute(
        "SELECT min(a.query_at) FROM attempts a JOIN jobs j ON j.id = a.job_id JOIN batches b ON b.id = j.batch_id"  # noqa: S608
        f" WHERE a.outcome IS NULL AND a.task_id IS NOT NULL AND a.asker IS NULL AND {_IN_SCOPE}",
        scope_names(scope),
    )
    return [_running(row) for row in rows], due and moment(due)


def claim_task(connection: sqlite3.Connection, attempt_id: int, asker: str) -> RunningTask:
    """The running task of one attempt, about which nobody is asking."""
    row = connection.execute(f"{_TASKS} AND a.id = ?", (attempt_id,)).fetchone()
    connection.execute("UPDATE attempts SET asker = ? WHERE id = ?", (asker, attempt_id))
    return _running(row)


def durations(connection: sqlite3.Connection, most: int) -> Mapping[str, list[float]]:
    """How many seconds the latest `most` tasks took, by model, the latest first."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for model, seconds in connection.execute(
        "SELECT j.model, a.took FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE a.took IS NOT NULL"
        " ORDER BY a.id DESC LIMIT ?",
        (most,),
    ):
        found[model].append(seconds)
    return found


def _running(row: tuple[Any, ...]) -> RunningTask:
    (
        job_id,
        attempt_id,
        batch,
        address,
        task_id,
        model,
        accepted_at,
        called_at,
        misses,
        empties,
        allowed,
        token,
        tries,
    ) = row
    return RunningTask(
        job_id=job_id,
        attempt_id=attempt_id,
        name=JobName(batch, address),
        task_id=task_id,
        model=model,
        accepted_at=moment(accepted_at),
        misses=misses,
        empties=empties,
        tries=tries,
        tries_allowed=allowed,
        called_at=called_at and moment(called_at),
        awaits_call=bool(token) and called_at is None,
    )
