"""Calls receivers back as the provider does: one POST, five seconds, whatever comes of it."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from seedbatch.sandbox.addresses import is_public
from seedbatch.sandbox.callbacks import Call, told
from seedbatch.sandbox.damage import envelope
from seedbatch.sandbox.tasks import TaskRow

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType

_MOST: Final = 500  # connections at once: receivers that hang must not use up the descriptors of the process
_JSON: Final = {"Content-Type": "application/json"}


class InternalAddress(OSError):
    """No socket is made for an address that is not public."""


class Caller:
    """Makes calls, each in a task of its own: a receiver that hangs delays nobody.

    `origin` is what result URLs begin with, `patience` the seconds from connect to answer. `internal` allows addresses
    that are not public. `record` writes down what came back; `now` tells microseconds since 1970.
    """

    def __init__(
        self,
        origin: str,
        *,
        internal: bool,
        patience: float,
        record: Callable[[Call, str], Awaitable[None]],
        now: Callable[[], int],
    ) -> None:
        self._origin, self._record, self._now = origin, record, now
        self._under_way: set[asyncio.Task[None]] = set()
        # A fresh connection each: one that the receiver has just closed would lose the only call there is.
        connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=None if internal else _public_socket)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=patience),
        )

    @property
    def room(self) -> int:
        """How many more calls may be made now."""
        return max(0, _MOST - len(self._under_way))

    def make(self, calls: Iterable[tuple[Call, TaskRow]]) -> list[asyncio.Task[None]]:
        """Begin these calls, which are written down as made; each task ends when its answer is written down too."""
        tasks = [asyncio.create_task(self._make(call, row)) for call, row in calls]
        self._under_way.update(tasks)
        for task in tasks:
            task.add_done_callback(self._under_way.discard)
        return tasks

    async def close(self, deadline: float) -> None:
        """Give the calls under way until `deadline`, a moment of the loop's clock, and cancel the rest."""
        calls = list(self._under_way)
        if calls:
            await asyncio.wait(calls, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._session.close()

    async def _make(self, call: Call, row: TaskRow) -> None:
        body = json.dumps(envelope(0, "ok", told(call, row, self._now(), self._origin)))
        answer = await self._post(str(row.callback_url), body.encode())
        with suppress(sqlite3.Error):  # a full disk, say: what came back is not kept, and nobody is called again for it
            await self._record(call, answer)

    async def _post(self, url: str, body: bytes) -> str:
        try:
            async with self._session.post(_as_given(url), data=body, headers=_JSON, allow_redirects=False) as response:
                return str(response.status)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _word(error)


def _as_given(url: str) -> URL:
    # What is ASCII goes out byte for byte: requoting would change a token in the query.
    return URL(url, encoded=url.isascii() and url.isprintable() and " " not in url)


def _public_socket(info: AddrInfoType) -> socket.socket:
    # Where the socket is made and not where the name is read: an odd spelling or a second answer of the resolver
    # meets the same rule.
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise InternalAddress("an internal address")  # one wording: the library forgets the class of unlike errors
    return socket.socket(family, kind, protocol)


def _word(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientSSLError():
            return "tls"
        case aiohttp.ClientConnectorDNSError():
            return "no-such-host"
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, InternalAddress):
            return "internal-address"
        case aiohttp.ClientConnectorError():
            return "no-connection"
        case aiohttp.ClientResponseError():
            return "not-http"
        case OSError() | aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError():
            return "cut"
        case _:
            return "bad-url"
