"""Examining a ledger: everything in it that is not as this program wrote it, and every file that is not as it was."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from stat import S_ISREG
from typing import Final

from sqlite_utils import Database

from seedbatch.domain.states import LIVE, TRANSITIONS, JobState
from seedbatch.ledger.checksums import checksum, register, sealed_tables, tables, unsealed
from seedbatch.ledger.labels import wrong_labels
from seedbatch.ledger.migrations import migrations
from seedbatch.ledger.spending import DAY
from seedbatch.ledger.tallies import wrong_counts

# The rows on which a submission or a bill may depend: what every opening looks at, however large the ledger.
_LIVE_JOBS: Final = "SELECT id FROM jobs WHERE state IN ('pending', 'submitting', 'in_doubt', 'running')"
_LIVE_ROWS: Final = {
    "meta": "true",
    "batches": "true",
    "jobs": f"id IN ({_LIVE_JOBS})",
    "attempts": f"job_id IN ({_LIVE_JOBS})",
}
_NEEDED_FACTS: Final = {"ledger_id", "kind", "created_at", "created_by", "generation"}
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
    """Everything that is wrong with a ledger. What cannot be read is a finding, never an exception.

    While others write, the connection must hold a snapshot: what it reads must belong together.
    """
    register(connection)
    for examine in (structure, _rows, _facts, _totals, _gaps, _stories, _open_attempts, _derived):
        yield from guarded(connection, examine)


def structure(connection: sqlite3.Connection) -> Iterator[Finding]:
    """What no person's word can accept: broken pages, references to nothing, tables that are not ours."""
    for (text,) in connection.execute("PRAGMA integrity_check(20)"):
        if text != "ok":
            yield Finding("file", text)
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield Finding(f"{table} {rowid}", f"refers to a row of {parent} that is not there")
    yield from _schema(connection)


def live_rows(connection: sqlite3.Connection) -> Iterator[Finding]:
    """What a submission or a bill may depend on, and nothing else: guards, live rows, the totals of now.

    The totals of a batch are looked at when it is declared, if it has a budget: see `declaration`.
    """
    register(connection)
    for examine in (_schema, _live_rows, _facts, _live_totals, _open_attempts):
        yield from guarded(connection, examine)


def damaged_files(connection: sqlite3.Connection, folder: Path) -> Iterator[Finding]:
    """Artifacts that are not on disk as they were stored; `folder` is the ledger's own."""
    rows = connection.execute(
        "SELECT b.name, j.address, f.folder, f.path, f.bytes, f.sha256 FROM artifacts f"
        " JOIN jobs j ON j.id = f.job_id JOIN batches b ON b.id = j.batch_id ORDER BY f.id"
    ).fetchall()
    for batch, address, place, path, size, digest in rows:
        what = _file(folder / place / path, size, digest)
        if what:
            yield Finding(f"{batch}/{address}", f"{path} {what}")


def migrations_checksum(connection: sqlite3.Connection) -> str:
    """Of the table that says which migrations were applied, and of its rows.

    It is the library's: it has no column for checksums, and another version of it may make it in other words.
    """
    words = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = '_sqlite_migrations' ORDER BY type, name"
    ).fetchall()
    rows = connection.execute("SELECT * FROM _sqlite_migrations ORDER BY 1, 2").fetchall()
    return checksum(*(value for row in (*words, *rows) for value in row)).hex()


def guarded(
    connection: sqlite3.Connection, examine: Callable[[sqlite3.Connection], Iterator[Finding]]
) -> Iterator[Finding]:
    """What an examination finds; that it cannot go on is a finding as well."""
    try:
        yield from examine(connection)
    except (sqlite3.Error, ValueError, TypeError, KeyError, OverflowError) as error:
        yield Finding("file", f"cannot be read: {error}")


def _schema(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Tables, indexes and triggers. What people add beside them is theirs, unless it writes when seedbatch does."""
    found = _schema_of(connection)
    pending = migrations.pending(Database(connection))
    expected = _expected_schema(pending[0].name if pending else None)
    for name, made in expected.items():
        if found.get(name) != made:
            yield Finding(name, "is not as this version of seedbatch makes it")
    tables = {table for table, *_ in expected.values()}
    for name, (table, *_) in found.items():
        if name.startswith("trigger ") and name not in expected and table in tables:
            yield Finding(name, f"is none of seedbatch's, and acts when {table} are written")


def _live_rows(connection: sqlite3.Connection) -> Iterator[Finding]:
    for table, condition in _LIVE_ROWS.items():
        yield from _unsealed(connection, table, condition)


def _rows(connection: sqlite3.Connection) -> Iterator[Finding]:
    for table in sealed_tables(connection):
        yield from guarded(connection, partial(_unsealed, table=table, condition="true"))


def _facts(connection: sqlite3.Connection) -> Iterator[Finding]:
    facts = dict(connection.execute("SELECT key, value FROM meta"))
    for missing in sorted(_NEEDED_FACTS - facts.keys()):
        yield Finding("meta", f"does not tell {missing}")
    if facts.get("migrations") != migrations_checksum(connection):
        yield Finding("_sqlite_migrations", "was changed by other means than seedbatch")


def _unsealed(connection: sqlite3.Connection, table: str, condition: str) -> Iterator[Finding]:
    for number, (rowid, what) in enumerate(_wrong_rows(connection, table, condition)):
        if number == _MOST_OF_A_KIND:
            yield Finding(table, "and more rows")
            return
        yield Finding(f"{table} {rowid}{_named(connection, table, rowid)}", what)


def _wrong_rows(connection: sqlite3.Connection, table: str, condition: str) -> Iterator[tuple[int, str]]:
    """Ids of rows whose checksum does not fit, and why."""
    told = set()
    try:
        for rowid in unsealed(connection, table, condition):
            told.add(rowid)
            yield rowid, "was changed by other means than seedbatch"
    except sqlite3.OperationalError:  # some text is no UTF-8, and nothing says where: one by one
        rows = connection.execute(f"SELECT rowid FROM {table} WHERE {condition}").fetchall()  # noqa: S608 - our words
        for (rowid,) in rows:
            try:
                if rowid not in told and list(unsealed(connection, table, f"rowid = {rowid:d}")):
                    yield rowid, "was changed by other means than seedbatch"
            except sqlite3.OperationalError:
                yield rowid, "cannot be read, or holds text that is no UTF-8"


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


_COUNTED: Final = """
SELECT 'batch ' || j.batch_id, coalesce(a.currency, ''), a.counted, a.exposure
FROM attempts a JOIN jobs j ON j.id = a.job_id
UNION ALL SELECT 'day ' || substr(intended_at, 1, 10), coalesce(currency, ''), counted, exposure FROM attempts
UNION ALL SELECT 'owner ' || owner, coalesce(currency, ''), counted, exposure FROM attempts
UNION ALL SELECT 'finished', '', 1, 0 FROM attempts WHERE outcome IN ('failed', 'succeeded')
UNION ALL SELECT 'rejected', '', 1, 0 FROM attempts WHERE violated_on IS NOT NULL
UNION ALL SELECT 'violations ' || violated_on, '', 1, 0 FROM attempts WHERE violated_on IS NOT NULL
"""
_COUNTED_EXTRAS: Final = """
UNION ALL SELECT 'batch ' || j.batch_id, coalesce(x.currency, ''), 0, x.exposure
FROM extras x JOIN attempts a ON a.id = x.attempt_id JOIN jobs j ON j.id = a.job_id
UNION ALL SELECT 'day ' || substr(a.intended_at, 1, 10), coalesce(x.currency, ''), 0, x.exposure
FROM extras x JOIN attempts a ON a.id = x.attempt_id
UNION ALL SELECT 'owner ' || a.owner, coalesce(x.currency, ''), 0, x.exposure
FROM extras x JOIN attempts a ON a.id = x.attempt_id
"""
_COUNTED_CALLS: Final = """
UNION ALL SELECT 'awaited', '', 1, 0 FROM attempts WHERE outcome IN ('failed', 'succeeded') AND token IS NOT NULL
UNION ALL SELECT 'called', '', 1, 0 FROM attempts
WHERE outcome IN ('failed', 'succeeded') AND token IS NOT NULL AND called_at IS NOT NULL
"""


def totals_counted_anew(connection: sqlite3.Connection) -> str:
    """A query for what `totals` must hold: scope, currency, count, exposure."""
    there = tables(connection)  # an older seedbatch made fewer, and counted less
    parts = _COUNTED + (_COUNTED_EXTRAS if "extras" in there else "") + (_COUNTED_CALLS if "counts" in there else "")
    return (
        f"WITH counted (scope, currency, count, exposure) AS ({parts})"  # noqa: S608 - our words
        " SELECT scope, currency, sum(count), sum(exposure) FROM counted GROUP BY scope, currency"
    )


Totals = dict[tuple[str, str], tuple[int, int]]  # count and exposure by scope and currency


def counted_anew(connection: sqlite3.Connection) -> Totals:
    """What `totals` must say."""
    return _read(connection.execute(totals_counted_anew(connection)))


def _sums(connection: sqlite3.Connection, parts: str, values: tuple[str | int, ...]) -> Totals:
    query = (
        f"WITH counted (scope, currency, count, exposure) AS ({parts})"  # noqa: S608 - our words
        " SELECT scope, currency, sum(count), sum(exposure) FROM counted GROUP BY scope, currency"
    )
    return _read(connection.execute(query, values))


def _said(connection: sqlite3.Connection, condition: str, values: tuple[str, ...] = ()) -> Totals:
    query = f"SELECT scope, currency, count, exposure FROM totals WHERE {condition}"  # noqa: S608 - our words
    return _read(connection.execute(query, values))


def _read(rows: Iterable[tuple[str, str, int, int]]) -> Totals:
    return {(scope, currency): (count, exposure) for scope, currency, count, exposure in rows}


def _totals(connection: sqlite3.Connection) -> Iterator[Finding]:
    yield from _compared(counted_anew(connection), _said(connection, "true"))


def _compared(expected: Totals, found: Totals) -> Iterator[Finding]:
    scopes = {scope for scope, _ in expected}
    nothing = (0, 0)
    for key in sorted({*expected, *found}):
        # Attempts that got their price later leave an empty total without a currency behind.
        left = key not in expected and key[0] in scopes and not key[1] and found[key] == nothing
        if expected.get(key) != found.get(key) and not left and (key in found or expected[key] != nothing):
            yield Finding(f"totals {key[0]}", f"says {found.get(key)}, and the attempts come to {expected.get(key)}")


def _live_totals(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Those by which the next submission is judged: of the latest day and after it, and what moderation took."""
    ((last,),) = connection.execute("SELECT coalesce(max(intended_at), '') FROM attempts")
    day = last[DAY]
    expected: Totals = {
        ("finished", ""): (
            _one(connection, "SELECT count(*) FROM attempts WHERE outcome IN ('failed', 'succeeded')"),
            0,
        ),
        ("rejected", ""): (_one(connection, "SELECT count(*) FROM attempts WHERE violated_on IS NOT NULL"), 0),
    }
    for violated_on, count in connection.execute(
        "SELECT violated_on, count(*) FROM attempts WHERE violated_on IS NOT NULL GROUP BY violated_on"
    ):
        expected[f"violations {violated_on}", ""] = (count, 0)
    parts = (
        "SELECT 'day ' || substr(intended_at, 1, 10), coalesce(currency, ''), counted, exposure FROM attempts"
        " WHERE intended_at >= ?1"
    )
    if "extras" in tables(connection):
        parts += (
            " UNION ALL SELECT 'day ' || substr(a.intended_at, 1, 10), coalesce(x.currency, ''), 0, x.exposure"
            " FROM attempts a CROSS JOIN extras x ON x.attempt_id = a.id WHERE a.intended_at >= ?1"
        )
    expected |= _sums(connection, parts, (day,))
    found = _said(
        connection,
        "scope IN ('finished', 'rejected') OR (scope >= 'violations ' AND scope < 'violations!')"
        " OR (scope >= 'day ' || ? AND scope < 'day!')",
        (day,),
    )
    yield from _compared(expected, found)


def wrong_totals_of_batch(connection: sqlite3.Connection, batch_id: int) -> Iterator[Finding]:
    """What is wrong with the totals by which the budget of one batch is kept."""
    scope = f"batch {batch_id}"
    parts = (
        "SELECT ?1, coalesce(a.currency, ''), a.counted, a.exposure"
        " FROM jobs j CROSS JOIN attempts a ON a.job_id = j.id WHERE j.batch_id = ?2"
        " UNION ALL SELECT ?1, coalesce(x.currency, ''), 0, x.exposure"
        " FROM extras x JOIN attempts a ON a.id = x.attempt_id JOIN jobs j ON j.id = a.job_id WHERE j.batch_id = ?2"
    )
    expected = _sums(connection, parts, (scope, batch_id))
    yield from _compared(expected, _said(connection, "scope = ?", (scope,)))


def _one(connection: sqlite3.Connection, query: str) -> int:
    ((count,),) = connection.execute(query)
    return int(count)


def _gaps(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Rows that are gone: none is ever deleted."""
    numbered = {"jobs", "attempts", "artifacts", "events", "callbacks", "extras", "runs"}
    for table in sealed_tables(connection):
        if table not in numbered:
            continue
        key = "seq" if table == "events" else "id"
        ((count, least, most),) = connection.execute(f"SELECT count(*), min({key}), max({key}) FROM {table}")  # noqa: S608
        if count and (least != 1 or most != count):
            yield Finding(table, f"has {count:,} rows, numbered from {least} to {most}")
    ((last,),) = connection.execute("SELECT coalesce(max(seq), 0) FROM events")
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    if (row[0] if row else 0) != last:
        yield Finding("events", f"the last is {last}, but {row and row[0]} were written")


def _stories(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Replaying a job's events gives its state."""
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
    for job_id, state in connection.execute("SELECT id, state FROM jobs"):
        if reached.get(job_id) != state:
            yield Finding(f"job {job_id}", f"is {state}, and its events lead to {reached.get(job_id)}")


def _open_attempts(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Exactly the live states have an open attempt."""
    live = ", ".join(f"'{state}'" for state in LIVE)
    rows = connection.execute(
        f"SELECT id, state, 'no' FROM jobs j WHERE state IN ({live})"  # noqa: S608 - our words
        " AND NOT EXISTS (SELECT 1 FROM attempts WHERE job_id = j.id AND outcome IS NULL)"
        " UNION ALL SELECT j.id, j.state, 'an' FROM attempts a JOIN jobs j ON j.id = a.job_id"
        f" WHERE a.outcome IS NULL AND j.state NOT IN ({live})"
    )
    for job_id, state, how_many in rows:
        yield Finding(f"job {job_id}", f"is {state}, and has {how_many} open attempt")


def _derived(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Labels decide what a selection means, counts when a run has ended."""
    if not {"labels", "counts"} <= tables(connection):  # a ledger that an older seedbatch made
        return
    for which in wrong_counts(connection):
        yield Finding("counts", f"are wrong for {which}")
    for number, (job_id, what) in enumerate(wrong_labels(connection)):
        if number == _MOST_OF_A_KIND:
            yield Finding("labels", "and more of them")
            return
        yield Finding(f"labels of job {job_id}", what)


def _schema_of(connection: sqlite3.Connection) -> dict[str, tuple[str, str | None, str]]:
    """By kind and name: its table, its words, and that kind and name are text, of which one bit makes mere bytes."""
    rows = connection.execute(
        "SELECT type || ' ' || name, tbl_name, sql, typeof(type) || ' ' || typeof(name)"
        " FROM sqlite_master WHERE tbl_name <> '_sqlite_migrations'"
    )
    return {name: (table, sql, types) for name, table, sql, types in rows}


@cache
def _expected_schema(before: str | None) -> dict[str, tuple[str, str | None, str]]:
    """What the migrations make, up to one that was not applied yet."""
    database = Database(memory=True)
    migrations.apply(database, stop_before=before)
    return _schema_of(database.conn)


def _file(path: Path, size: int, digest: str) -> str:
    found = hashlib.sha256()
    try:
        facts = path.stat()
        if not S_ISREG(facts.st_mode):
            return "is no file any more"
        if facts.st_size != size:
            return f"has {facts.st_size:,} bytes, and was stored with {size:,}"
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if found.hexdigest() == digest else "has other content than was stored"
