"""The webhook receiver: the HTTP side of it, which knows nothing of jobs.

A callback is a `POST` to `<prefix>/callbacks/<token>`. One of a genuine token is kept, whatever it says, and answered
200 once it is durable: the provider sends it once and waits 5 s for the answer (docs: webhook). Everything else gets
the same 404, without a look at the disk. No path, token or body is in a log, an answer or an error.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from aiohttp import web

from seedbatch.domain.errors import InboxFull, LedgerError
from seedbatch.web.connection import BROKEN, Answer, Connection, Front, Incoming
from seedbatch.web.door import BURST, Door, room

_BACKLOG: Final = 2048  # connections that wait in the kernel, so that a burst of callbacks does not have to knock twice
_DEFLATED: Final = 1024  # bytes by which deflating may lengthen a body that fits


class Reception(Protocol):
    """What becomes of callbacks."""

    def recognise(self, token: str) -> str | None:
        """The digest under which a genuine token is kept; None for garbage. Never touches the disk."""
        ...

    async def keep(self, digest: str, body: bytes) -> None:
        """Write a callback down; durable when this returns.

        Raises:
            LedgerError: it cannot be kept.
            InboxFull: it will not be kept.
        """
        ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a peer may take.

    `body` is in bytes, after decompression. `seconds` lie between the first moment of a connection, or an answer on
    it, and the next whole request and its answer. `connections` are those in all, `per_address` those of one peer
    (of IPv6, one /64); named proxies are exempt from it, and loopback is with `spare_loopback`.
    """

    body: int = 64 * 1024
    seconds: float = 10.0
    connections: int = 2_000
    per_address: int = 50
    spare_loopback: bool = True


class Receiver:
    """Receives callbacks for `reception`.

    `paths` are the prefixes of `/callbacks/<token>`: "" and the path of the public URL, since some proxies strip it
    and some do not. `proxies` are IP addresses that many senders come from.

    Raises:
        ValueError: one of `proxies` is no IP address.
    """

    def __init__(
        self,
        reception: Reception,
        *,
        paths: Collection[str] = ("",),
        proxies: frozenset[str] = frozenset(),
        allowance: Allowance = Allowance(),
    ) -> None:
        prefixes = "|".join(re.escape(path.rstrip("/")) for path in paths)
        # What is no plain letter of base64url is no token, in whatever spelling.
        self._address = re.compile(rf"(?:{prefixes})/callbacks/([A-Za-z0-9_-]{{1,256}})")
        self._reception = reception
        self._allowance = allowance
        self._door = Door(
            allowance.connections, allowance.per_address, proxies, spare_loopback=allowance.spare_loopback
        )
        self._front: Front | None = None
        self._listener: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many connections it takes at once: fewer than allowed where the system has too few descriptors."""
        return self._door.most

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and return the address: port 0 takes a free one. Of the addresses of a name, the first is taken.

        Raises:
            OSError: the address cannot be listened at.
        """
        allowance = self._allowance
        self._door.most = room(allowance.connections)
        front = Front(self._answer, self._door, body=allowance.body, seconds=allowance.seconds)
        loop = asyncio.get_running_loop()
        listening = await _listening(loop, host, port)
        try:
            # The loop accepts as many in one turn as its backlog says, whatever the cap: a flood would take the
            # descriptors of the rest of the program. So the loop is told a small number, then the kernel a large one.
            self._listener = await loop.create_server(front, sock=listening, backlog=BURST)
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
        self._front = front
        address: tuple[str, int] = listening.getsockname()[:2]
        return address

    async def stop(self, grace: float = 5.0) -> None:
        """Accept no more, let requests under way finish for up to `grace` seconds, then close. Again: nothing.

        A body that is still being kept then is kept or not, as the reception has it; its sender gets no answer.
        """
        if self._front is None or self._listener is None:
            return
        front, self._front = self._front, None
        self._listener.close()
        await front.finish(grace)

    async def _answer(self, request: Incoming) -> Answer:
        digest = self._recognised(request)
        if digest is None:
            return await request.refuse(HTTPStatus.NOT_FOUND)
        body = await self._body(request)
        if not isinstance(body, bytes):
            return await request.refuse(body)
        return await self._kept(request.connection, digest, body)

    def _recognised(self, request: Incoming) -> str | None:
        # As it came: an address that has to be decoded or resolved first is not one of ours.
        address = self._address.fullmatch(request.raw_path) if request.method == "POST" else None
        return None if address is None else self._reception.recognise(address[1])

    async def _body(self, request: Incoming) -> bytes | HTTPStatus:
        """The whole body, or why there is none."""
        if (request.content_length or 0) > self._allowance.body + _DEFLATED:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        try:
            await request.invite()
            return await request.read()
        except web.HTTPRequestEntityTooLarge:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        except BROKEN:
            return HTTPStatus.BAD_REQUEST

    async def _kept(self, connection: Connection, digest: str, body: bytes) -> Answer:
        connection.keeping = True
        try:
            await self._reception.keep(digest, body)
        except LedgerError:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE)
        except InboxFull:
            return Answer(HTTPStatus.TOO_MANY_REQUESTS)
        finally:
            connection.keeping = False
        return Answer(HTTPStatus.OK, b"kept\n")


async def _listening(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    try:
        family = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0][0]
        return socket.create_server((host, port), family=family, backlog=BURST)
    except (UnicodeError, OverflowError) as error:  # a name or a number that no address has
        raise OSError(f"no address to listen at: {error}") from error
