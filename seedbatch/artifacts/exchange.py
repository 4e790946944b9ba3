"""One GET of a result: redirects by hand, no credentials, and each way it can end as an answer."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from seedbatch.artifacts import guard
from seedbatch.domain.answers import FetchLater, FetchRefused, FetchResult, Gone

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

_REDIRECTS = 5
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({403, 404, 410})
_OK = 200
_LONGEST_WAIT = 900.0  # seconds; a link dies within days, and a host may ask for anything
_KEPT = 5.0  # seconds that an idle connection is kept: most hosts keep theirs longer
_TRIES = 3
_BUFFER = 512 * 1024


class Ended(Exception):
    """A fetch that is over; `answer` says how. Caught in one place, the store."""

    def __init__(self, answer: FetchResult) -> None:
        super().__init__(answer)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the host may take. Seconds; `speed` in bytes a second, over every `window`."""

    connect: float
    read: float
    longest: float
    speed: float
    window: float


class ResultHosts:
    """Sessions for hosts that are not ours: they know no key, no cookie, no proxy and no netrc."""

    def __init__(
        self,
        allowed: frozenset[str],
        patience: Patience,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = frozenset(guard.origin(URL(text)) for text in allowed)
        options: dict[str, Any] = {
            "limit": 0,
            "keepalive_timeout": _KEPT,
            "resolver": resolver,
            "ssl": tls or True,
        }
        # Two pools, because a socket does not know for which origin it is made.
        self._public = _session(aiohttp.TCPConnector(socket_factory=guard.public_socket, **options), patience)
        self._exempt = _session(aiohttp.TCPConnector(**options), patience)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._public.close()
        await self._exempt.close()

    @contextlib.asynccontextmanager
    async def get(self, text: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The 200 answer to a GET of this URL, its body not yet read.

        Raises:
            Ended: everything else, also when the connection fails while the body is read.
        """
        watch = guard.Watch()
        before = guard.watch.set(watch)
        try:
            async with contextlib.AsyncExitStack() as stack:
                yield await self._follow(text, stack, watch)
        except guard.UrlRefused as error:
            raise Ended(FetchRefused(str(error))) from None
        except aiohttp.InvalidURL:
            raise Ended(FetchRefused("its URL cannot be read")) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Ended(_broken(error, watch)) from error
        finally:
            guard.watch.reset(before)

    async def _follow(self, text: str, stack: contextlib.AsyncExitStack, watch: guard.Watch) -> aiohttp.ClientResponse:
        url, before = guard.parse(text), None
        for _ in range(_REDIRECTS + 1):
            watch.begin()
            session = self._exempt if guard.admit(url, self._allowed, before) else self._public
            try:
                response = await _ask(session, url)
            except UnicodeError:  # a host name that IDNA cannot encode
                raise guard.UrlRefused("its URL names no host that can be") from None
            stack.callback(response.close)
            if response.status not in _REDIRECT:
                _judge(response)
                return response
            before, url = url, guard.parse(response.headers.get("Location", ""), url)
            response.close()
        raise Ended(FetchRefused(f"{url.raw_host} redirects more than {_REDIRECTS} times"))


async def _ask(session: aiohttp.ClientSession, url: URL) -> aiohttp.ClientResponse:
    """GET; again when the connection breaks before an answer, for it may be a kept one that the host gave up."""
    for left in reversed(range(_TRIES)):
        try:
            return await session.get(url, allow_redirects=False)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def _session(connector: aiohttp.TCPConnector, patience: Patience) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        # The five minutes that a session allows by default would cut every long download.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=patience.connect, sock_read=patience.read),
        headers={"Accept": "*/*", "Accept-Encoding": "identity"},
        read_bufsize=_BUFFER,
    )


def _judge(response: aiohttp.ClientResponse) -> None:
    """Raise how it ended, unless the body may be read."""
    status, host = response.status, response.url.raw_host
    if status in _GONE:
        raise Ended(Gone(f"{host} answered {status}"))
    if status != _OK:
        raise Ended(FetchLater(f"{host} answered {status}", _retry_after(response)))
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        # Its length would be that of something else than the file.
        raise Ended(FetchRefused(f"{host} sent it as {encoding[:20]!r}, although identity was asked for"))


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds, capped; a date is measured by the host's own clock, which it tells in the same answer."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_WAIT)
    until, now = _moment(text), _moment(response.headers.get("Date", ""))
    if until is None or now is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return moment if moment.tzinfo is not None else None


def _broken(error: Exception, watch: guard.Watch) -> FetchResult:
    """What a failed connection means. The words never hold the URL, whose query is as good as a key."""
    if watch.refused and not watch.allowed:
        return FetchRefused(f"it leads to {watch.refused[0]}, which is not a public address")
    match error:
        case aiohttp.ClientConnectorDNSError():
            cause = f"{error.host} cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            cause = f"the certificate of {error.host} is not trusted: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            cause = f"{error.host} cannot be reached: {error.os_error}"
        case TimeoutError():
            cause = "the host was silent for too long"
        case aiohttp.ClientPayloadError():
            cause = "the connection broke before the end of the file"
        case _:
            cause = f"the connection failed: {type(error).__name__}"
    return FetchLater(cause)
