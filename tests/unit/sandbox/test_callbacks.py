from __future__ import annotations

import asyncio
import inspect
import json
import socket
import statistics
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from unit.sandbox.driving import INPUT, driving, until
from unit.sandbox.receiving import Receiver

from seedbatch.sandbox import Sandbox, caller, read_calls, read_tasks
from seedbatch.sandbox.addresses import is_public

ENDS = ["a river", "[fail]", "[moderation]", "[invalid]", "[points]", "[timeout]", "[cancelled]", "[no-output]"]


def calling(file: Path, **options: Any) -> Any:
    return driving(file, internal_callbacks=True, **options)


async def test_each_end_is_called_once_with_what_a_query_is_told(file: Path, receiver: Receiver) -> None:
    async with calling(file) as drive:
        ids = [await drive.submit_to(f"{receiver.url}{place}", prompt) for place, prompt in enumerate(ENDS)]
        drive.clock.pass_by(10)
        await until(lambda: len(drive.answers()) == len(ids))
        queried = {}
        for task_id in ids:
            async with drive.http.get(f"{drive.url}/api/v1/task/{task_id}") as answer:
                queried[task_id] = await answer.read()
    assert {each.data["taskId"]: each.body for each in receiver.got} == queried
    assert {each.path for each in receiver.got} == {f"/{place}" for place in range(len(ids))}
    assert [json.loads(each.body)["code"] for each in receiver.got] == [0] * len(ids)
    assert all("failure_reason" in each.data and "result" in each.data for each in receiver.got)
    assert {each.data["status"] for each in receiver.got} == {"SUCCESS", "FAILURE", "TIMEOUT", "CANCELLED"}
    (link,) = next(each.data for each in receiver.got if each.data["taskId"] == ids[0])["result"]["urls"]
    assert link == f"{drive.url}/files/{ids[0]}-1.mp4"


async def test_a_call_is_an_unsigned_post_to_exactly_the_url(file: Path, receiver: Receiver) -> None:
    async with calling(file, api_key="secret") as drive:
        await drive.submit_to(f"{receiver.url}a%2Fb/c?token=x%20y+z~%7E")
        drive.clock.pass_by(10)
        await until(lambda: receiver.got)
        (got,) = receiver.got
    assert (got.method, got.path) == ("POST", "/a%2Fb/c?token=x%20y+z~%7E")
    assert got.headers["Content-Type"] == "application/json"
    plain = {"Host", "Accept", "Accept-Encoding", "User-Agent", "Content-Type", "Content-Length", "Connection"}
    assert set(got.headers) <= plain
    assert got.headers["Content-Length"] == str(len(got.body))


async def test_nobody_is_called_before_the_end(file: Path, receiver: Receiver) -> None:
    async with calling(file) as drive:
        running, early = await drive.submit_to(receiver.url), await drive.submit_to(receiver.url, "[points]")
        seen = []
        for _ in range(4):  # a task takes 2 to 5 seconds, and the first tenth of them it is PENDING
            drive.clock.pass_by(0.48)
            seen.append((await drive.task(running))["status"])
        await until(lambda: drive.answers().get(early))
        assert {"PROCESSING"} < set(seen) <= {"PENDING", "PROCESSING", "SUBMITTED"}
        assert receiver.ids() == [early]
        drive.clock.pass_by(4)
        await until(lambda: drive.answers().get(running))
    assert receiver.ids() == [early, running]


async def test_a_task_without_a_url_calls_nobody(file: Path, receiver: Receiver) -> None:
    async with calling(file) as drive:
        await drive.submit()
        task_id = await drive.submit_to(receiver.url)
        drive.clock.pass_by(10)
        await until(drive.answers)
        assert [call.task_id for call in read_calls(file)] == receiver.ids() == [task_id]


@pytest.mark.parametrize(("path", "answer"), [("gone", "410"), ("moved", "307")])
async def test_whatever_the_answer_there_is_no_second_call(
    file: Path, receiver: Receiver, path: str, answer: str
) -> None:
    async with calling(file) as drive:
        task_id = await drive.submit_to(f"{receiver.url}{path}")
        drive.clock.pass_by(10)
        await until(drive.answers)
        later = await drive.submit_to(receiver.url)
        drive.clock.pass_by(10)
        await until(lambda: later in drive.answers())
        assert drive.answers() == {task_id: [answer], later: ["200"]}
    assert [each.path for each in receiver.got] == [f"/{path}", "/"]


async def test_a_refused_connection_is_told_in_a_word(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with calling(file) as drive:
        ids = [await drive.submit_to(f"http://127.0.0.1:{port}/") for port in (port, 99_999)]
        drive.clock.pass_by(10)
        await until(lambda: len(drive.answers()) == len(ids))
        assert [drive.answers()[task_id] for task_id in ids] == [["no-connection"], ["bad-url"]]


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "cut"), (b"HTTP/1.1 200 OK\r\nContent-Le", "cut"), (b"what do you want?\r\n\r\n", "not-http")],
)
async def test_an_answer_that_is_none_is_told_in_a_word(file: Path, content: bytes, word: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, calling(file) as drive:
        await drive.submit_to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        drive.clock.pass_by(10)
        await until(drive.answers)
        assert list(drive.answers().values()) == [[word]]


async def test_plain_http_where_tls_is_asked_for_is_told_in_a_word(file: Path, receiver: Receiver) -> None:
    async with calling(file) as drive:
        await drive.submit_to(receiver.url.replace("http:", "https:"))
        drive.clock.pass_by(10)
        await until(drive.answers)
        assert list(drive.answers().values()) == [["tls"]]


def test_a_receiver_has_five_seconds() -> None:
    assert inspect.signature(Sandbox).parameters["callback_timeout"].default == 5.0


async def test_a_receiver_that_never_answers_is_left_when_its_time_is_over(file: Path, receiver: Receiver) -> None:
    async with calling(file, callback_timeout=0.3) as drive:
        task_id = await drive.submit_to(f"{receiver.url}hang")
        started = time.monotonic()
        drive.clock.pass_by(10)
        await until(drive.answers)
        assert drive.answers() == {task_id: ["timeout"]}
        assert time.monotonic() - started >= 0.3
        await until(lambda: not receiver.hanging)  # the connection is closed
    assert receiver.ids() == [task_id]


async def test_receivers_that_hang_delay_nobody(file: Path, receiver: Receiver) -> None:
    async with calling(file) as drive:
        hanging = await asyncio.gather(*(drive.submit_to(f"{receiver.url}hang") for _ in range(60)))
        drive.clock.pass_by(6)
        await until(lambda: receiver.hanging == len(hanging))
        good = await asyncio.gather(*(drive.submit_to(receiver.url) for _ in range(60)))
        drive.clock.pass_by(6)
        await until(lambda: set(good) <= set(drive.answers()))
        assert set(drive.answers()) == set(good)
        assert receiver.hanging == len(hanging)


async def test_more_calls_than_there_is_room_for_come_in_turn(
    file: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "_MOST", 3)
    most = 0

    async def count(_got: object) -> None:
        nonlocal most
        await asyncio.sleep(0)
        most = max(most, sum(call.at is not None and call.answer is None for call in read_calls(file)))

    receiver.on_call = count
    async with calling(file) as drive:
        ids = [await drive.submit_to(receiver.url) for _ in range(20)]
        drive.clock.pass_by(10)
        await until(lambda: len(drive.answers()) == len(ids))
    assert sorted(receiver.ids()) == sorted(ids)
    assert 1 <= most <= 3


async def test_two_hundred_callbacks_all_arrive(file: Path, receiver: Receiver) -> None:
    async with calling(file, clock=time.time, speed=20) as drive:
        ids = await asyncio.gather(*(drive.submit_to(receiver.url, f"river {number}") for number in range(200)))
        await until(lambda: len(drive.answers()) == len(ids))
    assert sorted(receiver.ids()) == sorted(ids)


async def test_a_call_leaves_when_its_task_ends_and_not_at_the_next_tick(file: Path, receiver: Receiver) -> None:
    async with calling(file, clock=time.time, speed=100) as drive:
        for number in range(1, 21):
            await drive.submit_to(receiver.url)
            await until(lambda number=number: len(receiver.got) == number)
    late = [(call.at or 0) - (call.due or 0) for call in read_calls(file)]
    assert 0 <= statistics.median(late) < 100_000


@pytest.mark.parametrize(
    ("host", "addresses", "word"),
    [
        ("hooks.example.net", ["127.0.0.1"], "internal-address"),
        ("hooks.example.net", ["::1", "10.0.0.1", "fe80::1"], "internal-address"),
        ("hooks.example.net", ["::127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"], "internal-address"),
        ("hooks.example.net", ["2002:7f00:1::", "224.0.0.1", "100.64.0.1"], "internal-address"),
        ("hooks.example.net", [], "no-such-host"),
        ("127.1", [], "bad-url"),
        ("0x7f.0.0.1", [], "internal-address"),
    ],
)
async def test_a_name_that_means_an_internal_address_is_not_called(
    file: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, host: str, addresses: list[str], word: str
) -> None:
    port, real = int(receiver.url.rpartition(":")[2].strip("/")), socket.getaddrinfo

    def resolve(name: Any, *rest: Any, **more: Any) -> Any:
        if name != "hooks.example.net":
            return real(name, *rest, **more)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [found for address in addresses for found in real(address, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with driving(file) as drive:
        task_id = await drive.submit_to(f"http://{host}:{port}/")
        drive.clock.pass_by(10)
        await until(drive.answers)
        assert drive.answers() == {task_id: [word]}
    assert receiver.got == []


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_with_the_switch_internal_hosts_are_called(file: Path, receiver: Receiver, host: str) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    async with driving(file) as drive:
        assert (await drive.post({"model": "seedance-2.0", "input": INPUT, "callBackUrl": url}))[0] == 400
    async with calling(file) as drive:
        task_id = await drive.submit_to(url)
        drive.clock.pass_by(10)
        await until(drive.answers)
        assert drive.answers() == {task_id: ["200"]}


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1", "http://", "http://\ud800.example.net/", 7])
async def test_with_the_switch_a_callback_is_still_an_http_url(file: Path, url: object) -> None:
    async with calling(file) as drive:
        body = {"model": "seedance-2.0", "input": INPUT, "callBackUrl": url}
        assert await drive.post(body) == (400, {"code": 400, "msg": "callBackUrl must be an http(s) URL"})
        assert read_tasks(file) == []


async def test_whoever_is_called_finds_the_refund_on_the_bill(file: Path, receiver: Receiver) -> None:
    bills = []
    async with calling(file) as drive:

        async def look(_got: object) -> None:
            bills.append([line.kind for line in drive.lines()])

        receiver.on_call = look
        await drive.submit_to(receiver.url, "[moderation]")
        drive.clock.pass_by(10)
        await until(drive.answers)
    assert bills == [["charge", "refund", "surcharge"]]


async def test_a_lost_answer_and_its_callback(file: Path, receiver: Receiver) -> None:
    async with calling(file, plan={"rules": [{"on": "submit", "do": "cut-after-accept"}]}) as drive:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await drive.submit_to(f"{receiver.url}token")
        drive.clock.pass_by(10)
        await until(drive.answers)
        (row,) = read_tasks(file)
        assert [(got.path, got.data["taskId"]) for got in receiver.got] == [("/token", row.task_id)]


async def test_the_sandbox_tells_whom_it_called_and_what_came_back(file: Path, receiver: Receiver) -> None:
    async with calling(file, callback_timeout=0.2) as drive:
        quiet, good = await drive.submit(), await drive.submit_to(receiver.url, "[points]")
        slow = await drive.submit_to(f"{receiver.url}hang")
        assert await drive.told("callbacks") == {"number": 0, "callbacks": []}
        assert [task["callbacks"] for task in (await drive.told("tasks"))["tasks"]] == [[], [], []]
        for seconds in (1, 5):
            drive.clock.pass_by(seconds)
            await until(lambda number=1 if seconds == 1 else 2: len(drive.answers()) == number)
        told, tasks = await drive.told("callbacks"), (await drive.told("tasks"))["tasks"]
    first, second = told["callbacks"]
    assert told["number"] == 2
    assert first == {"task_id": good, "at": first["at"], "status": 200, "error": None, "forged": None}
    assert second == {"task_id": slow, "at": second["at"], "status": None, "error": "timeout", "forged": None}
    assert first["at"] < second["at"]
    for task, calls in zip(tasks, ([], [first], [second]), strict=True):
        assert task["callbacks"] == [{key: call[key] for key in call if key != "task_id"} for call in calls]
        assert task["callback_fault"] is None
    assert [task["task_id"] for task in tasks] == [quiet, good, slow]
