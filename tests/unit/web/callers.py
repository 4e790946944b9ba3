"""A reception that keeps what it is given, and peers that speak plain bytes to a receiver."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from seedbatch.web.receiver import Allowance, Receiver

TOKEN = "q4nVZ-Genuine_Token-0123456789abcdefghijklm"
OTHER = "Zm9yZ2Vk-Genuine_Token-9876543210abcdefghijk"
FORGED = "q4nVZ-Genuine_Token-0123456789abcdefghijklX"
PATIENCE = 10.0  # seconds after which a test is told that nothing comes


@dataclass
class Inbox:
    """A reception: keeps bodies in a list. `fault` is raised instead; `gate` holds every body up while it is closed."""

    kept: list[tuple[str, bytes]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fault: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def recognise(self, token: str) -> str | None:
        self.asked.append(token)
        return digest(token) if token in {TOKEN, OTHER} else None

    async def keep(self, digest: str, body: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.waiting.set()
        await self.gate.wait()
        self.kept.append((digest, body))

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in self.kept]


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass
class Reply:
    """An answer, taken apart."""

    version: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def told(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """All of it that does not depend on when it was asked, nor on the version asked with."""
        return self.status, sorted(header for header in self.headers if header[0] != "Date"), self.body


@dataclass
class Peer:
    """One connection to a receiver."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def reply(self) -> Reply:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            version, status, _ = head[0].split(" ", 2)
            headers = [(name, value) for name, _, value in (line.partition(": ") for line in head[1:-2])]
            body = await self.reader.readexactly(int(dict(headers).get("Content-Length", "0")))
        assert "Server" not in dict(headers)
        return Reply(version, int(status), headers, body)

    async def rest(self) -> bytes:
        """Everything until the other side ends it, however it does that."""
        received = bytearray()
        async with asyncio.timeout(PATIENCE):
            try:
                while chunk := await self.reader.read(1 << 16):
                    received += chunk
            except ConnectionError:
                pass
        return bytes(received)

    async def ask(self, raw: bytes) -> Reply:
        await self.send(raw)
        return await self.reply()


@dataclass
class Site:
    """A receiver that listens."""

    receiver: Receiver
    address: tuple[str, int]

    @asynccontextmanager
    async def peer(self, local: str | None = None) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection(*self.address, local_addr=None if local is None else (local, 0))
        try:
            yield Peer(reader, writer)
        finally:
            writer.transport.abort()

    async def ask(self, raw: bytes) -> Reply:
        async with self.peer() as peer:
            return await peer.ask(raw)

    async def all_of(self, raw: bytes) -> bytes:
        """What comes back until the connection ends."""
        async with self.peer() as peer:
            try:
                await peer.send(raw)
            except ConnectionError:
                return b""
            return await peer.rest()


Open = Callable[..., Awaitable[Site]]


@asynccontextmanager
async def opened() -> AsyncIterator[Open]:
    sites: list[Site] = []

    async def start(inbox: Any, *, host: str = "127.0.0.1", **more: Any) -> Site:
        limits = {name: more.pop(name) for name in Allowance.__dataclass_fields__ if name in more}
        receiver = Receiver(inbox, allowance=Allowance(**limits), **more)
        site = Site(receiver, await receiver.start(host, 0))
        sites.append(site)
        return site

    with quiet():
        yield start
        for site in sites:
            await site.receiver.stop(grace=0.1)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing within may reach the loop's handler of errors, which prints tracebacks."""
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    yield
    assert told == [], told


async def emptied(site: Site, number: int = 0) -> None:
    """Until the receiver has heard that its peers left."""
    async with asyncio.timeout(PATIENCE):
        while site.receiver._door._inside > number:  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0)


def post(body: bytes = b"{}", *, path: str = f"/callbacks/{TOKEN}", more: str = "", last: bool = False) -> bytes:
    """A whole callback, with a length."""
    return head(f"Content-Length: {len(body)}\r\n{more}", path=path, last=last) + body


def chunked(*chunks: bytes, more: str = "", last: bool = False) -> bytes:
    """A whole callback, in chunks."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head(f"Transfer-Encoding: chunked\r\n{more}", last=last) + framed + b"0\r\n\r\n"


def head(more: str = "", *, path: str = f"/callbacks/{TOKEN}", last: bool = False) -> bytes:
    end = "Connection: close\r\n" if last else ""
    return f"POST {path} HTTP/1.1\r\nHost: callbacks.example\r\n{end}{more}\r\n".encode()
