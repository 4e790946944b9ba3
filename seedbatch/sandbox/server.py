"""The stand-in provider: its routes and its life.

It answers as the documentation says, keeps everything in one file (and a folder of clips beside it), and bills each
task in the transaction that creates it. What a prompt says decides how its task goes:

| marker in the prompt | what happens |
| --- | --- |
| `[reject]` | flagged at submit for `illicit`: HTTP 400, no task, no charge |
| `[flag:sexual]` | the same for any of the 13 categories, several markers for several |
| `[moderation]` | FAILURE, `CONTENT_MODERATION`: refunded minus 1, 5 or 10 %, by the violations of that UTC day |
| `[invalid]` | FAILURE, `INVALID_PARAMETERS`, straight from PENDING; refunded |
| `[points]` | FAILURE, `INSUFFICIENT_POINTS`, straight from PENDING; refunded |
| `[fail]` | FAILURE with a null reason; refunded |
| `[fail-once]` | the same the first time exactly this prompt is submitted, SUCCESS afterwards |
| `[timeout]`, `[cancelled]` | TIMEOUT, CANCELLED; refunded |
| `[no-output]` | SUCCESS with an empty list of URLs |
| `[two]` | SUCCESS with two URLs |
| `[slow]` | takes 20 times as long; goes with any other marker |

Of several outcomes the first one named holds. With `fallback: true` an order that seedance-1.5-pro could carry out
succeeds in spite of `[fail]` and `[timeout]`.

A task with a `callBackUrl` is called back once, when it ends: `caller` makes the call, `endings` knows when.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import random
import re
import sqlite3
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from seedbatch.sandbox.addresses import BACKLOG, listen, origin
from seedbatch.sandbox.book import Book, InsufficientBalance
from seedbatch.sandbox.callbacks import Call, planned
from seedbatch.sandbox.caller import Caller
from seedbatch.sandbox.clips import ClipShelf
from seedbatch.sandbox.damage import REDIRECTED, Answer, answer_api, answer_file, envelope
from seedbatch.sandbox.endings import Endings, settle
from seedbatch.sandbox.faults import CALLBACK, FILE, QUERY, SUBMIT, Fault, FaultCounter, FaultPlan
from seedbatch.sandbox.introspection import bill_told, callbacks_told, tasks_told
from seedbatch.sandbox.made import made
from seedbatch.sandbox.pictures import picture
from seedbatch.sandbox.prices import price
from seedbatch.sandbox.rules import Flagged, Order, Refused, judge
from seedbatch.sandbox.tasks import (
    SECOND,
    Outcome,
    Status,
    TaskRow,
    ends_at,
    file_expired,
    report,
    standing,
    visible,
)

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_FILE_NAME: Final = re.compile(
    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})-([1-9]\d?)\.(?:mp4|png|jpg|webp)"
)
_LARGEST_BODY: Final = 4 * 1024 * 1024
_GRACE: Final = 1.0  # seconds that requests and calls on the wire get when it stops
# A client that went away is no news, and its traceback is for nobody's terminal.
_LOG: Final = logging.getLogger("seedbatch.sandbox")
_LOG.addHandler(logging.NullHandler())


class Sandbox:
    """The stand-in provider over one file.

    `speed` divides the time tasks take. `api_key` None takes any bearer token. `clock` tells seconds since 1970.
    `internal_callbacks` allows a `callBackUrl` at an internal address, `callback_timeout` is how many seconds its
    receiver has from connect to answer (documented: 5).
    """

    def __init__(
        self,
        path: Path,
        *,
        speed: float = 1.0,
        faults: FaultPlan | None = None,
        api_key: str | None = None,
        clock: Callable[[], float] = time.time,
        internal_callbacks: bool = False,
        callback_timeout: float = 5.0,
    ) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be more than 0, not {speed}")
        self._path, self._speed, self._key, self._clock = path, speed, api_key, clock
        self._plan = faults or FaultPlan()
        self._faults = FaultCounter(self._plan)
        self._callback_faults = FaultCounter(self._plan)  # its own: the book's thread counts with it
        self._internal, self._patience = internal_callbacks, callback_timeout
        self._ids = random.Random()  # noqa: S311 -- seeded by the system; a task id opens nothing
        self._shelf = ClipShelf(path.with_name(f"{path.name}-clips"))
        self._book: Book | None = None
        self._runner: web.AppRunner | None = None
        self._endings: Endings | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Open the file, listen, and return the base URL; port 0 takes the port of the last start if it is free.

        Raises:
            OSError: the address cannot be listened at, or the file cannot be opened.
        """
        self._book = Book(self._path)
        try:
            await settle(self._book, self._now())
            listener = listen(host, port, self._book.port())
            port = listener.getsockname()[1]
            address = origin(host, port)
            caller = Caller(
                address,
                internal=self._internal,
                patience=self._patience,
                record=self._book.record_answer,
                now=self._now,
            )
            self._endings = Endings(self._book, caller, self._now)
            self._runner = web.AppRunner(self._app(), access_log=None, logger=_LOG, shutdown_timeout=_GRACE)
            await self._runner.setup()
            await web.SockSite(self._runner, listener, backlog=BACKLOG).start()
            await self._book.remember_port(port)
        except BaseException:
            await self.stop()
            raise
        self._endings.start()
        return address

    async def stop(self) -> None:
        """Stop listening, give requests and calls on the wire a second, and close the file. Again: nothing."""
        deadline = asyncio.get_running_loop().time() + _GRACE
        if self._endings is not None:
            await self._endings.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._endings is not None:
            await self._endings.close(deadline)
            self._endings = None
        if self._book is not None:
            book, self._book = self._book, None
            await book.close()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[_enveloped], client_max_size=_LARGEST_BODY)
        app.router.add_post("/api/v1/task/submit", self._submit)
        app.router.add_get("/api/v1/task/{task_id}", self._query)
        app.router.add_get("/files/{name}", self._file)
        app.router.add_get("/_sandbox/bill", self._bill)
        app.router.add_get("/_sandbox/tasks", self._tasks)
        app.router.add_get("/_sandbox/callbacks", self._callbacks)
        return app

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        return await answer_api(self._fault(SUBMIT, request), request, lambda: self._accept(request))

    async def _accept(self, request: web.Request) -> Answer:
        if not self._authorised(request):
            return 401, envelope(401, "unauthorized")
        verdict = judge(_parsed(await request.read()), internal_callbacks=self._internal)
        match verdict:
            case Refused():
                return 400, envelope(400, verdict.message)
            case Flagged():
                return 400, envelope(400, "content rejected by moderation", verdict.data)
            case Order():
                return await self._take(verdict)

    async def _take(self, order: Order) -> Answer:
        row, stranger = self._row(order), self._new_id()

        def plan(row: TaskRow) -> tuple[TaskRow, list[Call]]:
            return planned(row, self._callback_faults.next(CALLBACK), stranger)

        again = replace(row, outcome=Outcome.SUCCESS)
        prompt = str(order.echo["prompt"]).encode(errors="surrogatepass")
        once = hashlib.sha256(prompt).hexdigest() if order.once else None
        try:
            row, calls = await self._open_book.accept(
                row, balance=self._plan.balance, once=once, if_again=again, plan=plan
            )
        except InsufficientBalance:
            return 402, envelope(402, "insufficient credits")
        except sqlite3.Error:
            return 500, envelope(500, "internal server error")
        await self._open_endings.begin(row, calls)
        return 200, envelope(0, "ok", {"taskId": row.task_id})

    def _row(self, order: Order) -> TaskRow:
        task_id, created = self._new_id(), self._now()
        return TaskRow(
            task_id=task_id,
            model=order.model,
            kind=order.kind,
            input=order.echo,
            user_id=order.user_id,
            callback_url=order.callback_url,
            outcome=order.outcome,
            outputs=order.outputs,
            units=price(order.model, order.kind, made(order.model, order.echo)),
            created=created,
            ends=ends_at(task_id, created, order.outcome, slow=order.slow, speed=self._speed),
            visible_from=created + int(self._plan.hide_for * SECOND),
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    async def _query(self, request: web.Request) -> web.StreamResponse:
        return await answer_api(self._fault(QUERY, request), request, lambda: self._report(request))

    async def _report(self, request: web.Request) -> Answer:
        if not self._authorised(request):
            return 401, envelope(401, "unauthorized")
        row, now = self._open_book.task(request.match_info["task_id"]), self._now()
        if row is None or not visible(row, now):
            return 404, envelope(404, "task not found")
        if now >= row.ends and row.outcome is not Outcome.SUCCESS:
            await settle(self._open_book, now)  # whoever learns of the failure finds the refund on the bill
        return 200, envelope(0, "ok", report(row, now, _origin(request)))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        fault = self._fault(FILE, request)
        name = _FILE_NAME.fullmatch(request.match_info["name"])
        row = None if name is None else self._open_book.task(name[1])
        now = self._now()
        if name is None or row is None or standing(row, now).status is not Status.SUCCESS:
            raise web.HTTPNotFound
        if int(name[2]) > row.outputs or row.file_name(int(name[2])) != name[0]:
            raise web.HTTPNotFound
        if file_expired(row, now):
            raise web.HTTPForbidden(text="the link has expired")
        return await answer_file(fault, request, await self._output(row, int(name[2])))

    async def _output(self, row: TaskRow, position: int) -> Path:
        mark = f"{row.task_id}-{position}"
        params = made(row.model, row.input)
        ratio = str(params.get("ratio", "1:1"))
        if row.kind == "image":
            folder = self._path.with_name(f"{self._path.name}-clips")
            return await asyncio.to_thread(picture, folder, mark, row.extension, ratio)
        resolution = str(params.get("resolution", "720p"))
        if resolution not in {"480p", "720p"}:
            resolution = "1080p"
        return await self._shelf.clip(ratio, resolution, float(params["duration"]), mark)

    async def _bill(self, _request: web.Request) -> web.Response:
        await settle(self._open_book, self._now())
        return web.json_response(await asyncio.to_thread(bill_told, self._path))

    async def _tasks(self, _request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(tasks_told, self._path, self._now()))

    async def _callbacks(self, _request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(callbacks_told, self._path))

    @property
    def _open_book(self) -> Book:
        if self._book is None:
            raise RuntimeError("the sandbox is not started")
        return self._book

    @property
    def _open_endings(self) -> Endings:
        if self._endings is None:
            raise RuntimeError("the sandbox is not started")
        return self._endings

    def _fault(self, on: str, request: web.Request) -> Fault | None:
        return None if REDIRECTED in request.query else self._faults.next(on)

    def _authorised(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return False
        return self._key is None or hmac.compare_digest(token.encode(errors="replace"), self._key.encode())

    def _now(self) -> int:
        return int(self._clock() * SECOND)


async def serve(
    path: Path,
    host: str,
    port: int,
    *,
    speed: float,
    faults: FaultPlan | None,
    on_ready: Callable[[str], None],
    internal_callbacks: bool = False,
) -> None:
    """Run a sandbox until cancelled; `on_ready` gets its base URL.

    Raises:
        OSError: the address cannot be listened at.
    """
    sandbox = Sandbox(path, speed=speed, faults=faults, internal_callbacks=internal_callbacks)
    try:
        on_ready(await sandbox.start(host, port))
        await asyncio.Event().wait()
    finally:
        await sandbox.stop()


@web.middleware
async def _enveloped(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals of the web framework (no such path, method or size), in the provider's envelope."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        if not request.path.startswith("/api/"):
            raise
        return web.json_response(envelope(refusal.status, refusal.reason), status=refusal.status)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _origin(request: web.Request) -> str:
    # From the question and not from the start: the links stay good when the sandbox comes back on another port.
    return f"{request.scheme}://{request.host}"
