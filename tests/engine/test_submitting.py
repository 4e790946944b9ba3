"""Runs over real parts: what each answer to a submission leads to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from engine.workshop import assert_invariants, clips

from seedbatch.domain.errors import Exit
from seedbatch.domain.jobs import Limits
from seedbatch.domain.moments import moment
from seedbatch.engine.happenings import Kind

TEN = tuple(f"clip {number}" for number in range(10))


async def test_every_job_is_completed(shop):
    process = await shop.start(*TEN)
    outcome = await process.apply()
    assert (outcome.exit, outcome.settled, shop.states()) == (Exit.OK, True, {"completed": 10})
    assert len(shop.tasks()) == 10
    assert process.count(Kind.COMPLETED) == 10
    assert len(list(shop.outputs.rglob("*.mp4"))) == 10
    await process.aclose()
    assert_invariants(shop)


async def test_a_second_run_has_nothing_to_do(shop):
    process = await shop.start(*TEN)
    await process.apply()
    before = len(process.told)
    assert (await process.apply()).exit is Exit.OK
    assert len(process.told) == before
    assert len(shop.tasks()) == 10


@pytest.mark.parametrize(("fault", "billed"), [("cut-after-accept", 10), ("cut-before-accept", 7)])
async def test_a_lost_answer_is_in_doubt_and_never_sent_again(shop, fault, billed):
    process = await shop.start(*TEN, rules=[{"on": "submit", "do": fault, "every": 3}])
    outcome = await process.apply()
    assert (outcome.exit, outcome.settled) == (Exit.IN_DOUBT, True)
    assert shop.states() == {"completed": 7, "in_doubt": 3}
    assert (await process.apply()).exit is Exit.IN_DOUBT
    assert len(shop.tasks()) == billed
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("fault", ["truncated-json", {"delay": 5}])
async def test_an_answer_that_is_of_no_use_is_in_doubt(shop, fault):
    await shop.start_sandbox({"on": "submit", "do": fault, "at": [2]})
    process = await shop.open(submit_timeout=0.4)
    await process.ledger.declare(clips("a", "b", "c"), shop.clock.now())
    assert (await process.apply()).exit is Exit.IN_DOUBT
    assert shop.states() == {"completed": 2, "in_doubt": 1}
    assert len(shop.tasks()) == 3
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("fault", ["429", {"429-retry-after": 600}, {"503-retry-after": 7}])
async def test_a_throttled_submission_comes_back_when_it_may(shop, fault):
    process = await shop.start(*TEN, rules=[{"on": "submit", "do": fault, "first": 6}])
    assert (await process.apply()).exit is Exit.OK
    assert shop.states() == {"completed": 10}
    assert process.count(Kind.THROTTLED) == 6
    assert process.count(Kind.IN_DOUBT) == 0
    assert shop.ask("SELECT count(*) FROM attempts WHERE outcome = 'throttled'") == [(6,)]
    await process.aclose()
    assert_invariants(shop)


async def test_the_pause_that_the_provider_names_is_kept(shop):
    process = await shop.start(*TEN, rules=[{"on": "submit", "do": {"429-retry-after": 1}, "first": 1}])
    process.leaps = False
    await process.apply(limits=Limits(submitting=1))
    ((refused,),) = shop.ask("SELECT ended_at FROM attempts WHERE outcome = 'throttled'")
    moments = [moment(text) for (text,) in shop.ask("SELECT intended_at FROM attempts ORDER BY id")]
    assert len(moments) == 11
    assert all(later >= moment(refused) + timedelta(seconds=1) for later in moments[1:])


@pytest.mark.parametrize("fault", ["500", "502-html"])
@pytest.mark.parametrize("submitting", [1, 2, 4])
async def test_one_outage_puts_a_handful_in_doubt_and_not_the_batch(shop, fault, submitting):
    process = await shop.start(*TEN, *TEN, rules=[{"on": "submit", "do": fault}])
    outcome = await process.apply(limits=Limits(submitting=submitting))
    assert outcome.exit is Exit.PROVIDER
    in_doubt = shop.states()["in_doubt"]
    assert 5 <= in_doubt <= submitting + 5
    assert shop.states()["pending"] == 20 - in_doubt
    assert shop.tasks() == []
    # Whoever applies again during the same outage risks one more, after a probe.
    assert (await process.apply(limits=Limits(submitting=submitting))).exit is Exit.PROVIDER
    assert shop.states()["in_doubt"] == in_doubt + 1
    await process.aclose()
    assert_invariants(shop)


async def test_an_outage_of_ten_thousand_answers(shop):
    prompts = [f"clip {number}" for number in range(10_000)]
    process = await shop.start(*prompts, rules=[{"on": "submit", "do": "502-html"}])
    outcome = await process.apply(limits=Limits(submitting=8))
    assert outcome.exit is Exit.PROVIDER
    assert shop.states()["in_doubt"] <= 8 + 5
    assert shop.states()["pending"] == 10_000 - shop.states()["in_doubt"]


async def test_after_an_outage_a_trial_lets_the_rest_through(shop):
    process = await shop.start(*TEN, rules=[{"on": "submit", "do": "500", "first": 4}])
    outcome = await process.apply(limits=Limits(submitting=1))
    assert (outcome.exit, outcome.stops) == (Exit.IN_DOUBT, ())
    assert shop.states() == {"in_doubt": 4, "completed": 6}
    assert process.count(Kind.PROBED) == 2
    await process.aclose()
    assert_invariants(shop)


async def test_while_queries_fail_as_well_no_trial_is_made(shop):
    rules = [{"on": "submit", "do": "500"}, {"on": "query", "do": "502-html"}]
    process = await shop.start(*TEN, rules=rules)
    outcome = await process.apply(limits=Limits(submitting=1))
    assert (outcome.exit, shop.states()) == (Exit.PROVIDER, {"in_doubt": 3, "pending": 7})
    assert process.count(Kind.PROBED) == 10
    await process.aclose()
    assert_invariants(shop)


async def test_without_work_left_undone_the_doubt_itself_is_the_answer(shop):
    process = await shop.start("a", "b", "c", rules=[{"on": "submit", "do": "500"}])
    assert (await process.apply(limits=Limits(submitting=1))).exit is Exit.IN_DOUBT
    assert shop.states() == {"in_doubt": 3}


async def test_a_success_in_between_forgives_the_doubts(shop):
    process = await shop.start(*TEN, rules=[{"on": "submit", "do": "500", "at": [1, 2, 4, 5, 7, 8]}])
    assert (await process.apply(limits=Limits(submitting=1))).exit is Exit.IN_DOUBT
    assert shop.states() == {"in_doubt": 6, "completed": 4}


async def test_a_refused_key_halts_everything_and_loses_nothing(shop):
    process = await shop.start(*TEN, rules=[{"on": "submit", "do": "401", "at": [5]}])
    outcome = await process.apply(limits=Limits(submitting=1))
    assert (outcome.exit, len(shop.tasks())) == (Exit.KEY, 4)
    assert shop.states()["pending"] == 6
    assert process.count(Kind.STOPPED) == 1
    assert (await process.apply()).exit is Exit.OK
    assert len(shop.tasks()) == 10
    await process.aclose()
    assert_invariants(shop)


async def test_spent_credits_stop_submissions_while_what_runs_is_collected(shop):
    process = await shop.start(*TEN)
    await process.apply()
    spent = sum(task.units for task in shop.tasks())
    another = type(shop)(shop.folder / "poor", shop.clock, shop.stack)
    another.folder.mkdir()
    poor = await another.start(*TEN, balance=spent * 4 // 10)
    outcome = await poor.apply()
    assert (outcome.exit, another.states()) == (Exit.STOPPED, {"completed": 4, "pending": 6})
    await poor.aclose()
    assert_invariants(another)


async def test_a_redirect_is_not_followed(shop):
    process = await shop.start(*TEN, rules=[{"on": "submit", "do": "redirect-307"}])
    outcome = await process.apply(limits=Limits(submitting=2))
    assert outcome.exit is Exit.PROVIDER
    assert shop.tasks() == []  # where it points, the sandbox would have taken and billed it
    assert 1 <= shop.states()["in_doubt"] <= 2
    await process.aclose()
    assert_invariants(shop)


async def test_nothing_is_lost_when_nobody_listens(shop, unused_tcp_port):
    process = await shop.open(f"http://127.0.0.1:{unused_tcp_port}")
    await process.ledger.declare(clips(*TEN), shop.clock.now())
    outcome = await process.apply(limits=Limits(submitting=1))
    assert (outcome.exit, shop.states()) == (Exit.PROVIDER, {"pending": 10})
    assert process.count(Kind.NOT_SENT) == 5
    assert process.count(Kind.PROBED) == 3
    assert shop.ask("SELECT DISTINCT outcome FROM attempts") == [("not_sent",)]


async def test_refusals_concern_their_job_alone(shop):
    process = await shop.start(
        "a", "[reject] b", "[flag:sexual] c", "d", rules=[{"on": "submit", "do": "code-400-in-200", "at": [4]}]
    )
    assert (await process.apply(limits=Limits(submitting=1))).exit is Exit.FAILED_JOBS
    assert shop.states() == {"completed": 1, "failed": 3}
    assert shop.ask("SELECT failure FROM jobs ORDER BY id") == [(None,), ("moderation",), ("moderation",), ("invalid",)]
    assert len(shop.tasks()) == 1
