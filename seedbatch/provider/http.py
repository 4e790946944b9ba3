from __future__ import annotations

import asyncio
import io
import os
import ssl
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace, TracebackType
from typing import Final, Self
from urllib.parse import quote

import aiohttp
from aiolimiter import AsyncLimiter
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from seedbatch.domain.answers import (
    Evidence,
    InDoubt,
    NotFound,
    NotSent,
    QueryAnswer,
    SubmitAnswer,
    Unanswered,
)
from seedbatch.domain.calls import Hint
from seedbatch.domain.secret import Secret
from seedbatch.domain.work import Submission
from seedbatch.ports import Clock
from seedbatch.provider import wire

LARGEST_ANSWER: Final = 1 << 20

_CHUNK: Final = 1 << 16
_LARGE_REQUEST: Final = 1 << 20  # aiohttp warns of bytes beyond that, since one write of them holds up the loop
_SUBMIT_PATH: Final = "/api/v1/task/submit"
_QUERY_PATH: Final = "/api/v1/task/"
_REDIRECTS: Final = range(300, 400)
_LONGEST_CONNECT: Final = 30.0
_LONGEST_SOCKET_CONNECT: Final = 10.0
_QUERY_CONNECTIONS: Final = 32
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


# From the special to the general: the first that fits is said.
_CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ClientConnectorCertificateError, "the certificate of {host} is not trusted"),
    (aiohttp.ClientSSLError, "{host} does not speak TLS as it should; are scheme and port right?"),
    (aiohttp.ClientConnectorDNSError, "the name {host} could not be resolved"),
    (aiohttp.ConnectionTimeoutError, "no connection to {host} in time"),
    (TimeoutError, "{host} did not answer in time"),
    (aiohttp.ServerDisconnectedError, "{host} closed the connection without a whole answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientResponseError, "the answer was not HTTP"),
)


class _WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class _Sending:
    """Whether the headers of one request were about to leave: aiohttp's trace sets `begun` before the first byte."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False


_Hook = Callable[[aiohttp.ClientSession, SimpleNamespace, aiohttp.TraceRequestHeadersSentParams], Awaitable[None]]


class _Unreadable(Exception):
    """An answer whose body is of no use: too large, or encoded in a way that was not asked for."""


class MaxApi:
    """The provider over HTTP: an async context manager that opens connections when they are first needed.

    `base_url` is the API's origin, with a path if a gateway adds one; the key is sent there and nowhere else.
    `queries_per_second` paces queries (None: not at all). `submit_timeout` and `query_timeout` are the longest
    silence after a request was sent, in seconds; the whole exchange may take twice as long. `ssl_context` names
    other authorities than the system's.

    Every outcome is a value; only a cancellation is raised. `told_at` is the moment that the latest answer to a query
    gave by its `Date`, None if it named none.
    """

    def __init__(
        self,
        base_url: str,
        key: Secret,
        *,
        queries_per_second: float | None = 10,
        submit_timeout: float = 60.0,
        query_timeout: float = 30.0,
        clock: Clock | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        base = base_url.rstrip("/")
        self._host = URL(base).host or base
        self._submit_url = URL(base + _SUBMIT_PATH)
        self._query_base = base + _QUERY_PATH
        self._key = key
        self._query_headers = _headers(key)
        self._submit_headers = _headers(key, **{"Content-Type": "application/json"})
        self._submit_timeout = _timeout(submit_timeout)
        self._query_timeout = _timeout(query_timeout)
        self._clock: Clock = clock or _WallClock()
        self._ssl: ssl.SSLContext | bool = ssl_context or True
        self._submits: aiohttp.ClientSession | None = None
        self._queries: aiohttp.ClientSession | None = None
        self.told_at: datetime | None = None
        # A bucket of one: any larger one lets a burst of its size through on top of the rate.
        self._pace = AsyncLimiter(1, 1 / queries_per_second) if queries_per_second else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; the next call opens new ones."""
        submits, self._submits = self._submits, None
        queries, self._queries = self._queries, None
        for session in (submits, queries):
            if session is not None:
                await session.close()

    async def submit(self, submission: Submission) -> SubmitAnswer:
        """POST one request, once, on a connection of its own.

        The trace, not the exception, tells whether a byte may have left: without it nothing did, and after it only
        a clean answer takes the doubt away. If cancelled after that, raises `CancelledError`.
        """
        try:
            body = wire.submit_body(submission)
        except (ValueError, TypeError, RecursionError):
            return NotSent("the request cannot be written as JSON", hopeless=True)
        sending = _Sending()
        try:
            return await self._post(body, sending, _secrets(self._key, submission))
        except asyncio.CancelledError:
            if sending.begun:
                raise
            return NotSent("interrupted before anything was sent")
        except Exception as error:  # noqa: BLE001 - whatever it was, what counts is whether the request left
            if sending.begun:
                return InDoubt(f"sent, but {self._cause(error)}")
            return NotSent(self._cause(error), hopeless=_hopeless(error))

    async def query(self, task_id: str) -> QueryAnswer:
        """GET one task, paced; connections are reused."""
        if not wire.TASK_ID.fullmatch(task_id):
            return NotFound(Evidence(message="that is no task id of this provider"))
        if self._pace:
            await self._pace.acquire()
        try:
            return await self._get(task_id)
        except Exception as error:  # noqa: BLE001 - a query is free: whatever it was, it is asked again
            return Unanswered(self._cause(error))

    def hint(self, body: bytes) -> Hint:
        """What a callback's body says: never believed, only asked about."""
        return wire.read_callback(body)

    async def _post(self, body: bytes, sending: _Sending, conceal: tuple[str, ...]) -> SubmitAnswer:
        if self._submits is None:
            # A fresh connection each: on a reused one that the peer has closed, a healthy provider looks like a
            # lost answer.
            self._submits = self._session(aiohttp.TCPConnector(force_close=True, limit=0, ssl=self._ssl), _note_once)
        async with self._submits.post(
            self._submit_url,
            data=body if len(body) <= _LARGE_REQUEST else io.BytesIO(body),
            headers=self._submit_headers,
            allow_redirects=False,  # aiohttp sends the whole POST again to where a 307 points
            timeout=self._submit_timeout,
            trace_request_ctx=sending,
        ) as response:
            answer = await _body(response)
            now = self._clock.now()
            return wire.read_submit(response.status, response.headers, answer, now, conceal=conceal)

    async def _get(self, task_id: str) -> QueryAnswer:
        if self._queries is None:
            connector = aiohttp.TCPConnector(limit=_QUERY_CONNECTIONS, ssl=self._ssl)
            self._queries = self._session(connector, self._note_each)
        async with self._queries.get(
            URL(self._query_base + quote(task_id, safe=""), encoded=True),
            headers=self._query_headers,
            allow_redirects=False,
            timeout=self._query_timeout,
            trace_request_ctx=_Sending(),
        ) as response:
            self.told_at = _date(response.headers.get("Date", ""))
            answer = await _body(response)
            now = self._clock.now()
            return wire.read_query(response.status, response.headers, answer, task_id, now, conceal=self._key.reveal())

    def _session(self, connector: aiohttp.TCPConnector, hook: _Hook) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(hook)
        return aiohttp.ClientSession(
            connector=connector,
            trace_configs=[trace],
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def _note_each(
        self, _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        sending: _Sending = context.trace_request_ctx
        # aiohttp repeats a GET by itself when a pooled connection turns out dead; that one is paced as well.
        if sending.begun and self._pace:
            await self._pace.acquire()
        sending.begun = True

    def _cause(self, error: Exception) -> str:
        """What went wrong, for people. Texts of exceptions are not passed on: some quote headers."""
        if isinstance(error, _Unreadable):
            return str(error)
        for kind, words in _CAUSES:
            if isinstance(error, kind):
                return words.format(host=self._host)
        if isinstance(error, OSError):
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__
            return f"the connection to {self._host} failed ({reason})"
        return f"the request failed ({type(error).__name__})"


class _SentBefore(Exception):
    """The library was about to send one POST twice."""


async def _note_once(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    sending: _Sending = context.trace_request_ctx
    if sending.begun:
        raise _SentBefore  # what is raised here keeps the bytes back
    sending.begun = True


def _secrets(key: Secret, submission: Submission) -> tuple[str, ...]:
    """What a refusal may quote and nobody may keep: the key, and the token at the end of the callback URL."""
    url = submission.callback_url
    return (key.reveal(),) if url is None else (key.reveal(), url.reveal().rpartition("/")[2])


def _timeout(silence: float) -> aiohttp.ClientTimeout:
    """All four limits: each byte starts `sock_read` anew, so that only `total` ends a drip."""
    return aiohttp.ClientTimeout(
        total=2 * silence,
        connect=min(silence, _LONGEST_CONNECT),
        sock_connect=min(silence, _LONGEST_SOCKET_CONNECT),
        sock_read=silence,
    )


def _headers(key: Secret, **more: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(
        CIMultiDict(
            {
                "Authorization": f"Bearer {key.reveal()}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "seedbatch",
                **more,
            }
        )
    )


def _hopeless(error: Exception) -> bool:
    """Whether trying again cannot help: the peer is not who it should be, or the request cannot be made at all."""
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return True
    return not isinstance(error, aiohttp.ClientError | OSError)


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, decoded, at most 1 MiB. A redirect's is not read: where it points is all it says."""
    if response.status in _REDIRECTS:
        response.close()
        return b""
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.content.read(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            response.close()
            raise _Unreadable("the answer is larger than 1 MiB")
    return _decoded(b"".join(chunks), response.headers.get("Content-Encoding", "").strip().lower())


def _decoded(body: bytes, encoding: str) -> bytes:
    """`body` without its content encoding. No encoding was asked for, but some gateways compress all the same."""
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in _WINDOW_BITS:
        raise _Unreadable("the answer is encoded in a way that was not asked for")
    inflater = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        plain = inflater.decompress(body, LARGEST_ANSWER + 1)
    except zlib.error:
        raise _Unreadable("the answer cannot be decompressed") from None
    if len(plain) > LARGEST_ANSWER:
        raise _Unreadable("the answer is larger than 1 MiB")
    if not inflater.eof:
        raise _Unreadable("the answer broke off")
    return plain
