"""Tells those who look at the live page what changes.

Nobody has a queue. The ledger's events are numbered, so a viewer is a number: what it has not seen yet is what stands
behind it. One that reads slowly is behind further, and gets at once what came to be meanwhile; what the others do is
the same. Frames that several viewers need are made once.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Any, Final

from seedbatch.ports import Records
from seedbatch.report.live import cards, happened
from seedbatch.report.poster_cache import PosterCache
from seedbatch.web.frames import MOST, frame
from seedbatch.web.lookout import Lookout, Sight

_TOGETHER: Final = 200  # jobs of a frame
_FRAMES: Final = 64  # that are kept for the next viewer
_EVENTS: Final = 100  # that a page begins with, or hears of at once
_MARK: Final = re.compile(r"([0-9a-f]+)-([0-9]{1,18})")  # a ledger, and how far somebody saw it


class Viewers:
    """All who look at one ledger; none is known by name."""

    def __init__(self, lookout: Lookout, posters: PosterCache) -> None:
        self._lookout, self._posters = lookout, posters
        self._frames: OrderedDict[tuple[Any, ...], asyncio.Task[bytes]] = OrderedDict()

    async def follow(self, after: str) -> AsyncGenerator[bytes]:
        """What a viewer is sent as long as it reads: everything, or what came behind `after`, and then what comes."""
        mark = _MARK.fullmatch(after)
        ledger, cursor = (mark[1], int(mark[2])) if mark else ("", 0)
        progress = picks = b""
        yield b"retry: 2000\n\n"
        while not self._lookout.over:
            sight = self._lookout.sight
            if sight.progress != progress:
                progress = sight.progress
                yield progress
            if sight.picks != picks:
                picks = sight.picks
                yield picks
            if sight.ledger and not ledger:
                async for one in self._all(sight):
                    yield one
                ledger, cursor = sight.ledger, sight.last
            elif sight.ledger and (ledger, cursor) != (sight.ledger, sight.last):
                ids = await self._touched(cursor, sight.last)
                if ledger != sight.ledger or cursor > sight.last or len(ids) > MOST:
                    yield frame("again", {})  # it begins anew: another ledger, or too much to tell
                    return
                async for one in self._news(sight, cursor, ids):
                    yield one
                cursor = sight.last
            while not await self._lookout.turned(sight):
                yield b": still here\n\n"

    async def _all(self, sight: Sight) -> AsyncGenerator[bytes]:
        """Every job of a page, and the latest events."""
        ids = await self._ids(lambda records: records.present(self._lookout.scope, MOST))
        async for one in self._cards(ids, sight):
            yield one
        yield await self._events(0, sight)
        yield frame("ready", {}, f"{sight.ledger}-{sight.last}")

    async def _news(self, sight: Sight, since: int, ids: Sequence[int]) -> AsyncGenerator[bytes]:
        async for one in self._cards(ids, sight):
            yield one
        yield await self._events(since, sight)
        yield frame("seen", {}, f"{sight.ledger}-{sight.last}")

    async def _cards(self, ids: Sequence[int], sight: Sight) -> AsyncGenerator[bytes]:
        for start in range(0, len(ids), _TOGETHER):
            some = tuple(ids[start : start + _TOGETHER])
            yield await self._shared((sight.ledger, sight.last, self._posters.drawn, some), partial(self._told, some))

    def _told(self, ids: Sequence[int], records: Records) -> bytes:
        return frame("cards", cards(records, ids, self._posters))

    async def _events(self, since: int, sight: Sight) -> bytes:
        return await self._shared((sight.ledger, sight.last, since), partial(self._happened, since, sight.last))

    def _happened(self, since: int, until: int, records: Records) -> bytes:
        return frame("events", happened(records.notable(since, until, self._lookout.scope, _EVENTS)))

    async def _touched(self, since: int, until: int) -> list[int]:
        return await self._ids(lambda records: records.touched(since, until, self._lookout.scope, MOST + 1))

    async def _ids(self, question: Callable[[Records], list[int]]) -> list[int]:
        return await self._lookout.ask(question, missing=list)

    async def _shared(self, key: tuple[Any, ...], make: Callable[[Records], bytes]) -> bytes:
        """A frame that is made once for all viewers who need it now."""
        task = self._frames.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._lookout.ask(make, missing=bytes))
            self._frames[key] = task
            while len(self._frames) > _FRAMES:
                self._frames.popitem(last=False)
        return await asyncio.shield(task)
