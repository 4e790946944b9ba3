from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from seedbatch.domain.jobs import Request
from seedbatch.domain.work import JobName, Submission


@dataclass
class Peer:
    """One connection as the server sees it: every byte that came, in order."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytearray = field(default_factory=bytearray)

    async def take(self, count: int) -> None:
        while len(self.received) < count:
            if not await self._more(count - len(self.received)):
                return

    async def request(self) -> bytes:
        """Read one whole request and return it."""
        start = len(self.received)
        while b"\r\n\r\n" not in self.received[start:]:
            if not await self._more(1 << 16):
                return bytes(self.received[start:])
        head, _, rest = bytes(self.received[start:]).partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        await self.take(len(self.received) + length - len(rest))
        return bytes(self.received[start:])

    async def everything(self) -> None:
        while await self._more(1 << 16):
            pass

    async def _more(self, count: int) -> bool:
        try:
            chunk = await self.reader.read(count)
        except ConnectionError:
            return False
        self.received += chunk
        return bool(chunk)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class RawServer:
    """A TCP server that does what a script says with each connection."""

    port: int
    scheme: str = "http"
    peers: list[Peer] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    @property
    def posts(self) -> int:
        return sum(bytes(peer.received).count(b"POST ") for peer in self.peers)

    @property
    def gets(self) -> int:
        return sum(bytes(peer.received).count(b"GET ") for peer in self.peers)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[RawServer]]]:
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def start(script: Script, *, ssl: object = None) -> RawServer:
        raw = RawServer(0, "https" if ssl else "http")

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = Peer(reader, writer)
            raw.peers.append(peer)
            writers.append(writer)
            try:
                await script(peer)
            except ConnectionError:
                pass
            finally:
                writer.close()
                raw.ended.set()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=ssl)  # type: ignore[arg-type]
        raw.port = server.sockets[0].getsockname()[1]
        servers.append(server)
        return raw

    yield start
    for server in servers:
        server.close()
    for writer in writers:
        writer.transport.abort()


@pytest.fixture
def submission() -> Submission:
    request = Request("seedance-2.0", {"prompt": "a river, 河 " + "x" * 600, "duration": 5})
    return Submission(1, 1, JobName("autumn", "river"), request, 1, "attempt-1")
