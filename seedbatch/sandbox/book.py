"""The sandbox's one file: tasks and an append-only bill in SQLite, written by one thread that commits in groups.

A caller's change is durable (WAL, `synchronous=FULL`) when its future is done. The group is whatever queued while the
last commit ran, so a lone change waits for nobody and a crowd shares one sync.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

from seedbatch.sandbox.prices import surcharge
from seedbatch.sandbox.tasks import Outcome, TaskRow, moment_of

BillKind = Literal["charge", "refund", "surcharge"]
T = TypeVar("T")

_GROUP: Final = 500
_VERSION: Final = 1
_SCHEMA: Final = (
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
    f"PRAGMA user_version = {_VERSION}",
)
_TASK_COLUMNS: Final = (
    "task_id, model, kind, input, user_id, callback_url, outcome, outputs, units, created, ends, visible_from"
)


class InsufficientBalance(Exception):
    """The balance does not cover the task; nothing was recorded."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line of the bill. `units` of a refund are negative: the sum of all lines is the money spent."""

    seq: int
    at: datetime
    task_id: str
    model: str
    kind: BillKind
    units: int
    user_id: str | None


@dataclass(frozen=True, slots=True)
class _Change:
    apply: Callable[[sqlite3.Connection], Any]
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Book:
    """The open file. Made and closed on an event loop; its verbs return once their change is durable.

    Raises:
        OSError: the file cannot be made or opened, or is no file of a sandbox.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made by us and not by SQLite, so that nobody else can read it for a moment.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        writer = _writer(path)  # opened here, so that what is wrong with the file is known before anything starts
        self._reader = _connect(path)
        self._queue: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_write, args=(writer, self._queue), name="sandbox-book", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finish the changes that wait, and close the file."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()

    async def accept(self, row: TaskRow, *, balance: int | None, once: str | None, if_again: TaskRow) -> TaskRow:
        """Record a task and charge for it, in one transaction.

        With `once`, the digest of a prompt, the task is `row` the first time that comes and `if_again` from then on.

        Raises:
            InsufficientBalance: `balance` less what was spent does not cover the task.
        """
        return await self._change(lambda connection: _accept(connection, row, balance, once, if_again))

    async def settle(self, now: int) -> int:
        """Refund every unsuccessful task that has ended by now, in the order they ended; tell how many."""
        return await self._change(lambda connection: _settle(connection, now))

    async def remember_port(self, port: int) -> None:
        """Keep the port, for the next start."""
        await self._change(lambda connection: _remember(connection, "port", port))

    def port(self) -> int | None:
        """The port of the last start."""
        row = self._reader.execute("SELECT value FROM facts WHERE name = 'port'").fetchone()
        return None if row is None else int(row[0])

    def task(self, task_id: str) -> TaskRow | None:
        """One task."""
        query = f"SELECT {_TASK_COLUMNS} FROM tasks WHERE task_id = ?"  # noqa: S608 -- our own column names
        row = self._reader.execute(query, (task_id,)).fetchone()
        return None if row is None else _task(row)

    def refunds_due(self, now: int) -> bool:
        """Whether a refund waits to be written."""
        query = "SELECT 1 FROM tasks WHERE refund_due = 1 AND ends <= ? LIMIT 1"
        return self._reader.execute(query, (now,)).fetchone() is not None

    async def _change(self, apply: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Change(apply, answer, loop))
        return await answer


def read_bill(path: Path) -> list[BillLine]:
    """The whole bill, oldest line first; also while a sandbox runs on the file, and after one was killed."""
    with _reading(path) as connection:
        rows = connection.execute("SELECT seq, at, task_id, model, kind, units, user_id FROM bill ORDER BY seq")
        return [BillLine(r[0], moment_of(r[1]), r[2], r[3], cast("BillKind", r[4]), r[5], r[6]) for r in rows]


def read_tasks(path: Path) -> list[TaskRow]:
    """Every accepted task, in the order they were accepted."""
    with _reading(path) as connection:
        query = f"SELECT {_TASK_COLUMNS} FROM tasks ORDER BY rowid"  # noqa: S608 -- our own column names
        return [_task(row) for row in connection.execute(query)]


def _accept(
    connection: sqlite3.Connection, row: TaskRow, balance: int | None, once: str | None, if_again: TaskRow
) -> TaskRow:
    if balance is not None:
        (spent,) = connection.execute("SELECT value FROM facts WHERE name = 'spent'").fetchone()
        if spent + row.units > balance:
            raise InsufficientBalance
    if once is not None and not connection.execute("INSERT OR IGNORE INTO failed_once VALUES (?)", (once,)).rowcount:
        row = if_again
    refund_due = row.outcome is not Outcome.SUCCESS
    connection.execute(
        f"INSERT INTO tasks ({_TASK_COLUMNS}, refund_due) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (*_values(row), int(refund_due)),
    )
    _bill(connection, row, row.created, "charge", row.units)
    return row


def _settle(connection: sqlite3.Connection, now: int) -> int:
    query = f"SELECT {_TASK_COLUMNS} FROM tasks WHERE refund_due = 1 AND ends <= ? ORDER BY ends, task_id"  # noqa: S608
    due = [_task(row) for row in connection.execute(query, (now,)).fetchall()]
    for row in due:
        _bill(connection, row, row.ends, "refund", -row.units)
        if row.outcome is Outcome.MODERATION:
            day = moment_of(row.ends).date().isoformat()
            (violations,) = connection.execute(
                "INSERT INTO violations VALUES (?, 1) ON CONFLICT (day) DO UPDATE SET number = number + 1"
                " RETURNING number",
                (day,),
            ).fetchone()
            _bill(connection, row, row.ends, "surcharge", surcharge(row.units, violations))
        connection.execute("UPDATE tasks SET refund_due = 0 WHERE task_id = ?", (row.task_id,))
    return len(due)


def _bill(connection: sqlite3.Connection, row: TaskRow, at: int, kind: BillKind, units: int) -> None:
    connection.execute(
        "INSERT INTO bill (at, task_id, model, kind, units, user_id) VALUES (?, ?, ?, ?, ?, ?)",
        (at, row.task_id, row.model, kind, units, row.user_id),
    )
    connection.execute("UPDATE facts SET value = value + ? WHERE name = 'spent'", (units,))


def _remember(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute(
        "INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value)
    )


def _values(row: TaskRow) -> tuple[Any, ...]:
    echo = json.dumps(dict(row.input), separators=(",", ":"))
    return (
        *(row.task_id, row.model, row.kind, echo, row.user_id, row.callback_url, row.outcome.value),
        *(row.outputs, row.units, row.created, row.ends, row.visible_from),
    )


def _task(row: tuple[Any, ...]) -> TaskRow:
    task = TaskRow(*row)
    return replace(task, input=json.loads(row[3]), outcome=Outcome(row[6]))


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    # as_uri escapes what a file name may hold and a URI may not.
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    # The writer's connection is made on one thread and used by one other, never by both.
    return sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    connection = _connect(path, read_only=True)
    try:
        yield connection
    finally:
        connection.close()


def _writer(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    try:
        _prepare(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise OSError(f"{path} cannot be used as a file of the sandbox: {error}") from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != (_VERSION if _has_tables(connection) else 0):  # before anything about the file is changed
        raise OSError(f"{path} is no file of this version of the sandbox")
    path.chmod(0o600)  # -wal and -shm take it over
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    if not _has_tables(connection):
        for statement in _SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone())


def _write(connection: sqlite3.Connection, waiting: queue.SimpleQueue[_Change | None]) -> None:
    """The writer thread: take what waits, apply it in one transaction, commit, answer; until a None comes."""
    more = True
    while more:
        group, more = _take(waiting)
        if group:
            _commit(connection, group)
    connection.close()


def _take(waiting: queue.SimpleQueue[_Change | None]) -> tuple[list[_Change], bool]:
    group: list[_Change] = []
    change = waiting.get()
    while change is not None:
        group.append(change)
        if len(group) >= _GROUP:
            return group, True
        try:
            change = waiting.get_nowait()
        except queue.Empty:
            return group, True
    return group, False


def _commit(connection: sqlite3.Connection, group: list[_Change]) -> None:
    answers: list[tuple[_Change, Any, Exception | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        answers.extend(_apply(connection, change) for change in group)
        connection.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 -- a full disk, say: none of the group is durable, and each is told
        with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
            connection.execute("ROLLBACK")
        answers = [(change, None, error) for change in group]
    for loop in {change.loop for change in group}:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_deliver, [answer for answer in answers if answer[0].loop is loop])


def _apply(connection: sqlite3.Connection, change: _Change) -> tuple[_Change, Any, Exception | None]:
    try:
        return change, change.apply(connection), None
    except InsufficientBalance as error:  # raised before anything is written
        return change, None, error


def _deliver(answers: Iterable[tuple[_Change, Any, Exception | None]]) -> None:
    for change, value, error in answers:
        if change.answer.done():  # whoever asked was cancelled
            continue
        if error is None:
            change.answer.set_result(value)
        else:
            change.answer.set_exception(error)
