"""The live page: the gallery, filled as the ledger fills. It reads; the one thing that it changes is what is picked."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from seedbatch.domain.errors import SeedbatchError, UsageError
from seedbatch.domain.records import Artifact
from seedbatch.report import page
from seedbatch.report.cards import shown
from seedbatch.report.live import artifact_named
from seedbatch.report.poster_cache import PosterCache
from seedbatch.web.gate import FILE_POLICY, HEADERS, Gate, is_own
from seedbatch.web.lookout import Lookout
from seedbatch.web.viewers import Viewers

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_LARGEST_ORDER: Final = 4_096  # bytes that a pick may have
_VIEWERS: Final = 200
_GRACE: Final = 0.5  # seconds that requests on the wire get when it stops
_SHOWABLE: Final = ("video/", "image/")
# What strangers send is no news, and what the parser says of it is for nobody's terminal.
_LOG: Final = logging.getLogger("seedbatch.web")
_LOG.addHandler(logging.NullHandler())
_KEPT: Final = {"Cache-Control": "private, max-age=31536000, immutable"}  # what is named by its content


@dataclass(frozen=True, slots=True)
class Place:
    """Where the page is: the address it is bound to, port 0 for a free one."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """As a browser wants it; of all addresses, loopback."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - not bound here
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"


class LivePage:
    """Serves one ledger. `flags` are those that make another command mean it.

    `failed` is told what no answer to a request may be: the ledger cannot be read, or there is a bug.
    """

    def __init__(self, lookout: Lookout, posters: PosterCache, flags: str) -> None:
        self._lookout, self._posters, self._flags = lookout, posters, flags
        self._viewers = Viewers(lookout, posters)
        self._assets = page.assets(live=True)
        self._artists = ThreadPoolExecutor(os.cpu_count(), "posters")
        self._looking = 0
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gate = Gate("", 0)

    async def serve(self, place: Place, stack: AsyncExitStack) -> Place:
        """Listen until the stack is closed; returns where.

        Raises:
            UsageError: that address cannot be listened at.
        """
        application = web.Application(client_max_size=_LARGEST_ORDER, middlewares=[self._guarded])
        application.router.add_get("/", self._page, allow_head=False)
        application.router.add_get("/assets/{name}", self._asset, allow_head=False)
        application.router.add_get("/events", self._events, allow_head=False)
        application.router.add_get("/media/{name}", self._media)
        application.router.add_get("/posters/{name}", self._poster, allow_head=False)
        application.router.add_post("/picks", self._pick)
        application.on_shutdown.append(self._end)
        runner = web.AppRunner(
            application, access_log=None, logger=_LOG, shutdown_timeout=_GRACE, handler_cancellation=True
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.callback(self._artists.shutdown, wait=False, cancel_futures=True)
        site = web.TCPSite(runner, place.host, place.port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(
                f"cannot serve at {place.host}:{place.port}: {error.strerror or error}",
                hint=f"take another port, or 0 for a free one: seedbatch serve --bind {place.host}:0{self._flags}",
            ) from error
        _, port = runner.addresses[0][:2]
        self._gate = Gate(place.host, port)
        return Place(place.host, port)

    async def _end(self, _application: web.Application) -> None:
        await self._lookout.end()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Nobody gets past who calls the page by a strange name; every answer says what it may be used for."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not self._gate.admits(hosts[0]):
            raise web.HTTPMisdirectedRequest(text="This page answers to its own address only.\n", headers=HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        except ConnectionError:
            raise  # nobody reads the answer any more
        except Exception as error:
            if not self.failed.done():
                self.failed.set_exception(error)
            raise
        if not response.prepared:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _page(self, _request: web.Request) -> web.Response:
        text = page.render_live(self._flags, assets=list(self._assets))
        return web.Response(body=text, content_type="text/html", charset="utf-8")

    async def _asset(self, request: web.Request) -> web.Response:
        content = self._assets.get(f"assets/{request.match_info['name']}")
        if content is None:
            raise web.HTTPNotFound
        kind = "text/css" if request.match_info["name"].endswith(".css") else "text/javascript"
        return web.Response(body=content, content_type=kind, charset="utf-8", headers=_KEPT)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Everything, and then what changes. `Last-Event-ID` tells how far a page that was cut off had come."""
        if self._looking >= _VIEWERS:
            raise web.HTTPServiceUnavailable(text="So many look already.\n")
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        self._looking += 1
        try:
            await response.prepare(request)
            async with aclosing(self._frames(request)) as frames:
                async for frame in frames:
                    await response.write(frame)  # waits while this viewer reads slowly, and for nobody else
        except ConnectionError:
            pass  # it looks no more
        finally:
            self._looking -= 1
        return response

    def _frames(self, request: web.Request) -> AsyncGenerator[bytes]:
        return self._viewers.follow(request.headers.get("Last-Event-ID", ""))

    async def _media(self, request: web.Request) -> web.StreamResponse:
        """A file that the ledger tells of, whole or the part that is asked for."""
        artifact = await self._named(request)
        kind = artifact.content_type if artifact.content_type.startswith(_SHOWABLE) else "application/octet-stream"
        headers = {**HEADERS, **_KEPT, "Content-Security-Policy": FILE_POLICY, "Content-Type": kind}
        return web.FileResponse(Path(artifact.path), headers=headers)

    async def _poster(self, request: web.Request) -> web.Response:
        artifact = await self._named(request)
        loop = asyncio.get_running_loop()
        jpeg = await loop.run_in_executor(self._artists, self._posters.poster, artifact)
        if jpeg is None:  # an error would stand in the browser's console, and this is none
            return web.Response(status=204)
        return web.Response(body=jpeg, content_type="image/jpeg", headers=_KEPT)

    async def _named(self, request: web.Request) -> Artifact:
        name = request.match_info["name"]
        artifact = await self._lookout.ask(lambda records: artifact_named(records, name), missing=lambda: None)
        if artifact is None:
            raise web.HTTPNotFound
        return artifact

    # -- picking ------------------------------------------------------------------------------------------------------

    async def _pick(self, request: web.Request) -> web.Response:
        """`{"id": 12, "picked": true}`: the answer is `{}`, or `{"wrong": "why nothing was changed"}`."""
        if not is_own(request.headers):
            raise web.HTTPForbidden(text="Only the page itself may pick.\n")
        job_id, picked = _order(await request.read())
        try:
            await self._lookout.pick(job_id, picked=picked)
        except SeedbatchError as error:
            wrong = f"{error.message}; {error.hint}" if error.hint else error.message
            return _json({"wrong": shown(wrong)})
        return _json({})


def _order(body: bytes) -> tuple[int, bool]:
    with suppress(ValueError):
        match json.loads(body):
            case {"id": int(job_id), "picked": bool(picked), **rest} if not rest and 0 < job_id < 2**63:
                return job_id, picked
    raise web.HTTPBadRequest(text="That is no pick.\n")


def _json(value: Mapping[str, str]) -> web.Response:
    return web.Response(body=json.dumps(value).encode(), content_type="application/json")
