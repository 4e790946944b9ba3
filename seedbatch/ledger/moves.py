"""Which jobs were wanted at two moments of the ledger: its events tell, whatever was declared since."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from seedbatch.ledger.rows import scope_names
from seedbatch.ports import Scope

_COME: Final = ("declared", "restored")
_GO: Final = ("superseded", "orphaned")
_NAMES: Final = ", ".join(f"'{name}'" for name in (*_COME, *_GO))


def moves(
    connection: sqlite3.Connection, one: int, two: int, scope: Scope
) -> Iterator[tuple[int | None, int | None, bool]]:
    """What differs between two events: each job's row at the one and at the other, None where it was not wanted.

    The last is whether its request was rewritten in between, before anything was sent: then both rows are the same.
    """
    touched = connection.execute(
        "SELECT DISTINCT j.id, j.batch_id, j.base, j.take FROM events e JOIN jobs j ON j.id = e.job_id"  # noqa: S608
        " JOIN batches b ON b.id = j.batch_id"
        f" WHERE e.seq > ? AND e.seq <= ? AND e.type IN ({_NAMES}, 'amended')"
        " AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?))) ORDER BY j.batch_id, j.position, j.id",
        (min(one, two), max(one, two), *scope_names(scope)),
    ).fetchall()
    rows: defaultdict[tuple[int, str, int], list[int]] = defaultdict(list)
    for job_id, *name in touched:
        rows[tuple(name)].append(job_id)
    for ids in rows.values():
        before = next((job_id for job_id in ids if _wanted(connection, job_id, one)), None)
        after = next((job_id for job_id in ids if _wanted(connection, job_id, two)), None)
        amended = after is not None and before == after and _amended(connection, after, one, two)
        if before != after or amended:
            yield before, after, amended


def _wanted(connection: sqlite3.Connection, job_id: int, event: int) -> bool:
    row = connection.execute(
        f"SELECT type FROM events WHERE job_id = ? AND seq <= ? AND type IN ({_NAMES}) ORDER BY seq DESC LIMIT 1",  # noqa: S608
        (job_id, event),
    ).fetchone()
    return row is not None and row[0] in _COME


def _amended(connection: sqlite3.Connection, job_id: int, one: int, two: int) -> bool:
    row = connection.execute(
        "SELECT 1 FROM events WHERE job_id = ? AND seq > ? AND seq <= ? AND type = 'amended' LIMIT 1",
        (job_id, min(one, two), max(one, two)),
    ).fetchone()
    return row is not None
