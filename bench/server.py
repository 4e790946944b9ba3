"""A provider that accepts everything at once and keeps nothing: it must not be what limits a client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

_ANSWER = b'{"code":0,"msg":"ok","data":{"taskId":"%s"}}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def running() -> Iterator[str]:
    """A server in a process of its own; gives its base URL."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = (line.lower() for line in head.split(b"\r\n"))
        size = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
        await reader.readexactly(size)
        body = _ANSWER % str(uuid.uuid4()).encode()
        writer.write(_HEAD % len(body) + body)
        await writer.drain()
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(_serve())
