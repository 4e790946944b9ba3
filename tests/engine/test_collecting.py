"""Runs over real parts: what each answer to a query leads to, and what a retry policy allows."""

from __future__ import annotations

import pytest
from engine.workshop import assert_invariants

from seedbatch.domain.errors import Exit
from seedbatch.domain.jobs import Limits
from seedbatch.engine.happenings import Kind
from seedbatch.engine.run import Until

ONE = Limits(submitting=1)
FIVE = tuple(f"clip {number}" for number in range(5))


@pytest.mark.parametrize(
    "fault",
    ["cut", "truncated-json", "429", {"429-retry-after": 30}, {"503-retry-after": 30}, "500", "502-html", "404"],
)
async def test_a_query_without_a_usable_answer_is_asked_again(shop, fault):
    process = await shop.start(*FIVE, rules=[{"on": "query", "do": fault, "first": 7}])
    assert (await process.apply()).exit is Exit.OK
    assert shop.states() == {"completed": 5}
    # the library itself repeats a GET when a pooled connection turns out closed
    assert process.count(Kind.UNANSWERED) == 7 or (fault == "cut" and 1 <= process.count(Kind.UNANSWERED) < 7)
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("fault", ["sparse", "partial-echo", "extra-fields", "whole-seconds", "nanoseconds"])
async def test_documented_variants_of_an_answer_are_all_understood(shop, fault):
    process = await shop.start(*FIVE, "[fail] x", rules=[{"on": "query", "do": fault}])
    assert (await process.apply()).exit is Exit.FAILED_JOBS
    assert shop.states() == {"completed": 5, "failed": 1}
    await process.aclose()
    assert_invariants(shop)


async def test_a_task_that_is_hidden_at_first_is_found_later(shop):
    process = await shop.start(*FIVE, hide_for=300)
    assert (await process.apply()).exit is Exit.OK
    assert process.count(Kind.UNANSWERED) >= 1
    assert len(shop.tasks()) == 5
    await process.aclose()
    assert_invariants(shop)


async def test_a_result_that_comes_late_is_waited_for_whatever_went_wrong_before(shop):
    process = await shop.start("one", speed=1)
    await process.apply(until=Until.SUBMITTED, collect=False, download=False)
    await process.aclose()
    shop.clock.leap(5 * 3600)
    await shop.stack.aclose()
    address = await shop.start_sandbox(
        {"on": "query", "do": "404", "first": 5}, {"on": "query", "do": "late-result", "at": [6, 7, 8]}
    )
    later = await shop.open(address)
    assert (await later.apply(submit=False)).exit is Exit.OK
    assert shop.states() == {"completed": 1}
    assert shop.ask("SELECT count(*) FROM events WHERE type = 'reported' AND data LIKE '%\"outputs\":0%'") == [(3,)]
    assert shop.ask("SELECT empties FROM attempts") == [(3,)]
    await later.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize(("fault", "code"), [("401", Exit.KEY), ("redirect-307", Exit.PROVIDER)])
async def test_a_query_that_is_refused_halts_everything_and_loses_nothing(shop, fault, code):
    process = await shop.start(*FIVE, rules=[{"on": "query", "do": fault, "first": 1}])
    outcome = await process.apply(limits=ONE)
    assert (outcome.exit, outcome.settled) == (code, False)
    assert process.count(Kind.STOPPED) == 1
    submitted = len(shop.tasks())
    states = shop.states()
    assert (states["running"] + states["succeeded"], states["pending"]) == (submitted, 5 - submitted)
    assert (await process.apply()).exit is Exit.OK
    assert len(shop.tasks()) == 5
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("tries", [1, 2, 3])
@pytest.mark.parametrize(
    ("marker", "retried", "failure"),
    [
        ("[fail]", True, "provider"),
        ("[timeout]", True, "timeout"),
        ("[moderation]", False, "moderation"),
        ("[invalid]", False, "invalid"),
        ("[cancelled]", False, "cancelled"),
        ("[no-output]", False, "no_output"),
    ],
)
async def test_a_failure_is_retried_as_often_as_the_policy_grants(shop, tries, marker, retried, failure):
    process = await shop.start(f"{marker} a", "b", attempts=tries)
    assert (await process.apply()).exit is Exit.FAILED_JOBS
    assert shop.ask("SELECT state, failure FROM jobs ORDER BY id") == [("failed", failure), ("completed", None)]
    allowed = tries if retried else 1
    assert len(shop.tasks()) == allowed + 1
    assert process.count(Kind.RETRIED) == allowed - 1
    assert (await process.apply()).exit is Exit.FAILED_JOBS  # held: not sent again by itself
    assert len(shop.tasks()) == allowed + 1
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize(("tries", "state"), [(1, "failed"), (2, "completed")])
async def test_a_second_try_may_succeed(shop, tries, state):
    process = await shop.start("[fail-once] a", attempts=tries)
    await process.apply()
    assert shop.states() == {state: 1}
    assert len(shop.tasks()) == tries


async def test_what_did_not_reach_the_provider_is_no_try(shop):
    rules = [{"on": "submit", "do": "429", "first": 4}]
    process = await shop.start("[fail] a", attempts=2, rules=rules)
    await process.apply()
    assert len(shop.tasks()) == 2
    assert shop.ask("SELECT count(*) FROM attempts") == [(6,)]


async def test_credits_that_end_while_a_task_runs_stop_new_submissions(shop):
    process = await shop.start("[points] a", *FIVE, attempts=3)
    outcome = await process.apply(limits=ONE)
    assert outcome.exit is Exit.STOPPED
    states = shop.states()
    assert states["failed"] == 1
    assert states["completed"] + states["pending"] == 5
    assert len(shop.tasks()) == 6 - states["pending"]
    await process.aclose()
    assert_invariants(shop)


async def test_until_submitted_leaves_the_rest_to_a_later_run(shop):
    process = await shop.start(*FIVE, speed=1)
    outcome = await process.apply(until=Until.SUBMITTED, collect=False, download=False)
    assert (outcome.exit, shop.states()) == (Exit.RUNNING, {"running": 5})
    shop.clock.leap(60)
    assert (await process.apply(submit=False)).exit is Exit.OK
    assert len(shop.tasks()) == 5


async def test_one_round_looks_once_and_submits_nothing(shop):
    process = await shop.start(*FIVE, speed=1)
    assert (await process.apply(until=Until.ROUND, submit=False)).exit is Exit.RUNNING
    assert shop.states() == {"pending": 5}
    await process.apply(until=Until.SUBMITTED, collect=False, download=False)
    assert (await process.apply(until=Until.ROUND, submit=False)).exit is Exit.RUNNING
    assert shop.states() == {"running": 5}
    shop.clock.leap(60)
    assert (await process.apply(until=Until.ROUND, submit=False)).exit is Exit.OK
    assert shop.states() == {"completed": 5}


async def test_a_round_in_which_the_provider_says_nothing_tells_so(shop):
    process = await shop.start(*FIVE, speed=1, rules=[{"on": "query", "do": "500", "first": 5}])
    process.leaps = False
    await process.apply(until=Until.SUBMITTED, collect=False, download=False)
    shop.clock.leap(1)
    outcome = await process.apply(until=Until.ROUND, submit=False)
    assert (outcome.exit, process.count(Kind.UNANSWERED)) == (Exit.PROVIDER, 5)
    assert shop.states() == {"running": 5}


async def test_a_display_that_breaks_changes_nothing(shop):
    process = await shop.start("one", "two")

    def broken(happening):
        raise RuntimeError(happening)

    assert (await process.run(tell=broken).go()).exit is Exit.OK
    assert shop.states() == {"completed": 2}
    await process.aclose()
    assert_invariants(shop)
