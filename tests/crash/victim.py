"""Runs the installed program's `main` in a process of its own, see `forge.py`, and breaks it at one crash point.

The clips are the bundled ones and the clock can be ahead, so that nobody waits for an encoder or for a back-off.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import faulthandler
import functools
import os
import re
import resource
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import aiohttp
from crash.points import EIO, FULL, KILL, POINTS, Call, Closing, Statement, Together, Verb, Wire
from forge import enter

import seedbatch.ledger.writer
import seedbatch.sandbox.encode
import seedbatch.wiring
from seedbatch.artifacts.store import ArtifactStore
from seedbatch.cli import main
from seedbatch.ledger.sqlite import SqliteLedger
from seedbatch.ports import Ledger
from seedbatch.provider.http import MaxApi
from seedbatch.sandbox.book import Book

PATIENCE: Final = 15.0  # seconds of a run, which takes less than one
SEVERAL: Final = 4
SECTOR: Final = 512
LEDGER: Final = re.compile(r"/(sandbox\.db|\.sandbox\.db\.[0-9a-f]+)$")
_real_open, _real_write = os.open, os.write

# What this task is doing on the wire, for whatever happens below it.
exchange: contextvars.ContextVar[str] = contextvars.ContextVar("exchange", default="")


class InjectedBug(Exception):
    """Nobody expects it, so that it must come out as a bug."""


@dataclass
class Blow:
    """Falls when its point is passed for the `turn`th time; a disk that was full then stays full."""

    way: str
    turn: int
    marker: Path
    passed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def falls(self) -> bool:
        with self.lock:
            self.passed += 1
            return self.passed == self.turn or (self.way == FULL and self.passed > self.turn)

    def note(self, word: str = "reached") -> None:
        handle = _real_open(self.marker, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _real_write(handle, f"{word}\n".encode())
        os.close(handle)

    def strike(self) -> None:
        self.note()
        match self.way:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "full":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            case "eio":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            case _:
                raise InjectedBug


# -- the ledger's verbs ---------------------------------------------------------------------------------------------


class Turn(asyncio.Lock):
    """A wait that is not the program's: it is not cancelled, but what comes after it is."""

    async def acquire(self) -> Literal[True]:
        waiting = asyncio.ensure_future(super().acquire())
        cancelled = False
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        return True


class Verbs:
    """Which verbs of the ledger are under way. One at a time, so that a commit belongs to one; else as they come."""

    def __init__(self, *, one_at_a_time: bool) -> None:
        self._turn = Turn() if one_at_a_time else contextlib.nullcontext()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.names: list[str] = []
        self.begun: Counter[str] = Counter()
        self.changed = threading.Condition()

    def watch(self, ledger: type[SqliteLedger]) -> None:
        for name in dir(Ledger):
            verb = getattr(ledger, name, None)
            if not name.startswith("_") and name != "aclose" and asyncio.iscoroutinefunction(verb):
                setattr(ledger, name, self._watched(name, verb))

    def _watched(self, name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(verb)
        async def watched(*arguments: Any, **options: Any) -> Any:
            async with self._turn:
                self._loop = asyncio.get_running_loop()
                self.begun[name] += 1
                self._change(self.names.append, name)
                try:
                    return await verb(*arguments, **options)
                finally:
                    self._change(self.names.remove, name)

        return watched

    def _change(self, change: Callable[[str], None], name: str) -> None:
        with self.changed:
            change(name)
            self.changed.notify_all()

    def wait_for_several(self, name: str) -> None:
        """Once one is under way, until four are or have been and wait; called by the thread that writes."""
        with self.changed:
            if name not in self.names:
                return
            self.changed.wait_for(lambda: self.begun[name] >= SEVERAL, timeout=PATIENCE / 2)
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(_some_turns(), self._loop).result(PATIENCE / 2)


async def _some_turns() -> None:
    """What has begun comes to where it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


Hook = Callable[[sqlite3.Connection, str, Callable[[], Any]], Any]


def watch_statements(hook: Hook) -> None:
    """Let `hook` carry out each statement on a connection to the ledger."""

    def connect(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        factory = options.pop("factory", sqlite3.Connection)
        if LEDGER.search(os.fspath(database)) and not options.get("uri"):
            factory = _watched_class(factory, hook)
        return real(database, *arguments, factory=factory, **options)

    real = sqlite3.connect
    sqlite3.connect = connect


def _watched_class(factory: type[sqlite3.Connection], hook: Hook) -> type[sqlite3.Connection]:
    class Watched(factory):  # type: ignore[misc, valid-type]
        def execute(self, sql: str, *values: Any) -> Any:
            return hook(self, sql, lambda: factory.execute(self, sql, *values))

        def executemany(self, sql: str, *values: Any) -> Any:
            return hook(self, sql, lambda: factory.executemany(self, sql, *values))

        def close(self) -> None:
            hook(self, "close", lambda: factory.close(self))

    return Watched


def break_commit(verbs: Verbs, verb: Verb, blow: Blow) -> None:
    """At the commit of what this verb wrote, while no other is under way."""
    before = 0

    def hook(connection: sqlite3.Connection, sql: str, carry_out: Callable[[], Any]) -> Any:
        nonlocal before
        if sql == "BEGIN IMMEDIATE":
            before = connection.total_changes
        wrote = verb.reads or connection.total_changes > before
        if sql == "COMMIT" and wrote and verbs.names == [verb.name]:
            return _commit(connection, verb.when, blow, carry_out)
        return carry_out()

    watch_statements(hook)


def break_commit_of_several(verbs: Verbs, name: str, when: str, blow: Blow) -> None:
    """The writer is held up at the first one until all are under way: the others then share the next commit."""
    begun = 0

    def hook(connection: sqlite3.Connection, sql: str, carry_out: Callable[[], Any]) -> Any:
        nonlocal begun
        if sql == "BEGIN IMMEDIATE" and verbs.begun[name]:
            verbs.wait_for_several(name)
            result = carry_out()
            begun = _events(connection, name)
            return result
        if sql == "COMMIT" and verbs.begun[name] and _events(connection, name) - begun > 1:
            return _commit(connection, when, blow, carry_out)
        return carry_out()

    watch_statements(hook)


def _events(connection: sqlite3.Connection, name: str) -> int:
    ((count,),) = sqlite3.Connection.execute(connection, "SELECT count(*) FROM events WHERE type = ?", (name,))
    return int(count)


def _commit(connection: sqlite3.Connection, when: str, blow: Blow, carry_out: Callable[[], Any]) -> Any:
    if when == "after":
        result = carry_out()
        if blow.falls():
            blow.strike()
        return result
    if not blow.falls():
        return carry_out()
    match blow.way:
        case "full":
            return _on_a_full_disk(connection, blow)
        case "eio":
            return _on_a_broken_disk(connection, blow, carry_out)
        case _:
            blow.strike()
            return carry_out()


def _on_a_full_disk(connection: sqlite3.Connection, blow: Blow) -> NoReturn:
    """SQLite's own error: the file may not grow, and a statement of this transaction needs a page."""
    sqlite3.Connection.execute(connection, "PRAGMA max_page_count = 1")  # that is: as many as there are
    too_much = "CREATE TABLE too_much AS SELECT zeroblob(1000000) AS bytes"
    _must_fail(blow, lambda: sqlite3.Connection.execute(connection, too_much))
    raise AssertionError


def _on_a_broken_disk(connection: sqlite3.Connection, blow: Blow, carry_out: Callable[[], Any]) -> Any:
    """SQLite's own error: the system breaks its write off in the middle of a page of the log."""
    ((_, _, path),) = sqlite3.Connection.execute(connection, "PRAGMA database_list").fetchall()[:1]
    log = Path(f"{path}-wal")
    with _files_not_larger_than((log.stat().st_size if log.exists() else 0) + 1000):
        return _must_fail(blow, carry_out)


def _must_fail(blow: Blow, carry_out: Callable[[], Any]) -> Any:
    """It raises; if it does not, the marker says so."""
    blow.note()
    result = carry_out()
    blow.note("spared")
    return result


@contextlib.contextmanager
def _files_not_larger_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def break_statement(pattern: str, when: str, blow: Blow) -> None:
    def hook(connection: sqlite3.Connection, sql: str, carry_out: Callable[[], Any]) -> Any:
        if not re.match(pattern, sql) or not blow.falls():
            return carry_out()
        if when == "after":
            result = carry_out()
            blow.strike()
            return result
        if blow.way == FULL:
            sqlite3.Connection.execute(connection, "PRAGMA max_page_count = 1")
            return _must_fail(blow, carry_out)
        if blow.way == EIO:
            with _files_not_larger_than(0):
                return _must_fail(blow, carry_out)
        blow.strike()
        return carry_out()

    watch_statements(hook)


def break_closing(when: str, blow: Blow) -> None:
    """The connection that has written, not the one that looked at the file before it."""
    wrote: set[int] = set()

    def hook(connection: sqlite3.Connection, sql: str, carry_out: Callable[[], Any]) -> Any:
        if sql == "BEGIN IMMEDIATE":
            wrote.add(id(connection))
        if sql != "close" or id(connection) not in wrote or not blow.falls():
            return carry_out()
        if when == "after":
            carry_out()
        if blow.way != EIO:
            blow.strike()
        blow.note()
        with _files_not_larger_than(0):
            return carry_out()

    watch_statements(hook)


# -- verbs of the other ports ---------------------------------------------------------------------------------------


def break_verb(owner: type, name: str, when: str, blow: Blow) -> None:
    verb = getattr(owner, name)

    @functools.wraps(verb)
    async def broken(*arguments: Any, **options: Any) -> Any:
        if when == "before" and blow.falls():
            blow.strike()
        result = await verb(*arguments, **options)
        if when == "after" and blow.falls():
            blow.strike()
        return result

    setattr(owner, name, broken)


# -- the standard library -------------------------------------------------------------------------------------------


def break_call(call: Call, blow: Blow) -> None:
    function = getattr(os, call.function)
    pattern = re.compile(f"{call.path}$")

    @functools.wraps(function)
    def broken(*arguments: Any, **options: Any) -> Any:
        if not _is_meant(call.function, pattern, arguments, options) or not blow.falls():
            return function(*arguments, **options)
        if call.when == "after":
            result = function(*arguments, **options)
            blow.strike()
            return result
        if blow.way in {FULL, EIO} and call.function in {"write", "pwrite"}:
            _part(function, arguments)
        blow.strike()
        return function(*arguments, **options)

    setattr(os, call.function, broken)


def _part(function: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    """The whole sectors that a disk took before it was full or broke."""
    handle, data, *place = arguments
    function(handle, memoryview(data)[: len(data) // 2 // SECTOR * SECTOR], *place)


def _is_meant(function: str, pattern: re.Pattern[str], arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    if function == "open" and not arguments[1] & os.O_CREAT:
        return False
    target = arguments[1] if function in {"link", "rename"} else arguments[0]
    if isinstance(target, int):
        path = str(Path(f"/proc/self/fd/{target}").readlink())
    else:
        folder = options.get("dir_fd", options.get("dst_dir_fd"))
        above = Path.cwd() if folder is None else Path(f"/proc/self/fd/{folder}").readlink()
        path = str(above / os.fsdecode(target))
    return pattern.search(path) is not None


# -- the wire -------------------------------------------------------------------------------------------------------


def watch_exchanges() -> None:
    for owner, name, called in (
        (MaxApi, "submit", "submit"),
        (MaxApi, "query", "query"),
        (ArtifactStore, "fetch", "fetch"),
    ):
        setattr(owner, name, _in_exchange(called, getattr(owner, name)))


def _in_exchange(called: str, verb: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(verb)
    async def watched(*arguments: Any, **options: Any) -> Any:
        token = exchange.set(called)
        try:
            return await verb(*arguments, **options)
        finally:
            exchange.reset(token)

    return watched


def break_wire(wire: Wire, blow: Blow) -> None:
    match wire.moment:
        case "resolve":
            _break_method(asyncio.BaseEventLoop, "getaddrinfo", wire, blow)
        case "connect":
            _break_method(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", wire, blow)
        case "headers":
            _break_hook(wire, blow)
        case "taken":
            _break_once_taken(wire, blow)
        case "answer":
            _break_method(aiohttp.ClientResponse, "start", wire, blow)
        case "body":
            _break_method(aiohttp.StreamReader, "read", wire, blow, ends=True)
        case "bytes":
            _break_method(aiohttp.StreamReader, "readany", wire, blow)


def _break_method(owner: type, name: str, wire: Wire, blow: Blow, *, ends: bool = False) -> None:
    method = getattr(owner, name)

    async def broken(*arguments: Any, **options: Any) -> Any:
        meant = exchange.get() == wire.exchange
        if meant and wire.when == "before" and blow.falls():
            blow.strike()
        result = await method(*arguments, **options)
        if meant and wire.when == "after" and not (ends and result) and blow.falls():
            blow.strike()
        return result

    setattr(owner, name, broken)


def _break_hook(wire: Wire, blow: Blow) -> None:
    """A hook of our own before or after the product's, on each session."""
    begin = aiohttp.ClientSession.__init__

    async def hook(*_: Any) -> None:
        if exchange.get() == wire.exchange and blow.falls():
            blow.strike()

    ours = aiohttp.TraceConfig()
    ours.on_request_headers_sent.append(hook)

    def initialize(self: aiohttp.ClientSession, *arguments: Any, **options: Any) -> None:
        theirs = options.pop("trace_configs", None) or []
        configs = [ours, *theirs] if wire.when == "before" else [*theirs, ours]
        begin(self, *arguments, trace_configs=configs, **options)

    aiohttp.ClientSession.__init__ = initialize


def _break_once_taken(wire: Wire, blow: Blow) -> None:
    """The sandbox has billed as many tasks as answers are waited for, and none of its answers was read."""
    start, accept = aiohttp.ClientResponse.start, Book.accept
    taken = asyncio.Semaphore(0)

    async def accepting(*arguments: Any, **options: Any) -> Any:
        row = await accept(*arguments, **options)
        taken.release()
        return row

    async def broken(*arguments: Any, **options: Any) -> Any:
        if exchange.get() == wire.exchange:
            await taken.acquire()
            if blow.falls():
                blow.strike()
        return await start(*arguments, **options)

    Book.accept, aiohttp.ClientResponse.start = accepting, broken


# -- the world ------------------------------------------------------------------------------------------------------


def arrange(world: dict[str, Any]) -> None:
    """What a scene needs of the world that no fault plan gives."""
    if refusals := world.get("refuse"):
        _refuse_connections(refusals)
    if host := world.get("host"):
        _name_the_host(host)
    if commits := world.get("commits per checkpoint"):
        assert hasattr(seedbatch.ledger.writer, "_COMMITS_PER_CHECKPOINT")
        seedbatch.ledger.writer._COMMITS_PER_CHECKPOINT = commits


def _refuse_connections(refusals: int) -> None:
    connect = asyncio.selector_events.BaseSelectorEventLoop.sock_connect
    left = iter(range(refusals))

    async def refused(*arguments: Any) -> None:
        if exchange.get() == "submit" and next(left, None) is not None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        await connect(*arguments)

    asyncio.selector_events.BaseSelectorEventLoop.sock_connect = refused


def _name_the_host(host: str) -> None:
    """The provider's address by name, so that it must be resolved."""
    initialize = MaxApi.__init__

    def named(self: MaxApi, base_url: str, *arguments: Any, **options: Any) -> None:
        initialize(self, base_url.replace("127.0.0.1", host), *arguments, **options)

    MaxApi.__init__ = named


def set_clock(ahead: float) -> None:
    seedbatch.wiring.WallClock.now = lambda _: datetime.now(UTC) + timedelta(seconds=ahead)


def install(blow: Blow, name: str) -> None:
    """Patch the place of the point `name`."""
    seam = next(point.seam for point in POINTS if point.name == name)
    verbs = Verbs(one_at_a_time=not isinstance(seam, Together))
    match seam:
        case Verb("ledger", "aclose", when):
            break_verb(SqliteLedger, "aclose", when, blow)
        # The bug comes to the verb's caller; the death comes right after the commit, in the thread that wrote.
        case Verb("ledger", _, when) if when == "commit" or (when == "after" and blow.way == KILL):
            break_commit(verbs, seam, blow)
        case Verb("ledger", called, when):
            break_verb(SqliteLedger, called, when, blow)
        case Verb("provider", called, when):
            break_verb(MaxApi, called, when, blow)
        case Verb("store", called, when):
            break_verb(ArtifactStore, called, when, blow)
        case Verb("sandbox", called, when):
            break_verb(Book, called, when, blow)
        case Together(called, when):
            break_commit_of_several(verbs, called, when, blow)
        case Statement(pattern, when):
            break_statement(pattern, when, blow)
        case Closing(when):
            break_closing(when, blow)
        case Call():
            break_call(seam, blow)
        case Wire():
            break_wire(seam, blow)
    verbs.watch(SqliteLedger)


# -- processes ------------------------------------------------------------------------------------------------------


def run(order: dict[str, Any]) -> None:
    """The whole program, as its entry point starts it."""
    enter(order)
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    seedbatch.sandbox.encode.available = lambda: False
    set_clock(order["ahead"])
    watch_exchanges()
    arrange(order.get("world", {}))
    if blow := order.get("blow"):
        install(Blow(blow["way"], blow["turn"], Path(blow["marker"])), blow["point"])
    main()
