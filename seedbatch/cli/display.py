"""What a run shows while it works: a live display on a terminal, plain lines elsewhere, or events as JSON.

Failing to show something never changes what is done.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol, Self

from seedbatch.cli.headway import Frame, Headway, counts_text
from seedbatch.cli.notable import SMALL_BATCH, Sieve, line_of
from seedbatch.cli.words import say
from seedbatch.domain.moments import stamp
from seedbatch.domain.progress import Progress
from seedbatch.engine.happenings import Happening

Look = Callable[[], Awaitable[Progress]]

_MINUTE: Final = 60.0


class Display(Protocol):
    """Looks on while a run works."""

    def tell(self, happening: Happening) -> None:
        """One thing happened."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


def open_display(look: Look, frame: Frame, *, as_json: bool, quiet: bool, verbose: bool) -> Display:
    """The display that fits where the output goes."""
    if as_json:
        return JsonLines()
    if sys.stderr.isatty() and not quiet and draws():
        from seedbatch.cli.live import Live

        return Live(look, frame, Sieve(verbose=verbose))
    return Lines(look, frame, Sieve(quiet=quiet, verbose=verbose), summaries=not quiet)


def draws() -> bool:
    """Whether the terminal moves its cursor where it is told to."""
    return os.environ.get("TERM", "").lower() not in {"", "dumb", "unknown"}


class JsonLines:
    """One event a line on stdout."""

    def __init__(self) -> None:
        self._deaf = False

    def tell(self, happening: Happening) -> None:
        """Write one event."""
        name = happening.name
        self.write({
            "version": 1,
            "at": stamp(happening.at),
            "type": str(happening.kind),
            "batch": name and name.batch,
            "key": name and name.address,
            **happening.data,
        })  # fmt: skip

    def write(self, event: dict[str, Any]) -> None:
        """Write one line, unless nobody reads any more."""
        if self._deaf:
            return
        try:
            print(json.dumps(event, ensure_ascii=False), flush=True)  # noqa: T201
        except UnicodeEncodeError:  # half a surrogate pair, or a locale that lacks the letter: as an escape
            print(json.dumps(event), flush=True)  # noqa: T201
        except (OSError, ValueError):
            self._deaf = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return


def pause(elapsed: float, *, least: float = _MINUTE) -> float:
    """How many seconds after `elapsed` ones the next summary comes: a minute, and in a long run up to ten.

    So that a night's run fills no more than a few screens: 30 summaries in half an hour, 120 in eight hours.
    """
    return min(max(least, elapsed / 30), 10 * least)


class Lines:
    """A line for each notable event, and a summary at a slow interval: `least` seconds or more lie between two."""

    def __init__(self, look: Look, frame: Frame, sieve: Sieve, *, summaries: bool, least: float = _MINUTE) -> None:
        self._look = look
        self._sieve = sieve
        self._summaries = summaries
        self._least = least
        self._begun = time.monotonic()
        self._headway = Headway(frame, self._begun)
        self._task: asyncio.Task[None] | None = None

    def tell(self, happening: Happening) -> None:
        """Say it if it is notable."""
        if self._sieve.lets(happening.kind):
            say(line_of(happening))

    async def __aenter__(self) -> Self:
        self._sieve.small = (await self._look()).total <= SMALL_BATCH
        if self._summaries:
            self._task = asyncio.create_task(self._summarize())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await end(self._task)
        if held := self._sieve.held():
            say(f"  {held} (--verbose tells each)")

    async def _summarize(self) -> None:
        while True:
            await asyncio.sleep(pause(time.monotonic() - self._begun, least=self._least))
            say(self._summary(await self._look()))

    def _summary(self, progress: Progress) -> str:
        now = datetime.now(UTC)
        found = self._headway.outlook(progress, now, time.monotonic())
        facts = (counts_text(progress.counts), *self._headway.lines(progress, found, now), self._sieve.held())
        return f"{time.strftime('%H:%M:%S')}  {'; '.join(fact for fact in facts if fact)}"


async def end(task: asyncio.Task[None] | None) -> None:
    """Stop a task that looks on."""
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):  # the run is over, whatever the display met
            await task
