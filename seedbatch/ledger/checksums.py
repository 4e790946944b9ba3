"""A checksum in each row, because SQLite notices only a fifth of the damage to what it stores.

A connection that writes notes the rows that it touches, and seals them before each commit: sixteen bytes of SHA-256
over the row as it is stored. Whoever edits the file by other means leaves a seal that does not fit. A row is looked at
before it is changed: a new seal over a damaged row would hide the damage, and a claim would submit it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

# Every table whose rows are facts; `totals` is derived, and recounted instead.
SEALED: Final = ("meta", "batches", "jobs", "attempts", "outputs", "artifacts", "events")
# What a connection is told that is about to change a row which does not fit its seal.
ALTERED: Final = "a row was changed by other means than seedbatch"

_encode = json.JSONEncoder(separators=(",", ":")).encode


class SealingConnection(sqlite3.Connection):
    """A connection that writes. `seals` are the statements that give touched rows their checksums, by table."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seals: dict[str, str] = {}

    def watch(self, *, trusting: bool = False) -> None:
        """Note from now on which rows are touched, in a table that only this connection sees.

        Unless `trusting`, changing a row that does not fit its seal is an IntegrityError that says `ALTERED`.
        """
        register(self)
        self.execute("CREATE TEMP TABLE touched (tbl TEXT, id INTEGER, PRIMARY KEY (tbl, id)) WITHOUT ROWID")
        for table in SEALED:
            columns = ", ".join(_columns(self, table))
            for name, when in (("inserted", "INSERT"), ("updated", f"UPDATE OF {columns}")):
                self.execute(
                    f"CREATE TEMP TRIGGER {table}_{name} AFTER {when} ON main.{table}"  # noqa: S608 - our words
                    f" BEGIN INSERT OR IGNORE INTO touched VALUES ('{table}', NEW.rowid); END"
                )
            if not trusting:
                # What this transaction changed already has its seal when it is committed.
                self.execute(
                    f"CREATE TEMP TRIGGER {table}_examined BEFORE UPDATE OF {columns} ON main.{table}"  # noqa: S608
                    f" WHEN OLD.checksum IS NOT {_call(self, table, 'OLD.')} AND NOT EXISTS"
                    f" (SELECT 1 FROM touched WHERE tbl = '{table}' AND id = OLD.rowid)"
                    f" BEGIN SELECT RAISE(ABORT, '{ALTERED}'); END"
                )
            self.seals[table] = (
                f"UPDATE {table} SET checksum = {_call(self, table)}"  # noqa: S608 - our words
                f" WHERE rowid IN (SELECT id FROM temp.touched WHERE tbl = '{table}')"
            )

    def seal(self) -> None:
        """Give every row that was touched in this transaction its checksum."""
        touched = self.execute("SELECT DISTINCT tbl FROM temp.touched").fetchall()
        for (table,) in touched:
            self.execute(self.seals[table])
        if touched:
            self.execute("DELETE FROM temp.touched")

    def seal_all(self) -> None:
        """Give every row its checksum, whatever it says: after a migration, or by a person's word."""
        for table in SEALED:
            self.execute(f"UPDATE {table} SET checksum = {_call(self, table)}")  # noqa: S608 - our words
        self.execute("DELETE FROM temp.touched")


def unsealed(connection: sqlite3.Connection, table: str, condition: str = "true") -> Iterator[int]:
    """The ids of rows whose checksum does not fit, of those that meet a condition.

    Raises:
        sqlite3.DatabaseError: a value cannot even be read.
    """
    rows = connection.execute(
        f"SELECT rowid FROM {table} WHERE ({condition})"  # noqa: S608 - our words
        f" AND checksum IS NOT {_call(connection, table)}"
    )
    for (rowid,) in rows:
        yield rowid


def register(connection: sqlite3.Connection) -> None:
    """Make the checksum known to a connection's SQL."""
    connection.create_function("row_checksum", -1, checksum, deterministic=True)


def checksum(*values: str | float | bytes | None) -> bytes:
    """Sixteen bytes over a table's name, a row's id and its values, types included."""
    plain = [{"bytes": value.hex()} if isinstance(value, bytes) else value for value in values]
    return hashlib.sha256(_encode(plain).encode("ascii")).digest()[:16]


def _call(connection: sqlite3.Connection, table: str, row: str = "") -> str:
    values = ("rowid", *_columns(connection, table))
    return f"row_checksum('{table}', {', '.join(f'{row}{name}' for name in values)})"


def _columns(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM pragma_table_info(?) WHERE name <> 'checksum'", (table,))
    return tuple(f'"{name}"' for (name,) in rows)
