"""What the ledger should hold, in plain words of the design: it knows neither SQL nor the program.

Money is in micro-units. An attempt reserves its price when its intent is recorded; the price is free again once it is
proven, or a person says, that no task exists; moderation leaves a tenth, rounded up; a task that shows up after a
person settled its attempt counts in full, and so does each further task of one attempt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

HELD = frozenset({"failed", "expired", "abandoned"})


@dataclass
class Attempt:
    """One try at a submission; `settled` is a person's word on it, `ended` whether anything ended it."""

    job: int
    owner: str
    price: int
    day: str
    exposure: int
    counted: bool = True
    task: str | None = None
    ended: bool = False
    settled: bool = False
    outputs: int = 0
    asker: str | None = None
    query_at: datetime | None = None
    extras: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> list[str]:
        """All that the provider made for it: one, or by its mistake more."""
        return [*([self.task] if self.task else []), *self.extras]

    def free(self) -> None:
        """No task exists."""
        self.ended, self.counted, self.exposure = True, False, 0

    def owe(self, exposure: int) -> None:
        """It ended, and so much may be owed."""
        self.ended, self.exposure = True, exposure


@dataclass
class Job:
    """One revision of one name."""

    name: str
    prompt: str
    state: str = "pending"
    current: bool = True
    not_before: datetime | None = None
    downloader: str | None = None
    files: set[int] = field(default_factory=set)

    def due(self, now: datetime) -> bool:
        """Whether its moment has come."""
        return self.not_before is None or self.not_before <= now


@dataclass
class Book:
    """All jobs and attempts, by the ids that the ledger gave them."""

    jobs: dict[int, Job] = field(default_factory=dict)
    attempts: dict[int, Attempt] = field(default_factory=dict)

    def of(self, job_id: int) -> list[int]:
        """The attempts at a job, oldest first."""
        return sorted(number for number, attempt in self.attempts.items() if attempt.job == job_id)

    def open_attempt(self, job_id: int) -> Attempt | None:
        """The one that nothing has ended yet."""
        live = [self.attempts[number] for number in self.of(job_id) if not self.attempts[number].ended]
        assert len(live) <= 1, f"job {job_id} has {len(live)} open attempts"
        return live[0] if live else None

    def states(self, *states: str) -> list[int]:
        """The jobs in one of these states."""
        return sorted(job_id for job_id, job in self.jobs.items() if job.state in states)

    def holds(self, task: str) -> bool:
        """Whether a task is known."""
        return any(task in attempt.tasks for attempt in self.attempts.values())

    def claimable(self, now: datetime) -> list[int]:
        """What may be submitted now."""
        return [number for number in self.states("pending") if self.jobs[number].current and self.jobs[number].due(now)]

    def to_ask_about(self, now: datetime) -> list[int]:
        """The attempts whose query is due and that nobody asks about."""
        return [
            number
            for number, one in self.attempts.items()
            if not one.ended and one.task and one.asker is None and one.query_at is not None and one.query_at <= now
        ]

    def to_fetch(self, now: datetime) -> list[int]:
        """The jobs whose files are wanted and that nobody downloads."""
        return [
            number
            for number in self.states("succeeded")
            if self.jobs[number].downloader is None and self.jobs[number].due(now)
        ]

    def sums(self, *, day: str | None = None, owner: str | None = None) -> tuple[int, int]:
        """How many submissions count, and what may be owed for them."""
        chosen = [
            one for one in self.attempts.values() if day in {None, one.day} and owner in {None, one.owner}
        ]  # fmt: skip
        owed = sum(one.exposure + len(one.extras) * one.price for one in chosen)
        return sum(one.counted for one in chosen), owed
