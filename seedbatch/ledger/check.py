"""Examining a ledger: everything in it that is not as this program wrote it, and every file that is not as it was."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from seedbatch.domain.states import LIVE, TRANSITIONS, JobState
from seedbatch.ledger.checksums import SEALED, checksum, register, unsealed
from seedbatch.ledger.migrations import migrations

# The rows on which a submission or a bill may depend: what every opening looks at, however large the ledger.
_LIVE_ROWS: Final = {
    "meta": "true",
    "batches": "true",
    "jobs": "state IN ('pending', 'submitting', 'in_doubt', 'running')",
    "attempts": "outcome IS NULL OR job_id IN (SELECT id FROM jobs WHERE state = 'pending')",
}
# The event by which a person answers for a state that no verb led to.
EDITED: Final = "edited"
_CHUNK: Final = 1 << 20
_MOST_OF_A_KIND: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where (a table, a row, a file) and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def findings(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Everything that is wrong with a ledger. What cannot be read is a finding, never an exception."""
    register(connection)
    for examine in (structure, _rows, _totals, _gaps, _stories):
        yield from guarded(connection, examine)


def structure(connection: sqlite3.Connection) -> Iterator[Finding]:
    """What no person's word can accept: broken pages, references to nothing, tables that are not ours."""
    for (text,) in connection.execute("PRAGMA integrity_check(20)"):
        if text != "ok":
            yield Finding("file", text)
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield Finding(f"{table} {rowid}", f"refers to a row of {parent} that is not there")
    # What people add beside it (a view, an index) is theirs.
    found = _schema_of(connection)
    for name, expected in _expected_schema().items():
        if found.get(name) != expected:
            yield Finding(name, "is not as this version of seedbatch makes it")


def live_rows(connection: sqlite3.Connection) -> Iterator[Finding]:
    """The rows on which a submission or a bill may depend, and nothing else."""
    register(connection)
    yield from guarded(connection, _live_rows)


def damaged_files(connection: sqlite3.Connection, folder: Path) -> Iterator[Finding]:
    """Artifacts that are not on disk as they were stored; `folder` is the ledger's own."""
    rows = connection.execute(
        "SELECT b.name, j.address, f.folder, f.path, f.bytes, f.sha256 FROM artifacts f"
        " JOIN jobs j ON j.id = f.job_id JOIN batches b ON b.id = j.batch_id ORDER BY f.id"
    )
    for batch, address, place, path, size, digest in rows:
        what = _file(folder / place / path, size, digest)
        if what:
            yield Finding(f"{batch}/{address}", f"{path} {what}")


def migrations_checksum(connection: sqlite3.Connection) -> str:
    """Of the rows that say which migrations were applied: they are the library's, and have no column for one."""
    rows = connection.execute("SELECT * FROM _sqlite_migrations ORDER BY 1, 2").fetchall()
    return checksum(*(value for row in rows for value in row)).hex()


def guarded(
    connection: sqlite3.Connection, examine: Callable[[sqlite3.Connection], Iterator[Finding]]
) -> Iterator[Finding]:
    """What an examination finds; that it cannot go on is a finding as well."""
    try:
        yield from examine(connection)
    except (sqlite3.Error, ValueError, TypeError, KeyError, OverflowError) as error:
        yield Finding("file", f"cannot be read: {error}")


def _live_rows(connection: sqlite3.Connection) -> Iterator[Finding]:
    for table, condition in _LIVE_ROWS.items():
        yield from _unsealed(connection, table, condition)


def _rows(connection: sqlite3.Connection) -> Iterator[Finding]:
    for table in SEALED:
        yield from guarded(connection, partial(_unsealed, table=table, condition="true"))
    kept = connection.execute("SELECT value FROM meta WHERE key = 'migrations'").fetchone()
    if kept is None or kept[0] != migrations_checksum(connection):
        yield Finding("_sqlite_migrations", "was changed by other means than seedbatch")


def _unsealed(connection: sqlite3.Connection, table: str, condition: str) -> Iterator[Finding]:
    for number, rowid in enumerate(unsealed(connection, table, condition)):
        if number == _MOST_OF_A_KIND:
            yield Finding(table, "and more rows")
            return
        yield Finding(f"{table} {rowid}{_named(connection, table, rowid)}", "was changed by other means than seedbatch")


def _named(connection: sqlite3.Connection, table: str, rowid: int) -> str:
    """` (batch/address)` for a row that belongs to a job."""
    job = {"jobs": "id", "attempts": "job_id", "artifacts": "job_id", "events": "job_id"}.get(table)
    if job is None:
        return ""
    with suppress(sqlite3.Error):
        row = connection.execute(
            f"SELECT b.name || '/' || j.address FROM {table} t JOIN jobs j ON j.id = t.{job}"  # noqa: S608 - our words
            " JOIN batches b ON b.id = j.batch_id WHERE t.rowid = ?",
            (rowid,),
        ).fetchone()
        return f" ({row[0]})" if row else ""
    return ""


COUNTED_ANEW: Final = """
WITH counted (scope, currency, count, exposure) AS (
  SELECT 'batch ' || j.batch_id, coalesce(a.currency, ''), a.counted, a.exposure
  FROM attempts a JOIN jobs j ON j.id = a.job_id
  UNION ALL SELECT 'day ' || substr(intended_at, 1, 10), coalesce(currency, ''), counted, exposure FROM attempts
  UNION ALL SELECT 'owner ' || owner, coalesce(currency, ''), counted, exposure FROM attempts
  UNION ALL SELECT 'finished', '', 1, 0 FROM attempts WHERE outcome IN ('failed', 'succeeded')
  UNION ALL SELECT 'rejected', '', 1, 0 FROM attempts WHERE violated_on IS NOT NULL
  UNION ALL SELECT 'violations ' || violated_on, '', 1, 0 FROM attempts WHERE violated_on IS NOT NULL)
SELECT scope, currency, sum(count), sum(exposure) FROM counted GROUP BY scope, currency
"""


def counted_anew(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[int, int]]:
    """What `totals` must say: count and exposure by scope and currency."""
    return {
        (scope, currency): (count, exposure) for scope, currency, count, exposure in connection.execute(COUNTED_ANEW)
    }


def _totals(connection: sqlite3.Connection) -> Iterator[Finding]:
    expected = counted_anew(connection)
    found = {
        (scope, currency): (count, exposure)
        for scope, currency, count, exposure in connection.execute(
            "SELECT scope, currency, count, exposure FROM totals"
        )
    }
    for key in sorted({*expected, *found}):
        # A total that fell back to nothing keeps its row.
        if expected.get(key, (0, 0)) != found.get(key, (0, 0)):
            yield Finding(f"totals {key[0]}", f"says {found.get(key)}, and the attempts come to {expected.get(key)}")


def _gaps(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Rows that are gone: none is ever deleted."""
    for table, key in (("jobs", "id"), ("attempts", "id"), ("artifacts", "id"), ("batches", "id"), ("events", "seq")):
        ((count, least, most),) = connection.execute(f"SELECT count(*), min({key}), max({key}) FROM {table}")  # noqa: S608
        if table == "batches":
            continue  # an upsert may pass a number over
        if count and (least != 1 or most != count):
            yield Finding(table, f"has {count:,} rows, numbered from {least} to {most}")
    ((last,),) = connection.execute("SELECT coalesce(max(seq), 0) FROM events")
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    if (row[0] if row else 0) != last:
        yield Finding("events", f"the last is {last}, but {row and row[0]} were written")


def _stories(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Replaying a job's events gives its state, and exactly the live states have an open attempt."""
    reached: dict[int, str | None] = {}
    rows = connection.execute(
        "SELECT job_id, type, from_state, to_state FROM events WHERE to_state IS NOT NULL ORDER BY seq"
    )
    for job_id, kind, before, after in rows:
        allowed = before is None or kind == EDITED or JobState(after) in TRANSITIONS[JobState(before)]
        if reached.get(job_id) != before or not allowed:
            yield Finding(
                f"job {job_id}", f"an event takes it from {before} to {after}, and it was {reached.get(job_id)}"
            )
        reached[job_id] = after
    still_open = Counter(
        job_id for (job_id,) in connection.execute("SELECT job_id FROM attempts WHERE outcome IS NULL")
    )
    for job_id, state in connection.execute("SELECT id, state FROM jobs"):
        if reached.get(job_id) != state:
            yield Finding(f"job {job_id}", f"is {state}, and its events lead to {reached.get(job_id)}")
        if still_open[job_id] != (JobState(state) in LIVE):
            yield Finding(f"job {job_id}", f"is {state}, and has {still_open[job_id]} open attempts")


def _schema_of(connection: sqlite3.Connection) -> dict[str, tuple[str, str | None]]:
    rows = connection.execute("SELECT type || ' ' || name, tbl_name, sql FROM sqlite_master")
    return {name: (table, sql) for name, table, sql in rows}


@cache
def _expected_schema() -> dict[str, tuple[str, str | None]]:
    database = Database(memory=True)
    migrations.apply(database)
    return _schema_of(database.conn)


def _file(path: Path, size: int, digest: str) -> str:
    found, length = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
                length += len(chunk)
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if length != size:
        return f"has {length:,} bytes, and was stored with {size:,}"
    return "" if found.hexdigest() == digest else "has other content than was stored"
