"""A receiver of callbacks on loopback: keeps what came and answers by the path that was called."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Got:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["data"])


@dataclass
class Receiver:
    """`/hang` is never answered, `/moved` with a 307 to `/`, `/gone` with 410, `/after` when `release` is set."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: int = 0
    on_call: Callable[[Got], Any] | None = None

    def ids(self) -> list[str]:
        """The tasks that were called, in order."""
        return [each.data["taskId"] for each in self.got]

    async def receive(self, request: web.Request) -> web.Response:
        got = Got(request.method, request.raw_path, dict(request.headers), await request.read())
        self.got.append(got)
        if self.on_call is not None:
            await self.on_call(got)
        match request.path:
            case "/hang":
                self.hanging += 1
                try:
                    await asyncio.Event().wait()
                finally:
                    self.hanging -= 1
            case "/after":
                await self.release.wait()
            case "/moved":
                return web.Response(status=307, headers={"Location": self.url})
            case "/gone":
                return web.Response(status=410)
        return web.Response(text="ok")


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", receiver.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()
