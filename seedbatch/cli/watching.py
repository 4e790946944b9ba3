"""`status --watch`: where everything stands, again whenever it changed."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Final, Self

from seedbatch.cli.display import draws
from seedbatch.cli.onlooking import onlookers_headway, open_batches, without_settled
from seedbatch.cli.reading import open_or_say
from seedbatch.cli.standings import RISK, exit_of
from seedbatch.cli.tellers import Json, Pages, Screen, Sight, Teller, rest
from seedbatch.cli.words import say
from seedbatch.domain.errors import Exit, LedgerError
from seedbatch.ports import Records
from seedbatch.settings import Settings
from seedbatch.wiring import open_records

_SOON: Final = 2.0  # seconds between two looks; between two tellings where somebody or a program looks on
_SELDOM: Final = 60.0  # between two tellings where lines are kept
_BLINK: Final = 0.25  # a window that was resized is drawn anew within that time
_STALE: Final = 5.0  # what only time changes is looked at again after so long
_YOUNG: Final = 5.0  # a ledger that was touched so lately may still be in the making


def watch_standings(settings: Settings, interval: float | None, *, until_settled: bool, as_json: bool) -> int:
    """Tell until somebody ends it, or with `until_settled` until nothing is left that happens by itself.

    `interval` is in seconds: no two tellings come sooner. Returns the exit code.

    Raises:
        LedgerError: the ledger cannot be read, or is gone.
    """
    drawing = sys.stdout.isatty() and draws() and not as_json
    interval = interval or (_SOON if drawing or as_json else _SELDOM)
    teller: Teller = Screen(settings) if drawing else Json() if as_json else Pages(settings)
    code = Exit.INTERRUPTED
    with _interruptible(), suppress(KeyboardInterrupt):
        _await_ledger(settings)
        with _Ledger(settings) as ledger, teller:
            code = _watch(ledger, teller, interval, until_settled=until_settled)
    return int(code)


def _watch(ledger: _Ledger, teller: Teller, interval: float, *, until_settled: bool) -> Exit:
    told_at = -interval
    while True:
        sight = ledger.look()
        # A ledger without a batch is one that an `apply` is just making.
        over = until_settled and bool(sight.standings.batches) and not open_batches(sight.standings.batches)
        if (over or time.monotonic() - told_at >= interval) and teller.tell(sight, ledger.headway):
            told_at = time.monotonic()
        if over:
            return exit_of(sight.standings)
        teller.rest(min(interval, _SOON))


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal end it as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- the ledger --------------------------------------------------------------------------------------------------------


def _await_ledger(settings: Settings) -> None:
    """Return once there is a ledger."""
    if settings.ledger.exists():
        return
    open_or_say(settings)
    say("Waiting for one; Ctrl-C ends it.")
    while not settings.ledger.exists():
        rest(_SOON / 2)


class _Ledger:
    """Looks at the ledger when somebody wrote."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records: Records | None = None
        self._seen: tuple[int, int] | None = None
        self._looked_at = 0.0
        self._sight: Sight | None = None
        self.headway = onlookers_headway(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._records is not None:
            self._records.close()

    def look(self) -> Sight:
        """Where everything stands now."""
        file = self._file()
        if self._records is None or (self._seen is not None and self._seen[0] != file):
            self._reopen()
        assert self._records is not None
        seen = (file, self._records.version())
        if self._sight is None or seen != self._seen or time.monotonic() - self._looked_at > _STALE:
            now, at = datetime.now(UTC), time.monotonic()
            standings = self._records.standings(now, RISK)
            progress = without_settled(self._records.progress(now), standings.batches)
            self._sight = Sight(standings, progress, self.headway.outlook(progress, now, at), now)
            self._seen, self._looked_at = seen, at
        return self._sight

    def _file(self) -> int:
        """Which file it is: one that was put in its place is another."""
        try:
            return self._settings.ledger.stat().st_ino
        except OSError as error:
            raise LedgerError(f"the ledger {self._settings.ledger} is gone: {error.strerror or error}") from error

    def _reopen(self) -> None:
        if self._records is not None:
            self._records.close()
            self._records = None
        while self._records is None:
            self._file()
            try:
                self._records = open_records(self._settings)
            except LedgerError:
                if time.time() - self._settings.ledger.stat().st_mtime > _YOUNG:
                    raise
                rest(_BLINK)
