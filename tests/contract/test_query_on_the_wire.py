from __future__ import annotations

import asyncio
import json
import time

import pytest

from seedbatch.domain.answers import NotFound, QueryRefused, Refusal, TaskReport, Unanswered
from seedbatch.domain.secret import Secret
from seedbatch.provider.http import MaxApi


def answer(task_id: str = "t-1", *headers: str) -> bytes:
    body = json.dumps({"code": 0, "data": {"taskId": task_id, "status": "PENDING"}}).encode()
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def answers(peer):
    while await peer.request():
        await peer.say(answer("t-1", "Set-Cookie: session=1; Path=/"))


def provider(url: str, **options) -> MaxApi:
    return MaxApi(url, Secret("sk-contract-key"), **{"queries_per_second": None, **options})


async def test_queries_share_a_connection_and_no_cookies(serve):
    server = await serve(answers)
    async with provider(server.url) as api:
        for _ in range(3):
            assert isinstance(await api.query("t-1"), TaskReport)
    assert len(server.peers) == 1
    received = bytes(server.peers[0].received)
    assert received.count(b"GET /api/v1/task/t-1 HTTP/1.1\r\n") == 3
    assert b"cookie" not in received.lower()
    assert received.lower().count(b"authorization: bearer sk-contract-key\r\n") == 3


async def test_an_id_is_quoted(serve):
    server = await serve(answers)
    async with provider(server.url) as api:
        assert isinstance(await api.query("a:b"), Unanswered)
    assert bytes(server.peers[0].received).startswith(b"GET /api/v1/task/a%3Ab HTTP/1.1\r\n")


@pytest.mark.parametrize("task_id", ["", "..", "../submit", "a b", "a/b", "a?b", "a\r\nX: y", "x" * 200])
async def test_what_is_no_id_is_not_asked_for(serve, task_id):
    server = await serve(answers)
    async with provider(server.url) as api:
        assert isinstance(await api.query(task_id), NotFound)
    assert server.peers == []


async def test_queries_are_paced_without_a_burst(serve):
    server = await serve(answers)
    async with provider(server.url, queries_per_second=40) as api:
        started = time.monotonic()
        await asyncio.gather(*(api.query("t-1") for _ in range(9)))
        assert time.monotonic() - started >= 8 / 40


async def test_the_gets_that_the_library_repeats_are_paced_as_well(serve):
    moments: list[float] = []

    async def script(peer):
        await peer.request()
        moments.append(time.monotonic())
        if len(moments) > 1:
            await peer.say(answer())

    server = await serve(script)
    async with provider(server.url, queries_per_second=4) as api:
        assert isinstance(await api.query("t-1"), TaskReport)
    assert server.gets == 2
    assert moments[1] - moments[0] >= 0.2


async def test_a_redirect_is_not_followed(serve):
    elsewhere = await serve(answers)

    async def redirects(peer):
        await peer.request()
        await peer.say(f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n".encode())

    server = await serve(redirects)
    async with provider(server.url) as api:
        result = await api.query("t-1")
    assert isinstance(result, QueryRefused)
    assert result.refusal is Refusal.ADDRESS
    assert elsewhere.peers == []


async def test_silence_is_no_answer(serve):
    server = await serve(lambda peer: peer.everything())
    async with provider(server.url, query_timeout=0.2) as api:
        assert await api.query("t-1") == Unanswered("localhost did not answer in time")


async def test_a_flood_is_cut_off(serve):
    async def script(peer):
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000)

    server = await serve(script)
    async with provider(server.url) as api:
        assert await api.query("t-1") == Unanswered("the answer is larger than 1 MiB")


async def test_a_cancelled_query_raises(serve):
    arrived = asyncio.Event()

    async def script(peer):
        await peer.request()
        arrived.set()
        await peer.everything()

    server = await serve(script)
    async with provider(server.url) as api:
        task = asyncio.create_task(api.query("t-1"))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
