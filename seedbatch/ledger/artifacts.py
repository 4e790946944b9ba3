"""Files on disk and the paths at which the ledger knows them: one row for each name."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final

from seedbatch.domain.answers import StoredFile
from seedbatch.domain.moments import stamp
from seedbatch.domain.work import Occupant
from seedbatch.ledger.rows import note

# Of another revision or an earlier try of a job; of the source whose task it shares, where that job is wanted no
# longer: one that was renamed and kept its output; and of any job that is wanted no longer, or elsewhere: no link to
# what was paid for may die because a file has stayed behind.
_OCCUPANTS: Final = (
    "SELECT f.id, f.path, o.revision, (SELECT count(*) FROM artifacts e WHERE e.job_id = f.job_id"
    "  AND e.position = f.position AND e.attempt_id <= f.attempt_id)"
    " FROM jobs j CROSS JOIN jobs o ON o.batch_id = j.batch_id AND o.base = j.base AND o.take = j.take"
    " CROSS JOIN artifacts f INDEXED BY artifacts_job ON f.job_id = o.id WHERE j.id = :job AND f.folder = :folder"
    " AND f.attempt_id IS NOT (SELECT max(id) FROM attempts WHERE job_id = j.id)"
    " UNION SELECT f.id, f.path, o.revision, 1"
    " FROM shares h CROSS JOIN jobs o ON o.id = h.source_id AND o.standing <> 'current'"
    " CROSS JOIN artifacts f INDEXED BY artifacts_job ON f.job_id = o.id"
    " WHERE h.job_id = :job AND h.linked_at IS NULL AND f.folder = :folder"
    " UNION SELECT f.id, f.path, o.revision, f.attempt_id + 1"
    " FROM artifacts f CROSS JOIN jobs o ON o.id = f.job_id CROSS JOIN jobs j ON j.id = :job"
    " WHERE f.folder = :folder AND f.path > :stem || '.' AND f.path < :stem || '/'"
    " AND (o.batch_id, o.base, o.take) <> (j.batch_id, j.base, j.take)"
    " AND (o.standing <> 'current' OR o.output || iif(f.position > 1, '-' || f.position, '') <> :stem)"
    " AND f.attempt_id IS NOT (SELECT max(id) FROM attempts WHERE job_id = :job)"
)


def keep(
    connection: sqlite3.Connection,
    job_id: int,
    attempt_id: int,
    position: int,
    folder: str,
    file: StoredFile,
    now: datetime,
) -> None:
    """A file is on disk and whole. Another job's that was recorded there has been removed by somebody."""
    _vacate(connection, folder, file.path, now)
    connection.execute(
        "INSERT INTO artifacts (job_id, attempt_id, position, folder, path, bytes, sha256, content_type, stored_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(job_id, attempt_id, position, folder),
            *(file.path, file.bytes, file.sha256, file.content_type, stamp(now)),
        ),
    )


def lies_at(connection: sqlite3.Connection, job_id: int, position: int, path: str) -> None:
    """A file came where the manifest wanted it when its download began: that is the job's output, whatever it is now.

    Whoever declares the manifest again finds that it differs, and has the file moved.
    """
    stem = path.rpartition(".")[0]
    output = stem if position == 1 else stem.removesuffix(f"-{position}")
    connection.execute("UPDATE jobs SET output = ? WHERE id = ? AND output <> ?", (output, job_id, output))


def lies_for_another(connection: sqlite3.Connection, job_id: int, attempt_id: int, folder: str, path: str) -> bool:
    """Whether a file of this attempt lies at a path for another job already."""
    found = connection.execute(
        "SELECT 1 FROM artifacts WHERE folder = ? AND path = ? AND attempt_id = ? AND job_id <> ?",
        (folder, path, attempt_id, job_id),
    ).fetchone()
    return found is not None


# Of a row `j` of jobs: where its files belong. What the manifest has forgotten gets a name of its own where the file of
# another job lies by now: both tasks were paid for, and nobody should have to choose between them.
WHERE_IT_BELONGS: Final = (
    "CASE WHEN j.standing = 'orphan' AND EXISTS (SELECT 1 FROM artifacts f WHERE f.folder = ? AND f.job_id <> j.id"
    " AND f.path > j.output || '.' AND f.path < j.output || '/'"
    " AND instr(substr(f.path, length(j.output) + 2), '.') = 0)"
    " THEN j.output || '.orphan' || j.id ELSE j.output END"
)


def occupant(connection: sqlite3.Connection, job_id: int, folder: str, stem: str) -> Occupant | None:
    """The file that stands at the path `stem` plus an extension, and makes way for one of this job's."""
    values = {"job": job_id, "folder": folder, "stem": stem}
    found = (Occupant(*row) for row in connection.execute(_OCCUPANTS, values))
    return next((file for file in found if file.path.rpartition(".")[0] == stem), None)


def moved(connection: sqlite3.Connection, artifact_id: int, path: str, now: datetime) -> None:
    """A file has a new name."""
    ((job_id, folder, before),) = connection.execute(
        "SELECT job_id, folder, path FROM artifacts WHERE id = ?", (artifact_id,)
    )
    if path != before:
        _vacate(connection, folder, path, now)
        connection.execute("UPDATE artifacts SET path = ? WHERE id = ?", (path, artifact_id))
        note(connection, now, "moved", job_id, data={"from": before, "to": path})


def _vacate(connection: sqlite3.Connection, folder: str, path: str, now: datetime) -> None:
    """The row that holds a name under which its file no longer lies gets one that says so; it is never forgotten."""
    rows = connection.execute("SELECT id, job_id FROM artifacts WHERE folder = ? AND path = ?", (folder, path))
    for artifact_id, job_id in rows.fetchall():
        name = PurePosixPath(path)
        missing = str(name.with_name(f"{name.stem}.gone{artifact_id}{name.suffix}"))
        connection.execute("UPDATE artifacts SET path = ? WHERE id = ?", (missing, artifact_id))
        note(connection, now, "gone", job_id, data={"from": path, "to": missing})
