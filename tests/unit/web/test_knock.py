from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trustme
from callers import TOKEN, Inbox, Open, digest

from seedbatch.domain.secret import Secret
from seedbatch.web.knock import knock

BODY = b'{"seedbatch": "doctor", "nonce": "1"}'

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that does what a script says with each connection; its port."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await script(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def answering(head: str, requests: list[bytes] | None = None) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        request += await reader.readexactly(len(BODY))
        if requests is not None:
            requests.append(request)
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    return script


async def test_it_reaches_a_receiver(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox)
    url = Secret("http://{}:{}/callbacks/{}".format(*site.address, TOKEN))
    found = await knock(url, BODY)
    assert (found.status, found.cause, found.nobody) == (200, "", False)
    assert found.seconds < 5
    assert inbox.kept == [(digest(TOKEN), BODY)]


async def test_one_request_without_a_key_and_around_every_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    requests: list[bytes] = []
    async with peer(answering("200 OK", requests)) as port:
        found = await knock(Secret(f"http://127.0.0.1:{port}/callbacks/t"), BODY)
    assert found.status == 200
    (request,) = requests
    assert request.startswith(b"POST /callbacks/t HTTP/1.1\r\n")
    assert request.endswith(BODY)
    assert b"content-type: application/json" in request.lower()
    assert b"authorization" not in request.lower()
    assert b"cookie" not in request.lower()


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_is_an_answer(status):
    requests: list[bytes] = []
    async with peer(answering(f"{status} Elsewhere\r\nLocation: /other", requests)) as port:
        found = await knock(Secret(f"http://127.0.0.1:{port}/callbacks/t"), BODY)
    assert found.status == status
    assert len(requests) == 1


async def test_a_server_that_hangs():
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(hang) as port:
        found = await knock(Secret(f"http://127.0.0.1:{port}/callbacks/t"), BODY, patience=0.2)
    assert (found.status, found.cause) == (None, "127.0.0.1 did not answer in 0.2 s")
    assert found.seconds >= 0.2


async def test_a_server_that_goes_away():
    async def leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with peer(leave) as port:
        found = await knock(Secret(f"http://127.0.0.1:{port}/callbacks/t"), BODY)
    assert found.status is None
    assert "closed the connection" in found.cause or "the connection failed" in found.cause
    assert not found.nobody


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    await writer.drain()


async def test_a_server_that_speaks_no_http():
    async with peer(greet) as port:
        found = await knock(Secret(f"http://127.0.0.1:{port}/callbacks/t"), BODY)
    assert found.cause == "what 127.0.0.1 answers is not HTTP"


async def test_tls():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(tls)
    async with peer(answering("200 OK"), tls) as port:
        found = await knock(Secret(f"https://localhost:{port}/callbacks/t"), BODY)
    assert found.cause == "the certificate of localhost is not trusted"
    async with peer(greet) as port:
        found = await knock(Secret(f"https://127.0.0.1:{port}/callbacks/t"), BODY)
    assert found.cause == "127.0.0.1 does not speak TLS as it should"


async def test_nobody_listens():
    with socket.socket() as taken:  # bound, and not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        found = await knock(Secret(f"http://127.0.0.1:{taken.getsockname()[1]}/callbacks/t"), BODY)
    assert (found.status, found.cause, found.nobody) == (None, "nobody listens there", True)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("https://nowhere.invalid/callbacks/secret-token", "the name nowhere.invalid could not be resolved"),
        ("https://a..b/callbacks/secret-token", "it is no URL that can be called"),
        ("https://xn--/callbacks/secret-token", "it is no URL that can be called"),
        (f"https://{'a' * 70}.com/callbacks/secret-token", "it is no URL that can be called"),
    ],
)
async def test_urls_that_lead_nowhere_are_told_without_their_token(url, cause):
    found = await knock(Secret(url), BODY)
    assert (found.status, found.cause) == (None, cause)
    assert "secret-token" not in repr(found)
