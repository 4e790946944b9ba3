"""What a run shows while it works: a progress bar on a terminal, plain lines elsewhere, or events as JSON.

Failing to show something never changes what is done.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, Self

from seedbatch.cli.words import clean, say
from seedbatch.domain.moments import stamp
from seedbatch.domain.states import JobState
from seedbatch.engine.happenings import Happening, Kind

Count = Callable[[], Awaitable[Counter[JobState]]]

# Lines for single jobs are a pleasure up to here and noise beyond.
_SMALL_BATCH = 100
_SUMMARY_EVERY = 30.0

_WORDS = {
    Kind.NOT_SENT: "not sent   ",
    Kind.THROTTLED: "throttled  ",
    Kind.REFUSED: "refused    ",
    Kind.IN_DOUBT: "in doubt   ",
    Kind.ADOPTED: "adopted    ",
    Kind.EXTRA: "extra task ",
    Kind.MISCALLED: "miscalled  ",
    Kind.UNCALLED: "no callback",
    Kind.AWAITED: "waiting    ",
    Kind.PROBED: "probed     ",
    Kind.BARRED: "kept back  ",
    Kind.FAILED: "failed     ",
    Kind.RETRIED: "retried    ",
    Kind.NOT_FETCHED: "not fetched",
    Kind.EXPIRED: "expired    ",
    Kind.STOPPED: "stopped    ",
    Kind.COMPLETED: "completed  ",
    Kind.REUSED: "reused     ",
    Kind.MOVED: "moved      ",
    Kind.NOT_MOVED: "not moved  ",
}
_ALWAYS = frozenset({Kind.REFUSED, Kind.IN_DOUBT, Kind.EXTRA, Kind.BARRED, Kind.FAILED, Kind.EXPIRED, Kind.STOPPED})


class Display(Protocol):
    """Looks on while a run works."""

    def tell(self, happening: Happening) -> None:
        """One thing happened."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


def open_display(count: Count, *, as_json: bool, quiet: bool, verbose: bool) -> Display:
    """The display that fits where the output goes."""
    if as_json:
        return JsonLines()
    if sys.stderr.isatty() and not quiet:
        return Bar(count, verbose=verbose)
    return Lines(count, quiet=quiet, verbose=verbose)


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
        except (OSError, ValueError):
            self._deaf = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return


class Lines:
    """A line for each notable event, and a summary at a slow interval."""

    def __init__(self, count: Count, *, quiet: bool, verbose: bool) -> None:
        self._count = count
        self._quiet = quiet
        self._verbose = verbose
        self._small = True
        self._task: asyncio.Task[None] | None = None

    def tell(self, happening: Happening) -> None:
        """Say it if it is notable."""
        if is_notable(happening.kind, verbose=self._verbose, small=self._small, quiet=self._quiet):
            say(line_of(happening))

    async def __aenter__(self) -> Self:
        self._small = sum((await self._count()).values()) <= _SMALL_BATCH
        if not self._quiet:
            self._task = asyncio.create_task(self._summarize())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await _end(self._task)

    async def _summarize(self) -> None:
        while True:
            await asyncio.sleep(_SUMMARY_EVERY)
            say(f"{time.strftime('%H:%M:%S')}  {counts_text(await self._count())}")


class Bar:
    """A progress bar, with notable events above it."""

    def __init__(self, count: Count, *, verbose: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._count = count
        self._verbose = verbose
        self._small = True
        self._progress = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._bar = self._progress.add_task("", total=None)
        self._task: asyncio.Task[None] | None = None

    def tell(self, happening: Happening) -> None:
        """Print it above the bar if it is notable."""
        if is_notable(happening.kind, verbose=self._verbose, small=self._small, quiet=False):
            with suppress(OSError):
                self._progress.console.print(line_of(happening), markup=False, style=_style(happening.kind))

    async def __aenter__(self) -> Self:
        await self._update()
        with suppress(OSError):
            self._progress.start()
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await _end(self._task)
        with suppress(OSError):
            self._progress.stop()

    async def _follow(self) -> None:
        while True:
            begun = time.monotonic()
            await self._update()
            # Counting a million jobs takes a while; it never takes more than a fiftieth of the time.
            await asyncio.sleep(max(0.25, 50 * (time.monotonic() - begun)))

    async def _update(self) -> None:
        counts = await self._count()
        total = sum(counts.values())
        self._small = total <= _SMALL_BATCH
        settled = total - sum(counts[state] for state in _UNFINISHED)
        with suppress(OSError):
            self._progress.update(
                self._bar, total=total, completed=settled, description=counts_text(counts, only=_SHOWN)
            )


_UNFINISHED = (JobState.PENDING, JobState.SUBMITTING, JobState.RUNNING, JobState.SUCCEEDED)
_SHOWN = tuple(state for state in JobState if state is not JobState.COMPLETED)
_LABELS = {JobState.SUCCEEDED: "to download", JobState.IN_DOUBT: "in doubt"}


def counts_text(counts: Counter[JobState], only: tuple[JobState, ...] = tuple(JobState)) -> str:
    """`3 running, 1 to download, 8 completed`."""
    parts = [f"{counts[state]:,} {_LABELS.get(state, state)}" for state in only if counts[state]]
    return ", ".join(parts)


def is_notable(kind: Kind, *, verbose: bool, small: bool, quiet: bool) -> bool:
    """Whether an event deserves a line."""
    if kind in _ALWAYS:
        return True
    if quiet:
        return False
    if kind in {Kind.COMPLETED, Kind.REUSED, Kind.MOVED}:
        return small or verbose
    return verbose or kind in _WORDS


def line_of(happening: Happening) -> str:
    """An event in words."""
    word = _WORDS.get(happening.kind, f"{happening.kind:<11}")
    detail = happening.data.get("reason") or happening.data.get("path") or happening.data.get("task_id") or ""
    name = f"{happening.name}  " if happening.name else ""
    return f"  {word}  {name}{clean(str(detail))}".rstrip()


def _style(kind: Kind) -> str:
    if kind in {Kind.COMPLETED, Kind.REUSED, Kind.MOVED}:
        return "green"
    return "red" if kind in _ALWAYS else "yellow" if kind in _WORDS else "dim"


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):  # the run is over, whatever the display met
            await task
