"""Sharing: a job whose request was paid for already gets the files of that task, and is not sent.

Two jobs make the same request when fingerprint and take are the same, in whatever batch. The one that was sent is the
source; the other stays pending until the source is completed, and is free to be sent if the source comes to nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from seedbatch.domain.answers import MediaKind, StoredFile
from seedbatch.domain.errors import StaleCaller
from seedbatch.domain.jobs import Wish
from seedbatch.domain.moments import stamp
from seedbatch.domain.records import Paid, Sharer
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName, Share, SharedFile
from seedbatch.ledger.artifacts import keep, lies_at, lies_for_another
from seedbatch.ledger.chosen import Among, only
from seedbatch.ledger.rows import move, note, scope_names, to_json
from seedbatch.ledger.sidecars import SIDECAR, sidecar
from seedbatch.ports import Scope

# As the index `jobs_paid` has it; a test holds it to `PAID`.
_PAID_STATES: Final = "('submitting', 'in_doubt', 'running', 'succeeded', 'completed')"
# Of a row `j` of jobs. What is on disk already before what is still to come; never one that shares itself.
SOURCE: Final = (
    "(SELECT s.id FROM jobs s INDEXED BY jobs_paid WHERE s.fingerprint = j.fingerprint AND s.take = j.take"  # noqa: S608
    f" AND s.state IN {_PAID_STATES} AND s.id <> j.id AND NOT EXISTS (SELECT 1 FROM shares WHERE job_id = s.id)"
    " ORDER BY s.state <> 'completed', s.id LIMIT 1)"
)
# Of the same row.
SHARES: Final = "EXISTS (SELECT 1 FROM shares h WHERE h.job_id = j.id)"
_WAITING: Final = (
    "FROM shares h INDEXED BY shares_waiting CROSS JOIN jobs j ON j.id = h.job_id JOIN batches b ON b.id = j.batch_id"
    " JOIN jobs s ON s.id = h.source_id WHERE h.linked_at IS NULL AND j.state = 'pending' AND j.standing = 'current'"
    " AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?)))"
)


def source_of(connection: sqlite3.Connection, job_id: int) -> int | None:
    """The job whose task a pending one would share, if its request was paid for."""
    ((source,),) = connection.execute(f"SELECT {SOURCE} FROM jobs j WHERE j.id = ?", (job_id,))  # noqa: S608 - ours
    return None if source is None else int(source)


def paid(connection: sqlite3.Connection, wishes: Collection[Wish]) -> dict[Wish, Paid]:
    """For each of these wishes whose request was paid for, the job whose task would be shared."""
    rows = connection.execute(
        "SELECT s.fingerprint, s.take, b.name, s.address, s.state FROM json_each(?) wish"  # noqa: S608 - our words
        " CROSS JOIN jobs s INDEXED BY jobs_paid ON s.fingerprint = json_extract(wish.value, '$[0]')"
        f" AND s.take = json_extract(wish.value, '$[1]') AND s.state IN {_PAID_STATES}"
        " JOIN batches b ON b.id = s.batch_id WHERE NOT EXISTS (SELECT 1 FROM shares WHERE job_id = s.id)"
        " ORDER BY s.state = 'completed', s.id DESC",
        (to_json(list(wishes)),),
    )
    return {
        (fingerprint, take): Paid(JobName(batch, address), JobState(state))
        for fingerprint, take, batch, address, state in rows
    }


def share(connection: sqlite3.Connection, pairs: Iterable[tuple[int, int]], now: datetime) -> None:
    """These pending jobs share the task of these sources from now on: each a job and its source."""
    for job_id, source_id in pairs:
        connection.execute(
            "INSERT INTO shares (job_id, source_id, since) VALUES (?, ?, ?)", (job_id, source_id, stamp(now))
        )
        note(connection, now, "shared", job_id, data={"source": str(_name(connection, source_id))})


def find_shares(connection: sqlite3.Connection, scope: Scope, among: Among, now: datetime) -> None:
    """Let every pending job share a task that was paid for, if there is one; a claim does so for those it meets."""
    rows = connection.execute(
        f"SELECT j.id, {SOURCE} AS source FROM batches b CROSS JOIN jobs j INDEXED BY jobs_queue"  # noqa: S608 - ours
        " WHERE j.state = 'pending' AND j.batch_id = b.id AND j.standing = 'current' AND source IS NOT NULL"
        f" AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?))) AND NOT {SHARES}{only(among)}",
        scope_names(scope),
    ).fetchall()
    share(connection, rows, now)


def unshare(connection: sqlite3.Connection, job_id: int) -> None:
    """A pending job makes a request of its own."""
    connection.execute("DELETE FROM shares WHERE job_id = ? AND linked_at IS NULL", (job_id,))


def shares(
    connection: sqlite3.Connection,
    folder: Path,
    scope: Scope,
    among: Among,
    most: int,
    besides: Collection[int],
    now: datetime,
) -> tuple[list[Share], int]:
    """Up to `most` jobs whose source is completed; and how many are free to be sent, for theirs came to nothing."""
    where = f"{_WAITING}{only(among)}"
    lost = connection.execute(
        f"SELECT j.id, s.state {where} AND s.state NOT IN {_PAID_STATES}",
        scope_names(scope),
    ).fetchall()
    for job_id, state in lost:
        unshare(connection, job_id)
        note(connection, now, "unshared", job_id, data={"source": state})
    rows = connection.execute(
        f"SELECT j.id, s.id {where} AND s.state = 'completed'"  # noqa: S608 - our words
        " AND j.id NOT IN (SELECT value FROM json_each(?)) ORDER BY j.id LIMIT ?",
        (*scope_names(scope), to_json(sorted(besides)), most),
    ).fetchall()
    return [_share(connection, folder, *row) for row in rows], len(lost)


def waiting(connection: sqlite3.Connection, scope: Scope, among: Among) -> int:
    """How many pending jobs share a task that has not come to nothing."""
    ((count,),) = connection.execute(
        f"SELECT count(*) {_WAITING}{only(among)} AND s.state IN {_PAID_STATES}", scope_names(scope)
    )
    return int(count)


def stuck(connection: sqlite3.Connection, scope: Scope, most: int) -> list[Sharer]:
    """Up to `most` pending jobs that share a task which a run over `scope` does not bring to an end.

    It is another batch's, or in doubt.
    """
    names, _ = scope_names(scope)
    rows = connection.execute(
        f"SELECT j.id, s.id, s.state {_WAITING} AND (s.state = 'in_doubt' OR s.state IN {_PAID_STATES}"  # noqa: S608
        " AND s.state <> 'completed' AND s.batch_id NOT IN (SELECT o.id FROM batches o"
        "  WHERE ? IS NULL OR o.name IN (SELECT value FROM json_each(?)))) ORDER BY b.name, j.position LIMIT ?",
        (names, names, names, names, most),
    ).fetchall()
    return [
        Sharer(_name(connection, job_id), Paid(_name(connection, source_id), JobState(state)))
        for job_id, source_id, state in rows
    ]


def linked(connection: sqlite3.Connection, one: Share, files: Sequence[StoredFile], folder: str, now: datetime) -> bool:
    """The files of the source lie at a job's own paths as well, in the order of the source's: completed.

    False, and nothing is written, if one of these paths is the source's own.

    Raises:
        StaleCaller: it shares no longer, or somebody was faster.
    """
    if any(lies_for_another(connection, one.job_id, one.attempt_id, folder, file.path) for file in files):
        return False
    done = connection.execute(
        "UPDATE shares SET linked_at = ? WHERE job_id = ? AND source_id = ? AND linked_at IS NULL RETURNING job_id",
        (stamp(now), one.job_id, one.source_id),
    ).fetchall()
    if not done:
        raise StaleCaller(f"job {one.job_id} does not wait for the files of job {one.source_id}")
    for shared, file in zip(one.files, files, strict=True):
        keep(connection, one.job_id, one.attempt_id, shared.position, folder, file, now)
        lies_at(connection, one.job_id, shared.position, file.path)
    data = {"source": one.source, "task_id": one.task_id, "paths": [file.path for file in files]}
    move(connection, one.job_id, JobState.COMPLETED, now, "reused", data=data)
    return True


def _share(connection: sqlite3.Connection, folder: Path, job_id: int, source_id: int) -> Share:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    row = cursor.execute(
        f"SELECT {SIDECAR}, a.id AS attempt_id, a.kind, j.output FROM jobs j JOIN batches b ON b.id = j.batch_id"  # noqa: S608
        " JOIN attempts a ON a.id = (SELECT max(attempt_id) FROM artifacts WHERE job_id = ?) WHERE j.id = ?",
        (source_id, job_id),
    ).fetchone()
    source = _name(connection, source_id)
    return Share(
        job_id=job_id,
        source_id=source_id,
        attempt_id=row["attempt_id"],
        name=JobName(row["batch"], row["address"]),
        source=str(source),
        task_id=row["task_id"],
        kind=MediaKind(row["kind"]),
        output=row["output"],
        files=tuple(_files(connection, folder, source_id, row["attempt_id"])),
        sidecar={**sidecar(row), "shared_from": str(source)},
    )


def _files(connection: sqlite3.Connection, folder: Path, source_id: int, attempt_id: int) -> Iterator[SharedFile]:
    rows = connection.execute(
        "SELECT position, folder, path, bytes, sha256, content_type FROM artifacts"
        " WHERE job_id = ? AND attempt_id = ? ORDER BY position",
        (source_id, attempt_id),
    )
    for position, place, path, size, sha256, content_type in rows:
        yield SharedFile(position, os.path.normpath(folder / place / path), size, sha256, content_type)


def _name(connection: sqlite3.Connection, job_id: int) -> JobName:
    ((batch, address),) = connection.execute(
        "SELECT b.name, j.address FROM jobs j JOIN batches b ON b.id = j.batch_id WHERE j.id = ?", (job_id,)
    )
    return JobName(batch, address)
