"""Looks at the ledger for all who look at the live page: one connection in one thread, asked at a slow interval.

Nobody has a queue. The ledger's events are numbered, so a viewer is a number: what it has not seen yet is what stands
behind it. One that reads slowly is behind further, and gets at once what came to be meanwhile; what the others do is
the same. Frames that several viewers need are made once.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from seedbatch.domain.errors import UsageError
from seedbatch.domain.records import Pulse
from seedbatch.domain.selection import pick_of
from seedbatch.manifest.picks import read_picks
from seedbatch.ports import Records, Scope
from seedbatch.report.cards import shown
from seedbatch.report.live import cards, happened
from seedbatch.report.poster_cache import PosterCache
from seedbatch.report.progress import Progress, told

T = TypeVar("T")

EVERY: Final = 0.5  # seconds between two looks at the ledger
_BEAT: Final = 15.0  # seconds of silence after which a viewer is asked whether it is still there
_MOST: Final = 20_000  # jobs of a page: a browser keeps all of them
_TOGETHER: Final = 200  # jobs of a frame
_FRAMES: Final = 64  # that are kept for the next viewer
_EVENTS: Final = 100  # that a page begins with, or hears of at once
_ENDINGS: Final = 200
_GOES_ON: Final = 10.0  # seconds after which the expected end is told anew, though nothing happened
_MARK: Final = re.compile(r"([0-9a-f]+)-([0-9]{1,18})")  # a ledger, and how far somebody saw it


class Picking(Protocol):
    """Where picks are kept, and how one is changed; what `seedbatch pick` does."""

    def files(self, records: Records) -> list[Path]:
        """The files of picks of all batches."""
        ...

    def pick(self, records: Records, job_id: int, *, picked: bool) -> Callable[[], None]:
        """What changes the file for one job. It may wait for others, and so runs elsewhere.

        Raises:
            UsageError: there is no such job, it is not wanted any more, or its manifest is not where it was.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen last. `number` counts the sights, `ledger` is its id (empty where there is none yet)."""

    number: int = 0
    ledger: str = ""
    pulse: Pulse | None = None
    progress: bytes = b""
    picks: bytes = b""

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.pulse.last if self.pulse else 0


class Lookout:
    """Opens the ledger as soon as there is one, and tells viewers of it."""

    def __init__(
        self,
        path: Path,
        opening: Callable[[], Records | None],
        picking: Picking,
        posters: PosterCache,
        scope: Scope,
    ) -> None:
        self._path, self._opening, self._picking = path, opening, picking
        self._posters, self._scope = posters, scope
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._records: Records | None = None
        self._opened: tuple[int, int] | None = None  # which file that was
        self._sight = Sight()
        self._turn = asyncio.Condition()
        self._over = False
        self._frames: OrderedDict[tuple[Any, ...], asyncio.Task[bytes]] = OrderedDict()
        self._looked = 0.0
        self._stamps: tuple[Any, ...] = ()

    async def watch(self) -> None:
        """Look again and again, until cancelled.

        Raises:
            LedgerError: the ledger cannot be read, or is none of ours.
        """
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Look once, and wake the viewers if something changed."""
        sight = await self.ask(self._seen, missing=self._nothing)
        if sight != self._sight:
            async with self._turn:
                self._sight = replace(sight, number=self._sight.number + 1)
                self._turn.notify_all()

    async def ask(self, question: Callable[[Records], T], missing: Callable[[], T]) -> T:
        """Ask the ledger something, in its thread; what `missing` gives where there is none yet."""

        def answer() -> T:
            records = self._there()
            return missing() if records is None else question(records)

        return await asyncio.get_running_loop().run_in_executor(self._thread, answer)

    async def pick(self, job_id: int, *, picked: bool) -> None:
        """Change one pick, and look at the files again.

        Raises:
            UsageError: it cannot be done; the message says why.
        """

        def nothing() -> Callable[[], None]:
            raise UsageError("there is no ledger yet")

        change = await self.ask(lambda records: self._picking.pick(records, job_id, picked=picked), missing=nothing)
        await asyncio.to_thread(change)
        await self.look()

    async def end(self) -> None:
        """Let all viewers go."""
        async with self._turn:
            self._over = True
            self._turn.notify_all()

    async def close(self) -> None:
        """Close the connection."""
        for task in self._frames.values():
            task.cancel()
        if self._records is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._records.close)
        self._thread.shutdown()

    # -- looking (in the ledger's thread) -------------------------------------------------------------------------

    def _there(self) -> Records | None:
        """The ledger; opened anew where another file has its name now."""
        found = _file(self._path)
        if self._records is not None and found is not None and found != self._opened:
            self._records.close()
            self._records = None
        if self._records is None:
            self._records, self._opened = self._opening(), found
            self._looked = 0.0  # its numbers may be those of the one before
        return self._records

    def _nothing(self) -> Sight:
        return (
            self._sight if self._sight.progress else replace(self._sight, progress=_frame("progress", {"none": True}))
        )

    def _seen(self, records: Records) -> Sight:
        sight, now = self._sight, datetime.now(UTC)
        pulse = records.pulse()
        if pulse != sight.pulse or not sight.ledger or now.timestamp() - self._looked > _GOES_ON:
            self._looked = now.timestamp()
            identity = records.identity()
            progress = Progress(
                records.tally(self._scope), records.accounts(now), records.endings(self._scope, _ENDINGS), now
            )
            says = {**told(progress), "sandbox": identity.kind == "sandbox", "most": _MOST}
            sight = replace(sight, ledger=identity.ledger_id or "", pulse=pulse, progress=_frame("progress", says))
        files = self._picking.files(records)
        stamps = tuple(map(_stamp, files))
        if stamps != self._stamps or not sight.picks:
            self._stamps = stamps
            sight = replace(sight, picks=_frame("picks", _picks(files)))
        return sight

    # -- telling ------------------------------------------------------------------------------------------------------

    async def follow(self, after: str) -> AsyncGenerator[bytes]:
        """What a viewer is sent as long as it reads: everything, or what came behind `after`, and then what comes."""
        mark = _MARK.fullmatch(after)
        ledger, cursor = (mark[1], int(mark[2])) if mark else ("", 0)
        progress = picks = b""
        yield b"retry: 2000\n\n"
        while not self._over:
            sight = self._sight
            if sight.progress != progress:
                progress = sight.progress
                yield progress
            if sight.picks != picks:
                picks = sight.picks
                yield picks
            if sight.ledger and not ledger:
                async for frame in self._all(sight):
                    yield frame
                ledger, cursor = sight.ledger, sight.last
            elif sight.ledger and (ledger, cursor) != (sight.ledger, sight.last):
                ids = await self._touched(cursor, sight.last)
                if ledger != sight.ledger or cursor > sight.last or len(ids) > _MOST:
                    yield _frame("again", {})  # it begins anew: another ledger, or too much to tell
                    return
                async for frame in self._news(sight, cursor, ids):
                    yield frame
                cursor = sight.last
            while not await self._turned(sight):
                yield b": still here\n\n"

    async def _all(self, sight: Sight) -> AsyncGenerator[bytes]:
        """Every job of a page, and the latest events."""
        last = sight.last
        ids = await self._ids(lambda records: records.present(self._scope, _MOST))
        async for frame in self._cards(ids, last):
            yield frame
        yield await self._events(0, last)
        yield _frame("ready", {}, f"{sight.ledger}-{last}")

    async def _news(self, sight: Sight, since: int, ids: Sequence[int]) -> AsyncGenerator[bytes]:
        async for frame in self._cards(ids, sight.last):
            yield frame
        yield await self._events(since, sight.last)
        yield _frame("seen", {}, f"{sight.ledger}-{sight.last}")

    async def _cards(self, ids: Sequence[int], last: int) -> AsyncGenerator[bytes]:
        for start in range(0, len(ids), _TOGETHER):
            some = tuple(ids[start : start + _TOGETHER])
            yield await self._shared(("cards", last, some), partial(self._told, some))

    def _told(self, ids: Sequence[int], records: Records) -> bytes:
        return _frame("cards", cards(records, ids, self._posters))

    async def _events(self, since: int, until: int) -> bytes:
        return await self._shared(
            ("events", since, until),
            lambda records: _frame("events", happened(records.notable(since, until, self._scope, _EVENTS))),
        )

    async def _touched(self, since: int, until: int) -> list[int]:
        return await self._ids(lambda records: records.touched(since, until, self._scope, _MOST + 1))

    async def _ids(self, question: Callable[[Records], list[int]]) -> list[int]:
        return await self.ask(question, missing=list)

    async def _shared(self, key: tuple[Any, ...], make: Callable[[Records], bytes]) -> bytes:
        """A frame that is made once for all viewers who need it now."""
        task = self._frames.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self.ask(make, missing=bytes))
            self._frames[key] = task
            while len(self._frames) > _FRAMES:
                self._frames.popitem(last=False)
        return await asyncio.shield(task)

    async def _turned(self, sight: Sight) -> bool:
        """Wait until there is something new to see, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_BEAT), self._turn:
                await self._turn.wait_for(lambda: self._over or self._sight.number != sight.number)
            return True
        return False


def _frame(event: str, value: Any, number: str = "") -> bytes:
    """One server-sent event. JSON holds no end of line, so it is one line of data."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    mark = f"id: {number}\n" if number else ""
    return f"event: {event}\n{mark}data: {text}\n\n".encode("utf-8", "replace")


def _file(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_ino, found.st_mtime_ns, found.st_size


def _picks(files: Sequence[Path]) -> dict[str, Any]:
    """What is picked, each as `BATCH/ADDRESS`; and what is wrong with a file, in words."""
    names: set[str] = set()
    wrong = ""
    for file in files:
        try:
            names.update("/".join(pick_of(*_parted(name))) for name in read_picks(file).names)
        except UsageError as error:
            wrong = error.message.partition("\n")[0]
    return {"names": sorted(map(shown, names)), "wrong": shown(wrong)}


def _parted(name: str) -> tuple[str, str]:
    batch, _, address = name.partition("/")
    return batch, address
