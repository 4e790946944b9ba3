"""What aiohttp's server lacks for a port that the whole world can reach.

It sets no deadline to a request, takes any number of connections, names itself in every answer, and tells the peer and
the log what it found malformed. What is mended here leans on `RequestHandler`, which is exported but documented only
in part: each such place is marked with a `*`, is in this file and nowhere else, and has a test in
tests/unit/web/test_library.py that says which of them the library changed.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError
from yarl import URL

from seedbatch.web.door import Door

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

# What reading a body raises where that is badly framed or packed, or its peer went away: which of them depends on the
# parser and on the moment. To the reader of a connection that is gone it is a RuntimeError.
BROKEN: Final = (web.RequestPayloadError, HttpProcessingError, ConnectionError, RuntimeError)

_NOWHERE: Final = URL("/")
_LINGER: Final = 1.0  # seconds for a peer to read its refusal while it is still sending
_LONGEST_LINE: Final = 16_384  # bytes of a request line; what is longer is malformed, not unknown
_LONGEST_HEAD: Final = 24_576  # bytes of a head that is not whole: a slow peer makes the program remember all of it
_READ_BUFFER: Final = 65_536  # bytes of a body, inflated, before its reader comes

_TURNS: Final = 3  # of the loop, until a request that has just come in is under way

_log: Final = logging.getLogger(__name__)


class Answer(web.Response):
    """An answer that shows nothing of the request it belongs to. `last` closes the connection behind it."""

    def __init__(self, status: HTTPStatus, body: bytes = b"", *, last: bool = False) -> None:
        # Said outright, since the library leaves out the one for HEAD and the other for HTTP/1.0.
        headers = {hdrs.CONTENT_LENGTH: str(len(body))}
        if body:
            headers[hdrs.CONTENT_TYPE] = "text/plain"
        if last:
            headers[hdrs.CONNECTION] = "close"
        super().__init__(status=status, body=body, headers=headers)
        if last:
            self.force_close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}>"


class Incoming(web.BaseRequest):
    """A request that does not show its path, which is a secret, and whose answer does not name the server."""

    @property
    def connection(self) -> Connection:
        """The connection it came by."""
        return cast("Connection", self.protocol)

    async def invite(self) -> None:
        """Tell a peer that waits for the word that its body is welcome."""
        if self.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and not self.content.is_eof():
            await self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def refuse(self, status: HTTPStatus) -> Answer:
        """The last answer of this connection. What is left of the body is not read.

        It is dropped for a moment: the kernel resets a connection that is closed while bytes wait in it, and then the
        peer may never see the answer.
        """
        answer = Answer(status, last=True)
        if not self.content.is_eof():
            with suppress(ConnectionError):
                await answer.prepare(self)
                await answer.write_eof()
                await self.connection.linger()
        return answer

    async def _prepare_hook(self, response: web.StreamResponse) -> None:  # * called between completing and sending
        response.headers.popall(hdrs.SERVER, None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method}>"


class Connection(web.RequestHandler):
    """A connection that ends `seconds` after its first moment or its latest answer, whatever was sent by then.

    While a body is being kept it has that time again.
    """

    __slots__ = ("_door", "_due", "_gone", "_head", "_place", "_seconds", "_timer", "_wire", "busy", "keeping")

    def __init__(self, front: Front, loop: asyncio.AbstractEventLoop, door: Door, seconds: float) -> None:
        super().__init__(
            front,
            loop=loop,
            tcp_keepalive=False,  # the deadline is shorter
            logger=_log,
            access_log=None,  # type: ignore[arg-type]  # as its own documentation has it
            max_line_size=_LONGEST_LINE,
            lingering_time=0.0,  # it would read on, and inflate what it reads
            read_bufsize=_READ_BUFFER,
        )
        self._door = door
        self._seconds = seconds
        self._due = 0.0
        self._head = 0
        self._wire: asyncio.Transport | None = None
        self._place: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] | None = None
        self.busy = False  # a request is being answered
        self.keeping = False  # and its body is being kept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in, if there is room; otherwise be closed before there is any work."""
        wire = cast("asyncio.Transport", transport)
        peer = wire.get_extra_info("peername")
        self._place = self._door.enter(peer[0]) if peer else None
        if self._place is None:
            wire.abort()
            return
        self._wire = wire
        self.renew()
        self._timer = self._loop.call_at(self._due, self._look)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for the next."""
        if self._place is not None:
            self._door.leave(self._place)
            self._place = None
        self._wire = None
        if self._timer is not None:
            self._timer.cancel()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; what the parser has no answer for ends the connection."""
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 -- the loop would print it, and it may quote the peer
            _log.debug("the connection stumbled: %s", type(error).__name__)
            self.abort()
        if self._waiter is None or self._waiter.done():  # * pending as long as there is no whole head to begin with
            self._head = 0
            return
        self._head += len(data)
        if self._head > _LONGEST_HEAD:
            self.abort()

    def renew(self) -> None:
        """Begin the time for the next request. The timer finds out when it next looks: that costs a request nothing."""
        self._due = self._loop.time() + self._seconds

    async def linger(self) -> None:
        """End our side and drop what the peer still sends, until it ends its side or a moment has passed."""
        self.close()  # * from here on `data_received` drops what comes
        if self._wire is None or self._timer is None:
            return
        self._timer.cancel()
        self._due = min(self._due, self._loop.time() + _LINGER)
        self._timer = self._loop.call_at(self._due, self._look)
        self._gone = self._loop.create_future()
        with suppress(OSError):  # the peer has gone already
            self._wire.write_eof()
        self._wire.resume_reading()
        await self._gone

    def end(self) -> None:
        """End it when all is sent, or when its time is over."""
        if self._wire is not None:
            self._wire.close()

    def abort(self) -> None:
        """End it now, with whatever was not sent."""
        if self._wire is not None:
            self._wire.abort()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 -- it names the peer
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- it quotes the peer
    ) -> web.StreamResponse:  # * the one place for what is malformed and for what a handler raised
        """Answer what is no HTTP, or what raised; neither the peer nor the log is told what was sent."""
        if status == HTTPStatus.BAD_REQUEST:
            _log.debug("no HTTP as it should be: %s", type(exc).__name__)
        else:
            _log.error("a request could not be answered, which is a bug: %s", _named(exc or TimeoutError()))
        if isinstance(exc, BadHttpMethod):
            status = HTTPStatus.NOT_FOUND  # one that the parser has not heard of is refused like any other method
        return Answer(HTTPStatus(status), last=True)

    def log_exception(self, *_words: object, **more: Any) -> None:  # * what stumbled over what was sent, as a rule
        """Tell of an error of the library itself without the traceback, which quotes the peer."""
        _log.debug("the connection stumbled: %s", type(more.get("exc_info")).__name__)

    def _look(self) -> None:
        due = self._due + (self._seconds if self.keeping else 0.0)
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look)
        else:
            self.abort()


def _named(error: BaseException) -> str:
    """Its class and where it was raised; its words, and those of the lines on its way, may quote the peer."""
    at = traceback.extract_tb(error.__traceback__, limit=-1)
    return type(error).__name__ + "".join(f" at {frame.filename}:{frame.lineno}" for frame in at)


class Front(web.Server):
    """Makes a `Connection` of each peer, and hands its requests to `answer`, one after the other.

    A body is read up to `body` bytes, inflated.
    """

    def __init__(
        self, answer: Callable[[Incoming], Awaitable[Answer]], door: Door, *, body: int, seconds: float
    ) -> None:
        super().__init__(self._take, request_factory=self._incoming)
        self._answer = answer
        self._door = door
        self._body = body
        self._seconds = seconds
        self._under_way = 0
        self._finishing: asyncio.Future[None] | None = None

    def __call__(self) -> Connection:
        """A connection for the next peer."""
        return Connection(self, self._loop, self._door, self._seconds)

    async def finish(self, grace: float) -> None:
        """End what is idle, give requests under way `grace` seconds, and end the rest.

        The library's own way drops what is still to come of a body that is half there.
        """
        self._finishing = self._loop.create_future()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._end_idle()
        if self._under_way:
            await asyncio.wait([self._finishing], timeout=grace)
        self._end_idle()
        for connection in self.connections:
            cast("Connection", connection).abort()
        await asyncio.sleep(0)  # they hear of it

    def _end_idle(self) -> None:
        for connection in cast("list[Connection]", self.connections):
            if not connection.busy:
                connection.end()

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)
        connection.busy = True
        self._under_way += 1
        try:
            answer = await self._answer(cast("Incoming", request))
        finally:
            self._under_way -= 1
            connection.busy = False
            connection.renew()
            if self._finishing is not None and not self._under_way and not self._finishing.done():
                self._finishing.set_result(None)
        if self._finishing is not None:
            answer.force_close()
        return answer

    def _incoming(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> Incoming:
        if not message.path or message.path[0] != "/":
            # Only the path as it came counts here. What the library makes of other targets may raise, where nothing
            # catches it; that of a `CONNECT` to nowhere is None.
            message = message._replace(path=message.path or "*", url=_NOWHERE)
        return Incoming(message, payload, protocol, writer, task, self._loop, client_max_size=self._body)
