"""Opens the sandbox's file: its tables, step by step through their versions, and who may read it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# One entry a version: what makes the tables of that version out of those of the one before.
_STEPS: Final = (
    (
        """CREATE TABLE tasks (
          task_id TEXT PRIMARY KEY, model TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('image', 'video')),
          input TEXT NOT NULL, user_id TEXT, callback_url TEXT, outcome TEXT NOT NULL, outputs INTEGER NOT NULL,
          units INTEGER NOT NULL CHECK (units >= 0), created INTEGER NOT NULL, ends INTEGER NOT NULL,
          visible_from INTEGER NOT NULL, refund_due INTEGER NOT NULL CHECK (refund_due IN (0, 1))
        ) STRICT""",
        "CREATE INDEX tasks_refund_due ON tasks (ends, task_id) WHERE refund_due = 1",
        """CREATE TABLE bill (
          seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, task_id TEXT NOT NULL, model TEXT NOT NULL,
          kind TEXT NOT NULL CHECK (kind IN ('charge', 'refund', 'surcharge')), units INTEGER NOT NULL, user_id TEXT,
          UNIQUE (task_id, kind), CHECK ((kind = 'refund' AND units <= 0) OR (kind <> 'refund' AND units >= 0))
        ) STRICT""",
        "CREATE TRIGGER bill_keeps BEFORE UPDATE ON bill BEGIN SELECT raise(ABORT, 'the bill is append-only'); END",
        "CREATE TRIGGER bill_stays BEFORE DELETE ON bill BEGIN SELECT raise(ABORT, 'the bill is append-only'); END",
        "CREATE TABLE violations (day TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT",
        "CREATE TABLE failed_once (prompt TEXT PRIMARY KEY) STRICT",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
        "INSERT INTO facts VALUES ('spent', 0)",
    ),
    (
        """CREATE TABLE calls (
          task_id TEXT NOT NULL, number INTEGER NOT NULL, due INTEGER, fault TEXT, forged TEXT, at INTEGER, answer TEXT,
          PRIMARY KEY (task_id, number), CHECK (answer IS NULL OR at IS NOT NULL)
        ) STRICT""",
        "CREATE INDEX calls_due ON calls (due) WHERE at IS NULL",
        # Version 1 kept the URLs and called none: each of its tasks is still owed its one call.
        "INSERT INTO calls (task_id, number, due) SELECT task_id, 1, ends FROM tasks WHERE callback_url IS NOT NULL",
    ),
)


def open_writer(path: Path) -> sqlite3.Connection:
    """A connection for the one thread that writes; a file that is not there is made, one of an earlier version changed.

    Raises:
        OSError: the file cannot be made or opened, or is no file of a sandbox of this version or an earlier one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Made by us and not by SQLite, so that nobody else can read it for a moment.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = connect(path)
    try:
        _prepare(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise OSError(f"{path} cannot be used as a file of the sandbox: {error}") from error
        raise
    return connection


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to a file that is there."""
    # as_uri escapes what a file name may hold and a URI may not.
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    # The writer's connection is made on one thread and used by one other, never by both.
    return sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write; closed afterwards."""
    connection = connect(path, read_only=True)
    try:
        yield connection
    finally:
        connection.close()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version, tables = _state(connection)
    if version not in (range(1, len(_STEPS) + 1) if tables else {0}):  # before anything about the file is changed
        raise OSError(f"{path} is no file of this version of the sandbox")
    path.chmod(0o600)  # -wal and -shm take it over
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    version, _ = _state(connection)  # asked again: two sandboxes may open one file at once
    for step in range(version, len(_STEPS)):
        for statement in (*_STEPS[step], f"PRAGMA user_version = {step + 1}"):
            connection.execute(statement)
    connection.execute("COMMIT")


def _state(connection: sqlite3.Connection) -> tuple[int, int]:
    """The version, and how many tables and the like there are; in one question, so that both are of one moment."""
    question = "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
    version, tables = connection.execute(question).fetchone()
    return int(version), int(tables)
