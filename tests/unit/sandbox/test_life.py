from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from unit.sandbox.driving import INPUT, PRICE, Clock, driving, until

from seedbatch.sandbox import Sandbox, read_bill, read_tasks, serve

PROGRAM = """
import asyncio, sys
from pathlib import Path
from seedbatch.sandbox import serve
def ready(url):
    print(url, flush=True)
asyncio.run(serve(Path(sys.argv[1]), "127.0.0.1", 0, speed=1.0, faults=None, on_ready=ready))
"""


async def submit_until_cut(url: str, answered: list[str], stop_after: int, process: subprocess.Popen[str]) -> None:
    async def one(http: aiohttp.ClientSession, prompt: str) -> None:
        async with http.post(
            f"{url}/api/v1/task/submit", json={"model": "seedance-2.0", "input": {"prompt": prompt}}
        ) as a:
            answered.append((await a.json())["data"]["taskId"])
        if len(answered) == stop_after:
            process.send_signal(signal.SIGKILL)

    async with aiohttp.ClientSession(headers={"Authorization": "Bearer any"}) as http:
        await asyncio.gather(
            *(one(http, "[fail]" if number % 10 == 0 else "a river") for number in range(2_000)),
            return_exceptions=True,
        )


async def test_the_bill_survives_kill_9(file: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answered: list[str] = []
        try:
            await submit_until_cut(url, answered, 300, process)
        finally:
            process.kill()
    assert 300 <= len(answered) < 2_000
    charged = Counter(line.task_id for line in read_bill(file) if line.kind == "charge")
    assert set(answered) <= set(charged)
    assert set(charged.values()) == {1}
    assert set(charged) == {row.task_id for row in read_tasks(file)}
    clock = Clock()
    clock.pass_by(10)
    async with driving(file, clock=clock) as drive:
        assert drive.url == url
        assert {(await drive.task(task_id))["status"] for task_id in answered[:20]} <= {"SUCCESS", "FAILURE"}
        lines = read_bill(file)
        assert sum(line.units for line in lines) == PRICE * sum(row.outcome == "success" for row in read_tasks(file))


async def test_a_restart_keeps_tasks_links_and_the_port(file: Path) -> None:
    clock = Clock()
    async with driving(file, clock=clock) as drive:
        first, done = drive.url, await drive.finished("[two]", resolution="480p", duration=4)
        running = await drive.submit("[slow]")
    async with driving(file, clock=clock) as drive:
        assert drive.url == first
        assert await drive.task(done["taskId"]) == done
        assert (await drive.task(running))["status"] == "PENDING"
        assert (await drive.fetch(done["result"]["urls"][1]))[0] == 200


async def test_where_the_port_is_taken_links_follow_to_the_new_one(file: Path) -> None:
    clock = Clock()
    async with driving(file, clock=clock) as drive:
        first, done = drive.url, await drive.finished("a river", resolution="480p", duration=4)
    with socket.create_server(("127.0.0.1", int(first.rpartition(":")[2]))):
        async with driving(file, clock=clock) as drive:
            assert drive.url != first
            (url,) = (await drive.task(done["taskId"]))["result"]["urls"]
            assert url.startswith(drive.url)
            assert (await drive.fetch(url))[0] == 200


async def test_refunds_come_without_anybody_asking(file: Path) -> None:
    async with driving(file) as drive:
        await drive.submit("[moderation]")
        drive.clock.pass_by(10)
        await until(lambda: len(drive.lines()) == 3)
        assert [line.kind for line in drive.lines()] == ["charge", "refund", "surcharge"]


async def test_refunds_of_tasks_that_ended_while_nobody_ran_come_at_the_start(file: Path) -> None:
    clock = Clock()
    async with driving(file, clock=clock) as drive:
        task_id = await drive.submit("[fail]")
    clock.pass_by(10)
    async with driving(file, clock=clock) as drive:
        lines = drive.lines()
        assert [(line.task_id, line.kind) for line in lines] == [(task_id, "charge"), (task_id, "refund")]
        assert 2 <= (lines[1].at - lines[0].at).total_seconds() <= 5


async def test_two_sandboxes_share_a_file_without_refunding_twice(file: Path) -> None:
    clock = Clock()
    async with driving(file, clock=clock) as one, driving(file, clock=clock) as two:
        assert one.url != two.url
        ids = [await drive.submit("[moderation]") for drive in (one, two) for _ in range(10)]
        clock.pass_by(10)
        tasks = await asyncio.gather(*(drive.task(task_id) for drive in (one, two) for task_id in ids))
        assert {task["status"] for task in tasks} == {"FAILURE"}
        fees = [line.units for line in one.lines() if line.kind == "surcharge"]
        assert fees == [PRICE // 100] * 19 + [PRICE // 20]


async def test_a_thousand_at_once_are_all_billed_once(file: Path) -> None:
    async with driving(file) as drive:
        ids = await asyncio.gather(*(drive.submit(f"river {number}") for number in range(1_000)))
        assert Counter(line.task_id for line in drive.lines()) == Counter(ids)
        assert len(set(ids)) == 1_000


def test_the_bill_refuses_to_be_changed(file: Path) -> None:
    async def one() -> None:
        async with driving(file) as drive:
            await drive.submit()

    asyncio.run(one())
    connection = sqlite3.connect(file)
    for change in ("UPDATE bill SET units = 0", "DELETE FROM bill"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(change)
    connection.close()
    assert len(read_bill(file)) == 1


async def test_a_failed_write_is_an_error_and_not_a_task(file: Path) -> None:
    async with driving(file) as drive:
        hostile = sqlite3.connect(file)
        hostile.execute("CREATE TRIGGER full BEFORE INSERT ON bill BEGIN SELECT raise(ABORT, 'full'); END")
        body = {"model": "seedance-2.0", "input": INPUT}
        assert await drive.post(body) == (500, {"code": 500, "msg": "internal server error"})
        hostile.execute("DROP TRIGGER full")
        hostile.close()
        assert (drive.lines(), read_tasks(file)) == ([], [])
        await drive.submit()
        assert len(drive.lines()) == 1


async def test_serve_tells_its_address_and_ends_when_cancelled(file: Path) -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve(file, "127.0.0.1", 0, speed=1.0, faults=None, on_ready=ready.set_result))
    url = await ready
    async with aiohttp.ClientSession() as http, http.get(f"{url}/_sandbox/bill") as answer:
        assert await answer.json() == {"units": 0, "lines": []}
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=1)


async def test_an_address_in_use_is_an_os_error_and_leaves_nothing_open(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sandbox = Sandbox(file)
        with pytest.raises(OSError, match="in use"):
            await sandbox.start(port=taken.getsockname()[1])
    await sandbox.start()
    await sandbox.stop()
    await sandbox.stop()


async def test_a_stop_does_not_wait_for_a_delayed_answer(file: Path) -> None:
    async with asyncio.timeout(5):
        async with driving(file, plan={"rules": [{"on": "submit", "do": {"delay": 60}}]}) as drive:
            waiting = asyncio.create_task(drive.submit())
            await until(drive.lines)
        with pytest.raises(aiohttp.ClientError):
            await waiting


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_is_none_is_refused(file: Path, speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be more than 0"):
        Sandbox(file, speed=speed)


def other_tables(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE tasks (id)")
    connection.close()


@pytest.mark.parametrize("make", [lambda file: file.write_bytes(b"no database, but long enough" * 9), other_tables])
async def test_a_file_of_another_kind_is_refused_and_kept(tmp_path: Path, make: Callable[[Path], object]) -> None:
    file = tmp_path / "other.db"
    make(file)
    before = read_of(file)
    with pytest.raises(OSError, match=r"other\.db (is no file|cannot be used)"):
        await Sandbox(file).start()
    assert read_of(file) == before


def read_of(file: Path) -> object:
    """The tables if it has some, otherwise the bytes."""
    try:
        connection = sqlite3.connect(file)
        tables = connection.execute("SELECT sql FROM sqlite_master").fetchall()
        connection.close()
    except sqlite3.DatabaseError:
        return file.read_bytes()
    return tables
