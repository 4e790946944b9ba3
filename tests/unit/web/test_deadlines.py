from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from callers import FORGED, PATIENCE, TOKEN, Inbox, Open, Peer, Site, chunked, head, post

SECONDS = 0.3
LATE = 3.0  # a machine may be busy


@pytest.fixture
async def site(open_receiver: Open, inbox: Inbox) -> Site:
    return await open_receiver(inbox, seconds=SECONDS)


async def nothing(peer: Peer) -> None:
    """Not one byte."""


async def half_a_line(peer: Peer) -> None:
    await peer.send(b"POST /callba")


async def half_a_head(peer: Peer) -> None:
    await peer.send(head()[:-2])


async def half_a_body(peer: Peer) -> None:
    await peer.send(post(b"a paid task")[:-3])


async def half_a_chunk(peer: Peer) -> None:
    await peer.send(chunked(b"a paid task")[:-12])


async def chunks_without_an_end(peer: Peer) -> None:
    await peer.send(chunked(b"a paid task")[:-5])


async def chunks_that_break_later(peer: Peer) -> None:
    raw = chunked(b"a paid", b" task")
    await peer.send(raw[:-12])
    await asyncio.sleep(SECONDS / 6)  # its reader is waiting by now
    await peer.send(b"zz\r\n")


async def empty_lines(peer: Peer) -> None:
    await peer.send(b"\r\n\r\n")


async def a_head_by_the_byte(peer: Peer) -> None:
    await trickle(peer, head("X: " + "a" * 1_000 + "\r\n"))


async def a_body_by_the_byte(peer: Peer) -> None:
    await trickle(peer, post(b"a" * 1_000), whole=len(head()))


async def chunks_by_the_byte(peer: Peer) -> None:
    await trickle(peer, chunked(*[b"a"] * 1_000))


async def a_packed_nothing(peer: Peer) -> None:
    """A body that is sent for ever and never becomes longer."""
    start = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    await peer.send(head("Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n"), b"a\r\n%b\r\n" % start)
    await trickle(peer, b"5\r\n\0\0\0\xff\xff\r\n" * 1_000)


async def trickle(peer: Peer, raw: bytes, whole: int = 0) -> None:
    """So slowly that it takes many times the deadline, and never so long nothing that a pause would be noticed."""
    await peer.send(raw[:whole])
    with suppress(ConnectionError):
        for n in range(whole, len(raw)):
            await peer.send(raw[n : n + 1])
            await asyncio.sleep(SECONDS / 20)


@asynccontextmanager
async def doing(what: Callable[[Peer], Awaitable[None]], peer: Peer) -> AsyncIterator[None]:
    task = asyncio.create_task(what(peer))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_request_that_is_not_whole_in_time_is_ended(site: Site, inbox: Inbox):
    ways = [
        nothing,
        half_a_line,
        half_a_head,
        half_a_body,
        half_a_chunk,
        chunks_without_an_end,
        chunks_that_break_later,
        empty_lines,
        a_head_by_the_byte,
        a_body_by_the_byte,
        chunks_by_the_byte,
        a_packed_nothing,
    ]
    took = await asyncio.gather(*(ending(site, way) for way in ways))
    for way, (fresh, used) in zip(ways, took, strict=True):
        assert SECONDS * 0.9 < fresh < LATE, way
        assert SECONDS * 0.9 < used < LATE, way
    assert inbox.bodies == [b"first"] * len(ways)


async def ending(site: Site, way: Callable[[Peer], Awaitable[None]]) -> tuple[float, float]:
    """How long a connection lives on, as its first request and behind an answered one."""
    began = time.monotonic()
    async with site.peer() as fresh, site.peer() as used:
        assert (await used.ask(post(b"first"))).status == 200
        async with doing(way, fresh), doing(way, used):
            return await asyncio.gather(ended(fresh, began), ended(used, began))


async def ended(peer: Peer, began: float) -> float:
    assert await peer.rest() == b""
    return time.monotonic() - began


async def test_each_answer_begins_the_time_anew(site: Site, inbox: Inbox):
    began = time.monotonic()
    async with site.peer() as peer:
        while time.monotonic() - began < SECONDS * 3:
            assert (await peer.ask(post(b"paid"))).status == 200
            await asyncio.sleep(SECONDS / 5)
        answered = time.monotonic()
        assert await peer.rest() == b""
        assert time.monotonic() - answered < LATE
    assert len(inbox.kept) > 3


async def test_a_body_that_is_slow_to_keep_is_still_answered(site: Site, inbox: Inbox):
    inbox.gate.clear()
    async with site.peer() as peer:
        await peer.send(post(b"paid"))
        await asyncio.sleep(SECONDS * 1.5)
        inbox.gate.set()
        assert (await peer.reply()).status == 200
        assert (await peer.ask(post(b"more"))).status == 200
        (connection,) = site.receiver._front.connections
        assert not connection.keeping
    assert inbox.bodies == [b"paid", b"more"]


async def test_a_body_that_is_kept_for_ever_does_not_hold_its_connection(site: Site, inbox: Inbox):
    inbox.gate.clear()
    began = time.monotonic()
    async with site.peer() as peer:
        await peer.send(post(b"paid"))
        assert await peer.rest() == b""
    assert SECONDS * 1.9 < time.monotonic() - began < LATE
    inbox.gate.set()
    await site.receiver.stop()
    assert inbox.bodies == [b"paid"]


async def test_a_peer_that_does_not_read_its_answers_is_ended(site: Site, inbox: Inbox):
    async with site.peer() as deaf:
        assert (await deaf.ask(post(b"first"))).status == 200
        deaf.writer.transport.pause_reading()
        # Answers are short, and the kernel has room for very many of them.
        deaf.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        (connection,) = site.receiver._front.connections
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with pytest.raises(ConnectionError):
            await without_end(deaf, post(b"") * 100)
    assert len(inbox.kept) < 50_000
    assert (await site.ask(post(b"paid"))).status == 200


@pytest.mark.parametrize("path", [f"/callbacks/{FORGED}", f"/callbacks/{TOKEN}"], ids=["forged", "too large"])
async def test_a_refused_peer_that_stays_is_ended(site: Site, path: str):
    async with site.peer() as peer:
        assert (await peer.ask(head("Content-Length: 99000000000\r\n", path=path))).status in {404, 413}
        began = time.monotonic()
        await peer.rest()  # our side has ended
        with pytest.raises(ConnectionError):
            await without_end(peer, bytes(1024))
        assert time.monotonic() - began < LATE


async def without_end(peer: Peer, raw: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await peer.send(raw)
            await asyncio.sleep(0)
