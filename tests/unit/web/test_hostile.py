from __future__ import annotations

import asyncio
import gzip
import logging
import random
import time
import zlib
from pathlib import Path

import pytest
from callers import FORGED, TOKEN, Inbox, Open, Site, chunked, emptied, head, post

MARK = b"tell-tale"
KB, MB = 1 << 10, 1 << 20


def asked(line: str, more: str = "", body: bytes = b"") -> bytes:
    """A whole request of this method and path; `tell-tale` is in a header of it."""
    return f"{line} HTTP/1.1\r\nHost: callbacks.example\r\nX-Mark: tell-tale\r\n{more}\r\n".encode() + body


# All of these get one answer. None says whether there is anything here, or what it would have taken.
UNKNOWN = {
    "root": asked("GET /"),
    "root by POST": asked("POST /"),
    "no token": asked("POST /callbacks/"),
    "no token, no slash": asked("POST /callbacks"),
    "forged": asked(f"POST /callbacks/{FORGED}"),
    "forged with a body": asked(f"POST /callbacks/{FORGED}", "Content-Length: 9\r\n", MARK),
    "forged in chunks": asked(
        f"POST /callbacks/{FORGED}", "Transfer-Encoding: chunked\r\n", b"9\r\n%b\r\n0\r\n\r\n" % MARK
    ),
    "forged, 99 GB": asked(f"POST /callbacks/{FORGED}", "Content-Length: 99000000000\r\n", MARK),
    "forged, endless": asked(f"POST /callbacks/{FORGED}", "Transfer-Encoding: chunked\r\n", b"9\r\n%b\r\n" % MARK),
    "forged, packed badly": asked(f"POST /callbacks/{FORGED}", "Content-Encoding: gzip\r\nContent-Length: 9\r\n", MARK),
    "forged, waiting": asked(f"POST /callbacks/{FORGED}", "Expect: 100-continue\r\nContent-Length: 9\r\n"),
    "forged, upgrading": asked(f"POST /callbacks/{FORGED}", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
    "GET": asked(f"GET /callbacks/{TOKEN}"),
    "GET with a body": asked(f"GET /callbacks/{TOKEN}", "Content-Length: 9\r\n", MARK),
    "HEAD": asked(f"HEAD /callbacks/{TOKEN}"),
    "PUT": asked(f"PUT /callbacks/{TOKEN}", "Content-Length: 9\r\n", MARK),
    "PATCH": asked(f"PATCH /callbacks/{TOKEN}"),
    "DELETE": asked(f"DELETE /callbacks/{TOKEN}"),
    "OPTIONS": asked(f"OPTIONS /callbacks/{TOKEN}"),
    "OPTIONS *": asked("OPTIONS *"),
    "TRACE": asked(f"TRACE /callbacks/{TOKEN}"),
    "CONNECT": asked("CONNECT callbacks.example:443"),
    "a method of its own": asked(f"BREW /callbacks/{TOKEN}"),
    "token with a slash": asked(f"POST /callbacks/{TOKEN}/"),
    "token and more": asked(f"POST /callbacks/{TOKEN}/x"),
    "token and a query": asked(f"POST /callbacks/{TOKEN}?x=1"),
    "token and an empty query": asked(f"POST /callbacks/{TOKEN}?"),
    "token and a fragment": asked(f"POST /callbacks/{TOKEN}#x"),
    "token and a parameter": asked(f"POST /callbacks/{TOKEN};x"),
    "token twice": asked(f"POST /callbacks/{TOKEN}{TOKEN}"),
    "double slash": asked(f"POST //callbacks/{TOKEN}"),
    "double slash within": asked(f"POST /callbacks//{TOKEN}"),
    "dot": asked(f"POST /./callbacks/{TOKEN}"),
    "dot-dot": asked(f"POST /callbacks/../callbacks/{TOKEN}"),
    "dot-dot out": asked("POST /callbacks/../../../../etc/passwd"),
    "encoded dot": asked(f"POST /%2e/callbacks/{TOKEN}"),
    "encoded dot-dot": asked("POST /callbacks/%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
    "encoded slash": asked(f"POST /callbacks%2f{TOKEN}"),
    "encoded letter": asked(f"POST /c%61llbacks/{TOKEN}"),
    "encoded letter of the token": asked(f"POST /callbacks/%71{TOKEN[1:]}"),
    "encoded NUL": asked(f"POST /callbacks/{TOKEN}%00"),
    "encoded line": asked(f"POST /callbacks/{TOKEN}%0d%0aX:%20y"),
    "bad escape": asked("POST /callbacks/%zz"),
    "backslash": asked(f"POST /callbacks\\{TOKEN}"),
    "capitals": asked(f"POST /Callbacks/{TOKEN}"),
    "absolute": asked(f"POST http://callbacks.example/callbacks/{TOKEN}"),
    "absolute, elsewhere": asked("GET http://169.254.169.254/latest/meta-data"),
    "huge path": asked("POST /callbacks/" + "a" * 10_000),
    "huge query": asked(f"POST /callbacks/{TOKEN}?" + "a" * 10_000),
    "markup": asked("GET /<script>alert(1)</script>"),
    "host with a port": b"GET / HTTP/1.1\r\nHost: localhost:1\r\nAccept: text/html\r\n\r\n",
    "old": b"GET / HTTP/1.0\r\n\r\n",
    "old and staying": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
}

# These are no HTTP, or never whole: a status of the 400s, or an end without a word, by the deadline at the latest.
MALFORMED = {
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + MARK * 50,
    "HTTP/0.9": b"GET /%b\r\n\r\n" % MARK,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": b"POST /%b HTTP/3.7\r\nHost: x\r\n\r\n" % MARK,
    "SSH": b"SSH-2.0-%b\r\n" % MARK,
    "SMTP": b"EHLO %b\r\n" % MARK,
    "NULs": bytes(500) + MARK,
    "bytes": bytes(range(256)) + MARK,
    "proxy protocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + asked("GET /"),
    "lines of LF": post(MARK).replace(b"\r\n", b"\n"),
    "no host": b"GET /%b HTTP/1.1\r\n\r\n" % MARK,
    "two hosts": asked("GET /", "Host: other\r\n"),
    "lower-case method": b"post /%b HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "NUL in the path": b"POST /%b\0 HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "bytes in the path": b"POST /%b\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "space in the path": b"POST /%b x HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "no path": b"POST  HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad host of a URL": b"GET http://[::1/%b HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "bad port of a URL": b"GET http://x:%b/ HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "huge port of a URL": b"GET http://x:99999999/%b HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "bytes in the host of a URL": b"GET http://x\xff\xfe/%b HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "no host of a URL": b"GET http:///%b HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "a URL of its own": b"GET %b: HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "CONNECT to a bad port": b"CONNECT x:%b HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "CONNECT to a bad host": b"CONNECT [::%b HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "CONNECT to bytes": b"CONNECT x\xff\xfe.%b:443 HTTP/1.1\r\nHost: x\r\n\r\n" % MARK,
    "CONNECT to nowhere": b"CONNECT \r\n\r\n" + MARK,
    "NUL in a header": asked("GET /", "X: a\0b\r\n"),
    "space before a colon": asked("GET /", "X : a\r\n"),
    "folded header": asked("GET /", " folded\r\n"),
    "header without a colon": asked("GET /", "tell-tale\r\n"),
    "huge line": asked("GET /" + "a" * 20_000),
    "huge header": asked("GET /", "X: " + "a" * 9_000 + "\r\n"),
    "huge name": asked("GET /", "X" * 9_000 + ": a\r\n"),
    "many headers": asked("GET /", "".join(f"X-{n}: a\r\n" for n in range(200))),
    "endless header": asked("GET /", "X: ")[:-4] + b"a" * MB,
    "length below zero": head("Content-Length: -1\r\n") + MARK,
    "length with a sign": head("Content-Length: +9\r\n") + MARK,
    "length in words": head("Content-Length: nine\r\n") + MARK,
    "length beyond 64 bits": head("Content-Length: 18446744073709551616\r\n") + MARK,
    "two lengths": head("Content-Length: 9\r\nContent-Length: 9\r\n") + MARK,
    "two lengths that differ": head("Content-Length: 9\r\nContent-Length: 1\r\n") + MARK,
    "length and chunks": head("Content-Length: 9\r\nTransfer-Encoding: chunked\r\n") + b"9\r\n%b\r\n0\r\n\r\n" % MARK,
    "chunks not last": head("Transfer-Encoding: chunked, identity\r\n") + b"0\r\n\r\n",
    "bad size of a chunk": head("Transfer-Encoding: chunked\r\n") + b"zz\r\n%b\r\n" % MARK,
    "bad size of a later chunk": head("Transfer-Encoding: chunked\r\n") + b"9\r\n%b\r\nzz\r\n" % MARK,
    "huge size of a chunk": head("Transfer-Encoding: chunked\r\n") + b"fffffffffffffffff\r\n" + MARK,
    "not packed": post(MARK, more="Content-Encoding: gzip\r\n"),
    "packed badly": post(MARK, more="Content-Encoding: deflate\r\n"),
    "packed in part": post(zlib.compress(MARK * 50)[:-5], more="Content-Encoding: deflate\r\n"),
}

TOO_LARGE = {
    "one byte": post(bytes(64 * KB + 1)),
    "one byte, in chunks": chunked(bytes(64 * KB), b"1"),
    "one byte, packed": post(gzip.compress(bytes(64 * KB + 1)), more="Content-Encoding: gzip\r\n"),
    "99 GB": head("Content-Length: 99000000000\r\n"),
    "99 GB, begun": head("Content-Length: 99000000000\r\n") + bytes(MB),
    "99 GB, packed": head("Content-Length: 99000000000\r\nContent-Encoding: gzip\r\n"),
    "64 bits": head("Content-Length: 18446744073709551614\r\n"),
    "one chunk of 1 TB": head("Transfer-Encoding: chunked\r\n") + b"10000000000\r\n" + bytes(MB),
}


@pytest.fixture
async def site(open_receiver: Open, inbox: Inbox) -> Site:
    return await open_receiver(inbox, seconds=30)


async def test_everything_unknown_gets_one_and_the_same_answer(
    site: Site, inbox: Inbox, parser: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    for name, raw in UNKNOWN.items():
        began = time.monotonic()
        async with site.peer() as peer:
            reply = await peer.ask(raw)
            assert reply.told == (404, [("Connection", "close"), ("Content-Length", "0")], b""), name
            peer.writer.write_eof()
            assert await peer.rest() == b"", name
        assert time.monotonic() - began < 5, name
    assert inbox.kept == []
    assert {len(token) for token in inbox.asked} <= {len(TOKEN), 2 * len(TOKEN)}
    assert TOKEN[:-1] not in caplog.text
    assert MARK.decode() not in caplog.text
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


async def test_what_is_malformed_is_refused_and_not_repeated(
    open_receiver: Open, inbox: Inbox, parser: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    site = await open_receiver(inbox, seconds=0.3)
    for name, raw in MALFORMED.items():
        began = time.monotonic()
        back = await site.all_of(raw)
        assert time.monotonic() - began < 5, name
        assert back == b"" or back.split(b" ")[1] in {b"400", b"404", b"413"}, (name, back)
        assert MARK not in back, name
        assert b"server" not in back.lower(), name
        assert b"aiohttp" not in back.lower(), name
        assert len(back) < 200, (name, back)
    assert inbox.kept == []
    assert TOKEN[:-1] not in caplog.text
    assert MARK.decode() not in caplog.text
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


async def test_what_is_too_large_is_refused_at_once(site: Site, inbox: Inbox, parser: str):
    for name, raw in TOO_LARGE.items():
        began = time.monotonic()
        async with site.peer() as peer:
            peer.writer.write(raw)  # it need not all be taken
            reply = await peer.reply()
            assert reply.told == (413, [("Connection", "close"), ("Content-Length", "0")], b""), name
        assert time.monotonic() - began < 5, name
    assert inbox.kept == []


@pytest.mark.parametrize(("token", "status"), [(TOKEN, 413), (FORGED, 404)])
async def test_an_endless_body_is_refused_and_ended_although_its_peer_goes_on(
    site: Site, inbox: Inbox, token: str, status: int
):
    async with site.peer() as peer:
        began = time.monotonic()
        await peer.send(head("Transfer-Encoding: chunked\r\n", path=f"/callbacks/{token}"))
        sending = asyncio.create_task(without_end(peer.writer))
        assert (await peer.reply()).status == status
        assert await peer.rest() == b""
        with pytest.raises(ConnectionError):
            await sending
        assert time.monotonic() - began < 5
    assert inbox.kept == []


async def without_end(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"1000\r\n" + bytes(4096) + b"\r\n")
        await writer.drain()


async def test_a_large_body_does_not_lose_its_sender_the_answer(site: Site, inbox: Inbox):
    for path, status in ((f"/callbacks/{FORGED}", 404), (f"/callbacks/{TOKEN}", 413)):
        async with site.peer() as peer:
            # It is more than finds room on its way: it is taken, and comes to nothing.
            await peer.send(head(f"Content-Length: {30 * MB}\r\n", path=path), *[bytes(MB)] * 30)
            assert (await peer.reply()).status == status
            assert await peer.rest() == b""
            assert site.receiver._door._inside == 1  # only that side has ended
            peer.writer.close()
        await emptied(site)
    assert inbox.kept == []


async def test_bombs_take_no_memory(site: Site, inbox: Inbox):
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = pack.compress(bytes(MB)) + pack.flush(zlib.Z_FULL_FLUSH)  # can be repeated
    start = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert len(zlib.decompressobj(31).decompress(start + block * 3)) == 3 * MB
    bomb = start + block * 300
    more = "Content-Encoding: gzip\r\n"
    within = gzip.compress(bytes(50 * MB))  # short enough to be let in by its length
    assert len(within) < 64 * KB < len(bomb)
    raws = [chunked(bomb, more=more), post(within, more=more), post(bomb, more=more)]
    raws += [raw.replace(TOKEN.encode(), FORGED.encode()) for raw in raws]
    await site.ask(raws[0])
    before = peak_memory(reset=True)
    statuses = await asyncio.gather(*(status(site, raw) for raw in raws * 5))
    assert statuses == [413, 413, 413, 404, 404, 404] * 5
    assert peak_memory() - before < 50 * MB
    assert inbox.kept == []


async def status(site: Site, raw: bytes) -> int:
    async with site.peer() as peer:
        peer.writer.write(raw)
        return (await peer.reply()).status


def peak_memory(*, reset: bool = False) -> int:
    """The most bytes this process has held since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * KB for line in lines if line.startswith("VmHWM:"))


async def test_no_bytes_at_all_make_it_stumble(
    open_receiver: Open, inbox: Inbox, parser: str, caplog: pytest.LogCaptureFixture
):
    site = await open_receiver(inbox, seconds=0.2)
    chance = random.Random(20_261_127)
    whole = [raw for raw in (*UNKNOWN.values(), *MALFORMED.values(), post(), chunked(b"a", b"b")) if len(raw) < 2 * KB]
    few = asyncio.Semaphore(100)

    async def one(raw: bytes) -> None:
        async with few, site.peer() as peer:
            cuts = sorted(chance.randrange(len(raw) + 1) for _ in range(chance.randrange(4)))
            try:
                for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
                    await peer.send(raw[start:end])
                    await asyncio.sleep(0)
                if chance.random() < 0.3:
                    peer.writer.write_eof()
            except OSError:
                return
            back = await peer.rest()
            assert back == b"" or back.startswith(b"HTTP/"), raw
            assert b" 500 " not in back, raw
            assert b"Server:" not in back, raw

    await asyncio.gather(*(one(changed(chance, chance.choice(whole), whole)) for _ in range(400)))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO] == []
    assert (await site.ask(post(b"paid"))).status == 200


def changed(chance: random.Random, raw: bytes, whole: list[bytes]) -> bytes:
    """The request with some bytes put in, taken out, replaced, or followed by a part of another."""
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(raw) + 1)
        match chance.randrange(4):
            case 0:
                raw = (
                    raw[:at]
                    + chance.choice(
                        [b"\r\n", b"\n", b":", b" ", b"\0", b"\xff", b"CONNECT ", b"http://", b"[", b"0\r\n\r\n"]
                    )
                    + raw[at:]
                )
            case 1:
                raw = raw[:at] + raw[at + chance.randrange(1, 9) :]
            case 2:
                raw = raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]
            case _:
                raw = raw[:at] + chance.choice(whole)[chance.randrange(30) :]
    return raw
