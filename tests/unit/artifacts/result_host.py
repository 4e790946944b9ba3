"""A result host on loopback that can misbehave in every way a socket allows, and files of every stored format."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import seedbatch
from seedbatch.domain.answers import MediaKind
from seedbatch.domain.work import Download

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def box(name: bytes, body: bytes = b"", *, wide: bool = False) -> bytes:
    if wide:
        return (1).to_bytes(4) + name + (16 + len(body)).to_bytes(8) + body
    return (8 + len(body)).to_bytes(4) + name + body


def mp4(size: int = 200_000, *, brand: bytes = b"isom", wide: bool = False, moov_last: bool = False) -> bytes:
    moov, mdat = box(b"moov", os.urandom(600)), box(b"mdat", os.urandom(size), wide=wide)
    return box(b"ftyp", brand + b"\0\0\2\0isommp41") + (mdat + moov if moov_last else moov + mdat)


def png(size: int = 300) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"IDAT", os.urandom(size)) + chunk(b"IEND", b"")


def jpeg(size: int = 300) -> bytes:
    thumbnail = b"\xff\xd8\xff\xe0\0\4ab\xff\xd9"
    app = b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2) + thumbnail
    scan = b"\xff\xda\0\x08" + bytes(6) + os.urandom(size).replace(b"\xff", b"\xfe")
    return b"\xff\xd8" + app + scan + b"\xff\xd9"


def webp(size: int = 300) -> bytes:
    body = b"WEBPVP8L" + size.to_bytes(4, "little") + os.urandom(size)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def webm(size: int = 300, *, live: bool = False) -> bytes:
    head = b"\x42\x86\x81\x01\x42\x82\x84webm"
    length = b"\x01" + (b"\xff" * 7 if live else size.to_bytes(7))
    return b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(head)]) + head + b"\x18\x53\x80\x67" + length + os.urandom(size)


def avif() -> bytes:
    return box(b"ftyp", b"avif\0\0\0\0mif1") + box(b"meta", bytes(90)) + box(b"mdat", os.urandom(100))


def plain(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An ordinary answer with a length."""
    return raw(_head(status, {"Content-Length": str(len(body)), **(headers or {})}) + body)


def raw(data: bytes, *, reset: bool = False) -> Answer:
    """These bytes, then the end of the connection."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if reset:
            writer.transport.abort()

    return answer


def unframed(body: bytes, *, reset: bool = False) -> Answer:
    """Neither length nor chunks: only the end of the connection ends it."""
    return raw(_head(200, {"Connection": "close"}) + body, reset=reset)


def moved(to: str, status: int = 302) -> Answer:
    return plain(b"", status=status, headers={"Location": to})


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@dataclass
class Host:
    """A server that answers each path as `answers` says, one request a connection, and remembers what was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    connections: int = 0
    scheme: str = "http"
    port: int = 0
    name: str = "127.0.0.1"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.name}:{self.port}"

    def url(self, path: str = "/clip.mp4") -> str:
        return self.origin + path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            path = lines[0].split(" ")[1]
            self.asked.append((path, {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:-2])}))
            answer = self.answers.get(path.partition("?")[0]) or plain(b"nothing here", status=404)
            await answer(writer)
            writer.close()
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(host: Host, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> AsyncIterator[Host]:
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(host.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, address, 0, ssl=tls)
    host.port = server.sockets[0].getsockname()[1]
    host.scheme = "https" if tls else "http"
    try:
        yield host
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def wanted(
    url: str, name: str = "batch/river", *, part: str = "7-1", kind: MediaKind = MediaKind.VIDEO, **more: Any
) -> Download:
    return Download(url, name, kind, part, {"task_id": "task-1", "batch": "batch", **more})


def tree(root: Path) -> set[str]:
    """Every file below the folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def child(arguments: list[str], **order: Any) -> subprocess.Popen[str]:
    """The store in a process of its own: see `fetcher.py`."""
    tests, ours = Path(__file__).parents[2], Path(seedbatch.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{ours}"}
    command = [sys.executable, "-m", "unit.artifacts.fetcher", json.dumps({"arguments": arguments, **order})]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


async def ended(process: subprocess.Popen[str]) -> str:
    """What it printed, once it is over."""
    output, _ = await asyncio.to_thread(process.communicate)
    return output
