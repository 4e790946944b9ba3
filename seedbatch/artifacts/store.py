"""The output folder: results come in whole and verified, or not at all."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from seedbatch.artifacts import containers, relocation, shelf
from seedbatch.artifacts.containers import FORMATS, Extent, Format
from seedbatch.artifacts.exchange import Ended, Patience, ResultHosts
from seedbatch.artifacts.sidecar import Facts
from seedbatch.artifacts.target import Busy, Occupied, Target
from seedbatch.domain.answers import CannotStore, FetchLater, FetchRefused, FetchResult, MediaKind, StoredFile
from seedbatch.domain.work import Download, Relocation, SharedFile

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import AbstractResolver

_GIB = 1024**3
_MIB = 1024**2
_BLOCK = 2 * _MIB  # bytes that are handed to a worker thread at once; smaller and larger ones measured slower
_WORKERS = 8
_TRANSIENT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN}
_TRY_AGAIN = 5.0  # seconds

_T = TypeVar("_T")


class ArtifactStore:
    """`Store` on a local folder; an async context manager.

    Args:
        root: the output folder; relative paths are below it.
        allow_origins: origins (`scheme://host:port`) for which neither https nor a public address is asked.
        max_bytes: the largest file that is taken.
        reserve: bytes that stay free on the disk.
        min_speed: bytes a second that a host must send, over every `window` seconds.
        window: seconds.
        connect_timeout: seconds until a connection must stand.
        read_timeout: seconds a host may be silent.
        longest: seconds after which a download is broken off.
        resolver: resolves host names; the system's if None.
        tls: what certificates are trusted; the system's if None.
    """

    def __init__(
        self,
        root: Path,
        *,
        allow_origins: frozenset[str] = frozenset(),
        max_bytes: int = 4 * _GIB,
        reserve: int = 64 * _MIB,
        min_speed: float = 1024.0,
        window: float = 60.0,
        connect_timeout: float = 30.0,
        read_timeout: float = 60.0,
        longest: float = 6 * 3600.0,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._root = root
        self._allow_origins = allow_origins
        self._max_bytes = max_bytes
        self._reserve = reserve
        self._patience = Patience(connect_timeout, read_timeout, longest, min_speed, window)
        self._resolver = resolver
        self._tls = tls
        mask = os.umask(0o077)
        os.umask(mask)
        self._mode = 0o644 & ~mask
        self._hosts: ResultHosts | None = None
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="artifacts")

    async def __aenter__(self) -> Self:
        self._hosts = ResultHosts(self._allow_origins, self._patience, resolver=self._resolver, tls=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hosts is not None:
            await self._hosts.aclose()
            self._hosts = None
        self._workers.shutdown(wait=False)

    async def fetch(self, download: Download) -> FetchResult:
        """Bring one file to disk, whole and verified, or not at all; see `Store.fetch`.

        Every outcome is a value; only cancellation is raised, and leaves nothing temporary behind.
        """
        try:
            target = Target(self._root, download, mode=self._mode, reserve=self._reserve)
        except ValueError as error:
            return CannotStore(f"it cannot be named so: {error}")
        try:
            return await self._locally(target.open) or await self._download(download, target)
        except Ended as end:
            return end.answer
        finally:
            if not target.closed:
                # Shielded: a cancelled download must remove its temporary file as well.
                await asyncio.shield(self._locally(target.close))

    async def share(self, file: SharedFile, download: Download) -> FetchResult:
        """Give a file that is on disk already a second name; see `Store.share`."""
        try:
            target = Target(self._root, download, mode=self._mode, reserve=self._reserve)
        except ValueError as error:
            return CannotStore(f"it cannot be named so: {error}")
        try:
            done = await self._locally(target.open)
            return await self._locally(_adopt, target, file) if done is None else done
        except Ended as end:
            return end.answer
        finally:
            if not target.closed:
                await asyncio.shield(self._locally(target.close))

    async def _download(self, download: Download, target: Target) -> StoredFile:
        assert self._hosts is not None, "fetch is called inside `async with`"
        async with self._hosts.get(download.url) as response:
            form, rest = await self._pour(response, target, download.kind)
            chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
            framed = chunked or response.content_length is not None
        return await self._locally(_complete, target, form, rest, framed)

    async def _pour(
        self, response: aiohttp.ClientResponse, target: Target, kind: MediaKind
    ) -> tuple[Format, list[bytes]]:
        """Stream the body to disk, one block written while the next is read. Returns what is not yet written."""
        length, host = response.content_length, response.url.raw_host
        if length is not None:
            self._check_size(length)
            await self._locally(target.expect, length)
        pace = _Pace(self._patience, asyncio.get_running_loop().time)
        form: Format | None = None
        blocks: list[bytes] = []
        waiting = received = 0
        writing: asyncio.Future[None] | None = None
        try:
            while chunk := await response.content.readany():
                blocks.append(chunk)
                waiting += len(chunk)
                received += len(chunk)
                pace.check(received)
                self._check_size(received)
                if form is None and received >= containers.SNIFF:
                    form = _recognized(b"".join(blocks)[: containers.SNIFF], kind)
                if waiting >= _BLOCK:
                    if writing is not None:
                        await writing
                    writing = asyncio.ensure_future(self._locally(target.write, blocks))
                    blocks, waiting = [], 0
        finally:
            if writing is not None:
                await asyncio.shield(writing)
        if length is not None and received != length:
            raise Ended(FetchLater(f"{host} sent {received} of {length} bytes"))
        if received == 0 and length is None:
            raise Ended(FetchLater(f"{host} sent nothing"))
        if form is None:
            form = _recognized(b"".join(blocks), kind)
        return form, blocks

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise Ended(FetchRefused(f"it is larger than {self._max_bytes} bytes"))

    async def _locally(self, function: Callable[..., _T], *arguments: object) -> _T:
        """Call it in a worker thread, its failures as answers."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, function, *arguments)
        except Occupied as error:
            raise Ended(CannotStore(str(error))) from None
        except Busy as error:
            raise Ended(FetchLater(str(error), _TRY_AGAIN)) from None
        except OSError as error:
            raise Ended(_unstorable(self._root, error)) from error

    async def give_way(self, path: str, revision: int, tries: int = 1) -> str:
        """Link `path` and its sidecar to their names of that revision and try; see `Store.give_way`. May be repeated.

        Raises:
            FileExistsError: something else has that name.
            OSError: `path` is not there, or the folder cannot be written.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._workers, shelf.give_way, self._root, path, revision, tries, self._mode
        )

    async def relocate(self, one: Relocation) -> None:
        """Move a file and its sidecar to another path of their folder; see `Store.relocate`. May be repeated.

        Raises:
            FileNotFoundError: it lies at neither.
            FileExistsError: something else has the new path.
            OSError: the folder cannot be written.
        """
        await asyncio.get_running_loop().run_in_executor(self._workers, relocation.relocate, one, self._mode)

    async def release(self, path: str) -> None:
        """Remove the name `path` and its sidecar's; see `Store.release`. May be repeated.

        Raises:
            OSError: the folder cannot be written.
        """
        await asyncio.get_running_loop().run_in_executor(self._workers, shelf.release, self._root, path)


class _Pace:
    """Breaks off a host that sends too slowly. `clock` gives seconds from any moment on."""

    def __init__(self, patience: Patience, clock: Callable[[], float]) -> None:
        self._patience = patience
        self._clock = clock
        self._begun = self._since = clock()
        self._before = 0

    def check(self, received: int) -> None:
        now = self._clock()
        if now - self._begun > self._patience.longest:
            raise Ended(FetchLater(f"it took longer than {self._patience.longest:.0f} s"))
        if now - self._since < self._patience.window:
            return
        speed = (received - self._before) / (now - self._since)
        if speed < self._patience.speed:
            raise Ended(FetchLater(f"it came at {speed:.0f} bytes a second"))
        self._since, self._before = now, received


def _recognized(head: bytes, kind: MediaKind) -> Format:
    form = containers.sniff(head)
    if form is None:
        raise Ended(FetchRefused(f"it is no {kind}: it begins with {head[:16]!r}"))
    if form.kind is not kind:
        raise Ended(FetchRefused(f"it is {form.content_type}, not the {kind} that was promised"))
    return form


def _complete(target: Target, form: Format, rest: list[bytes], framed: bool) -> StoredFile:  # noqa: FBT001 - by thread
    target.write(rest)
    found = containers.extent(form, target.read, target.size)
    if found is Extent.WHOLE or (found is Extent.OPEN and framed):
        return target.commit(form)
    if framed or found is Extent.BROKEN:
        raise Ended(FetchRefused(f"it is no whole {form.extension} file: {target.size} bytes, {found.value}"))
    raise Ended(FetchLater(f"the connection ended in the middle of the file, after {target.size} bytes"))


def _adopt(target: Target, file: SharedFile) -> StoredFile:
    form = next((form for form in FORMATS if form.content_type == file.content_type), None)
    if form is None:
        raise Ended(CannotStore(f"{file.path} is {file.content_type}, which is not stored"))
    try:
        whole = target.adopt(Path(file.path), Facts(Path(file.path).name, file.bytes, file.sha256, file.content_type))
    except FileNotFoundError:
        raise Ended(CannotStore(f"{file.path} is gone")) from None
    if not whole:
        raise Ended(CannotStore(f"{file.path} was changed since it was downloaded"))
    return target.commit(form)


def _unstorable(root: Path, error: OSError) -> FetchResult:
    said = error.strerror or str(error)
    if error.filename is not None:
        said = f"{os.fsdecode(error.filename)}: {said}"
    if error.errno in _TRANSIENT:
        return FetchLater(f"this machine is short of something: {said}", _TRY_AGAIN)
    return CannotStore(f"{root} cannot be written: {said}")
