"""The sandbox's one file: tasks and an append-only bill in SQLite, written by one thread that commits in groups.

A caller's change is durable (WAL, `synchronous=FULL`) when its future is done. The group is whatever queued while the
last commit ran, so a lone change waits for nobody and a crowd shares one sync.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

from seedbatch.sandbox.callbacks import Call
from seedbatch.sandbox.opening import connect, open_writer, reading
from seedbatch.sandbox.prices import surcharge
from seedbatch.sandbox.tasks import Outcome, TaskRow, moment_of

BillKind = Literal["charge", "refund", "surcharge"]
Plan = Callable[[TaskRow], tuple[TaskRow, list[Call]]]
T = TypeVar("T")

_GROUP: Final = 500
_REFUNDS: Final = 200  # at most in one transaction, so that a crowd of failures keeps no submit waiting
_TASK_COLUMNS: Final = (
    "task_id, model, kind, input, user_id, callback_url, outcome, outputs, units, created, ends, visible_from"
)
_CALL_COLUMNS: Final = "task_id, number, due, fault, forged, at, answer"


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
        writer = open_writer(path)  # here, so that what is wrong with the file is known before anything starts
        self._reader = connect(path)
        self._queue: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_write, args=(writer, self._queue), name="sandbox-book", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finish the changes that wait, and close the file."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()

    async def accept(
        self, row: TaskRow, *, balance: int | None, once: str | None, if_again: TaskRow, plan: Plan
    ) -> tuple[TaskRow, list[Call]]:
        """Record a task with its calls and charge for it, in one transaction; those due at once count as made.

        With `once`, the digest of a prompt, the task is `row` the first time that comes and `if_again` from then on.
        `plan` is asked on the writer's thread, for each accepted task with a callback URL, in the order of acceptance.

        Raises:
            InsufficientBalance: `balance` less what was spent does not cover the task.
        """
        return await self._change(lambda connection: _accept(connection, row, balance, once, if_again, plan))

    async def settle(self, now: int) -> None:
        """Refund unsuccessful tasks that have ended by now, in the order they ended; a bounded number of them."""
        await self._change(lambda connection: _settle(connection, now))

    async def claim_calls(self, now: int, most: int) -> list[tuple[Call, TaskRow]]:
        """Write down that calls that are due are made, the oldest first; whoever gets them from here makes them."""
        return await self._change(lambda connection: _claim_calls(connection, now, most))

    async def record_answer(self, call: Call, answer: str) -> None:
        """Keep what came back."""
        await self._change(lambda connection: _record_answer(connection, call, answer))

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

    def next_refund(self) -> int | None:
        """The moment from which the next refund can be written."""
        query = "SELECT ends FROM tasks WHERE refund_due = 1 ORDER BY ends LIMIT 1"
        return self._moment(query)

    def next_call(self) -> int | None:
        """The moment at which the next call is due."""
        query = "SELECT due FROM calls WHERE at IS NULL AND due IS NOT NULL ORDER BY due LIMIT 1"
        return self._moment(query)

    def _moment(self, query: str) -> int | None:
        row = self._reader.execute(query).fetchone()
        return None if row is None else int(row[0])

    async def _change(self, apply: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Change(apply, answer, loop))
        return await answer


def read_bill(path: Path) -> list[BillLine]:
    """The whole bill, oldest line first; also while a sandbox runs on the file, and after one was killed."""
    with reading(path) as connection:
        rows = connection.execute("SELECT seq, at, task_id, model, kind, units, user_id FROM bill ORDER BY seq")
        return [BillLine(r[0], moment_of(r[1]), r[2], r[3], cast("BillKind", r[4]), r[5], r[6]) for r in rows]


def read_tasks(path: Path) -> list[TaskRow]:
    """Every accepted task, in the order they were accepted."""
    with reading(path) as connection:
        query = f"SELECT {_TASK_COLUMNS} FROM tasks ORDER BY rowid"  # noqa: S608 -- our own column names
        return [_task(row) for row in connection.execute(query)]


def read_calls(path: Path) -> list[Call]:
    """Every call, made or not, in the order in which their tasks were accepted."""
    with reading(path) as connection:
        return [Call(*row) for row in connection.execute(f"SELECT {_CALL_COLUMNS} FROM calls ORDER BY rowid")]  # noqa: S608


def _accept(
    connection: sqlite3.Connection, row: TaskRow, balance: int | None, once: str | None, if_again: TaskRow, plan: Plan
) -> tuple[TaskRow, list[Call]]:
    if balance is not None:
        (spent,) = connection.execute("SELECT value FROM facts WHERE name = 'spent'").fetchone()
        if spent + row.units > balance:
            raise InsufficientBalance
    if once is not None and not connection.execute("INSERT OR IGNORE INTO failed_once VALUES (?)", (once,)).rowcount:
        row = if_again
    row, calls = (row, []) if row.callback_url is None else plan(row)
    refund_due = row.outcome is not Outcome.SUCCESS
    connection.execute(
        f"INSERT INTO tasks ({_TASK_COLUMNS}, refund_due) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (*_values(row), int(refund_due)),
    )
    connection.executemany(
        f"INSERT INTO calls ({_CALL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        [astuple(call) for call in calls],
    )
    _bill(connection, row, row.created, "charge", row.units)
    return row, calls


def _settle(connection: sqlite3.Connection, now: int) -> None:
    query = f"SELECT {_TASK_COLUMNS} FROM tasks WHERE refund_due = 1 AND ends <= ? ORDER BY ends, task_id LIMIT ?"  # noqa: S608
    due = [_task(row) for row in connection.execute(query, (now, _REFUNDS)).fetchall()]
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


def _claim_calls(connection: sqlite3.Connection, now: int, most: int) -> list[tuple[Call, TaskRow]]:
    query = f"SELECT {_CALL_COLUMNS} FROM calls WHERE at IS NULL AND due <= ? ORDER BY due, rowid LIMIT ?"  # noqa: S608
    calls = [replace(Call(*row), at=now) for row in connection.execute(query, (now, most)).fetchall()]
    connection.executemany(
        "UPDATE calls SET at = ? WHERE task_id = ? AND number = ?",
        [(call.at, call.task_id, call.number) for call in calls],
    )
    query = f"SELECT {_TASK_COLUMNS} FROM tasks WHERE task_id = ?"  # noqa: S608
    return [(call, _task(connection.execute(query, (call.task_id,)).fetchone())) for call in calls]


def _record_answer(connection: sqlite3.Connection, call: Call, answer: str) -> None:
    connection.execute(
        "UPDATE calls SET answer = ? WHERE task_id = ? AND number = ?", (answer, call.task_id, call.number)
    )


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
