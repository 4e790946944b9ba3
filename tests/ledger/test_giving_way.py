"""What was paid for is stored where the manifest wants it: what another job has left there gives way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import MediaKind, StoredFile, TaskReport
from seedbatch.domain.jobs import Limits

A, B = spec("a", output="b/a"), spec("b", output="b/b")


async def run(ledger, task, files, stored, *, dies=False):
    """Send the next job, and store so many of its files; returns the job's row."""
    (one,), _ = await claim(ledger, None, Limits(), NOON, 1)
    await ledger.accepted(one.attempt_id, task, NOON, NOON)
    urls = tuple(f"https://x.example/{number}.mp4" for number in range(files))
    report = TaskReport(task, "SUCCESS", MediaKind.VIDEO, urls)
    await ledger.succeeded(one.attempt_id, report, NOON, NOON + timedelta(days=7))
    (delivery,), _ = await ledger.claim_deliveries(None, NOON, 1)
    for number in range(1, stored + 1):
        name = f"{delivery.output}.mp4" if number == 1 else f"{delivery.output}-{number}.mp4"
        await ledger.stored(one.attempt_id, number, StoredFile(name, 3, "0" * 64, "video/mp4"), NOON)
    if dies:
        await ledger.expired(one.attempt_id, "HTTP 404", NOON)
    elif stored < files:
        await ledger.fetch_later(one.attempt_id, "interrupted", NOON, NOON + timedelta(days=1))
    return delivery.job_id


@pytest.mark.parametrize("name", ["b/a", "b/a-2"])
async def test_a_file_of_a_job_that_is_wanted_elsewhere(ledger, name):
    """Two of its three came before the link died, and the manifest lets another job have their place."""
    await ledger.declare(batch(A, B), NOON)
    await run(ledger, "t1", files=3, stored=2, dies=True)
    other = await run(ledger, "t2", files=1, stored=0)
    assert await ledger.occupant(other, name) is None  # they lie where they belong
    await ledger.declare(batch(replace(A, output="b/c"), replace(B, output="b/a")), NOON)
    found = await ledger.occupant(other, name)
    assert (found.path, found.revision, found.tries) == (f"{name}.mp4", 1, 2)
    await ledger.moved(found.artifact_id, f"{name}.rev1.try2.mp4", NOON)
    assert await ledger.occupant(other, name) is None
    assert await ledger.occupant(other, "b") is None


async def test_a_file_of_a_job_that_is_wanted_no_longer(ledger):
    await ledger.declare(batch(A, B), NOON)
    await run(ledger, "t1", files=1, stored=1)
    other = await run(ledger, "t2", files=1, stored=0)
    assert await ledger.occupant(other, "b/a") is None
    await ledger.declare(batch(replace(B, output="b/a")), NOON)
    assert (await ledger.occupant(other, "b/a")).path == "b/a.mp4"
    await ledger.declare(batch(A, B), NOON)
    assert await ledger.occupant(other, "b/a") is None


async def test_a_completed_job_keeps_its_file_until_it_is_moved(ledger):
    await ledger.declare(batch(A, B), NOON)
    await run(ledger, "t1", files=1, stored=1)
    other = await run(ledger, "t2", files=1, stored=0)
    await ledger.declare(batch(replace(A, output="b/c"), replace(B, output="b/a")), NOON)
    assert await ledger.occupant(other, "b/a") is None
    (one,), _ = await ledger.claim_relocations(5)
    assert (one.file.path, one.path) == ("b/a.mp4", "b/c.mp4")


async def test_nobody_gives_way_to_the_task_that_made_it(ledger):
    await ledger.declare(batch(A), NOON)
    job = await run(ledger, "t1", files=2, stored=1)
    await ledger.declare(batch(replace(A, output="b/c")), NOON)
    assert await ledger.occupant(job, "b/a") is None
    assert await ledger.occupant(job, "b/c") is None
