"""Budgets, the moderation brake and other reasons to stop, in runs over real parts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from engine.workshop import assert_invariants, clips
from samples import batch, spec

from seedbatch.domain.brake import Brake
from seedbatch.domain.budget import Budget
from seedbatch.domain.errors import Exit
from seedbatch.domain.jobs import BatchSpec, Limits
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.domain.work import Caps
from seedbatch.engine.happenings import Kind
from seedbatch.engine.run import Until

TEN = tuple(f"clip {number}" for number in range(10))
ONE = Limits(submitting=1)


def usd(cents: int) -> Money:
    return Money(cents * 10_000, "USD")


def priced(wanted: BatchSpec, *, cents: int = 25, budget: Budget | None = None) -> BatchSpec:
    row = PriceRow("seedance-2.0", None, Unit.CLIP, usd(cents))
    return replace(wanted, prices=PriceTable({("seedance-2.0", None): row}), budget=budget or Budget())


async def declared(shop, wanted: BatchSpec, *rules, **plan):
    await shop.start_sandbox(*rules, **plan)
    process = await shop.open()
    await process.ledger.declare(wanted, shop.clock.now())
    return process


def exposure(shop) -> int:
    ((micros,),) = shop.ask("SELECT coalesce(sum(exposure), 0) FROM attempts")
    return micros


async def test_a_budget_of_money_stops_before_it_is_exceeded(shop):
    process = await declared(shop, priced(clips(*TEN), budget=Budget(max_cost=usd(110))))
    outcome = await process.apply()
    assert (outcome.exit, shop.states()) == (Exit.STOPPED, {"completed": 4, "pending": 6})
    assert exposure(shop) == usd(100).micros
    assert [stop.reason for stop in outcome.stops] != []
    assert process.count(Kind.BARRED) == 1
    # A later run, and another process, keep to it as well.
    assert (await (await shop.open()).apply()).exit is Exit.STOPPED
    assert len(shop.tasks()) == 4
    assert_invariants(shop)


async def test_what_moderation_took_makes_room_again(shop):
    prompts = ("one [moderation]", "two [moderation]", "three", "four")
    process = await declared(shop, priced(clips(*prompts), budget=Budget(max_cost=usd(55))))
    outcome = await process.apply(limits=ONE)
    # Two reserve 50 of 55; each is rejected and then owes 2.5 at most, which leaves 50 for the two others.
    assert (outcome.exit, shop.states()) == (Exit.FAILED_JOBS, {"failed": 2, "completed": 2})
    assert exposure(shop) == usd(55).micros
    assert_invariants(shop)


async def test_a_run_may_be_capped_alone(shop):
    process = await declared(shop, priced(clips(*TEN)))
    assert (await process.apply(caps=Caps(run=Budget(max_jobs=3)))).exit is Exit.STOPPED
    assert len(shop.tasks()) == 3
    later = await shop.open()
    assert (await later.apply(caps=Caps(run=Budget(max_cost=usd(100))))).exit is Exit.STOPPED
    assert len(shop.tasks()) == 7
    assert (await later.apply(caps=Caps(day=Budget(max_jobs=8)))).exit is Exit.STOPPED
    assert len(shop.tasks()) == 8
    assert (await later.apply()).exit is Exit.OK
    assert_invariants(shop)


async def test_without_a_price_money_cannot_be_capped(shop):
    process = await declared(shop, clips(*TEN, name="b"))
    outcome = await process.apply(caps=Caps(run=Budget(max_cost=usd(100))))
    assert (outcome.exit, shop.tasks()) == (Exit.STOPPED, [])
    (stop,) = outcome.stops
    assert "no price" in stop.reason
    assert 'model = "seedance-2.0"' in stop.hint


async def test_several_processes_share_one_budget(shop):
    await shop.start_sandbox()
    crew = [await shop.open() for _ in range(4)]
    await crew[0].ledger.declare(priced(clips(*TEN), budget=Budget(max_cost=usd(160))), shop.clock.now())
    outcomes = await asyncio.gather(*(one.apply() for one in crew))
    assert {outcome.exit for outcome in outcomes} == {Exit.STOPPED}
    assert (len(shop.tasks()), exposure(shop)) == (6, usd(150).micros)
    assert_invariants(shop)


async def test_what_may_lift_a_cap_is_not_waited_for_by_a_run_that_does_not_collect(shop):
    process = await declared(shop, priced(clips("a [slow]", "b"), budget=Budget(max_jobs=1)), speed=1)
    outcome = await process.apply(until=Until.SUBMITTED, collect=False, download=False)
    assert (outcome.exit, shop.states()) == (Exit.STOPPED, {"running": 1, "pending": 1})


def violations(shop) -> int:
    ((count,),) = shop.ask("SELECT count(*) FROM attempts WHERE violated_on IS NOT NULL")
    return count


SIXTY = tuple(f"{'[moderation] ' if number % 3 else ''}clip {number}" for number in range(60))


async def test_a_strict_brake_never_reaches_the_twentieth_violation(shop):
    process = await declared(shop, clips(*SIXTY))
    outcome = await process.apply(limits=Limits(submitting=2, in_flight=5), caps=Caps(brake=Brake(strict=True)))
    assert (outcome.exit, violations(shop)) == (Exit.STOPPED, 19)
    assert "moderation" in outcome.stops[0].reason
    assert shop.states()["pending"] > 20
    # A person may accept the dearer tier.
    later = await shop.open()
    assert (await later.apply(caps=Caps(brake=Brake(allowed=60)))).exit is Exit.FAILED_JOBS
    assert (shop.states(), violations(shop)) == ({"failed": 40, "completed": 20}, 40)
    assert_invariants(shop)


async def test_the_usual_brake_goes_by_what_is_expected(shop):
    process = await declared(shop, clips(*SIXTY))
    outcome = await process.apply(limits=Limits(submitting=2, in_flight=5), caps=Caps(brake=Brake(allowed=10)))
    assert outcome.exit is Exit.STOPPED
    # Whatever was in flight when ten came near may still be rejected.
    assert 10 <= violations(shop) <= 14


async def test_the_brake_waits_while_tasks_are_in_flight(shop):
    process = await declared(shop, clips(*TEN))
    outcome = await process.apply(caps=Caps(brake=Brake(allowed=2, strict=True)))
    # Each task in flight counts as one, and none turns out to be one: all get through, two at a time.
    assert (outcome.exit, shop.states()) == (Exit.OK, {"completed": 10})
    assert process.count(Kind.BARRED) >= 1


async def test_the_first_failure_ends_submitting_if_asked(shop):
    process = await declared(shop, clips("[reject] a", *TEN))
    outcome = await process.apply(limits=ONE, fail_fast=True)
    assert outcome.exit is Exit.FAILED_JOBS
    assert shop.states()["pending"] >= 9
    assert [stop.exit for stop in outcome.stops] == [Exit.FAILED_JOBS]
    assert (await process.apply()).exit is Exit.FAILED_JOBS
    assert shop.states() == {"failed": 1, "completed": 10}


async def test_the_failure_of_another_batch_is_not_counted(shop):
    process = await declared(shop, clips("[fail] a", name="other"))
    await process.apply(until=Until.SUBMITTED, collect=False, download=False)
    await process.ledger.declare(batch(*map(spec, "abcdefghij"), name="mine"), shop.clock.now())
    shop.clock.leap(60)  # the other one fails at the first question
    outcome = await process.apply(scope=("mine",), limits=ONE, fail_fast=True)
    assert (outcome.exit, shop.states()) == (Exit.OK, {"completed": 10, "failed": 1})


async def test_a_full_budget_keeps_no_other_batch_from_its_turn(shop):
    process = await declared(
        shop, priced(clips(*TEN, name="full"), budget=Budget(max_jobs=1)), {"on": "submit", "do": "429", "at": [2]}
    )
    await process.ledger.declare(batch(spec("later"), name="patient"), shop.clock.now())
    outcome = await process.apply(limits=ONE)
    assert (outcome.exit, shop.states()) == (Exit.STOPPED, {"completed": 2, "pending": 9})


async def test_what_is_kept_back_is_told_only_if_something_is(shop):
    process = await declared(shop, clips(*TEN))
    await process.apply(caps=Caps(run=Budget(max_jobs=10), brake=Brake(allowed=10, strict=True)))
    assert (shop.states(), process.count(Kind.BARRED)) == ({"completed": 10}, 0)


async def test_a_contradictory_answer_that_names_its_task_is_followed_up(shop):
    process = await declared(shop, clips(*TEN), {"on": "submit", "do": "contradict", "at": [3, 6]})
    outcome = await process.apply(limits=ONE)
    assert (outcome.exit, shop.states()) == (Exit.OK, {"completed": 10})
    assert process.count(Kind.ADOPTED) == 2
    assert len(shop.tasks()) == 10
    assert_invariants(shop)


async def test_a_contradictory_answer_that_no_query_confirms_stays_in_doubt(shop):
    rules = [{"on": "submit", "do": "contradict", "at": [1]}, {"on": "query", "do": "404", "first": 1}]
    process = await declared(shop, clips("a"), *rules)
    assert (await process.apply(limits=ONE)).exit is Exit.IN_DOUBT
    assert shop.states() == {"in_doubt": 1}
    assert_invariants(shop)


async def test_a_provider_that_takes_nothing_is_given_up_in_the_end(shop):
    process = await declared(shop, clips("a", "b"), {"on": "submit", "do": {"503-retry-after": 5}})
    outcome = await process.apply(limits=ONE)
    assert (outcome.exit, shop.states()) == (Exit.PROVIDER, {"pending": 2})
    assert process.count(Kind.THROTTLED) == 10


@pytest.mark.parametrize("submitting", [1, 3])
async def test_a_ledger_that_fails_breaks_off_nothing_on_the_wire(shop, submitting):
    process = await declared(shop, clips(*TEN), {"on": "submit", "do": {"delay": 0.05}})
    working = asyncio.create_task(process.run(limits=Limits(submitting=submitting)).go())
    while not shop.folder.joinpath("provider.db").exists() or len(shop.tasks()) < submitting:  # noqa: ASYNC110
        await asyncio.sleep(0)  # the sandbox and the run take their turns
    # From now on nothing fits into the file: SQLite itself says that the disk is full.
    ((pages,),) = shop.ask("PRAGMA page_count")
    await process.ledger._run(lambda connection: connection.execute(f"PRAGMA max_page_count={pages}").fetchall())
    assert (await working).exit is Exit.LEDGER
    await process.aclose()
    later = await shop.open()
    outcome = await later.apply()
    # What was answered while nothing could be written is known all the same; only what was never answered is not.
    assert outcome.exit is Exit.OK
    assert (shop.states(), len(shop.tasks())) == ({"completed": 10}, 10)
    await later.aclose()
    assert_invariants(shop)
