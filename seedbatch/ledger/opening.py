"""Making, opening and refusing ledger files."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from sqlite_utils import Database

from seedbatch import __version__
from seedbatch.domain.errors import LedgerDamaged, LedgerError
from seedbatch.domain.moments import stamp
from seedbatch.ledger.check import findings, live_rows, migrations_checksum
from seedbatch.ledger.checksums import columns, seal, watch
from seedbatch.ledger.locks import WriteLock
from seedbatch.ledger.mark import Mark, check, check_gone
from seedbatch.ledger.migrations import migrations
from seedbatch.ledger.schema import check_schema

Kind = Literal["real", "sandbox"]

_BUSY_SECONDS: Final = 5.0
# Looking at everything takes about a second for so much; of larger ledgers only what may cost money is looked at.
_CHECKED_BYTES: Final = 16 * 1024 * 1024


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes: every commit is synced, transactions are begun by hand, checkpoints are ours."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    for pragma in (
        "synchronous=FULL",
        "fullfsync=ON",
        "checkpoint_fullfsync=ON",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "wal_autocheckpoint=0",
        "temp_store=MEMORY",  # the notes of `checksums`; not to be changed within a transaction
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def connect_sealing(path: Path, *, trusting: bool = False) -> sqlite3.Connection:
    """A connection to a finished ledger, that notes what it touches: see `checksums`."""
    connection = connect(path)
    watch(connection, trusting=trusting)
    return connection


def prepare(path: Path, kind: Kind, ledger_id: str, lock: WriteLock, now: datetime) -> str:
    """Make the ledger if there is none, bring an older one up to date; returns the ledger's id.

    Raises:
        LedgerDamaged: the file is no ledger.
        LedgerNewer: a newer seedbatch wrote it.
        LedgerError: it cannot be written, it belongs to the sandbox and the provider is real, or the reverse, or its
            mark says that it is an older copy.
    """
    try:
        with lock.held():
            if not path.exists():
                check_gone(path, kind)
                create(path, kind, ledger_id, now)
            inside = upgrade(path, kind)
            check(path, kind, inside)
            return inside.ledger
    except sqlite3.OperationalError as error:
        raise LedgerError(f"the ledger {path} cannot be opened for writing: {error}") from error
    except (sqlite3.DatabaseError, ValueError, KeyError) as error:  # text that is no text, a table without its columns
        raise LedgerDamaged(
            f"{path} is not a ledger, or it is damaged: {error}",
            hint="nothing was submitted; restore it from a backup, or name another file with --ledger",
        ) from error
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be opened: {error.strerror or error}") from error


def create(path: Path, kind: Kind, ledger_id: str, now: datetime) -> None:
    """Make a ledger at a path that is free; called under the write lock."""
    # Made whole under another name: nobody ever meets half a ledger.
    newborn = path.with_name(f".{path.name}.{ledger_id}")
    os.close(os.open(newborn, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        connection = connect(newborn)
        connection.execute("PRAGMA journal_mode=WAL")
        migrations.apply(Database(connection))
        connection.execute("VACUUM")  # a table that was made in two steps leaves pages behind
        watch(connection)
        connection.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?)",
            [
                ("ledger_id", ledger_id),
                ("kind", kind),
                ("created_at", stamp(now)),
                ("created_by", __version__),
                ("generation", "0"),
                ("migrations", migrations_checksum(connection)),
            ],
        )
        connection.close()
        os.link(newborn, path)
    finally:
        newborn.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def upgrade(path: Path, kind: Kind) -> Mark:
    """Check a ledger and bring it up to date; returns the mark inside it. Called under the write lock.

    Raises:
        LedgerError: as `prepare`.
    """
    if path.is_dir():
        raise LedgerDamaged(f"{path} is a folder, not a ledger", hint="name a file with --ledger")
    if path.stat().st_size == 0:
        raise LedgerDamaged(f"{path} is empty: no ledger", hint="if it never was one, remove it and run it again")
    connection = connect(path)
    try:
        database = Database(connection)
        check_schema(connection, path)
        _check_rows(connection, path)
        if migrations.pending(database):
            _migrate(connection, database)
        meta = dict(connection.execute("SELECT key, value FROM meta"))
    finally:
        connection.close()
    if meta["kind"] != kind:
        raise LedgerError(*_wrong_kind(path, meta["kind"]))
    return Mark.of(meta)


def bring_up_to_date(path: Path) -> None:
    """Give a ledger that an older seedbatch wrote its new tables.

    Raises:
        LedgerError: as `prepare`.
    """
    lock = WriteLock(path.with_name(f"{path.name}.lock"))
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            ((kind,),) = connection.execute("SELECT value FROM meta WHERE key = 'kind'")
        with lock.held():
            upgrade(path, kind)
    except (sqlite3.Error, OSError) as error:
        taken = "already exists" in str(error)  # a view of somebody's own
        raise LedgerError(
            f"{path} was written by an older seedbatch, and cannot be brought up to date: {error}",
            hint="that name is seedbatch's now: drop yours, and make it again under another"
            if taken
            else "it must be writable once",
        ) from error
    finally:
        lock.close()


def _migrate(connection: sqlite3.Connection, database: Database) -> None:
    # One transaction: a ledger with new columns and old checksums would be refused.
    connection.execute("BEGIN IMMEDIATE")
    before = columns(connection)
    migrations.apply(database)
    watch(connection, trusting=True)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'migrations'", (migrations_checksum(connection),))
    # Where no column is new the old seals fit, and a row that was damaged unseen keeps the one that says so.
    seal(connection, [table for table, names in columns(connection).items() if names != before.get(table)])
    connection.execute("COMMIT")


def _check_rows(connection: sqlite3.Connection, path: Path) -> None:
    """Everything of a small ledger; of a large one the rows on which a submission or a bill may depend."""
    small = path.stat().st_size <= _CHECKED_BYTES
    found = [str(one) for one in islice(findings(connection) if small else live_rows(connection), 3)]
    if found:
        raise LedgerDamaged(
            f"{path} is damaged, or was edited by other means: {'; '.join(found)[:300]}",
            hint="nothing was submitted; seedbatch ledger check tells everything that is wrong with it",
        )


def _wrong_kind(path: Path, kind: str) -> tuple[str]:
    if kind == "sandbox":
        return (f"{path} belongs to the sandbox: a real provider is never asked with it (add --sandbox, or --ledger)",)
    return (f"{path} belongs to the real provider: --sandbox does not touch it (leave --ledger out)",)
