"""Making, opening and refusing ledger files."""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from sqlite_utils import Database

from seedbatch import __version__
from seedbatch.domain.errors import LedgerDamaged, LedgerError, LedgerNewer
from seedbatch.domain.moments import stamp
from seedbatch.ledger.locks import WriteLock
from seedbatch.ledger.migrations import migrations

Kind = Literal["real", "sandbox"]

_BUSY_SECONDS: Final = 5.0
# quick_check reads the whole file: about a second for 500 MB, so larger ledgers are left to `ledger check`.
_CHECKED_BYTES: Final = 64 * 1024 * 1024


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
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def prepare(path: Path, kind: Kind, ledger_id: str, lock: WriteLock, now: datetime) -> str:
    """Make the ledger if there is none, bring an older one up to date; returns the ledger's id.

    Raises:
        LedgerDamaged: the file is no ledger.
        LedgerNewer: a newer seedbatch wrote it.
        LedgerError: it cannot be written, or it belongs to the sandbox and the provider is real, or the reverse.
    """
    try:
        with lock.held():
            if not path.exists():
                _create(path, kind, ledger_id, now)
            return _upgrade(path, kind)
    except sqlite3.OperationalError as error:
        raise LedgerError(f"the ledger {path} cannot be opened for writing: {error}") from error
    except sqlite3.DatabaseError as error:
        raise LedgerDamaged(
            f"{path} is not a ledger, or it is damaged: {error}",
            hint="nothing was submitted; restore it from a backup, or name another file with --ledger",
        ) from error
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be opened: {error.strerror or error}") from error


def _create(path: Path, kind: Kind, ledger_id: str, now: datetime) -> None:
    # Made whole under another name: nobody ever meets half a ledger.
    newborn = path.with_name(f".{path.name}.{ledger_id}")
    os.close(os.open(newborn, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        connection = connect(newborn)
        connection.execute("PRAGMA journal_mode=WAL")
        migrations.apply(Database(connection))
        connection.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?)",
            [("ledger_id", ledger_id), ("kind", kind), ("created_at", stamp(now)), ("created_by", __version__)],
        )
        connection.close()
        os.link(newborn, path)
    finally:
        newborn.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _upgrade(path: Path, kind: Kind) -> str:
    if path.is_dir():
        raise LedgerDamaged(f"{path} is a folder, not a ledger", hint="name a file with --ledger")
    if path.stat().st_size == 0:
        raise LedgerDamaged(f"{path} is empty: no ledger", hint="if it never was one, remove it and run it again")
    connection = connect(path)
    try:
        database = Database(connection)
        check_schema(connection, path)
        if path.stat().st_size <= _CHECKED_BYTES:
            _check_pages(connection, path)
        if migrations.pending(database):
            migrations.apply(database)
        meta = dict(connection.execute("SELECT key, value FROM meta"))
    finally:
        connection.close()
    if meta["kind"] != kind:
        raise LedgerError(*_wrong_kind(path, meta["kind"]))
    return str(meta["ledger_id"])


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that is no ledger, or one of a newer seedbatch.

    Raises:
        LedgerDamaged: no ledger.
        LedgerNewer: it holds migrations that this version does not know.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"meta", "_sqlite_migrations"} <= tables:
        raise LedgerDamaged(
            f"{path} is a database, but not a ledger of seedbatch", hint="name another file with --ledger"
        )
    applied = {
        name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'seedbatch'")
    }
    known = {migration.name for migration in migrations.pending(Database(memory=True))}
    if newer := sorted(applied - known):
        raise LedgerNewer(
            f"{path} was written by a newer seedbatch ({', '.join(newer)}); this is {__version__}",
            hint="pip install --upgrade seedbatch",
        )


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    findings = [text for (text,) in connection.execute("PRAGMA quick_check(3)")]
    if findings != ["ok"]:
        raise LedgerDamaged(
            f"{path} is damaged: {'; '.join(findings)[:300]}",
            hint="nothing was submitted; restore it from a backup before going on",
        )


def _wrong_kind(path: Path, kind: str) -> tuple[str]:
    if kind == "sandbox":
        return (f"{path} belongs to the sandbox: a real provider is never asked with it (add --sandbox, or --ledger)",)
    return (f"{path} belongs to the real provider: --sandbox does not touch it (leave --ledger out)",)
