"""How `status --watch` tells what it saw: on a screen of its own, as pages one below the other, or as JSON."""

from __future__ import annotations

import io
import json
import select
import sys
import time
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, Self

import click
from rich.console import Console
from rich.live import Live as Drawing
from rich.text import Text

from seedbatch.cli.headway import Headway, headway_json
from seedbatch.cli.standings import print_standings, standings_json
from seedbatch.cli.words import fitted, moment_text
from seedbatch.domain.moments import stamp
from seedbatch.domain.progress import Progress
from seedbatch.domain.records import Standings
from seedbatch.engine.outlook import Outlook
from seedbatch.settings import Settings

_BLINK: Final = 0.25  # a window that was resized is drawn anew within that time


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look found, and what follows for the end."""

    standings: Standings
    progress: Progress
    outlook: Outlook | None
    at: datetime


class Teller(Protocol):
    """Tells what was seen."""

    def tell(self, sight: Sight, headway: Headway) -> bool:
        """Tell it, if it is worth it; whether it was."""
        ...

    def rest(self, seconds: float) -> None:
        """Wait."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Json:
    """One object a line whenever something changed."""

    def __init__(self) -> None:
        self._told: dict[str, object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return

    def tell(self, sight: Sight, headway: Headway) -> bool:
        """`status --json`, with the moment and what only `--watch` tells."""
        del headway
        found = standings_json(sight.standings)
        if found == self._told:
            return False
        self._told = found
        extras = {"at": stamp(sight.at), "progress": headway_json(sight.progress, sight.outlook)}
        click.echo(json.dumps({**found, **extras}, ensure_ascii=False))
        return True

    def rest(self, seconds: float) -> None:
        """Wait, as long as somebody reads."""
        rest(seconds)


class Pages:
    """The blocks of `status` below the moment, whenever something changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: Standings | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return

    def tell(self, sight: Sight, headway: Headway) -> bool:
        """One page below the other."""
        if sight.standings == self._told:
            return False
        if self._told is not None:
            click.echo()
        self._told = sight.standings
        _print_page(sight, headway, self._settings)
        sys.stdout.flush()
        return True

    def rest(self, seconds: float) -> None:
        """Wait, as long as somebody reads."""
        rest(seconds)


class Screen:
    """The same on a screen of its own, drawn over the last one; the last one stays when it ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._console = Console(highlight=False)
        self._drawing = Drawing(console=self._console, screen=True, auto_refresh=False)
        self._latest: tuple[Sight, Headway] | None = None

    def __enter__(self) -> Self:
        self._drawing.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):  # the terminal may be what ended it
            self._drawing.stop()
            if self._latest is not None:
                _print_page(*self._latest, self._settings)

    def tell(self, sight: Sight, headway: Headway) -> bool:
        """Draw it."""
        self._latest = sight, headway
        self._draw()
        return True

    def rest(self, seconds: float) -> None:
        """Wait, and follow the window."""
        until, size = time.monotonic() + seconds, self._console.size
        while (left := until - time.monotonic()) > 0:
            rest(min(left, _BLINK))
            if self._console.size != size:
                size = self._console.size
                self._draw()

    def _draw(self) -> None:
        assert self._latest is not None
        page = _Page()
        with redirect_stdout(page):
            _print_page(*self._latest, self._settings)
        self._drawing.update(Text.from_ansi(page.getvalue()), refresh=True)


class _Page(io.StringIO):
    """What is printed here will be shown on a terminal."""

    def isatty(self) -> bool:
        return True


def _print_page(sight: Sight, headway: Headway, settings: Settings) -> None:
    click.echo(moment_text(sight.at))
    for line in headway.lines(sight.progress, sight.outlook, sight.at):
        click.echo(fitted(line, sys.stdout))
    click.echo()
    print_standings(sight.standings, settings)


def rest(seconds: float) -> None:
    """Wait, as long as somebody reads.

    Raises:
        BrokenPipeError: nobody does.
    """
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)  # a reader that leaves is told unasked
    if reader.poll(seconds * 1_000):
        raise BrokenPipeError
