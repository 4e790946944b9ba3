"""What a person asks of a ledger: look at all of it, and take its rows as they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from seedbatch.domain.errors import LedgerDamaged
from seedbatch.domain.moments import stamp
from seedbatch.domain.states import JobState
from seedbatch.ledger.check import (
    EDITED,
    Finding,
    damaged_files,
    findings,
    guarded,
    migrations_checksum,
    structure,
    totals_counted_anew,
)
from seedbatch.ledger.checksums import SEALED, seal_all, tables
from seedbatch.ledger.labels import relabel
from seedbatch.ledger.locks import WriteLock
from seedbatch.ledger.opening import connect_sealing
from seedbatch.ledger.rows import note
from seedbatch.ledger.schema import check_schema
from seedbatch.ledger.tallies import recount


@dataclass(frozen=True, slots=True)
class Examination:
    """What is wrong with a ledger and with its files, and how much was looked at."""

    ledger: tuple[Finding, ...]
    files: tuple[Finding, ...]
    rows: int
    artifacts: int


def examine(path: Path, *, files: bool, accept_as: str | None, now: datetime) -> Examination:
    """Look at the ledger at `path`; with `accept_as` take its rows as they are first, by that person's word.

    Raises:
        LedgerError: it is no ledger, is a newer one, or is locked; or what is wrong cannot be accepted.
    """
    try:
        if accept_as is not None:
            lock = WriteLock(path.with_name(f"{path.name}.lock"))
            with lock.held(), closing(connect_sealing(path, trusting=True)) as connection:
                _accept(connection, accept_as, now)
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as reading:
            reading.execute("BEGIN")  # one moment of the ledger, whoever writes meanwhile
            check_schema(reading, path)
            found = tuple(findings(reading))
            counts = {table: _count(reading, table) for table in SEALED}
            reading.execute("ROLLBACK")  # hashing takes long, and a snapshot keeps the log from being emptied
            gone = tuple(damaged_files(reading, path.parent)) if files and not found else ()
            return Examination(found, gone, sum(counts.values()), counts["artifacts"])
    except (sqlite3.Error, OSError, ValueError, KeyError) as error:
        raise LedgerDamaged(f"{path} is not a ledger, or it cannot be read: {error}") from error


def _count(connection: sqlite3.Connection, table: str) -> int:
    try:
        ((count,),) = connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - our words
    except sqlite3.Error:
        return 0
    return int(count)


def _accept(connection: sqlite3.Connection, by: str, now: datetime) -> None:
    """A person's word that the rows are right as they are: new checksums, new totals, in one transaction.

    Raises:
        LedgerDamaged: what is wrong is no question of anybody's word.
    """
    _refuse(next(guarded(connection, structure), None))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM totals")
    connection.execute(f"INSERT INTO totals (scope, currency, count, exposure) {totals_counted_anew(connection)}")
    there = tables(connection)  # a ledger that an older seedbatch made has fewer
    if {"labels", "counts"} <= there:
        relabel(connection)
        recount(connection)
    if "declared" in there:  # no trigger sees what changes a file, or a row while triggers are off
        connection.execute("DELETE FROM declared")
    _tell_stories_to_the_end(connection, by, now)
    facts = {"accepted_at": stamp(now), "accepted_by": by, "migrations": migrations_checksum(connection)}
    connection.executemany(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        list(facts.items()),
    )
    seal_all(connection)
    _refuse(next(findings(connection), None))  # rows that are gone, or that contradict one another
    connection.execute("COMMIT")


def _refuse(finding: Finding | None) -> None:
    if finding is not None:
        raise LedgerDamaged(f"this cannot be accepted: {finding}", hint="restore a backup, or seedbatch ledger rebuild")


def _tell_stories_to_the_end(connection: sqlite3.Connection, by: str, now: datetime) -> None:
    """A state that was written by hand gets its event, so that replaying events gives the state again."""
    rows = connection.execute(
        "SELECT id, state, (SELECT to_state FROM events WHERE job_id = j.id AND to_state IS NOT NULL"
        " ORDER BY seq DESC LIMIT 1) FROM jobs j"
    ).fetchall()
    for job_id, state, told in rows:
        if told != state:
            states = (told and JobState(told), JobState(state))
            note(connection, now, EDITED, job_id, states=states, data={"by": by})
