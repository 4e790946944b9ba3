"""Looks at the ledger for all who look at the live page: one connection in one thread, asked at a slow interval."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from seedbatch.domain.errors import UsageError
from seedbatch.domain.progress import Progress
from seedbatch.domain.records import BatchTally, ExtraTask, Pulse
from seedbatch.domain.selection import pick_of
from seedbatch.manifest.picks import read_picks
from seedbatch.ports import Records, Scope
from seedbatch.report.cards import shown
from seedbatch.report.progress import told
from seedbatch.web.frames import MOST, frame

T = TypeVar("T")

EVERY: Final = 0.5  # seconds between two looks at the ledger
_BEAT: Final = 15.0  # seconds of silence after which a viewer is asked whether it is still there
_GOES_ON: Final = 5.0  # seconds after which the expected end is told anew, though nothing happened


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


class Herald(Protocol):
    """Says in words what the numbers mean; what the terminal shows."""

    def says(self, progress: Progress, tallies: Sequence[BatchTally], now: datetime) -> Sequence[str]:
        """When it may end, and the like; asked at one look after another."""
        ...

    def warns(self, extras: Sequence[ExtraTask]) -> Sequence[str]:
        """What somebody has to know who pays."""
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
    """Opens the ledger as soon as there is one. `sight` is what was seen last, `over` whether nobody looks any more."""

    def __init__(
        self,
        path: Path,
        opening: Callable[[], Records | None],
        picking: Picking,
        herald: Herald,
        scope: Scope,
    ) -> None:
        self._path, self._opening, self.scope = path, opening, scope
        self._picking, self._herald = picking, herald
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._records: Records | None = None
        self._opened: tuple[int, int] | None = None  # which file that was
        self.sight = Sight()
        self._turn = asyncio.Condition()
        self.over = False
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
        if sight != self.sight:
            async with self._turn:
                self.sight = replace(sight, number=self.sight.number + 1)
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

    async def turned(self, sight: Sight) -> bool:
        """Wait until there is something else to see, or it is over. After a while of silence it is False instead."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_BEAT), self._turn:
                await self._turn.wait_for(lambda: self.over or self.sight.number != sight.number)
            return True
        return False

    async def end(self) -> None:
        """Let all viewers go."""
        async with self._turn:
            self.over = True
            self._turn.notify_all()

    async def close(self) -> None:
        """Close the connection."""
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
        return self.sight if self.sight.progress else replace(self.sight, progress=frame("progress", {"none": True}))

    def _seen(self, records: Records) -> Sight:
        sight, now = self.sight, datetime.now(UTC)
        pulse = records.pulse()
        if pulse != sight.pulse or not sight.ledger or now.timestamp() - self._looked > _GOES_ON:
            self._looked = now.timestamp()
            identity = records.identity()
            says = {**self._progress(records, now), "sandbox": identity.kind == "sandbox", "most": MOST}
            sight = replace(sight, ledger=identity.ledger_id or "", pulse=pulse, progress=frame("progress", says))
        files = self._picking.files(records)
        stamps = tuple(map(_stamp, files))
        if stamps != self._stamps or not sight.picks:
            self._stamps = stamps
            sight = replace(sight, picks=frame("picks", _picks(files)))
        return sight

    def _progress(self, records: Records, now: datetime) -> dict[str, Any]:
        progress, tallies = records.progress(now, self.scope), records.tally(self.scope)
        extras = [extra for extra in records.extras() if self.scope is None or extra.batch in self.scope]
        says, warns = self._herald.says(progress, tallies, now), self._herald.warns(extras)
        return told(tallies, progress.accounts, says, warns)


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
