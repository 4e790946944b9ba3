"""A run that is about some jobs of its batches only."""

from __future__ import annotations

from engine.workshop import assert_invariants

from seedbatch.domain.errors import Exit
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName
from seedbatch.engine.run import Until


async def test_it_ends_when_the_chosen_are_settled(shop):
    process = await shop.start("a", "b", "c", "d")
    outcome = await process.apply(chosen={JobName("b", "j1"), JobName("b", "j3")})
    assert outcome.counts == {JobState.COMPLETED: 2}
    assert (outcome.exit, outcome.settled) == (Exit.OK, True)
    assert shop.ask("SELECT address, state FROM jobs ORDER BY id") == [
        *(("j0", "pending"), ("j1", "completed"), ("j2", "pending"), ("j3", "completed")),
    ]
    assert len(shop.tasks()) == 2
    assert_invariants(shop, closed=False)


async def test_tasks_of_others_are_asked_about_and_their_files_left(shop):
    process = await shop.start("a", "b", speed=40)
    await process.apply(collect=False, download=False, chosen={JobName("b", "j0")}, until=Until.SUBMITTED)
    later = await shop.open()
    outcome = await later.apply(chosen={JobName("b", "j1")})
    assert outcome.counts == {JobState.COMPLETED: 1}
    assert shop.states()["completed"] == 1
    assert_invariants(shop, closed=False)


async def test_the_failure_of_another_stops_no_submission(shop):
    process = await shop.start("bad [fail]", "b", "c")
    await process.apply(collect=False, download=False, chosen={JobName("b", "j0")}, until=Until.SUBMITTED)
    later = await shop.open()
    outcome = await later.apply(chosen={JobName("b", "j1"), JobName("b", "j2")}, fail_fast=True)
    assert outcome.counts == {JobState.COMPLETED: 2}
    assert outcome.stops == ()
