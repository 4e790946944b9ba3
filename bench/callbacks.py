"""Callbacks: acknowledged after their commit, against the same handler that keeps nothing.

Each callback has a token and a body of its own, as a batch's have. Client and listener are two processes.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedbatch.domain.secret import Secret
from seedbatch.domain.tokens import TokenKey
from seedbatch.engine.reception import Reception
from seedbatch.ledger.sqlite import SqliteLedger
from seedbatch.web.receiver import Receiver
from seedbatch.wiring import WallClock

KEY = TokenKey(Secret("k" * 40))
BODY = (
    b'{"code":0,"msg":"ok","data":{"taskId":"%s","status":"SUCCESS","input":{"model":"seedance-2.0-fast","prompt":'
    b'"A river winding through a birch forest at dawn, aerial view, 35 mm film, soft light","ratio":"16:9",'
    b'"resolution":"480p","duration":5,"fallback":false},"result":{"type":"video","urls":'
    b'["https://files.example.net/0b6c1b52.mp4"]},"failure_reason":null,"created_at":"2026-03-01T08:00:00.120000Z",'
    b'"updated_at":"2026-03-01T08:21:00.120000Z"}}'
)


class Forgetful:
    """A reception that knows genuine tokens and keeps nothing."""

    def recognise(self, token: str) -> str | None:
        return token if KEY.made(token) else None

    async def keep(self, _digest: str, _body: bytes) -> None:
        return


async def serve(mode: str, folder: Path) -> None:
    """Listen until killed."""
    if mode == "nothing":
        receiver = Receiver(Forgetful())
    else:
        clock = WallClock()
        ledger = SqliteLedger(folder / "ledger.db", kind="real", folder=folder, now=clock.now())
        receiver = Receiver(Reception(ledger, KEY, clock, lambda: None))
    host, port = await receiver.start("127.0.0.1", 0)
    print(host, port, flush=True)
    await asyncio.Event().wait()


@contextmanager
def listening(mode: str) -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--serve", mode, "--folder", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                host, port = process.stdout.readline().split()
                yield host, int(port)
            finally:
                process.kill()


class Caller(asyncio.Protocol):
    """Posts one callback after the other on one connection, `pause` seconds apart, and notes how long each took."""

    def __init__(
        self, waiting: deque[bytes], times: list[float], done: asyncio.Future[None], pause: float = 0.0
    ) -> None:
        self._waiting, self._times, self._done, self._pause = waiting, times, done, pause

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 200 "), data[:80]
        self._times.append(time.perf_counter() - self._begun)
        if self._pause:
            asyncio.get_running_loop().call_later(self._pause, self._next)
        else:
            self._next()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _next(self) -> None:
        if not self._waiting:
            self._transport.close()
            return
        self._begun = time.perf_counter()
        self._transport.write(self._waiting.popleft())


def requests(count: int) -> deque[bytes]:
    """Whole HTTP requests, made before the clock starts."""
    made: deque[bytes] = deque()
    for number in range(count):
        body = BODY % b"%032d" % number
        token = KEY.token(secrets.token_bytes(16))
        head = f"POST /callbacks/{token} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        made.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return made


async def post(host: str, port: int, count: int, connections: int, pause: float = 0.0) -> tuple[float, list[float]]:
    """Callbacks a second, and the seconds that each took."""
    waiting, times = requests(count), list[float]()
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    ends = []
    for _ in range(connections):
        done = loop.create_future()
        await loop.create_connection(lambda done=done: Caller(waiting, times, done, pause), host, port)
        ends.append(done)
    await asyncio.gather(*ends)
    assert len(times) == count, f"{len(times)} of {count} were answered"
    return count / (time.perf_counter() - begun), sorted(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", choices=["ledger", "nothing"])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve, options.folder))
        return
    print("| connections | keeping nothing, a second | kept, a second | ratio | p99 | slowest |")
    print("| --- | --- | --- | --- | --- | --- |")
    for connections in (10, 100, 1_000):
        kept, forgot, times = [], [], list[float]()
        for _ in range(options.rounds):
            for mode, rates in (("nothing", forgot), ("ledger", kept)):
                with listening(mode) as (host, port):
                    rate, taken = asyncio.run(post(host, port, options.count, connections))
                rates.append(rate)
                times = sorted(times + taken) if mode == "ledger" else times
        nothing, ours = statistics.median(forgot), statistics.median(kept)
        p99, slowest = times[int(0.99 * len(times))], times[-1]
        ratio = f"{ours / nothing:.0%}"
        print(
            f"| {connections:,} | {nothing:,.0f} | {ours:,.0f} | {ratio} | {p99:.2f} s | {slowest:.2f} s |",
            flush=True,
        )

    # As they come at their worst: five thousand in ten seconds, over a thousand connections.
    with listening("ledger") as (host, port):
        rate, taken = asyncio.run(post(host, port, 5_000, 1_000, pause=2.0))
    print(f"\n5,000 over 1,000 connections, {rate:,.0f} a second: p99 {taken[4_950]:.2f} s, slowest {taken[-1]:.2f} s")


if __name__ == "__main__":
    main()
