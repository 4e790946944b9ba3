"""Knocks at a callback URL as the provider would: one POST, no second one, and what came back."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from errno import ECONNREFUSED
from typing import Final

import aiohttp
from yarl import URL

from seedbatch.domain.secret import Secret

PATIENCE: Final = 10.0  # seconds

# From the special to the general: the first that fits is said.
_CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ClientConnectorCertificateError, "the certificate of {host} is not trusted"),
    (aiohttp.ClientSSLError, "{host} does not speak TLS as it should"),
    (aiohttp.ClientConnectorDNSError, "the name {host} could not be resolved"),
    (aiohttp.ConnectionTimeoutError, "no connection to {host} in time"),
    (TimeoutError, "{host} did not answer in {seconds:g} s"),
    (aiohttp.ServerDisconnectedError, "{host} closed the connection without an answer"),
    (aiohttp.ClientResponseError, "what {host} answers is not HTTP"),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """The HTTP status that came back, or in `cause` why none did; after so many seconds.

    `nobody`: the host was reached, and nobody listens there.
    """

    status: int | None
    cause: str
    seconds: float
    nobody: bool = False


async def knock(url: Secret, body: bytes, *, patience: float = PATIENCE) -> Answered:
    """POST a body to a callback URL, without a key, following no redirect and asking no proxy of the environment.

    Every outcome is a value; the words hold nothing of the URL but its host.
    """
    began = asyncio.get_running_loop().time()
    host, status, cause, nobody = "the host", None, "", False
    try:
        target = URL(url.reveal())
        host = target.host or host
        status = await _posted(target, body, patience)
    except Exception as error:  # noqa: BLE001 - whatever it was, a callback would have met it as well
        nobody = isinstance(error, OSError) and error.errno == ECONNREFUSED
        cause = _cause(error, host, patience)
    return Answered(status, cause, asyncio.get_running_loop().time() - began, nobody)


async def _posted(target: URL, body: bytes, patience: float) -> int:
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=patience),
            trust_env=False,
        ) as session,
        session.post(
            target,
            data=body,
            headers={"Content-Type": "application/json", "User-Agent": "seedbatch"},
            allow_redirects=False,
        ) as response,
    ):
        return response.status


def _cause(error: Exception, host: str, patience: float) -> str:
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return words.format(host=host, seconds=patience)
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        refused = error.errno == ECONNREFUSED
        return "nobody listens there" if refused else f"the connection failed ({os.strerror(error.errno)})"
    if isinstance(error, ValueError):
        return "it is no URL that can be called"
    return f"the request failed ({type(error).__name__})"
