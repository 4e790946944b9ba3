"""What happens as tasks end: refunds are written and receivers called, promptly and a bounded number at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from seedbatch.sandbox.book import Book
from seedbatch.sandbox.callbacks import Call
from seedbatch.sandbox.caller import Caller
from seedbatch.sandbox.tasks import SECOND, TaskRow

_TICK: Final = 0.25  # seconds; the clock may leap, and another sandbox may share the file
_AT_ONCE: Final = 100


class Endings:
    """Follows the tasks of a book to their ends, from `start` to `stop`. `now` tells microseconds since 1970."""

    def __init__(self, book: Book, caller: Caller, now: Callable[[], int]) -> None:
        self._book, self._caller, self._now = book, caller, now
        self._news = asyncio.Event()
        self._stopping = False
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to settle and to call."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Begin no more calls. What has begun is not cut short: a call that is written down must leave."""
        self._stopping = True
        self._news.set()
        if self._running is not None:
            await self._running

    async def close(self, deadline: float) -> None:
        """Give the calls under way until `deadline`, a moment of the loop's clock."""
        await self._caller.close(deadline)

    async def begin(self, row: TaskRow, calls: Iterable[Call]) -> None:
        """Take note of an accepted task; where it is called early, return after its receiver had its time."""
        self._news.set()
        early = [(call, row) for call in calls if call.at is not None]
        if early:
            with suppress(sqlite3.Error):
                await settle(self._book, row.ends)
            await asyncio.wait(self._make(early))

    async def _run(self) -> None:
        while not self._stopping:
            self._news.clear()
            try:
                await self._settle_and_call(self._now())
                pause = self._pause()
            except sqlite3.Error:  # a full disk, say: the next tick tries again
                pause = _TICK
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    async def _settle_and_call(self, now: int) -> None:
        await settle(self._book, now)  # first: whoever is called finds the refund on the bill
        due = self._book.next_call()
        if due is not None and due <= now and self._caller.room:
            self._make(await self._book.claim_calls(now, min(_AT_ONCE, self._caller.room)))

    def _make(self, calls: list[tuple[Call, TaskRow]]) -> list[asyncio.Task[None]]:
        tasks = self._caller.make(calls)
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())  # there is room for one more
        return tasks

    def _pause(self) -> float:
        """Seconds until the next refund or call is due, at most a tick."""
        moments = [self._book.next_refund(), self._book.next_call() if self._caller.room else None]
        waits = [(moment - self._now()) / SECOND for moment in moments if moment is not None]
        return max(0.0, min([_TICK, *waits]))


async def settle(book: Book, now: int) -> None:
    """Refund every unsuccessful task that has ended by now."""
    while (moment := book.next_refund()) is not None and moment <= now:
        await book.settle(now)
