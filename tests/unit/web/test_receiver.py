from __future__ import annotations

import asyncio
import gzip
import logging
import os
import socket
import time
import zlib

import pytest
from callers import FORGED, OTHER, TOKEN, Inbox, Open, Site, chunked, digest, head, post

from seedbatch.domain.errors import InboxFull, LedgerError
from seedbatch.web.receiver import Receiver

LARGEST = 64 * 1024


@pytest.fixture
async def site(open_receiver: Open, inbox: Inbox) -> Site:
    return await open_receiver(inbox)


async def test_a_callback_is_kept_under_its_digest_and_answered(site: Site, inbox: Inbox):
    reply = await site.ask(post(b'{"code":0}'))
    assert reply.told == (200, [("Content-Length", "5"), ("Content-Type", "text/plain")], b"kept\n")
    assert inbox.kept == [(digest(TOKEN), b'{"code":0}')]


@pytest.mark.parametrize(
    "body",
    [b"", b"not JSON", b"[" * 60_000, b"\0\xff\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", os.urandom(LARGEST)],
    ids=["empty", "words", "deep", "bytes", "HTTP", "largest"],
)
async def test_whatever_a_genuine_token_brings_is_kept(site: Site, inbox: Inbox, body: bytes):
    assert (await site.ask(post(body))).status == 200
    assert (await site.ask(chunked(body[:7], body[7:]) if len(body) > 7 else chunked())).status == 200
    assert inbox.bodies == [body, body if len(body) > 7 else b""]


async def test_a_callback_without_a_body_is_kept(site: Site, inbox: Inbox):
    assert (await site.ask(head())).status == 200
    assert (await site.ask(f"POST /callbacks/{TOKEN} HTTP/1.0\r\n\r\n".encode())).status == 200
    assert inbox.bodies == [b"", b""]


async def test_no_answer_before_the_body_is_durable(site: Site, inbox: Inbox):
    inbox.gate.clear()
    async with site.peer() as peer:
        await peer.send(post(b"paid"))
        await inbox.waiting.wait()
        assert not peer.reader._buffer
        assert inbox.kept == []
        inbox.gate.set()
        assert (await peer.reply()).status == 200
    assert inbox.bodies == [b"paid"]


@pytest.mark.parametrize("body", [b'{"a":1}' * 1_000, os.urandom(LARGEST)], ids=["shrinks", "grows"])
@pytest.mark.parametrize("packed", ["gzip", "deflate"])
async def test_a_packed_body_is_kept_unpacked(site: Site, inbox: Inbox, packed: str, body: bytes):
    data = gzip.compress(body) if packed == "gzip" else zlib.compress(body)
    assert (await site.ask(post(data, more=f"Content-Encoding: {packed}\r\n"))).status == 200
    assert (await site.ask(chunked(data[:9], data[9:], more=f"Content-Encoding: {packed}\r\n"))).status == 200
    assert inbox.bodies == [body, body]


async def test_a_body_in_many_small_pieces_is_kept_whole(site: Site, inbox: Inbox):
    body = os.urandom(3_000)
    for raw in (post(body), chunked(*(body[n : n + 1] for n in range(len(body))))):
        async with site.peer() as peer:
            peer.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await peer.send(*(raw[n : n + 7] for n in range(0, len(raw), 7)))
            assert (await peer.reply()).status == 200
    assert inbox.bodies == [body, body]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (LedgerError("the disk is full"), 503),
        (InboxFull("full"), 429),
        (KeyError(TOKEN), 500),
        (TimeoutError(TOKEN), 504),
    ],
)
async def test_what_is_not_kept_is_not_acknowledged(
    site: Site, inbox: Inbox, caplog: pytest.LogCaptureFixture, fault: Exception, status: int
):
    caplog.set_level(logging.DEBUG)
    inbox.fault = fault
    reply = await site.ask(post(b"paid"))
    assert (reply.status, reply.body) == (status, b"")
    assert inbox.kept == []
    assert TOKEN not in caplog.text
    told = [record.getMessage().partition(" at ")[0] for record in caplog.records if record.levelno >= logging.INFO]
    bug = not isinstance(fault, LedgerError | InboxFull)
    assert told == [f"a request could not be answered, which is a bug: {type(fault).__name__}"] * bug
    inbox.fault = None
    assert (await site.ask(post(b"paid"))).status == 200


async def test_a_refused_inbox_leaves_the_connection_for_another_try(site: Site, inbox: Inbox):
    async with site.peer() as peer:
        inbox.fault = InboxFull("full")
        assert (await peer.ask(post(b"paid"))).status == 429
        inbox.fault = None
        assert (await peer.ask(post(b"paid"))).status == 200
    assert inbox.bodies == [b"paid"]


async def test_the_path_of_the_public_url_may_be_there_or_stripped(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox, paths=["", "/hooks/a.b+c/"])
    for path in (f"/callbacks/{TOKEN}", f"/hooks/a.b+c/callbacks/{TOKEN}"):
        assert (await site.ask(post(path=path))).status == 200
    for path in (
        f"/hooks/callbacks/{TOKEN}",
        f"/hooks/aXb+c/callbacks/{TOKEN}",
        f"/hooks/a.b+c//callbacks/{TOKEN}",
        f"/hooks/a.b%2Bc/callbacks/{TOKEN}",
        f"/x/hooks/a.b+c/callbacks/{TOKEN}",
    ):
        assert (await site.ask(post(path=path))).status == 404
    assert len(inbox.kept) == 2


async def test_with_a_prefix_alone_the_bare_path_is_unknown(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox, paths=["/hooks"])
    assert (await site.ask(post())).status == 404
    assert (await site.ask(post(path=f"/hooks/callbacks/{TOKEN}"))).status == 200


async def test_duplicates_are_all_kept_and_acknowledged(site: Site, inbox: Inbox):
    replies = await asyncio.gather(*(site.ask(post(b"paid", last=True)) for _ in range(100)))
    assert {reply.status for reply in replies} == {200}
    assert inbox.bodies == [b"paid"] * 100


async def test_requests_of_one_connection_are_answered_in_turn(site: Site, inbox: Inbox):
    pipeline = b"".join(
        post(b"%d" % n, path=f"/callbacks/{TOKEN if n % 2 else OTHER}", last=n == 99) for n in range(100)
    )
    assert (await site.all_of(pipeline)).count(b"HTTP/1.1 200 OK") == 100
    assert inbox.kept == [(digest(TOKEN if n % 2 else OTHER), b"%d" % n) for n in range(100)]


async def test_nothing_behind_a_refused_request_is_looked_at(site: Site, inbox: Inbox):
    async with site.peer() as peer:
        reply = await peer.ask(post(b"1") + post(b"2", path=f"/callbacks/{FORGED}") + post(b"3"))
        assert [reply.status, (await peer.reply()).status] == [200, 404]
        assert await peer.rest() == b""
    assert inbox.bodies == [b"1"]


async def test_a_peer_that_waits_for_the_word_gets_it(site: Site, inbox: Inbox):
    async with site.peer() as peer:
        await peer.send(head("Content-Length: 4\r\nExpect: 100-continue\r\n"))
        assert await peer.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await peer.ask(b"paid")).status == 200
    assert inbox.bodies == [b"paid"]


async def test_the_word_is_not_said_to_a_peer_that_did_not_wait(site: Site):
    raw = post(b"paid", more="Expect: 100-continue\r\n", last=True)
    assert (await site.all_of(raw)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_the_word_does_not_stand_for_an_answer(site: Site, inbox: Inbox):
    inbox.fault = KeyError()
    async with site.peer() as peer:
        await peer.send(head("Content-Length: 4\r\nExpect: 100-continue\r\n"))
        assert await peer.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await peer.ask(b"paid")).status == 500


async def test_a_forged_or_too_large_request_is_not_invited_to_send_its_body(site: Site):
    for raw in (
        head("Content-Length: 4\r\nExpect: 100-continue\r\n", path=f"/callbacks/{FORGED}"),
        head("Content-Length: 99999999\r\nExpect: 100-continue\r\n"),
    ):
        assert (await site.ask(raw)).status in {404, 413}


async def test_an_offered_upgrade_is_passed_over(site: Site, inbox: Inbox):
    upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n"
    raw = await site.all_of(post(b"1", more=upgrade) + post(b"2", last=True))
    assert raw.count(b"HTTP/1.1 200 OK") == 2
    assert inbox.bodies == [b"1", b"2"]


async def test_a_body_is_kept_although_its_peer_left(site: Site, inbox: Inbox):
    inbox.gate.clear()
    async with site.peer() as peer:
        await peer.send(post(b"paid"))
        await inbox.waiting.wait()
    inbox.gate.set()
    await site.receiver.stop()
    assert inbox.bodies == [b"paid"]


async def test_a_peer_that_leaves_within_its_body_is_no_news(
    site: Site, inbox: Inbox, parser: str, caplog: pytest.LogCaptureFixture
):
    chunks = head("Transfer-Encoding: chunked\r\n")
    for raw in (head("Content-Length: 50\r\n") + b"half", chunks, chunks + b"4\r\nhalf\r\n", chunks + b"4"):
        async with site.peer() as peer:
            await peer.send(raw)
            peer.writer.write_eof()
            assert await peer.rest() == b""
    assert inbox.kept == []
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


async def test_a_body_that_breaks_while_it_is_read_is_no_news(
    site: Site, inbox: Inbox, parser: str, caplog: pytest.LogCaptureFixture
):
    for broken in (b"zz\r\nabc\r", b"4\r\nhalfzz\r\n", b"4;\0\r\nhalf\r\n", b"-4\r\n", b"4\nhalf\n"):
        async with site.peer() as peer:
            await peer.send(head("Transfer-Encoding: chunked\r\n"), broken)
            peer.writer.write_eof()
            back = await peer.rest()
            assert back == b"" or back.split(b" ")[1] == b"400", broken
    assert inbox.kept == []
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


async def test_it_says_where_it_listens(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox, host="::1")
    assert site.address[0] == "::1"
    assert site.address[1] > 0
    assert (await site.ask(post())).status == 200


@pytest.mark.parametrize(
    ("host", "port"),
    [("192.0.2.1", 0), ("no-such-host.invalid", 0), ("a" * 70, 0), ("127.0.0.1", 65_536), ("127.0.0.1", -1)],
)
async def test_an_address_that_cannot_be_listened_at(inbox: Inbox, host: str, port: int):
    with pytest.raises(OSError, match=r".") as caught:
        await Receiver(inbox).start(host, port)
    assert str(caught.value)


async def test_a_port_that_is_taken(site: Site, inbox: Inbox):
    with pytest.raises(OSError, match="in use"):
        await Receiver(inbox).start(*site.address)
    assert (await site.ask(post())).status == 200


def test_a_proxy_that_is_no_address(inbox: Inbox):
    with pytest.raises(ValueError, match=r"proxy\.example"):
        Receiver(inbox, proxies=frozenset({"proxy.example"}))


async def test_stopping_lets_requests_under_way_finish(site: Site, inbox: Inbox):
    async with site.peer() as idle, site.peer() as keeping, site.peer() as sending:
        assert (await idle.ask(post(b"done"))).status == 200
        inbox.gate.clear()
        inbox.waiting.clear()
        await keeping.send(post(b"paid"))
        raw = post(b"sent", path=f"/callbacks/{OTHER}")
        await sending.send(raw[:-2])
        await inbox.waiting.wait()
        stopping = asyncio.create_task(site.receiver.stop())
        assert await idle.rest() == b""
        await sending.send(raw[-2:])
        inbox.gate.set()
        for peer in (keeping, sending):
            reply = await peer.reply()
            assert reply.status == 200
            assert ("Connection", "close") in reply.headers
        assert await keeping.rest() == await sending.rest() == b""
        await stopping
    with pytest.raises(ConnectionRefusedError):
        await site.ask(post())
    assert sorted(inbox.bodies) == [b"done", b"paid", b"sent"]


async def test_stopping_does_not_wait_for_ever(site: Site, inbox: Inbox):
    inbox.gate.clear()
    async with site.peer() as keeping, site.peer() as sending, site.peer() as silent:
        await keeping.send(post(b"paid"))
        await sending.send(head("Content-Length: 5\r\n"))
        await inbox.waiting.wait()
        began = time.monotonic()
        await site.receiver.stop(grace=0.2)
        assert 0.2 <= time.monotonic() - began < 3
        assert await keeping.rest() == await sending.rest() == await silent.rest() == b""
    inbox.gate.set()


async def test_stopping_twice_or_before_the_start_is_nothing(site: Site, inbox: Inbox):
    await Receiver(inbox).stop()
    await site.receiver.stop()
    began = time.monotonic()
    await site.receiver.stop()
    assert time.monotonic() - began < 1
