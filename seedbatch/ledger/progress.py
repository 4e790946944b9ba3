"""How far the work is and how fast it goes: cheap enough to be asked every few seconds, whatever the ledger's size."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from seedbatch.domain.budget import Spent
from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.progress import Expiring, Progress
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName
from seedbatch.ledger.chosen import Among, only
from seedbatch.ledger.queries import durations
from seedbatch.ledger.spending import accounts, of_owner, spent
from seedbatch.ledger.tallies import tallies
from seedbatch.ports import Scope

_LATELY: Final = timedelta(minutes=1)
_TOOK: Final = 1_000  # tasks whose durations are read
_NEXT: Final = 500  # pending jobs whose models are looked at
_RUNNING: Final = 1_000  # running tasks whose ages are read, of which
_AGES: Final = 200  # are handed out

# A scope is few names: each is one look into the index of the queue.
_SCOPE: Final = (
    " AND (:names IS NULL"
    " OR j.batch_id IN (SELECT id FROM batches WHERE name IN (SELECT value FROM json_each(:names))))"
)
_QUEUED: Final = "SELECT j.model FROM jobs j INDEXED BY jobs_queue WHERE j.state = 'pending'"
_QUEUED_OF_FEW: Final = (
    "SELECT j.model FROM temp.chosen c CROSS JOIN jobs j ON j.id = c.job_id WHERE j.state = 'pending'"
)


def progress(
    connection: sqlite3.Connection,
    now: datetime,
    scope: Scope = None,
    *,
    among: Among = Among.ALL,
    owner: str | None = None,
) -> Progress:
    """Of these batches; `own` is what the process `owner` submitted."""
    counts: Counter[JobState] = Counter()
    for tally in tallies(connection, scope, among):
        counts.update(tally.counts)
    names = None if scope is None else json.dumps(sorted(scope))
    return Progress(
        counts=counts,
        pending=_next(connection, names, among) if counts[JobState.PENDING] else {},
        running=_running(connection, names) if counts[JobState.RUNNING] else (),
        submitted=_submitted(connection, now),
        expiring=_expiring(connection, names, among),
        took=durations(connection, _TOOK),
        accounts=accounts(connection, now, scope),
        own=Spent() if owner is None else spent(connection, of_owner(owner)),
    )


def _next(connection: sqlite3.Connection, names: str | None, among: Among) -> dict[str, float]:
    query = _QUEUED_OF_FEW if among is Among.FEW else f"{_QUEUED}{only(among)}"
    rows = connection.execute(f"{query}{_SCOPE} LIMIT {_NEXT}", {"names": names}).fetchall()
    return {model: count / len(rows) for model, count in Counter(model for (model,) in rows).items()}


def _running(connection: sqlite3.Connection, names: str | None) -> list[tuple[str, datetime]]:
    rows = connection.execute(
        "SELECT j.model, a.accepted_at FROM jobs j INDEXED BY jobs_queue"  # noqa: S608 - our words
        " CROSS JOIN attempts a INDEXED BY attempts_open ON a.job_id = j.id AND a.outcome IS NULL"
        f" WHERE j.state = 'running' AND a.accepted_at IS NOT NULL{_SCOPE} LIMIT {_RUNNING}",
        {"names": names},
    ).fetchall()
    # The queue is in the manifest's order, which is that of their ages: evenly chosen ones stand for all.
    return [(model, moment(accepted_at)) for model, accepted_at in rows[:: -(-len(rows) // _AGES) or 1]]


def _submitted(connection: sqlite3.Connection, now: datetime) -> int:
    ((count,),) = connection.execute(
        "SELECT count(*) FROM attempts INDEXED BY attempts_intended WHERE intended_at > ? AND task_id IS NOT NULL",
        (stamp(now - _LATELY),),
    )
    return int(count)


def _expiring(connection: sqlite3.Connection, names: str | None, among: Among) -> Expiring | None:
    row = connection.execute(
        "SELECT b.name, j.address, j.expires_at FROM jobs j INDEXED BY jobs_expiry"  # noqa: S608 - our words
        f" CROSS JOIN batches b ON b.id = j.batch_id WHERE j.state = 'succeeded'{only(among)}{_SCOPE}"
        " ORDER BY j.expires_at LIMIT 1",
        {"names": names},
    ).fetchone()
    return row and Expiring(JobName(row[0], row[1]), moment(row[2]))
