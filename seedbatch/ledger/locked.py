"""Requests that others of a team paid for: never sent by this process, and completed where their files are at hand.

What a lock file tells is held in a table that only this connection sees; what was taken from it is a job with its task,
as if this ledger had sent it, at no cost.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Final

from seedbatch.domain.answers import MediaKind, StoredFile
from seedbatch.domain.errors import StaleCaller
from seedbatch.domain.locked import Found, Locked, LockedFile
from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName, Share, SharedFile
from seedbatch.ledger.artifacts import keep, lies_at
from seedbatch.ledger.attempts import accepted, ended_elsewhere, offered_somewhere
from seedbatch.ledger.chosen import Among, only
from seedbatch.ledger.rows import move, scope_names, to_json
from seedbatch.ledger.sharing import SHARES, SOURCE, linked, share, unshare
from seedbatch.ledger.sidecars import SIDECAR, sidecar
from seedbatch.ports import Scope

_TABLE: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS locked (fingerprint TEXT NOT NULL, take INTEGER NOT NULL, task_id TEXT NOT NULL,"
    " accepted_at TEXT NOT NULL, ended_at TEXT NOT NULL, files TEXT NOT NULL, PRIMARY KEY (fingerprint, take))"
    " WITHOUT ROWID"
)
# Of a row `j` of jobs, where a lock file was read.
_LOCKED: Final = "EXISTS (SELECT 1 FROM temp.locked l WHERE l.fingerprint = j.fingerprint AND l.take = j.take"
LOCKED: Final = f"{_LOCKED})"
# Of another machine's ledger: this one's owners are hexadecimal.
_OWNER: Final = "lock"
# What a job that is completed so shares its task with.
LOCK: Final = "the lock file"


def lock_in(connection: sqlite3.Connection, tasks: Sequence[Found]) -> None:
    """These requests were paid for; `files` is empty where they are not at hand."""
    connection.execute(_TABLE)
    connection.executemany(
        "INSERT OR REPLACE INTO temp.locked (fingerprint, take, task_id, accepted_at, ended_at, files)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                *(found.task.fingerprint, found.task.take, found.task.task_id),
                *(stamp(found.task.accepted_at), stamp(found.task.ended_at)),
                to_json([[file.path, file.bytes, file.sha256, file.content_type] for file in found.files]),
            )
            for found in tasks
        ),
    )


def seek(connection: sqlite3.Connection, scope: Scope, among: Among) -> None:
    """Look once which pending jobs can be completed with files that are at hand.

    A task that this ledger has met, and did not complete, is a person's matter.
    """
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS lockable (job_id INTEGER PRIMARY KEY)")
    connection.execute(
        "INSERT OR IGNORE INTO temp.lockable (job_id) SELECT j.id"  # noqa: S608 - our words
        " FROM batches b CROSS JOIN jobs j INDEXED BY jobs_queue ON j.state = 'pending' AND j.batch_id = b.id"
        " JOIN temp.locked l ON l.fingerprint = j.fingerprint AND l.take = j.take"
        f" WHERE l.files <> '[]' AND j.standing = 'current' AND NOT {SHARES} AND {SOURCE} IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.task_id = l.task_id)"
        f" AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?))){only(among)}",
        scope_names(scope),
    )


def found(connection: sqlite3.Connection, most: int, besides: Collection[int]) -> list[Share]:
    """Up to `most` of those jobs, with the files that are theirs; but for those that found a source meanwhile."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    rows = cursor.execute(
        "SELECT j.id AS job_id, j.output, b.name AS batch, j.address, l.task_id, l.accepted_at, l.ended_at, l.files"  # noqa: S608
        " FROM temp.lockable c CROSS JOIN jobs j ON j.id = c.job_id AND j.state = 'pending'"
        " JOIN batches b ON b.id = j.batch_id JOIN temp.locked l ON l.fingerprint = j.fingerprint AND l.take = j.take"
        f" WHERE c.job_id NOT IN (SELECT value FROM json_each(?)) AND NOT {SHARES} LIMIT ?",
        (to_json(sorted(besides)), most),
    ).fetchall()
    return [_share(connection, row) for row in rows]


def waiting(connection: sqlite3.Connection, scope: Scope, among: Among) -> int:
    """How many pending jobs are not sent because others paid for their request."""
    return _count(connection, scope, among, LOCKED)


def held(connection: sqlite3.Connection, scope: Scope, among: Among) -> int:
    """How many of those have no files here."""
    return _count(connection, scope, among, f"{_LOCKED} AND l.files = '[]')")


def _count(connection: sqlite3.Connection, scope: Scope, among: Among, condition: str) -> int:
    ((count,),) = connection.execute(
        "SELECT count(*) FROM batches b CROSS JOIN jobs j INDEXED BY jobs_queue"  # noqa: S608 - our words
        " ON j.state = 'pending' AND j.batch_id = b.id WHERE j.standing = 'current'"
        f" AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?))) AND {condition} AND NOT {SHARES}{only(among)}",
        scope_names(scope),
    )
    return int(count)


def adopt(connection: sqlite3.Connection, one: Share, files: Sequence[StoredFile], folder: str, now: datetime) -> bool:
    """The files lie at a job's own paths: completed, with the task that others paid for, at no cost.

    If another job has that task by now, this one shares it; False, if their paths are the same.

    Raises:
        StaleCaller: it is no longer pending.
    """
    connection.execute("DELETE FROM temp.lockable WHERE job_id = ?", (one.job_id,))
    row = connection.execute(
        "SELECT currency FROM jobs WHERE id = ? AND state = 'pending' AND standing = 'current'", (one.job_id,)
    ).fetchone()
    if row is None:
        raise StaleCaller(f"job {one.job_id} does not wait for the files of a locked task")
    unshare(connection, one.job_id)  # another process may have found it a source meanwhile
    if known := connection.execute("SELECT id, job_id FROM attempts WHERE task_id = ?", (one.task_id,)).fetchone():
        # Another job took it up first: this one shares it.
        attempt_id, source = known
        share(connection, [(one.job_id, source)], now)
        return linked(connection, replace(one, source_id=source, attempt_id=attempt_id), files, folder, now)
    accepted_at, ended_at = moment(str(one.sidecar["accepted_at"])), moment(str(one.sidecar["finished_at"]))
    ((attempt_id,),) = connection.execute(
        "INSERT INTO attempts (job_id, number, owner, reference, price, currency, exposure, intended_at)"
        " VALUES (?, (SELECT count(*) + 1 FROM attempts WHERE job_id = ?), ?, ?, ?, ?, 0, ?) RETURNING id",
        (
            *(one.job_id, one.job_id, _OWNER, f"locked-{one.task_id}"),
            *(None if row[0] is None else 0, row[0], stamp(accepted_at)),
        ),
    ).fetchall()
    told = {"task_id": one.task_id, "source": one.source}
    move(connection, one.job_id, JobState.SUBMITTING, now, "locked", attempt_id=attempt_id, data=told)
    accepted(connection, attempt_id, one.task_id, accepted_at, now)
    ended_elsewhere(connection, one.job_id, attempt_id, one.kind, ended_at, len(files), now)
    for shared, file in zip(one.files, files, strict=True):
        offered_somewhere(connection, attempt_id, shared.position)
        keep(connection, one.job_id, attempt_id, shared.position, folder, file, now)
        lies_at(connection, one.job_id, shared.position, file.path)
    data = {**told, "paths": [file.path for file in files]}
    move(connection, one.job_id, JobState.COMPLETED, now, "reused", attempt_id=attempt_id, data=data)
    return True


def _share(connection: sqlite3.Connection, row: sqlite3.Row) -> Share:
    files = tuple(SharedFile(position, *file) for position, file in enumerate(json.loads(row["files"]), start=1))
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    told = cursor.execute(
        f"SELECT {SIDECAR} FROM jobs j JOIN batches b ON b.id = j.batch_id JOIN (SELECT 0 AS id, ? AS task_id,"  # noqa: S608
        " (SELECT count(*) + 1 FROM attempts WHERE job_id = ?) AS number, ? AS accepted_at, ? AS ended_at) a"
        " WHERE j.id = ?",
        (row["task_id"], row["job_id"], row["accepted_at"], row["ended_at"], row["job_id"]),
    ).fetchone()
    kind = MediaKind.IMAGE if files[0].content_type.startswith("image/") else MediaKind.VIDEO
    return Share(
        job_id=row["job_id"],
        source_id=0,
        attempt_id=0,
        name=JobName(row["batch"], row["address"]),
        source=LOCK,
        task_id=row["task_id"],
        kind=kind,
        output=row["output"],
        files=files,
        sidecar={**sidecar(told), "outputs": len(files), "shared_from": LOCK},
    )


def delivered(connection: sqlite3.Connection, batch: str) -> Iterator[Locked]:
    """What this ledger has on disk for a batch, all revisions: the lines of its lock file."""
    rows = connection.execute(
        "SELECT j.id, j.fingerprint, j.take, a.task_id, a.accepted_at, a.ended_at, f.sha256, f.bytes, f.content_type"
        " FROM batches b JOIN jobs j ON j.batch_id = b.id AND j.state = 'completed'"
        " JOIN artifacts f ON f.job_id = j.id JOIN attempts a ON a.id = f.attempt_id"
        " WHERE b.name = ? AND f.attempt_id = (SELECT max(attempt_id) FROM artifacts WHERE job_id = j.id)"
        " ORDER BY j.id, f.position",
        (batch,),
    )
    for _, group in groupby(rows, key=itemgetter(0)):
        lines = list(group)
        _, fingerprint, take, task_id, accepted_at, ended_at, *_ = lines[0]
        files = tuple(LockedFile(*line[6:]) for line in lines)
        yield Locked(fingerprint, take, task_id, moment(accepted_at), moment(ended_at), files)
