"""The live display: a few lines at the bottom of a terminal that are drawn anew, with notable events above them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.live import Live as Drawing
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from seedbatch.cli.display import Look, end
from seedbatch.cli.headway import Frame, Headway, counts_text
from seedbatch.cli.notable import SMALL_BATCH, Sieve, line_of, style_of
from seedbatch.domain.progress import Progress
from seedbatch.domain.states import JobState
from seedbatch.engine.happenings import Happening

_DRAW_EVERY: Final = 0.25
_LOOK_EVERY: Final = 0.5
_BAR: Final = 24
_SHOWN: Final = tuple(state for state in JobState if state is not JobState.COMPLETED)


class Live:
    """Draws on stderr. A terminal that is gone, or too small, stops the drawing and not the run."""

    def __init__(self, look: Look, frame: Frame, sieve: Sieve) -> None:
        self._look = look
        self._sieve = sieve
        self._begun = time.monotonic()
        self._headway = Headway(frame, self._begun)
        self._lines: list[str] = []
        self._progress = Progress({})
        self._console = Console(stderr=True, highlight=False, soft_wrap=False)
        self._drawing = Drawing(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._widths: list[int] = []
        self._columns = self._console.width
        self._task: asyncio.Task[None] | None = None

    def tell(self, happening: Happening) -> None:
        """Print it above if it is notable."""
        if self._sieve.lets(happening.kind):
            with suppress(OSError):
                self._follow_the_window()
                self._console.print(line_of(happening), markup=False, style=style_of(happening.kind))

    async def __aenter__(self) -> Self:
        await self._see()
        with suppress(OSError):
            self._drawing.start()
            self._draw()
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await end(self._task)
        with suppress(OSError):
            self._follow_the_window()
            self._drawing.stop()
            if held := self._sieve.held():
                self._console.print(f"  {held} (--verbose tells each)", markup=False, style="yellow")

    async def _follow(self) -> None:
        looked = took = 0.0
        while True:
            begun = time.monotonic()
            # Looking takes a while in a large ledger; it never takes more than a fiftieth of the time.
            if begun - looked >= max(_LOOK_EVERY, 50 * took):
                await self._see()
                looked, took = begun, time.monotonic() - begun
            with suppress(OSError):
                self._draw()
            await asyncio.sleep(_DRAW_EVERY)

    async def _see(self) -> None:
        self._progress = progress = await self._look()
        self._sieve.small = progress.total <= SMALL_BATCH
        now = datetime.now(UTC)
        found = self._headway.outlook(progress, now, time.monotonic())
        counts = counts_text(progress.counts, only=_SHOWN)
        self._lines = [line for line in (counts, *self._headway.lines(progress, found, now)) if line]

    def _draw(self) -> None:
        self._follow_the_window()
        block = self._block()
        rendered = self._console.render_lines(block, pad=False)
        self._widths = [sum(segment.cell_length for segment in line) for line in rendered]
        self._drawing.update(block, refresh=True)

    def _block(self) -> RenderableType:
        done, total = self._progress.total - self._progress.left, self._progress.total
        elapsed = timedelta(seconds=int(time.monotonic() - self._begun))
        first = Table.grid(padding=(0, 1))
        width = max(1, min(_BAR, self._console.width - 30))
        first.add_row(ProgressBar(total or 1, done, width=width), Text(f"{done:,}/{total:,}"), Text(str(elapsed)))
        return Group(first, *(Padding(Text(line), (0, 0, 0, 2), expand=False) for line in self._lines))

    def _follow_the_window(self) -> None:
        """What was drawn for a wider window now takes more rows than were drawn: they are wiped out as well."""
        columns, before = self._console.width, self._columns
        self._columns = columns
        if columns >= before:
            return
        more = sum(-(-width // columns) - 1 for width in self._widths if width > columns)
        up = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)]
        self._console.control(*(Control(*up) for _ in range(more)))
