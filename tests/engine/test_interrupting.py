"""Runs that are interrupted anywhere, and the runs that go on after them."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import AsyncExitStack, closing

import pytest
from engine.workshop import LeapingClock, Workshop, assert_invariants, clips

from seedbatch.domain.errors import Exit
from seedbatch.domain.jobs import Limits

ROUNDS = 25


def interrupt_after(run, turns, times):
    """Interrupt `times` times, first after so many turns of the loop, then a few later."""
    loop = asyncio.get_running_loop()

    def turn(left, more):
        if left:
            loop.call_soon(turn, left - 1, more)
            return
        run.interrupt()
        if more:
            loop.call_soon(turn, more.pop(), more)

    turn(turns, times)


async def interrupted_and_resumed(shop, turns, times):
    await shop.start_sandbox({"on": "submit", "do": {"delay": 0.01}, "every": 2}, speed=400)
    process = await shop.open()
    await process.ledger.declare(clips("a", "[two] b", "c", "d"), shop.clock.now())
    run = process.run(limits=Limits(submitting=2))
    interrupt_after(run, turns, list(times))
    outcome = await run.go()
    assert outcome.exit in {Exit.INTERRUPTED, Exit.OK}
    assert outcome.interrupted == (outcome.exit is Exit.INTERRUPTED)
    await process.aclose()
    assert_invariants(shop)
    if not times:  # requests on the wire were finished and recorded
        assert shop.states()["in_doubt"] == 0
    doubted = shop.states()["in_doubt"]
    later = await shop.open()
    resumed = await later.apply()
    assert resumed.exit is (Exit.IN_DOUBT if doubted else Exit.OK)
    assert shop.states() == {"completed": 4 - doubted} | ({"in_doubt": doubted} if doubted else {})
    await later.aclose()
    assert_invariants(shop)
    return outcome.interrupted


@pytest.mark.parametrize("times", [0, 1])
@pytest.mark.parametrize("seed", range(3))
async def test_interrupted_anywhere_nothing_is_lost_or_paid_twice(tmp_path, seed, times):
    dice = random.Random(seed)
    interrupted = 0
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with AsyncExitStack() as stack:
            shop = Workshop(folder, LeapingClock(), stack)
            later = [dice.choice([0, 1, 2, 5, 20, 100])] if times else []
            interrupted += await interrupted_and_resumed(shop, int(dice.lognormvariate(6, 2)), later)
    assert interrupted > ROUNDS // 2


@pytest.mark.parametrize("turns", range(0, 40, 2))
async def test_interrupted_while_a_file_is_recorded(shop, turns):
    process = await shop.start("a", "[two] b", "c", speed=400)
    run = process.run()
    loop = asyncio.get_running_loop()
    place = shop.outputs / "b"

    def watch():
        if list(place.glob("*.mp4")):
            interrupt_after(run, turns, [])
        else:
            loop.call_soon(watch)

    watch()
    outcome = await run.go()
    assert outcome.exit in {Exit.INTERRUPTED, Exit.OK}
    await process.aclose()
    assert_invariants(shop)
    later = await shop.open()
    assert (await later.apply()).exit is Exit.OK
    assert len(shop.tasks()) == 3
    await later.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("turns", range(12))
async def test_interrupted_twice_while_submissions_begin(shop, turns):
    process = await shop.start("a", "b", "c", "d", speed=400)
    run = process.run()
    loop = asyncio.get_running_loop()
    reader = sqlite3.connect(f"file:{shop.ledger_file}?mode=ro", uri=True)

    def watch():
        if reader.execute("SELECT 1 FROM attempts").fetchone():
            interrupt_after(run, turns // 2, [turns % 2])
        else:
            loop.call_soon(watch)

    watch()
    with closing(reader):
        assert (await run.go()).exit is Exit.INTERRUPTED
    await process.aclose()
    assert_invariants(shop)


async def test_a_run_that_is_interrupted_twice_before_it_begins_does_nothing(shop):
    process = await shop.start("a", "b")
    run = process.run()
    run.interrupt()
    run.interrupt()
    outcome = await run.go()
    assert outcome.exit is Exit.INTERRUPTED
    assert shop.states() == {"pending": 2}
    await process.aclose()
