"""A provider that never calls back, on a virtual clock: how often it is asked, and how late results are found."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import pytest
from proof.simulation import InlineWriter
from proof.virtual import VirtualLoop
from proof.worlds import NOON, Life, Trouble, World

from seedbatch.domain.answers import Accepted, MediaKind, NotFound, QueryAnswer, StoredFile, SubmitAnswer, TaskReport
from seedbatch.domain.brake import Brake
from seedbatch.domain.calls import Hint
from seedbatch.domain.jobs import BatchSpec, JobSpec, Limits, Request
from seedbatch.domain.work import Caps, Download, Submission
from seedbatch.engine import crew, run
from seedbatch.engine.run import Errand, Outcome, Run
from seedbatch.ledger.sqlite import SqliteLedger

SHORTEST: Final = 120.0
LONGEST: Final = 14_400.0


@dataclass(slots=True)
class Findings:
    """What a run without callbacks came to. Times in seconds."""

    outcome: Outcome
    queries: list[int]
    lateness: list[float]  # as a share of the task's own time
    gaps: list[float]  # between two questions about one task

    @property
    def words(self) -> str:
        """The figures in one line."""
        return (
            f"median queries {median(self.queries):g}, most {max(self.queries)},"
            f" longest gap {max(self.gaps) / 60:.1f} min,"
            f" median lateness {median(self.lateness):.0%} of the task's time"
        )


@dataclass(slots=True)
class Quiet:
    """The provider, and the store of its files. `spread` draws how long a task takes."""

    world: World
    evenly: bool
    ends: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    asked: defaultdict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))

    async def submit(self, submission: Submission) -> SubmitAnswer:
        """See the port."""
        await asyncio.sleep(0.1)
        dice, now = self.world.dice, self.world.now()
        seconds = dice.uniform(SHORTEST, LONGEST) if self.evenly else SHORTEST * (LONGEST / SHORTEST) ** dice.random()
        task_id = f"task-{submission.attempt_id}"
        self.ends[task_id] = (now, now + timedelta(seconds=seconds))
        return Accepted(task_id)

    async def query(self, task_id: str) -> QueryAnswer:
        """See the port."""
        await asyncio.sleep(0.1)
        if task_id not in self.ends:
            raise AssertionError(NotFound)
        now = self.world.now()
        self.asked[task_id].append(now)
        created, ends = self.ends[task_id]
        if now < ends:
            return TaskReport(task_id, "SUBMITTED", created_at=created, updated_at=now)
        url = f"https://files.example/{task_id}.mp4"
        return TaskReport(task_id, "SUCCESS", MediaKind.VIDEO, (url,), created_at=created, updated_at=ends)

    def hint(self, body: bytes) -> Hint:
        """See the port."""
        raise AssertionError(body)

    async def fetch(self, download: Download) -> StoredFile:
        """See the port."""
        await asyncio.sleep(1)
        return StoredFile(f"{download.name}.mp4", 10, "a" * 64, "video/mp4")

    async def give_way(self, path: str, revision: int, tries: int = 1) -> str:
        """See the port."""
        raise AssertionError((path, revision, tries))

    async def release(self, path: str) -> None:
        """See the port."""
        raise AssertionError(path)

    def taken(self, outputs: object) -> list[str]:
        """See the port."""
        raise AssertionError(outputs)


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else works on the ledger, so nobody looks every five seconds for what others left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_LONGEST_PAUSE", 3_600.0)
        patch.setattr(run, "_RESCUE_EVERY", timedelta(hours=1))
        patch.setattr(crew, "_LONGEST_BLINK", 3_600.0)
        yield


def without_callbacks(folder: Path, tasks: int, *, evenly: bool, in_flight: int = 100) -> Findings:
    """Apply so many jobs that take from two minutes to four hours, and count."""
    loop = VirtualLoop(lambda _seconds: None, 10**9)
    asyncio.set_event_loop(None)
    world = World(loop, random.Random(1), folder, Trouble(), LONGEST, list)
    quiet = Quiet(world, evenly)
    life = Life("quiet")

    async def apply() -> Outcome:
        ledger = SqliteLedger(folder / "ledger.db", kind="real", folder=folder / "outputs", now=NOON)
        ledger._writer = InlineWriter(ledger._writer, world, life)
        try:
            await ledger.declare(BatchSpec("b", tuple(_job(number) for number in range(tasks))), world.now())
            limits = Limits(submitting=2, in_flight=in_flight)
            errand = Errand(("b",), limits, caps=Caps(brake=Brake(allowed=10 * tasks)))
            return await Run(ledger, quiet, quiet, world, errand, lambda _: None).go()
        finally:
            await ledger.aclose()

    try:
        with alone():
            outcome = loop.run_until_complete(apply())
    finally:
        loop.close()
    return _judged(quiet, outcome)


def _judged(quiet: Quiet, outcome: Outcome) -> Findings:
    queries, lateness, gaps = [], [], [0.0]
    for task_id, (created, ends) in quiet.ends.items():
        asked = quiet.asked[task_id]
        queries.append(len(asked))
        lateness.append((asked[-1] - ends) / (ends - created))
        gaps += [(later - earlier).total_seconds() for earlier, later in pairwise(asked)]
    return Findings(outcome, queries, lateness, gaps)


def _job(number: int) -> JobSpec:
    request = Request("seedance-2.0", {"prompt": f"shot {number}", "ratio": "16:9", "duration": 5})
    name = f"j{number}"
    return JobSpec(name, name, name, 1, {}, request, request.fingerprint, f"b/{name}")
