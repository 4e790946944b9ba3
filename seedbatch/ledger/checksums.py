"""A checksum in each row, because SQLite notices only a fifth of the damage to what it stores.

A connection that writes gives every row that it writes its seal: sixteen bytes of SHA-256 over the row as it is stored.
Whoever edits the file by other means leaves a seal that does not fit. A row is looked at before it is changed: a new
seal over a damaged row would hide the damage, and a claim would submit it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

# Every table whose rows are facts; `totals`, `counts` and `labels` are derived, and derived anew instead.
SEALED: Final = (
    *("meta", "batches", "jobs", "attempts", "outputs", "artifacts", "events", "callbacks", "extras", "runs", "shares"),
    "declared",
)
# What a connection is told that is about to change a row which does not fit its seal.
ALTERED: Final = "a row was changed by other means than seedbatch"


def watch(connection: sqlite3.Connection, *, trusting: bool = False) -> None:
    """Seal from now on what this connection writes, by triggers that nobody else sees.

    Unless `trusting`, changing a row that does not fit its seal is an IntegrityError that says `ALTERED`.
    """
    register(connection)
    for table in sealed_tables(connection):
        names = _columns(connection, table)
        written = f"UPDATE OF {', '.join(names)}"
        sealing = f"UPDATE {table} SET checksum = {_call(table, names)} WHERE rowid = NEW.rowid"  # noqa: S608 - our words
        for name, when in (("inserted", "INSERT"), ("updated", written)):
            connection.execute(f"CREATE TEMP TRIGGER {table}_{name} AFTER {when} ON main.{table} BEGIN {sealing}; END")
        if not trusting:
            connection.execute(
                f"CREATE TEMP TRIGGER {table}_examined BEFORE {written} ON main.{table}"
                f" WHEN OLD.checksum IS NOT {_call(table, names, 'OLD.')} BEGIN SELECT RAISE(ABORT, '{ALTERED}'); END"
            )


def seal_all(connection: sqlite3.Connection) -> None:
    """Give every row its checksum, whatever it says: by a person's word."""
    seal(connection, sealed_tables(connection))


def seal(connection: sqlite3.Connection, some: Iterable[str]) -> None:
    """Give every row of some tables its checksum: after a migration."""
    for table in some:
        connection.execute(f"UPDATE {table} SET checksum = {_call(table, _columns(connection, table))}")  # noqa: S608 - our words


def columns(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """What the checksums of each table's rows are made of."""
    return {table: _columns(connection, table) for table in sealed_tables(connection)}


def sealed_tables(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Those of `SEALED` that a ledger has: one that an older seedbatch made has fewer."""
    there = tables(connection)
    return tuple(table for table in SEALED if table in there)


def tables(connection: sqlite3.Connection) -> set[str]:
    """The tables that a ledger has."""
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def unsealed(connection: sqlite3.Connection, table: str, condition: str = "true") -> Iterator[int]:
    """The ids of rows whose checksum does not fit, of those that meet a condition.

    Raises:
        sqlite3.DatabaseError: a value cannot even be read.
    """
    rows = connection.execute(
        f"SELECT rowid FROM {table} WHERE ({condition})"  # noqa: S608 - our words
        f" AND checksum IS NOT {_call(table, _columns(connection, table))}"
    )
    for (rowid,) in rows:
        yield rowid


def register(connection: sqlite3.Connection) -> None:
    """Make the checksum known to a connection's SQL."""
    connection.create_function("row_checksum", -1, checksum, deterministic=True)


def checksum(*values: str | float | bytes | None) -> bytes:
    """Sixteen bytes over a table's name, a row's id and its values, types included."""
    # The literals of Python tell every value from every other, in ASCII, and are made in C.
    return hashlib.sha256(ascii(values).encode("ascii")).digest()[:16]


def _call(table: str, columns: Iterable[str], row: str = "") -> str:
    return f"row_checksum('{table}', {', '.join(f'{row}{name}' for name in ('rowid', *columns))})"


def _columns(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM pragma_table_info(?) WHERE name <> 'checksum'", (table,))
    return tuple(f'"{name}"' for (name,) in rows)
