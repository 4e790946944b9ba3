"""Relocations: files that lie where an earlier manifest wanted them, and where the present one wants them.

Until its files are moved, a job's `output` says where they are. What is wanted instead is held in a table that only
this connection sees: it is found anew whenever the manifest is declared.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

from seedbatch.domain.answers import StoredFile
from seedbatch.domain.difference import Known
from seedbatch.domain.jobs import further_names
from seedbatch.domain.moments import stamp
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName, Relocation
from seedbatch.ledger.artifacts import moved
from seedbatch.ledger.chosen import Among, only
from seedbatch.ledger.rows import to_json
from seedbatch.ledger.sidecars import SIDECAR, sidecar

# Of a job, the files of the task that it was completed with; those of earlier tries stay where they are.
_LATEST: Final = "f.job_id = :job AND f.attempt_id = (SELECT max(attempt_id) FROM artifacts WHERE job_id = :job)"
_WANTED: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS wanted"
    " (artifact_id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL, output TEXT NOT NULL, path TEXT NOT NULL)"
)
# What could not be moved by this process.
_UNMOVED: Final = "CREATE TEMP TABLE IF NOT EXISTS unmoved (artifact_id INTEGER PRIMARY KEY)"
_FILE: Final = (
    f"SELECT {SIDECAR}, f.id AS artifact_id, f.job_id, f.position, f.folder, f.path, f.bytes, f.sha256, f.content_type"
)
_COLUMNS: Final = (
    f"{_FILE}, w.path AS new,"  # noqa: S608 - our words
    " (SELECT p.name || '/' || k.address"
    "  FROM artifacts o JOIN jobs k ON k.id = o.job_id JOIN batches p ON p.id = k.batch_id"
    "  WHERE o.folder = f.folder AND o.path = w.path AND o.attempt_id = f.attempt_id AND o.id <> f.id) AS kin"
    " FROM temp.wanted w CROSS JOIN artifacts f ON f.id = w.artifact_id JOIN jobs j ON j.id = f.job_id"
    " JOIN batches b ON b.id = j.batch_id JOIN attempts a ON a.id = f.attempt_id"
)
_STRAYED: Final = (
    f"{_FILE}, json_extract(m.value, '$[1]') AS new"  # noqa: S608 - our words
    " FROM meta k JOIN json_each(k.value) m CROSS JOIN artifacts f ON f.id = json_extract(m.value, '$[0]')"
    " JOIN jobs j ON j.id = f.job_id JOIN batches b ON b.id = j.batch_id JOIN attempts a ON a.id = f.attempt_id"
    " WHERE k.key = 'moving' AND f.path <> json_extract(m.value, '$[1]')"
    " AND NOT EXISTS (SELECT 1 FROM temp.wanted w WHERE w.artifact_id = f.id"
    "  AND w.path = json_extract(m.value, '$[1]'))"
    " AND NOT EXISTS (SELECT 1 FROM temp.unmoved u WHERE u.artifact_id = f.id)"
)


def _blocked(among: Among) -> str:
    """Whether another file is to leave the new path first. Who stays there is met on disk, if he is still there."""
    return (
        "EXISTS (SELECT 1 FROM artifacts o JOIN temp.wanted v ON v.artifact_id = o.id JOIN jobs j ON j.id = v.job_id"  # noqa: S608
        f" WHERE o.folder = f.folder AND o.path = w.path AND o.id <> f.id{only(among)})"
    )


def lies_there(connection: sqlite3.Connection, known: Known) -> bool:
    """Whether any file of a job lies at its recorded output."""
    if known.state not in {JobState.COMPLETED, JobState.SUCCEEDED}:
        return False
    found = connection.execute("SELECT 1 FROM artifacts WHERE job_id = ? LIMIT 1", (known.job_id,)).fetchone()
    return known.state is JobState.COMPLETED or found is not None


def forget_wishes(connection: sqlite3.Connection, batch_id: int) -> None:
    """A batch is declared anew."""
    connection.execute(_WANTED)
    connection.execute("DELETE FROM temp.wanted WHERE job_id IN (SELECT id FROM jobs WHERE batch_id = ?)", (batch_id,))


def wanted_at(connection: sqlite3.Connection, job_id: int, output: str) -> None:
    """The files of this job are wanted at `output` and what follows it; once all of a completed job's are there."""
    rows = connection.execute(
        "SELECT f.id, f.position, f.path FROM artifacts f JOIN jobs j ON j.id = f.job_id"  # noqa: S608 - our words
        f" WHERE {_LATEST} AND j.state = 'completed'",
        {"job": job_id},
    ).fetchall()
    connection.executemany(
        "INSERT OR REPLACE INTO temp.wanted (artifact_id, job_id, output, path) VALUES (?, ?, ?, ?)",
        [
            (artifact_id, job_id, output, f"{further_names(output, position)[-1]}{PurePosixPath(path).suffix}")
            for artifact_id, position, path in rows
        ],
    )


def are_due(connection: sqlite3.Connection) -> bool:
    """Whether any file is wanted elsewhere, or was on its way when a process died."""
    connection.execute(_WANTED)
    connection.execute(_UNMOVED)
    ((due,),) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM temp.wanted) OR EXISTS (SELECT 1 FROM meta WHERE key = 'moving')"
    )
    return bool(due)


def relocations(connection: sqlite3.Connection, place: Path, among: Among, most: int) -> tuple[list[Relocation], int]:
    """Up to `most` files whose new path no other one is to leave, and how many there are beside those.

    First those that a dead process was moving to a path where nobody wants them any more: they go back.
    """
    if back := [_relocation(place, row, row["path"], row["new"]) for row in _read(connection, _STRAYED)]:
        return back, 0
    rows = _read(connection, f"{_COLUMNS} WHERE NOT {_blocked(among)}{only(among)} LIMIT ?", most)
    ((left,),) = connection.execute(
        f"SELECT count(*) FROM temp.wanted w JOIN jobs j ON j.id = w.job_id{only(among)}"  # noqa: S608 - our words
    )
    found = [replace(_relocation(place, row, row["new"]), held_by=row["kin"] or "") for row in rows]
    _intend(connection, found)
    return found, left - len(rows)


def waypoint(connection: sqlite3.Connection, place: Path, among: Among) -> Relocation | None:
    """One of the files that wait for each other, and where it steps aside; None if no more can."""
    rows = _read(connection, f"{_COLUMNS} WHERE instr(f.path, '.moving' || f.id || '.') = 0{only(among)} LIMIT ?", 1)
    for row in rows:
        name = PurePosixPath(row["new"])
        aside = name.with_name(f"{name.stem}.moving{row['artifact_id']}{name.suffix}")
        one = _relocation(place, row, str(aside))
        _intend(connection, [one])
        return one
    return None


def _intend(connection: sqlite3.Connection, found: Sequence[Relocation]) -> None:
    """What is on its way from now on: a death between the disk and its row leaves a file where no row says it is.

    What could not be moved in this run may be so as well, and is looked at again by the next one.
    """
    unmoved = connection.execute(
        "SELECT json_extract(m.value, '$[0]'), json_extract(m.value, '$[1]') FROM meta k JOIN json_each(k.value) m"
        " WHERE k.key = 'moving' AND json_extract(m.value, '$[0]') IN (SELECT artifact_id FROM temp.unmoved)"
    ).fetchall()
    moving = [*unmoved, *((one.artifact_id, one.path) for one in found)]
    if not moving:
        connection.execute("DELETE FROM meta WHERE key = 'moving'")
        return
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('moving', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (to_json(moving),),
    )


def relocated(connection: sqlite3.Connection, one: Relocation, now: datetime) -> None:
    """A file lies at its new path; with the last one, that is the job's output."""
    ((recorded,),) = connection.execute("SELECT path FROM artifacts WHERE id = ?", (one.artifact_id,))
    if recorded == one.path != one.file.path:
        _is_back(connection, one)
    wish = connection.execute(
        "SELECT output, path FROM temp.wanted WHERE artifact_id = ?", (one.artifact_id,)
    ).fetchone()
    moved(connection, one.artifact_id, one.path, now)
    if wish is None or wish[1] != one.path:
        return
    connection.execute("DELETE FROM temp.wanted WHERE artifact_id = ?", (one.artifact_id,))
    if not connection.execute("SELECT 1 FROM temp.wanted WHERE job_id = ? LIMIT 1", (one.job_id,)).fetchone():
        connection.execute("UPDATE jobs SET output = ?, updated_at = ? WHERE id = ?", (wish[0], stamp(now), one.job_id))


def _is_back(connection: sqlite3.Connection, one: Relocation) -> None:
    connection.execute(
        "UPDATE meta SET value = (SELECT json_group_array(json(m.value)) FROM json_each(meta.value) m"
        " WHERE json_extract(m.value, '$[0]') <> ?) WHERE key = 'moving'",
        (one.artifact_id,),
    )


def stays(connection: sqlite3.Connection, one: Relocation) -> None:
    """A file cannot be moved now: its job's output stays what it was, and the next run tries again."""
    connection.execute("DELETE FROM temp.wanted WHERE job_id = ?", (one.job_id,))
    connection.execute("INSERT OR IGNORE INTO temp.unmoved (artifact_id) VALUES (?)", (one.artifact_id,))


def _read(connection: sqlite3.Connection, query: str, *values: int) -> list[sqlite3.Row]:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor.execute(query, values).fetchall()


def _relocation(place: Path, row: sqlite3.Row, path: str, before: str = "") -> Relocation:
    return Relocation(
        artifact_id=row["artifact_id"],
        job_id=row["job_id"],
        name=JobName(row["batch"], row["address"]),
        folder=os.path.normpath(place / row["folder"]),
        file=StoredFile(before or row["path"], row["bytes"], row["sha256"], row["content_type"]),
        path=path,
        sidecar={**sidecar(row), "position": row["position"]},
    )
