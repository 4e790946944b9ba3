from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from unit.sandbox.driving import INPUT, Clock, driving, until
from unit.sandbox.receiving import Receiver

from seedbatch.sandbox import BillLine, Sandbox, read_bill, read_calls
from seedbatch.sandbox.book import Book, _claim_calls, _settle
from seedbatch.sandbox.tasks import SECOND, moment_of

VERSION_1 = """
CREATE TABLE tasks (
  task_id TEXT PRIMARY KEY, model TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('image', 'video')),
  input TEXT NOT NULL, user_id TEXT, callback_url TEXT, outcome TEXT NOT NULL, outputs INTEGER NOT NULL,
  units INTEGER NOT NULL CHECK (units >= 0), created INTEGER NOT NULL, ends INTEGER NOT NULL,
  visible_from INTEGER NOT NULL, refund_due INTEGER NOT NULL CHECK (refund_due IN (0, 1))
) STRICT;
CREATE INDEX tasks_refund_due ON tasks (ends, task_id) WHERE refund_due = 1;
CREATE TABLE bill (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, task_id TEXT NOT NULL, model TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('charge', 'refund', 'surcharge')), units INTEGER NOT NULL, user_id TEXT,
  UNIQUE (task_id, kind), CHECK ((kind = 'refund' AND units <= 0) OR (kind <> 'refund' AND units >= 0))
) STRICT;
CREATE TRIGGER bill_keeps BEFORE UPDATE ON bill BEGIN SELECT raise(ABORT, 'the bill is append-only'); END;
CREATE TRIGGER bill_stays BEFORE DELETE ON bill BEGIN SELECT raise(ABORT, 'the bill is append-only'); END;
CREATE TABLE violations (day TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
CREATE TABLE failed_once (prompt TEXT PRIMARY KEY) STRICT;
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO facts VALUES ('spent', 10000);
PRAGMA user_version = 1;
"""


def calling(file: Path, **options: Any) -> Any:
    return driving(file, internal_callbacks=True, **options)


async def test_tasks_that_ended_while_nobody_ran_are_called_at_the_next_start_and_never_again(
    file: Path, receiver: Receiver
) -> None:
    clock = Clock()
    async with calling(file, clock=clock) as drive:
        ids = [await drive.submit_to(receiver.url, prompt) for prompt in ("a river", "[fail]")]
    clock.pass_by(3600)
    async with calling(file, clock=clock) as drive:
        await until(lambda: len(drive.answers()) == len(ids))
        link = next(got.data["result"] for got in receiver.got if got.data["status"] == "SUCCESS")["urls"][0]
        assert link.startswith(f"{drive.url}/files/")
    async with calling(file, clock=clock) as drive:
        later = await drive.submit_to(receiver.url)
        clock.pass_by(10)
        await until(lambda: later in drive.answers())
    assert sorted(receiver.ids()) == sorted([*ids, later])


async def test_a_call_that_was_written_down_is_not_made_again(file: Path, receiver: Receiver) -> None:
    clock = Clock()
    async with calling(file, clock=clock) as drive:
        lost, called = await drive.submit_to(receiver.url, "[points]"), await drive.submit_to(receiver.url)
    book = Book(file)
    ((call, row),) = await book.claim_calls(int((clock.now + 1) * SECOND), 10)
    assert (call.task_id, row.task_id, row.callback_url) == (lost, lost, receiver.url)
    await book.close()
    clock.pass_by(10)
    async with calling(file, clock=clock) as drive:
        await until(drive.answers)
        assert drive.answers() == {called: ["200"]}
        told = {task["task_id"]: task["callbacks"] for task in (await drive.told("tasks"))["tasks"]}
    assert [(call["status"], call["error"]) for call in told[lost]] == [(None, None)]
    assert receiver.ids() == [called]


async def test_two_sandboxes_share_a_file_without_calling_twice(file: Path, receiver: Receiver) -> None:
    clock = Clock()
    async with calling(file, clock=clock) as one, calling(file, clock=clock) as two:
        ids = [await drive.submit_to(receiver.url) for drive in (one, two) for _ in range(20)]
        clock.pass_by(10)
        await until(lambda: len(one.answers()) == len(ids))
    assert sorted(receiver.ids()) == sorted(ids)


@asynccontextmanager
async def command(file: Path, *options: str) -> Any:
    """The installed command in a process of its own, and its address."""
    words = [sys.executable, "-m", "seedbatch", "sandbox", "--port", "0", "--file", str(file), *options]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            yield running, (await asyncio.to_thread(running.stderr.readline)).split()[-1]
        finally:
            running.kill()


async def submit_some(url: str, callback: str, number: int) -> list[str]:
    """The ids of the tasks whose answer came before the sandbox was gone."""

    async def one(http: aiohttp.ClientSession) -> str:
        body = {"model": "seedance-2.0", "input": INPUT, "callBackUrl": callback}
        async with http.post(f"{url}/api/v1/task/submit", json=body) as answer:
            return str((await answer.json())["data"]["taskId"])

    async with aiohttp.ClientSession(headers={"Authorization": "Bearer any"}) as http:
        answers = await asyncio.gather(*(one(http) for _ in range(number)), return_exceptions=True)
    return [answer for answer in answers if isinstance(answer, str)]


async def test_kill_9_loses_calls_and_repeats_none(file: Path, receiver: Receiver) -> None:
    accepted: list[str] = []
    for _ in range(3):
        async with command(file, "--speed", "100", "--internal-callbacks") as (running, url):
            before, kill_at = len(receiver.got), random.randint(1, 60)

            async def kill(_got: object, running: Any = running, goal: int = before + kill_at) -> None:
                if len(receiver.got) == goal:
                    running.send_signal(signal.SIGKILL)

            receiver.on_call = kill
            accepted += await submit_some(url, receiver.url, 80)
            await until(lambda running=running: running.poll() is not None)
    receiver.on_call = None
    async with calling(file, clock=time.time) as drive:
        await until(lambda: all(call.at is not None for call in read_calls(file)))
        late = await drive.submit_to(receiver.url, "[points]")
        await until(lambda: late in drive.answers())
    called, calls = Counter(receiver.ids()), {call.task_id: call for call in read_calls(file)}
    assert set(called.values()) == {1}
    assert set(accepted) <= set(calls)
    assert set(called) <= set(calls)
    # Whoever was not called was written down as called, and nothing came back.
    assert all(calls[task_id].answer is None for task_id in set(calls) - set(called))
    assert called


def version_1(file: Path, now: float, url: str) -> None:
    """A file as version 1 left it: a task that has ended, one that runs, and one without a URL."""
    file.parent.mkdir(parents=True)
    connection = sqlite3.connect(file)
    connection.executescript(VERSION_1)
    echo = '{"model":"seedance-2.0","prompt":"a river","ratio":"16:9","resolution":"480p","duration":4}'
    for task_id, callback, ends in (("old", url, -60), ("new", url, 60), ("none", None, -60)):
        at = int(now * SECOND)
        task = (task_id, echo, callback, at - 100 * SECOND, at + ends * SECOND, at)
        connection.execute(
            "INSERT INTO tasks VALUES (?, 'seedance-2.0', 'video', ?, NULL, ?, 'success', 1, 5000, ?, ?, ?, 0)", task
        )
    connection.execute(
        "INSERT INTO bill (at, task_id, model, kind, units) VALUES (1, 'old', 'seedance-2.0', 'charge', 5000)"
    )
    connection.commit()
    connection.close()


async def test_a_file_of_version_1_is_brought_up_to_date_in_place(file: Path, receiver: Receiver) -> None:
    clock = Clock()
    version_1(file, clock.now, receiver.url)
    for _ in range(2):  # the second start finds nothing to change
        async with calling(file, clock=clock) as drive:
            await until(lambda: "old" in drive.answers())
            assert (await drive.task("new"))["status"] == "SUBMITTED"
            assert receiver.ids() == ["old"]
    clock.pass_by(61)
    async with calling(file, clock=clock) as drive:
        await until(lambda: "new" in drive.answers())
        await drive.submit()
    assert receiver.ids() == ["old", "new"]
    assert read_bill(file)[0] == BillLine(1, moment_of(1), "old", "seedance-2.0", "charge", 5000, None)
    assert version(file) == 2


async def test_a_file_of_a_later_version_is_refused_and_kept(file: Path) -> None:
    async with driving(file) as drive:
        await drive.submit()
    set_version(file, 3)
    with pytest.raises(OSError, match=r"provider\.db is no file of this version of the sandbox"):
        await Sandbox(file).start()
    assert (version(file), len(read_bill(file))) == (3, 1)


async def test_a_strange_file_that_says_version_1_is_kept(file: Path) -> None:
    file.parent.mkdir()
    connection = sqlite3.connect(file)
    connection.executescript("CREATE TABLE tasks (id); PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(OSError, match=r"provider\.db cannot be used as a file of the sandbox"):
        await Sandbox(file).start()
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("tasks",)]
    connection.close()
    assert version(file) == 1


def version(file: Path) -> int:
    connection = sqlite3.connect(file)
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(number)


def set_version(file: Path, number: int) -> None:
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {number}")
    connection.close()


async def test_a_stop_gives_a_call_under_way_the_time_to_be_answered(file: Path, receiver: Receiver) -> None:
    async with calling(file) as drive:
        task_id = await drive.submit_to(f"{receiver.url}after")
        drive.clock.pass_by(10)
        await until(lambda: receiver.got)
        asyncio.get_running_loop().call_later(0.2, receiver.release.set)
    assert drive.answers() == {task_id: ["200"]}


async def test_a_stop_loses_no_call_that_is_being_written_down(file: Path, receiver: Receiver) -> None:
    async with calling(file) as drive:
        task_id = await drive.submit_to(receiver.url)
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # the book waits
        drive.clock.pass_by(10)
        await until(lambda: somebody_waits_in("claim_calls"))
        asyncio.get_running_loop().call_later(0.1, other.execute, "ROLLBACK")
    other.close()
    assert drive.answers() == {task_id: ["200"]}
    assert receiver.ids() == [task_id]


def somebody_waits_in(function: str) -> bool:
    for task in asyncio.all_tasks():
        frame: Any = task.get_coro()
        while frame is not None:
            if getattr(frame, "__name__", "") == function:
                return True
            frame = getattr(frame, "cr_await", None)
    return False


async def test_a_stop_does_not_wait_for_a_receiver_that_hangs(file: Path, receiver: Receiver) -> None:
    async with asyncio.timeout(4):
        async with calling(file, plan={"rules": [{"on": "callback", "do": "early", "at": [2]}]}) as drive:
            await drive.submit_to(f"{receiver.url}hang")
            drive.clock.pass_by(10)
            submitting = asyncio.create_task(drive.submit_to(f"{receiver.url}hang"))
            await until(lambda: receiver.hanging == 2)
        with pytest.raises(aiohttp.ClientError):
            await submitting
    assert drive.answers() == {}
    await until(lambda: not receiver.hanging)


async def test_a_write_that_fails_delays_calls_and_loses_none(file: Path, receiver: Receiver) -> None:
    async with calling(file) as drive:
        task_id = await drive.submit_to(receiver.url)
        hostile = sqlite3.connect(file)
        hostile.execute("CREATE TRIGGER full BEFORE UPDATE OF at ON calls BEGIN SELECT raise(ABORT, 'full'); END")
        drive.clock.pass_by(10)
        other = await drive.submit("[fail]")
        drive.clock.pass_by(10)
        await until(lambda: len(drive.bill(other)) == 2)
        assert (receiver.got, drive.answers()) == ([], {})
        hostile.execute("DROP TRIGGER full")
        hostile.close()
        await until(drive.answers)
        assert drive.answers() == {task_id: ["200"]}


async def test_what_is_due_is_found_by_an_index(file: Path, receiver: Receiver) -> None:
    asked: list[str] = []
    async with calling(file) as drive:
        await drive.submit_to(receiver.url, "[fail]")
        book = Book(file)
        book._reader.set_trace_callback(asked.append)
        assert book.next_call() == book.next_refund() is not None
        await book.close()
        connection = sqlite3.connect(file, isolation_level=None)
        connection.set_trace_callback(asked.append)
        connection.execute("BEGIN IMMEDIATE")
        assert _claim_calls(connection, int((drive.clock.now + 10) * SECOND), 10) != []
        _settle(connection, int((drive.clock.now + 10) * SECOND))
        connection.execute("ROLLBACK")
        connection.set_trace_callback(None)
        lookups = [sql for sql in asked if sql.startswith(("SELECT", "UPDATE")) and "facts" not in sql]
        plans = [row[3] for sql in lookups for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        connection.close()
    assert len(lookups) >= 6
    assert [plan for plan in plans if "SEARCH" not in plan and "USING INDEX" not in plan] == []
    assert {plan for plan in plans if "calls_due" in plan or "tasks_refund_due" in plan} != set()
