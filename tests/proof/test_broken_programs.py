"""Programs that break one promise each: the histories that show nothing of the real one find every one of them soon."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from proof.simulation import Opener, open_real, simulate, template
from proof.worlds import NOON

from seedbatch.domain.answers import Accepted, Evidence, InDoubt, StoredFile, TaskReport
from seedbatch.domain.locked import Found
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.work import Failure, JobName, Submission
from seedbatch.engine.submit import Submitter
from seedbatch.ledger import attempts, claims, rows
from seedbatch.ledger.sqlite import SqliteLedger

SEEDS = 60
# Programs that are broken may well hang: that is known soon.
TURNS = 20_000


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")  # noqa: S108 - a fresh folder in it
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def newborn(place: Path) -> Iterator[Path]:
    with template(place) as file:
        yield file


class SendsOrphansAgain(SqliteLedger):
    """What a dead process was sending goes back to pending."""

    async def rescue(self, now: datetime) -> list[JobName]:
        found = await super().rescue(now)

        def again(connection: Any) -> None:
            for (job_id,) in connection.execute("SELECT id FROM jobs WHERE state = 'in_doubt'").fetchall():
                ((attempt_id,),) = connection.execute(
                    "SELECT id FROM attempts WHERE job_id = ? AND outcome IS NULL", (job_id,)
                )
                attempts.end(connection, attempt_id, "not_sent", now)
                rows.move(connection, job_id, JobState.PENDING, now, "not_sent", attempt_id=attempt_id)

        if found:
            await self._run(again)
        return found


class SendsDoubtsAgain(SqliteLedger):
    """What may have been accepted is taken for not sent."""

    async def doubted(self, attempt_id: int, cause: str, evidence: Evidence, now: datetime) -> None:
        assert evidence is not None
        await self.not_sent(attempt_id, cause, now, now)


class ForgetsTaskIds(SqliteLedger):
    """A task id is lost now and then, and its job sent again."""

    async def accepted(self, attempt_id: int, task_id: str, now: datetime, query_at: datetime) -> JobState:
        if attempt_id % 5:
            return await super().accepted(attempt_id, task_id, now, query_at)
        await self.turned_away(attempt_id, "lost", now)
        return JobState.RUNNING


class RefusesWhatWasAccepted(SqliteLedger):
    """A task id is lost now and then, and its job failed."""

    async def accepted(self, attempt_id: int, task_id: str, now: datetime, query_at: datetime) -> JobState:
        if attempt_id % 5:
            return await super().accepted(attempt_id, task_id, now, query_at)
        await self.refused(attempt_id, Failure(FailureClass.INVALID, "lost"), Evidence(), now)
        return JobState.FAILED


class RetriesEverything(SqliteLedger):
    """Every failure is taken for one that the policy may retry."""

    async def task_failed(
        self, attempt_id: int, failure: Failure, report: TaskReport, now: datetime, retry_at: datetime | None
    ) -> None:
        await super().task_failed(attempt_id, failure, report, now, retry_at or now)


class TakesLateForLost(SqliteLedger):
    """A task that a query does not find is taken for failed."""

    async def unanswered(self, attempt_id: int, cause: str, now: datetime, query_at: datetime) -> None:
        if "does not know" in cause:
            failure = Failure(FailureClass.PROVIDER, cause, retryable=True)
            await self.task_failed(attempt_id, failure, TaskReport("", "FAILURE"), now, query_at)
        else:
            await super().unanswered(attempt_id, cause, now, query_at)


class NeverRescues(SqliteLedger):
    """What dead processes left is left."""

    async def rescue(self, now: datetime) -> list[JobName]:
        assert now
        return []


def _complete(connection: sqlite3.Connection, attempt_id: int, now: datetime) -> None:
    ((job_id,),) = connection.execute("SELECT job_id FROM attempts WHERE id = ?", (attempt_id,))
    rows.move(connection, job_id, JobState.COMPLETED, now, "completed")


class CompletesTooSoon(SqliteLedger):
    """The first of several files is taken for all."""

    async def stored(self, attempt_id: int, position: int, file: StoredFile, now: datetime) -> bool:
        if not await super().stored(attempt_id, position, file, now):
            await self._run(lambda connection: _complete(connection, attempt_id, now))
        return True


class MisjudgesSizes(SqliteLedger):
    """An artifact's size is off by one."""

    async def stored(self, attempt_id: int, position: int, file: StoredFile, now: datetime) -> bool:
        return await super().stored(attempt_id, position, replace(file, bytes=file.bytes + 1), now)


class CountsNoViolations(SqliteLedger):
    """What moderation took is a failure like any other."""

    async def task_failed(
        self, attempt_id: int, failure: Failure, report: TaskReport, now: datetime, retry_at: datetime | None
    ) -> None:
        plain = replace(failure, cls=FailureClass.PROVIDER)
        await super().task_failed(attempt_id, plain, report, now, retry_at)


class PaysForWhatOthersPaidFor(SqliteLedger):
    """Nobody reads the lock file."""

    async def lock_in(self, tasks: Sequence[Found]) -> None:
        assert tasks


def opening(broken: type[SqliteLedger]) -> Opener:
    return lambda file, outputs: broken(file, kind="real", folder=outputs, now=NOON)


def found(rule: str, place: Path, newborn: Path, opener: Opener) -> int | None:
    """The first seed that finds a violation of this rule."""
    for seed in range(SEEDS):
        if rule in {violation.rule for violation in simulate(seed, place, newborn, opener, TURNS).violations}:
            return seed
    return None


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (SendsOrphansAgain, "lost task"),
        (SendsOrphansAgain, "billed twice"),
        (SendsDoubtsAgain, "lost task"),
        (ForgetsTaskIds, "lost task"),
        (RefusesWhatWasAccepted, "lost task"),
        (RetriesEverything, "retry"),
        (TakesLateForLost, "untrue end"),
        (NeverRescues, "stuck"),
        (CompletesTooSoon, "completed"),
        (MisjudgesSizes, "file"),
        (CountsNoViolations, "moderation"),
        (PaysForWhatOthersPaidFor, "paid again"),
    ],
)
def test_a_broken_ledger_is_found_out(place, newborn, broken, rule):
    assert found(rule, place, newborn, opening(broken)) is not None


def no_obstacle(*_: Any) -> None:
    """What a budget says when nobody listens to it."""


async def sends_twice(self: Submitter, submission: Submission) -> None:
    """Try again when no clean answer came."""
    answer = await self._provider.submit(submission)
    if isinstance(answer, InDoubt):
        answer = await self._provider.submit(submission)
    await self._record(submission, answer)


async def drops_the_answer(self: Submitter, submission: Submission, _answer: Accepted) -> None:
    """Take an accepted request for one that was never sent."""
    now = self._crew.now()
    await self._ledger.not_sent(submission.attempt_id, "nothing", now, now)


@pytest.mark.parametrize(
    ("where", "name", "broken", "rule"),
    [
        (claims, "obstacle", no_obstacle, "budget"),
        (Submitter, "_carry", sends_twice, "billed twice"),
        (Submitter, "_accepted", drops_the_answer, "billed twice"),
    ],
)
def test_a_broken_rule_is_found_out(place, newborn, monkeypatch, where, name, broken, rule):
    monkeypatch.setattr(where, name, broken)
    assert found(rule, place, newborn, open_real) is not None
