"""Files on their way to where the manifest wants them now: interrupted, and beside another process."""

from __future__ import annotations

from dataclasses import replace

from engine.workshop import clips
from samples import jobs_digest

from seedbatch.domain.errors import Exit
from seedbatch.engine.happenings import Kind

PROMPTS = ("one", "two", "three")


def elsewhere():
    batch = clips(*PROMPTS)
    jobs = tuple(replace(job, output=f"new/{job.key}") for job in batch.jobs)
    return replace(batch, jobs=jobs, jobs_digest=jobs_digest(jobs))


def lying(shop):
    return {path.relative_to(shop.outputs).as_posix() for path in shop.outputs.rglob("*.mp4")}


async def test_what_an_interrupt_leaves_is_told_and_moved_by_the_next_run(shop):
    process = await shop.start(*PROMPTS)
    assert (await process.apply()).exit is Exit.OK
    before = lying(shop)
    await process.ledger.declare(elsewhere(), shop.clock.now())

    def interrupt_after_the_first(happening):
        if happening.kind is Kind.MOVED:
            run.interrupt()

    run = process.run(tell=interrupt_after_the_first)
    outcome = await run.go()
    assert outcome.exit is Exit.INTERRUPTED
    assert [stop.reason for stop in outcome.stops] == ["2 files are not moved yet"]
    assert len(before & lying(shop)) == 2
    outcome = await process.apply()
    assert (outcome.exit, outcome.stops) == (Exit.OK, ())
    assert lying(shop) == {"new/j0.mp4", "new/j1.mp4", "new/j2.mp4"}


async def test_one_process_at_a_time_moves_files(shop):
    one = await shop.start(*PROMPTS)
    assert (await one.apply()).exit is Exit.OK
    two = await shop.open()
    for process in (one, two):
        await process.ledger.declare(elsewhere(), shop.clock.now())
    found, _ = await one.ledger.claim_relocations(5)
    assert len(found) == 3
    assert await two.ledger.claim_relocations(5) == ([], 0)
    assert (await one.apply()).exit is Exit.OK
    # What the first has moved the second finds done.
    assert (await two.apply()).exit is Exit.OK
    assert two.count(Kind.NOT_MOVED) == 0
    assert lying(shop) == {"new/j0.mp4", "new/j1.mp4", "new/j2.mp4"}
    assert len(shop.ask("SELECT 1 FROM events WHERE type = 'moved'")) == 3
    assert shop.ask("SELECT value FROM meta WHERE key = 'moving'") == []
