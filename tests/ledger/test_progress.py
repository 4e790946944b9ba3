"""How far the work is and how fast it goes, as any ledger tells it; this file names no adapter."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import MediaKind, TaskReport
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.jobs import Limits, Request
from seedbatch.domain.money import Money
from seedbatch.domain.progress import Expiring
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName

FREE = Limits()
WEEK = timedelta(days=7)


def of_model(job, model):
    request = Request(model, job.request.input)
    return replace(job, request=request, fingerprint=request.fingerprint)


async def submit(ledger, clock, task_id, scope=None):
    (submission,), _ = await claim(ledger, scope, FREE, clock.after(1), 1)
    await ledger.accepted(submission.attempt_id, task_id, clock.after(1), clock.now)
    return submission


async def end(ledger, clock, seconds):
    (task,), _ = await ledger.claim_queries(None, clock.after(1), 1)
    times = {"created_at": task.accepted_at, "updated_at": task.accepted_at + timedelta(seconds=seconds)}
    ended = TaskReport(task.task_id, "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",), **times)
    await ledger.succeeded(task.attempt_id, ended, clock.after(1), clock.now + WEEK)


async def test_nothing_is_nothing(ledger, records):
    found = await ledger.progress(None, NOON)
    assert (found.total, found.left, found.submitted, found.expiring) == (0, 0, 0, None)
    assert records.progress(NOON).total == 0


async def test_the_models_of_what_is_next_and_the_ages_of_what_runs(ledger, clock, records):
    jobs = [spec(f"j{number}", prompt=f"p{number}") for number in range(5)]
    await ledger.declare(
        batch(*(of_model(job, "a") for job in jobs[:2]), *(of_model(job, "b") for job in jobs[2:])), NOON
    )
    await submit(ledger, clock, "t1")
    for found in (await ledger.progress(None, clock.now), records.progress(clock.now)):
        assert found.counts == {JobState.PENDING: 4, JobState.RUNNING: 1}
        assert found.pending == {"a": 0.25, "b": 0.75}
        assert found.running == [("a", clock.now)]
        assert (found.left, found.submitted) == (5, 1)
    assert (await ledger.progress(None, clock.now + timedelta(minutes=2))).submitted == 0


async def test_what_ended_teaches_and_its_link_expires(ledger, clock, records):
    await ledger.declare(batch(spec("one", prompt="1"), spec("two", prompt="2")), NOON)
    await submit(ledger, clock, "t1")
    await end(ledger, clock, 90)
    first = clock.now + WEEK
    await submit(ledger, clock, "t2")
    await end(ledger, clock, 60)
    found = records.progress(clock.now)
    assert found.expiring == Expiring(JobName("b", "one"), first)
    assert list(found.took.values()) == [[pytest.approx(60), pytest.approx(90)]]
    assert found.left == 2


async def test_other_batches_and_jobs_that_were_not_chosen_do_not_count(ledger, clock):
    capped = replace(batch(spec("one", prompt="1"), name="mine"), budget=Budget(3, Money(5, "USD")))
    await ledger.declare(capped, NOON)
    await ledger.declare(batch(of_model(spec("two", prompt="2"), "x"), name="theirs"), NOON)
    await submit(ledger, clock, "t1", {"theirs"})
    await end(ledger, clock, 60)
    found = await ledger.progress({"mine"}, clock.now)
    assert (found.total, found.expiring) == (1, None)
    assert "x" not in found.pending
    assert found.accounts.budgets == {"mine": Budget(3, Money(5, "USD"))}
    assert (await ledger.progress({"theirs"}, clock.now)).own == Spent(1, {}, 1)
    await ledger.declare(batch(*(spec(f"k{n}", prompt=f"k{n}") for n in range(4)), name="many"), NOON)
    for chosen in ("k1", "k3"):
        await ledger.choose([JobName("many", chosen)])
        found = await ledger.progress({"many"}, clock.now)
        assert (found.total, sum(found.pending.values())) == (1, 1.0)


async def test_a_reader_notices_that_somebody_wrote(ledger, clock, records):
    before = records.version()
    assert records.version() == before
    await ledger.declare(batch(spec("one")), NOON)
    assert records.version() != before
