"""What the roles of one run share: its clock, its scope, its tasks, and the reasons for which it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from seedbatch.domain.errors import Exit, LedgerError
from seedbatch.domain.fingerprint import Json
from seedbatch.domain.work import JobName
from seedbatch.engine.experience import Experience
from seedbatch.engine.happenings import Happening, Kind, Witness
from seedbatch.ports import Clock, Scope

_LONGEST_BLINK: Final = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a role does no more in this run. `left_work`: it counts only if work was left undone for it."""

    exit: Exit
    reason: str
    hint: str = ""
    left_work: bool = False


class Glance:
    """When a role looks at the ledger again: when something is due, soon in any case, at once when it is stirred.

    What other processes leave is found by looking; what happens in this one stirs.
    """

    def __init__(self, every: float) -> None:
        self._every = timedelta(seconds=min(every, _LONGEST_BLINK))
        self._at: datetime | None = None

    def waits(self, now: datetime) -> datetime | None:
        """The moment of the next look; None if it is now."""
        return self._at if self._at is not None and now < self._at else None

    def took(self, now: datetime, due: datetime | None) -> datetime:
        """It looked, and something is due then; returns the moment of the next look."""
        self._at = now + self._every if due is None else min(due, now + self._every)
        return self._at

    def stir(self) -> None:
        """Look at once."""
        self._at = None


@dataclass(slots=True)
class Crew:
    """The common ground of the roles."""

    clock: Clock
    scope: Scope
    tell: Witness
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    stops: list[Stop] = field(default_factory=list)
    # A refused key or a wrong address concerns every role; the others only their own.
    halted: bool = False
    # Jobs of the scope that ended badly in this run.
    failures: int = 0
    # Stirred by whoever finds that there is something to download.
    deliveries: Glance = field(default_factory=lambda: Glance(_LONGEST_BLINK))
    # Stirred by whoever completes a job whose task others may share.
    shares: Glance = field(default_factory=lambda: Glance(_LONGEST_BLINK))
    # Stirred by whoever puts a callback into the inbox.
    calls: Glance = field(default_factory=lambda: Glance(_LONGEST_BLINK))
    experience: Experience = field(default_factory=Experience)
    # The jobs that the run is about, where that is not all of its scope.
    chosen: Collection[JobName] | None = None

    def now(self) -> datetime:
        """The present moment."""
        return self.clock.now()

    def report(self, kind: Kind, name: JobName | None = None, **data: Json) -> None:
        """Tell those who look on; that they cannot take it never changes what is done."""
        with suppress(Exception):
            self.tell(Happening(self.now(), kind, name, data))

    def failed(self, name: JobName) -> None:
        """A job ended badly; tasks that the run is not about are collected as well, and are not counted."""
        self.shares.stir()
        in_scope = self.scope is None or name.batch in self.scope
        self.failures += in_scope and (self.chosen is None or name in self.chosen)

    def stop(self, stop: Stop, *, everything: bool = False) -> None:
        """Note a reason, once for each exit code; `everything` halts all roles.

        What the ledger could not take is told every time: each may name a task that was paid for.
        """
        self.halted = self.halted or everything
        self.wake.set()
        if stop in self.stops or any(known.exit is stop.exit is not Exit.LEDGER for known in self.stops):
            return
        self.stops.append(stop)
        self.report(Kind.STOPPED, exit=int(stop.exit), reason=stop.reason, hint=stop.hint)

    def ledger_failed(self, error: LedgerError) -> None:
        """Nothing more can be recorded, so nothing more is begun; what is on the wire may still end."""
        self.stop(Stop(error.exit, error.message, error.hint), everything=True)


class Hands:
    """The tasks that one role has under way, `most` of them at once; each one's end wakes the run.

    A ledger that fails in one of them does not break off the others: what they are told must not be lost.
    """

    def __init__(self, group: asyncio.TaskGroup, crew: Crew, most: int) -> None:
        self._group = group
        self._crew = crew
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def free(self) -> int:
        """How many more may begin."""
        return self._most - len(self._tasks)

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not self._tasks

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """What is under way."""
        return tuple(self._tasks)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start one piece of work."""
        task = self._group.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Break off everything that is under way."""
        loop = asyncio.get_running_loop()
        for task in self._tasks:
            # Not before its first step: a task that never began could not leave its job in order.
            loop.call_soon(task.cancel)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except LedgerError as error:
            self._crew.ledger_failed(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._crew.wake.set()
