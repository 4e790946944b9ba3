"""What seedbatch/web/connection.py leans on in aiohttp, beyond what its documentation promises.

Each test says in its message which of these changed. A change here is a change to that file, before anything else.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import hdrs, web
from callers import TOKEN, Peer, Site, head, post, quiet

from seedbatch.web.connection import Answer, Connection, Front, Incoming
from seedbatch.web.door import Door


@asynccontextmanager
async def served(front: Any) -> AsyncIterator[Site]:
    listener = await asyncio.get_running_loop().create_server(front, "127.0.0.1", 0)
    try:
        yield Site(None, listener.sockets[0].getsockname()[:2])
    finally:
        listener.close()
        for connection in front.connections:
            connection.force_close()
        await asyncio.sleep(0)


def front(answer: Callable[[Incoming], Awaitable[Answer]], seconds: float = 5.0) -> Front:
    return Front(answer, Door(10, 10, spare_loopback=True), body=1_000, seconds=seconds)


async def fine(request: web.BaseRequest) -> Answer:
    while await request.content.readany():
        pass
    return Answer(200, b"fine")


async def headers(site: Site, raw: bytes) -> str:
    return (await site.all_of(raw)).decode().partition("\r\n\r\n")[0].lower()


async def test_the_library_names_itself_and_its_hook_before_sending_takes_that_out():
    for raw in (post(last=True), b"\0\r\n\r\n"):
        async with served(web.Server(fine)) as site:
            assert "server: python" in await headers(site, raw), "aiohttp no longer names itself: drop _prepare_hook"
        async with served(front(fine)) as site:
            assert "server:" not in await headers(site, raw), "aiohttp no longer calls BaseRequest._prepare_hook"
    assert inspect.iscoroutinefunction(web.BaseRequest._prepare_hook)


async def test_the_library_tells_peer_and_log_what_was_malformed_and_handle_error_keeps_it(
    caplog: pytest.LogCaptureFixture,
):
    raw = b"GET / HTTP/1.1\r\nHost: x\r\nX : tell-tale\r\n\r\n"
    async with served(web.Server(fine)) as site:
        assert b"tell-tale" in await site.all_of(raw), "aiohttp no longer repeats what was malformed"
        assert "tell-tale" in caplog.text, "aiohttp no longer logs what was malformed"
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    async with served(front(fine)) as site:
        back = await site.all_of(raw)
    assert back.startswith(b"HTTP/1.0 400 "), (
        "aiohttp no longer calls RequestHandler.handle_error for what is malformed"
    )
    assert b"tell-tale" not in back
    assert [record.getMessage() for record in caplog.records if record.name.startswith("seedbatch")] == [
        "no HTTP as it should be: BadHttpMessage"
    ], "RequestHandler.handle_error is called with other arguments, or not once"


async def test_what_a_handler_raises_comes_to_handle_error(caplog: pytest.LogCaptureFixture):
    async def broken(_request: Incoming) -> Answer:
        raise KeyError(TOKEN)

    async with served(front(broken)) as site:
        back = await site.all_of(post())
    assert back.startswith(b"HTTP/1.1 500 "), "aiohttp no longer calls RequestHandler.handle_error for an exception"
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    line = inspect.getsourcelines(broken)[1] + 1
    assert record.getMessage() == f"a request could not be answered, which is a bug: KeyError at {__file__}:{line}"
    assert record.exc_info is None


async def test_after_an_answer_has_begun_there_is_no_second_one():
    async def late(request: Incoming) -> Answer:
        answer = Answer(200, b"once", last=True)
        await answer.prepare(request)
        await answer.write_eof()
        raise KeyError

    async with served(front(late)) as site, site.peer() as peer:
        await peer.send(post())
        assert (await peer.reply()).body == b"once"
        assert await peer.rest() == b""


async def test_what_an_answer_raises_comes_to_log_exception(caplog: pytest.LogCaptureFixture):
    class Broken(Answer):
        async def prepare(self, _request: web.BaseRequest) -> None:
            raise KeyError(TOKEN)

    async def broken(_request: Incoming) -> Answer:
        return Broken(200)

    caplog.set_level(logging.DEBUG)
    async with served(front(broken)) as site:
        assert await site.all_of(post()) == b""
    records = [record for record in caplog.records if record.name != "asyncio"]
    assert [(record.getMessage(), record.exc_info) for record in records] == [
        ("the connection stumbled: KeyError", None)
    ], "aiohttp no longer calls RequestHandler.log_exception"


async def test_what_the_parser_raises_ends_the_connection_and_is_not_told_to_the_loop():
    class Broken:
        def feed_data(self, data: bytes) -> None:
            raise ValueError(data)

        def message_consumed(self) -> None:
            pass

        def set_upgraded(self, val: bool) -> None:
            pass

    async def broken(request: Incoming) -> Answer:
        request.connection._parser = Broken()
        return Answer(200)

    with quiet():
        async with served(front(broken)) as site, site.peer() as peer:
            assert (await peer.ask(post())).status == 200
            await peer.send(post())
            assert await peer.rest() == b""


async def test_the_connection_hears_of_its_beginning_and_its_end_and_its_loop():
    met: list[Connection] = []

    async def meet(request: Incoming) -> Answer:
        met.append(request.connection)
        return Answer(200)

    async with served(front(meet)) as site:
        await site.all_of(post(last=True))
    (connection,) = met
    assert type(connection) is Connection, "BaseRequest.protocol is no longer the protocol"
    assert connection._loop is asyncio.get_running_loop(), "RequestHandler._loop is gone"
    assert connection._timer is not None, "RequestHandler.connection_made is no longer called"
    assert connection._timer.cancelled(), "RequestHandler.connection_lost is no longer called"
    assert connection._door._inside == 0


async def test_close_makes_a_connection_drop_what_comes():
    went_on = asyncio.Event()

    async def close(request: Incoming) -> Answer:
        request.connection.close()
        await went_on.wait()
        await asyncio.sleep(0.05)
        assert not request.content.is_eof(), "RequestHandler.close no longer drops what comes"
        assert request.content.total_bytes == 4
        return Answer(200, last=True)

    async with served(front(close)) as site, site.peer() as peer:
        await peer.send(head("Content-Length: 8\r\n") + b"half")
        await asyncio.sleep(0.05)
        await peer.send(b"half")
        went_on.set()
        assert (await peer.reply()).status == 200


async def test_a_head_that_grows_and_grows_is_ended_and_a_body_is_not():
    async with served(front(fine)) as site, site.peer() as peer:
        body = bytes(1 << 16)
        for _ in range(3):
            for piece in (head(f"Content-Length: {len(body)}\r\n"), body[:40_000], body[40_000:]):
                await peer.send(piece)
            assert (await peer.reply()).status == 200, "RequestHandler._waiter waits while there is a request"
        await peer.send(head()[:-2])
        with suppress(ConnectionError):
            for n in range(200):
                await peer.send(b"X-%d: %b\r\n" % (n, b"a" * 1_000))
                await asyncio.sleep(0)
        assert await peer.rest() == b""
        assert n < 60, "RequestHandler._waiter is not pending while a head is not whole"


async def test_with_no_lingering_time_the_library_does_not_read_what_nobody_read():
    async def unread(_request: Incoming) -> Answer:
        return Answer(200)

    async with served(front(unread)) as site, site.peer() as peer:
        await peer.send(head("Content-Length: 8\r\n") + b"half")
        assert (await peer.reply()).status == 200
        async with asyncio.timeout(3):
            assert await peer.rest() == b"", "RequestHandler(lingering_time=0) waits for the rest of a body"


async def test_an_answer_sent_within_a_handler_is_not_sent_again():
    async def early(request: Incoming) -> Answer:
        answer = Answer(200, b"once", last=True)
        await answer.prepare(request)
        await answer.write_eof()
        return answer

    async with served(front(early)) as site:
        assert (await site.all_of(post())).count(b"once") == 1


async def test_a_connect_to_nowhere_has_no_path_and_would_break_the_library():
    with quiet():
        async with served(front(fine)) as site:
            assert b" 200 " in await site.all_of(b"CONNECT \r\n\r\n")


async def test_nothing_shows_a_path():
    shown: list[str] = []

    async def show(request: Incoming) -> Answer:
        answer = Answer(200, b"fine")
        await answer.prepare(request)
        shown.extend(map(repr, (request, request.connection, answer, request.content, asyncio.current_task())))
        shown.append(str(request))
        return answer

    async with served(front(show)) as site:
        await site.all_of(post(last=True, more=f"{hdrs.REFERER}: http://x/callbacks/{TOKEN}\r\n"))
    assert len(shown) == 6
    assert TOKEN not in "".join(shown)
    assert "callbacks" not in "".join(shown)


async def test_no_access_is_logged(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with served(front(fine)) as site, site.peer() as peer:
        assert isinstance(peer, Peer)
        assert (await peer.ask(post())).status == 200
    assert [record.name for record in caplog.records if record.name.startswith(("aiohttp", "seedbatch"))] == []
