"""Which version of the tables a ledger has; for those who read, and want neither the tables nor the library's help."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from seedbatch import __version__
from seedbatch.domain.errors import LedgerDamaged, LedgerNewer

# As `migrations` holds them. The library that applies them takes longer to import than most readers to answer.
MIGRATIONS: Final = (
    *("0001_first_tables", "0002_callbacks", "0003_selections", "0004_vars", "0005_runs", "0006_shares", "0007_views"),
    "0008_declared",
)


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
    if newer := sorted(_applied(connection).difference(MIGRATIONS)):
        raise LedgerNewer(
            f"{path} was written by a newer seedbatch ({', '.join(newer)}); this is {__version__}",
            hint="pip install --upgrade seedbatch",
        )


def is_older(connection: sqlite3.Connection) -> bool:
    """Whether an older seedbatch wrote this ledger."""
    return not _applied(connection).issuperset(MIGRATIONS)


def _applied(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'seedbatch'")
    return {name for (name,) in rows}
