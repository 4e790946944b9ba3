"""Budgets and the moderation brake where they must hold: in the transaction that records an intent."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NOON, batch, spec

from seedbatch.domain.answers import Evidence, MediaKind, TaskReport
from seedbatch.domain.brake import Brake
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.calls import Binding
from seedbatch.domain.jobs import BatchSpec, JobSpec, Limits, Request
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.work import Bar, Barrier, Caps, Claim, Failure
from seedbatch.ledger.sqlite import SqliteLedger

MODEL = "seedance-2.0"
FREE = Limits()
STRICT = Brake(strict=True)
REJECTED = Failure(FailureClass.MODERATION, "rejected after generation")
BROKEN = Failure(FailureClass.PROVIDER, "no reason")
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
RUN_HINT = "apply again, with a higher --max-jobs or --max-cost"
DAY_HINT = "apply again after midnight UTC, or raise [budget]"
BATCH_HINT = "raise budget in its manifest, then apply again"
BRAKE_HINT = "apply again after midnight UTC, or allow more with --allow-violations N"


def usd(micros: int) -> Money:
    return Money(micros, "USD")


def eur(micros: int) -> Money:
    return Money(micros, "EUR")


def table(**prices: Money) -> PriceTable:
    """A clip's price by model; `any` is that of the model that `spec` asks for."""
    rows = {}
    for name, price in prices.items():
        model = MODEL if name == "any" else name
        rows[model, None] = PriceRow(model, None, Unit.CLIP, price)
    return PriceTable(rows)


def job(key: str, model: str = MODEL) -> JobSpec:
    request = Request(model, {"prompt": key, "ratio": "16:9", "duration": 5})
    return replace(spec(key), request=request, fingerprint=request.fingerprint)


def jobs(count: int) -> list[JobSpec]:
    return [job(f"j{number}") for number in range(count)]


def wanted(
    *specs: JobSpec, name: str = "b", price: int | None = None, prices: PriceTable | None = None, **caps
) -> BatchSpec:
    """A batch whose clips cost `price` each, with a budget of `max_jobs` and `max_cost`, and requests of its own."""
    specs = specs if name == "b" else tuple(_of(name, one) for one in specs)
    known = prices or (PriceTable() if price is None else table(any=usd(price)))
    return replace(batch(*specs, name=name), prices=known, budget=Budget(**caps))


def _of(batch_name: str, one: JobSpec) -> JobSpec:
    request = Request(one.request.model, {**one.request.input, "negative_prompt": batch_name})
    return replace(one, request=request, fingerprint=request.fingerprint)


def connect(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None))


def ask(path: Path, question: str, *values: object) -> list[tuple]:
    with connect(path) as connection:
        return connection.execute(question, values).fetchall()


def totals(path: Path) -> dict[tuple[str, str], tuple[int, int]]:
    rows = ask(path, "SELECT scope, currency, count, exposure FROM totals")
    return {(scope, currency): (count, exposure) for scope, currency, count, exposure in rows if count or exposure}


def recounted(path: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """What the totals must say, counted anew over all attempts."""
    counts: Counter[tuple[str, str]] = Counter()
    sums: Counter[tuple[str, str]] = Counter()
    for batch_id, owner, intended_at, currency, exposure in ask(
        path,
        "SELECT j.batch_id, a.owner, a.intended_at, x.currency, x.exposure"
        " FROM extras x JOIN attempts a ON a.id = x.attempt_id JOIN jobs j ON j.id = a.job_id",
    ):
        for scope in (f"batch {batch_id}", f"owner {owner}", f"day {intended_at[:10]}"):
            sums[scope, currency or ""] += exposure
    for batch_id, owner, intended_at, currency, counted, exposure, outcome, violated_on in ask(
        path,
        "SELECT j.batch_id, a.owner, a.intended_at, a.currency, a.counted, a.exposure, a.outcome, a.violated_on"
        " FROM attempts a JOIN jobs j ON j.id = a.job_id",
    ):
        for scope in (f"batch {batch_id}", f"owner {owner}", f"day {intended_at[:10]}"):
            counts[scope, currency or ""] += counted
            sums[scope, currency or ""] += exposure
        counts["finished", ""] += outcome in {"failed", "succeeded"}
        counts["rejected", ""] += violated_on is not None
        counts[f"violations {violated_on}", ""] += violated_on is not None
    return {key: (counts[key], sums[key]) for key in {*counts, *sums} if counts[key] or sums[key]}


@pytest.fixture(autouse=True)
def _totals_are_right(place):
    """After every test: nothing was forgotten and nothing counted twice."""
    yield
    if place.exists():
        assert totals(place) == recounted(place)


async def claim(ledger, most=100, *, now=NOON, limits=FREE, scope=None, **caps) -> Claim:
    return await ledger.claim_submissions(scope, limits, Caps(**caps), now, most)


def keys(found: Claim) -> list[str]:
    return [one.name.address for one in found.submissions]


def exposure(place: Path, scope: str = "batch 1", currency: str = "USD") -> int:
    return totals(place).get((scope, currency), (0, 0))[1]


async def run(ledger, found: Claim, now=NOON) -> None:
    for one in found.submissions:
        await ledger.accepted(one.attempt_id, f"t{one.attempt_id}", now, now)


async def reject(ledger, found: Claim, now=NOON, dated: datetime | None = None) -> None:
    """The provider accepts the tasks, and then moderation takes them."""
    await run(ledger, found, now)
    for one in found.submissions:
        report = TaskReport(f"t{one.attempt_id}", "FAILURE", updated_at=dated)
        await ledger.task_failed(one.attempt_id, REJECTED, report, now, None)


# -- the reservation ----------------------------------------------------------------------------------------------


async def test_a_price_is_reserved_with_the_intent(ledger, place):
    await ledger.declare(wanted(*jobs(3), price=25, max_cost=usd(60)), NOON)
    found = await claim(ledger, 1)
    assert keys(found) == ["j0"]
    assert ask(place, "SELECT price, currency, exposure, counted, outcome FROM attempts") == [(25, "USD", 25, 1, None)]
    assert totals(place) == {
        ("batch 1", "USD"): (1, 25),
        ("day 2026-11-23", "USD"): (1, 25),
        (f"owner {ledger._owner.id}", "USD"): (1, 25),
    }


async def test_an_attempt_without_a_price_is_counted_without_money(ledger, place):
    await ledger.declare(wanted(*jobs(2)), NOON)
    await claim(ledger)
    assert ask(place, "SELECT DISTINCT price, currency, exposure, counted FROM attempts") == [(None, None, 0, 1)]
    assert totals(place)["batch 1", ""] == (2, 0)


async def test_an_intent_that_cannot_be_written_reserves_nothing(ledger, place):
    await ledger.declare(wanted(*jobs(2), price=25, max_cost=usd(60)), NOON)
    with connect(place) as connection:
        connection.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON events WHEN NEW.type = 'intended'"
            " BEGIN SELECT RAISE(ABORT, 'broken'); END"
        )
        with pytest.raises(sqlite3.IntegrityError, match="broken"):
            await claim(ledger)
        assert (totals(place), ask(place, "SELECT count(*) FROM attempts")) == ({}, [(0,)])
        connection.execute("DROP TRIGGER broken")
    assert keys(await claim(ledger)) == ["j0", "j1"]


async def test_a_process_that_dies_leaves_its_reservation(another, place):
    one, two = await another(), await another()
    await one.declare(wanted(*jobs(4), price=25, max_cost=usd(60)), NOON)
    assert len((await claim(one)).submissions) == 2
    await one.aclose()
    assert len(await two.rescue(NOON)) == 2
    assert (await claim(two)).submissions == ()
    assert exposure(place) == 50


async def test_what_a_claim_writes(ledger, place):
    await ledger.declare(wanted(*jobs(2), price=25), NOON)
    await ledger.not_sent((await claim(ledger, 1)).submissions[0].attempt_id, "refused", NOON, NOON)
    found = await claim(ledger, 2, now=NOON + timedelta(seconds=1))
    assert [(one.job_id, one.attempt_id, one.tries) for one in found.submissions] == [(1, 2, 1), (2, 3, 1)]
    assert [one.request for one in found.submissions] == [one.request for one in jobs(2)]
    assert [one.reference for one in found.submissions] == [
        f"seedbatch-{ledger.id}-1-2",
        f"seedbatch-{ledger.id}-2-1",
    ]
    later = "2026-11-23T12:00:01.000000Z"
    assert ask(place, "SELECT job_id, number, owner, reference, intended_at FROM attempts WHERE id > 1") == [
        (1, 2, ledger._owner.id, found.submissions[0].reference, later),
        (2, 1, ledger._owner.id, found.submissions[1].reference, later),
    ]
    assert ask(place, "SELECT state, reason, updated_at FROM jobs") == [("submitting", "", later)] * 2
    assert ask(place, "SELECT at, job_id, attempt_id, from_state, to_state, data FROM events WHERE seq > 4") == [
        (later, 1, 2, "pending", "submitting", "{}"),
        (later, 2, 3, "pending", "submitting", "{}"),
    ]


async def test_tries_are_attempts_that_reached_the_provider(ledger, clock):
    await ledger.declare(wanted(*jobs(1)), NOON)

    async def attempt() -> int:
        (one,) = (await claim(ledger, 1, now=clock.after(1))).submissions
        tries.append(one.tries)
        return one.attempt_id

    tries: list[int] = []
    await ledger.not_sent(await attempt(), "x", clock.now, clock.now)
    await ledger.throttled(await attempt(), "x", clock.now, clock.now)
    await ledger.turned_away(await attempt(), "x", clock.now)
    reached = await attempt()
    await ledger.accepted(reached, "t1", clock.now, clock.now)
    await ledger.task_failed(reached, BROKEN, TaskReport("t1", "FAILURE"), clock.now, clock.now)
    await attempt()
    assert tries == [1, 1, 1, 1, 2]


async def test_each_job_has_attempts_and_tries_of_its_own(ledger):
    await ledger.declare(wanted(*jobs(3)), NOON)

    async def fail(found: Claim) -> None:
        await run(ledger, found)
        for one in found.submissions:
            await ledger.task_failed(one.attempt_id, BROKEN, TaskReport(f"t{one.attempt_id}", "FAILURE"), NOON, NOON)

    for most in (2, 1):
        await fail(await claim(ledger, most))
    await fail(await claim(ledger, 3))
    found = (await claim(ledger)).submissions
    assert [(one.job_id, one.tries) for one in found] == [(1, 4), (2, 3), (3, 2)]
    assert [one.reference for one in found] == [f"seedbatch-{ledger.id}-{last}" for last in ("1-4", "2-3", "3-2")]


# -- caps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap", "through", "used"),
    [(0, 0, 0), (24, 0, 0), (25, 1, 25), (49, 1, 25), (50, 2, 50), (99, 3, 75), (100, 4, 100), (124, 4, 100)],
)
async def test_a_batchs_cap_on_money_holds_to_the_unit(ledger, place, cap, through, used):
    await ledger.declare(wanted(*jobs(4), price=25, max_cost=usd(cap)), NOON)
    found = await claim(ledger)
    assert (len(found.submissions), exposure(place)) == (through, used)
    if through == 4:
        assert found.bars == ()
    else:
        said = f"{usd(used)}".removesuffix(" USD")
        assert found.bars == (
            Bar(
                Barrier.BUDGET,
                f"the budget of b keeps b/j{through} back: {said} of {usd(cap)} may be owed already, and one more"
                " costs 0.000025",
                BATCH_HINT,
            ),
        )
    assert (await claim(ledger)).submissions == ()


@pytest.mark.parametrize("most", [1, 2, 3, 100])
async def test_a_batchs_cap_on_submissions_holds_however_many_are_asked_for(ledger, most):
    await ledger.declare(wanted(*jobs(5), max_jobs=3), NOON)
    through = 0
    while found := (await claim(ledger, most)).submissions:
        assert len(found) <= most
        through += len(found)
    assert through == 3
    bar = Bar(Barrier.BUDGET, "the budget of b keeps b/j3 back: 3 of 3 submissions are used", BATCH_HINT)
    assert (await claim(ledger, most)).bars == (bar,)


async def test_a_runs_cap_counts_what_this_process_submits(another):
    one, two = await another(), await another()
    await one.declare(wanted(*jobs(9), price=25), NOON)
    assert len((await claim(one, run=Budget(max_jobs=2))).submissions) == 2
    found = await claim(one, run=Budget(max_jobs=2))
    reason = "this run's cap keeps b/j2 back: 2 of 2 submissions are used"
    assert (found.submissions, found.bars) == ((), (Bar(Barrier.BUDGET, reason, RUN_HINT),))
    assert len((await claim(two, run=Budget(max_cost=usd(80)))).submissions) == 3
    assert (await claim(two, run=Budget(max_cost=usd(99)))).submissions == ()
    assert len((await claim(one, run=Budget(max_cost=usd(75)))).submissions) == 1


async def test_a_days_cap_counts_all_batches_and_all_processes(another, place):
    one, two = await another(), await another()
    await one.declare(wanted(*jobs(3), price=25, name="a"), NOON)
    await one.declare(wanted(*jobs(9), price=25, name="b"), NOON)
    day = Budget(max_cost=usd(140))
    assert len((await claim(one, scope={"a"}, day=day)).submissions) == 3
    found = await claim(two, scope={"b"}, day=day)
    assert keys(found) == ["j0", "j1"]
    reason = "today's budget keeps b/j2 back: 0.000125 of 0.00014 USD may be owed already, and one more costs 0.000025"
    assert found.bars == (Bar(Barrier.BUDGET, reason, DAY_HINT),)
    assert (await claim(one, day=Budget(max_jobs=5))).submissions == ()
    assert len((await claim(one, day=Budget(max_jobs=6))).submissions) == 1
    assert exposure(place, "day 2026-11-23") == 150


async def test_a_day_is_one_of_utc_whatever_the_zone(ledger, place):
    await ledger.declare(wanted(*jobs(9), price=25), NOON)
    day = Budget(max_jobs=2)
    tokyo, lima = timezone(timedelta(hours=9)), timezone(timedelta(hours=-5))
    last = MIDNIGHT - timedelta(microseconds=1)
    assert len((await claim(ledger, now=last.astimezone(tokyo), day=day)).submissions) == 2
    assert (await claim(ledger, now=last.astimezone(lima), day=day)).submissions == ()
    assert len((await claim(ledger, now=MIDNIGHT.astimezone(lima), day=day)).submissions) == 2
    # A clock that was set back is in the earlier day again, and that one is full.
    assert (await claim(ledger, now=last, day=day)).submissions == ()
    assert totals(place)["day 2026-11-23", "USD"] == totals(place)["day 2026-11-24", "USD"] == (2, 50)


@pytest.mark.parametrize(
    ("own", "run", "day", "whose"),
    [
        (Budget(1), Budget(2), Budget(3), "the budget of b"),
        (Budget(3), Budget(1), Budget(2), "this run's cap"),
        (Budget(2), Budget(3), Budget(1), "today's budget"),
        (Budget(1), Budget(1), Budget(1), "the budget of b"),
        (Budget(2), Budget(1), Budget(1), "this run's cap"),
        (Budget(9, usd(25)), Budget(2, usd(50)), Budget(9, usd(75)), "the budget of b"),
        (Budget(9, usd(75)), Budget(1, usd(50)), Budget(9, usd(75)), "this run's cap"),
    ],
)
async def test_of_three_caps_the_strictest_holds(ledger, own, run, day, whose):
    await ledger.declare(wanted(*jobs(5), price=25, max_jobs=own.max_jobs, max_cost=own.max_cost), NOON)
    found = await claim(ledger, run=run, day=day)
    assert (keys(found), len(found.bars)) == (["j0"], 1)
    assert found.bars[0].reason.startswith(f"{whose} keeps b/j1 back: ")


async def test_a_cheaper_job_does_not_overtake_in_its_batch(ledger):
    prices = table(dear=usd(60), cheap=usd(1))
    specs = [job("a", "dear"), job("b", "dear"), job("c", "cheap")]
    await ledger.declare(wanted(*specs, prices=prices, max_cost=usd(100)), NOON)
    assert keys(await claim(ledger)) == ["a"]
    assert keys(await claim(ledger, 1)) == []


async def test_a_full_batch_keeps_no_other_back(ledger):
    for name, cap in (("one", 1), ("two", 2), ("three", None)):
        await ledger.declare(wanted(*jobs(3), name=name, max_jobs=cap), NOON)
    found = await claim(ledger, 5)
    assert [str(one.name) for one in found.submissions] == ["one/j0", "two/j0", "two/j1", "three/j0", "three/j1"]
    assert found.bars == (
        Bar(Barrier.BUDGET, "the budget of one keeps one/j1 back: 1 of 1 submissions are used", BATCH_HINT),
    )
    # As many as were asked for: whether the others are kept back is not even looked at.
    assert (await claim(ledger, 1)).bars[0].reason.startswith("the budget of one")


async def test_a_budget_that_is_taken_away_or_changed_holds_at_once(ledger):
    await ledger.declare(wanted(*jobs(9), price=25, max_cost=usd(50)), NOON)
    assert len((await claim(ledger)).submissions) == 2
    await ledger.declare(wanted(*jobs(9), price=25, max_cost=usd(30)), NOON)
    assert (await claim(ledger)).bars[0].reason.endswith("0.00005 of 0.00003 USD may be owed already, and one more"
                                                         " costs 0.000025")  # fmt: skip
    await ledger.declare(wanted(*jobs(9), price=25, max_jobs=3), NOON)
    assert len((await claim(ledger)).submissions) == 1
    await ledger.declare(wanted(*jobs(9), price=25), NOON)
    assert len((await claim(ledger)).submissions) == 6


# -- limits, and when to look again -------------------------------------------------------------------------------


async def test_limits_hold_beside_caps(ledger):
    await ledger.declare(wanted(*jobs(9), price=25, max_jobs=6), NOON)
    first = await claim(ledger, limits=Limits(submitting=4), run=Budget(max_jobs=6))
    assert (len(first.submissions), first.in_flight) == (4, 0)
    await run(ledger, first)
    second = await claim(ledger, limits=Limits(submitting=9, in_flight=5))
    assert (len(second.submissions), second.in_flight, second.bars) == (1, 4, ())
    # No room at all: nobody asks about caps then.
    assert await claim(ledger, limits=Limits(in_flight=5)) == Claim(in_flight=5)
    assert await claim(ledger, limits=Limits(submitting=1)) == Claim(in_flight=5)
    assert await claim(ledger, 0) == Claim(in_flight=5)
    third = await claim(ledger, limits=Limits(submitting=2, in_flight=9))
    assert (len(third.submissions), third.in_flight) == (1, 5)


async def test_what_has_been_submitted_leaves_its_place_to_another(ledger):
    await ledger.declare(wanted(*jobs(5)), NOON)
    one, two, three = (await claim(ledger, 3)).submissions
    await sent(ledger, one.attempt_id, "succeeded")
    await sent(ledger, two.attempt_id, "failed")
    assert await claim(ledger, limits=Limits(submitting=1)) == Claim(in_flight=1)
    await ledger.accepted(three.attempt_id, "t3", NOON, NOON)
    assert len((await claim(ledger, limits=Limits(submitting=1))).submissions) == 1


async def test_a_pace_lets_one_through_and_says_when_the_next(ledger):
    await ledger.declare(wanted(*jobs(3), max_jobs=2), NOON)
    pace = Limits(submits_per_minute=30)
    assert len((await claim(ledger, limits=pace)).submissions) == 1
    now = NOON + timedelta(seconds=1)
    assert await claim(ledger, now=now, limits=pace) == Claim(due=NOON + timedelta(seconds=2), in_flight=1)
    assert len((await claim(ledger, now=NOON + timedelta(seconds=2), limits=pace)).submissions) == 1
    now = NOON + timedelta(seconds=3)  # it is the latest that counts
    assert await claim(ledger, now=now, limits=pace) == Claim(due=NOON + timedelta(seconds=4), in_flight=2)
    full = await claim(ledger, now=NOON + timedelta(seconds=4), limits=pace)
    assert (full.submissions, full.due, full.bars[0].barrier) == ((), None, Barrier.BUDGET)


async def test_a_pace_lets_nothing_through_where_no_place_is_free(ledger):
    await ledger.declare(wanted(*jobs(3)), NOON)
    pace = Limits(in_flight=1, submits_per_minute=600)
    assert len((await claim(ledger, limits=pace)).submissions) == 1
    later = NOON + timedelta(hours=1)
    assert await claim(ledger, now=later, limits=pace) == Claim(in_flight=1)
    assert await claim(ledger, 0, now=later, limits=Limits(submits_per_minute=600)) == Claim(in_flight=1)


async def test_what_is_not_due_is_neither_claimed_nor_called_kept_back(ledger):
    await ledger.declare(wanted(*jobs(2), name="a", price=25, max_cost=usd(25)), NOON)
    await ledger.declare(wanted(*jobs(1), name="b"), NOON)
    one, two = (await claim(ledger, scope={"a"})).submissions[0], (await claim(ledger, scope={"b"})).submissions[0]
    soon, later = NOON + timedelta(seconds=5), NOON + timedelta(seconds=9)
    await ledger.throttled(one.attempt_id, "429", NOON, soon)
    await ledger.throttled(two.attempt_id, "429", NOON, later)
    found = await claim(ledger, scope={"a"})
    assert (keys(found), found.due) == (["j1"], None)  # once it is sent, there is a reason to look again at once
    waiting = await claim(ledger)
    assert (waiting.submissions, waiting.due, waiting.bars) == ((), soon, ())
    assert (await claim(ledger, scope={"b"})).due == later
    assert (await claim(ledger, scope={"c"})) == Claim(in_flight=1)
    full = await claim(ledger, now=soon, scope={"a"})
    assert (full.submissions, full.due, len(full.bars)) == ((), None, 1)
    found = await claim(ledger, now=later)
    assert ([str(each.name) for each in found.submissions], found.due) == (["b/j0"], None)


async def test_only_what_is_pending_and_wanted_says_when_to_look_again(ledger):
    await ledger.declare(wanted(*jobs(1)), NOON)
    (one,) = (await claim(ledger)).submissions
    later = NOON + timedelta(seconds=9)
    await ledger.throttled(one.attempt_id, "429", NOON, later)
    assert await claim(ledger) == Claim(due=later)
    await ledger.declare(batch(name="b"), NOON)  # nobody wants it any more
    assert await claim(ledger) == Claim()
    await ledger.declare(wanted(*jobs(1)), NOON)
    (two,) = (await claim(ledger, now=later)).submissions
    # The clock was set back, so that its moment is to come once more.
    assert await claim(ledger) == Claim(in_flight=1)
    await ledger.refused(two.attempt_id, BROKEN, Evidence(), NOON)
    assert await claim(ledger) == Claim()


async def test_scopes_keep_batches_apart_under_caps(ledger):
    await ledger.declare(wanted(*jobs(2), name="full", max_jobs=0), NOON)
    await ledger.declare(wanted(*jobs(2), name="mine", max_jobs=1), NOON)
    found = await claim(ledger, scope={"mine"})
    assert keys(found) == ["j0"]
    assert [bar.reason for bar in found.bars] == ["the budget of mine keeps mine/j1 back: 1 of 1 submissions are used"]
    assert (await claim(ledger, scope={"nobody"}, run=Budget(0))) == Claim(in_flight=1)


# -- what frees money, and what keeps it --------------------------------------------------------------------------


async def sent(ledger, attempt: int, what: str) -> None:
    """Bring the claimed attempt of the first job to an end, by the ledger's own verbs."""
    task = TaskReport(f"t{attempt}", "FAILURE", MediaKind.VIDEO, ("https://x.example/1.mp4",))
    flagged = Failure(FailureClass.MODERATION, "flagged")
    if what in {"succeeded", "failed", "moderated", "abandoned"}:
        await ledger.accepted(attempt, task.task_id, NOON, NOON)
    if what in {"lost", "resubmitted", "abandoned in doubt", "adopted"}:
        await ledger.doubted(attempt, "no answer", Evidence(), NOON)
    ends = {
        "not sent": lambda: ledger.not_sent(attempt, "refused", NOON, NOON),
        "throttled": lambda: ledger.throttled(attempt, "429", NOON, NOON),
        "turned away": lambda: ledger.turned_away(attempt, "no credits", NOON),
        "refused": lambda: ledger.refused(attempt, BROKEN, Evidence(), NOON),
        "flagged": lambda: ledger.refused(attempt, flagged, Evidence(), NOON),
        "doubted": lambda: ledger.doubted(attempt, "no answer", Evidence(), NOON),
        "succeeded": lambda: ledger.succeeded(attempt, task, NOON, NOON),
        "failed": lambda: ledger.task_failed(attempt, BROKEN, task, NOON, None),
        "moderated": lambda: ledger.task_failed(attempt, REJECTED, task, NOON, None),
        "lost": lambda: ledger.given_up(1, "me", NOON),
        "resubmitted": lambda: ledger.resubmitted(1, "me", NOON),
        "adopted": lambda: ledger.adopted(1, "t9", "me", NOON),
        "abandoned": lambda: ledger.abandoned(1, "me", NOON),
        "abandoned in doubt": lambda: ledger.abandoned(1, "me", NOON),
    }
    await ends[what]()


@pytest.mark.parametrize("what", ["not sent", "throttled", "turned away", "refused", "flagged", "lost"])
async def test_what_proves_that_no_task_exists_frees_its_price_and_its_place(ledger, place, what):
    await ledger.declare(wanted(*jobs(2), price=25, max_jobs=1, max_cost=usd(25)), NOON)
    (one,) = (await claim(ledger)).submissions
    assert (await claim(ledger)).submissions == ()
    await sent(ledger, one.attempt_id, what)
    assert totals(place) == {}
    found = await claim(ledger)
    assert len(found.submissions) == 1
    assert exposure(place) == 25


@pytest.mark.parametrize(
    "what", ["doubted", "adopted", "succeeded", "failed", "resubmitted", "abandoned", "abandoned in doubt"]
)
async def test_what_may_have_been_charged_keeps_its_price_and_its_place(ledger, place, what):
    await ledger.declare(wanted(*jobs(2), price=25, max_cost=usd(49)), NOON)
    (one,) = (await claim(ledger)).submissions
    await sent(ledger, one.attempt_id, what)
    assert totals(place)["batch 1", "USD"] == (1, 25)
    assert (await claim(ledger)).submissions == ()
    await ledger.declare(wanted(*jobs(2), price=25, max_jobs=1), NOON)
    assert (await claim(ledger)).submissions == ()
    # One unit more of a cap is what it takes.
    await ledger.declare(wanted(*jobs(2), price=25, max_jobs=2, max_cost=usd(50)), NOON)
    assert len((await claim(ledger)).submissions) == 1
    assert totals(place)["batch 1", "USD"] == (2, 50)


@pytest.mark.parametrize(
    ("price", "left"),
    [(0, 0), (1, 1), (9, 1), (10, 1), (11, 2), (25, 3), (99, 10), (100, 10), (101, 11), (10**9, 10**8)],
)
async def test_what_moderation_took_keeps_a_tenth_rounded_up(ledger, place, price, left):
    await ledger.declare(wanted(*jobs(2), price=price, max_cost=usd(price + left)), NOON)
    (one,) = (await claim(ledger, 1)).submissions
    await sent(ledger, one.attempt_id, "moderated")
    assert totals(place)["batch 1", "USD"] == ((1, left) if price else (1, 0))
    assert ask(place, "SELECT price, exposure, violated_on FROM attempts") == [(price, left, "2026-11-23")]
    assert keys(await claim(ledger)) == ["j1"]
    assert exposure(place) == price + left


async def test_a_tenth_that_is_left_still_counts_against_the_cap(ledger):
    await ledger.declare(wanted(*jobs(2), price=25, max_cost=usd(27)), NOON)
    (one,) = (await claim(ledger, 1)).submissions
    await sent(ledger, one.attempt_id, "moderated")
    assert (await claim(ledger)).submissions == ()


async def test_what_was_resubmitted_may_be_billed_twice_and_counts_twice(ledger, place):
    await ledger.declare(wanted(*jobs(1), price=25, max_cost=usd(60)), NOON)
    for expected in (25, 50):
        (one,) = (await claim(ledger)).submissions
        await sent(ledger, one.attempt_id, "resubmitted")
        assert exposure(place) == expected
    assert (await claim(ledger)).bars[0].barrier is Barrier.BUDGET


async def test_a_retry_reserves_its_own_price(ledger, place):
    await ledger.declare(wanted(*jobs(1), price=25, max_cost=usd(60)), NOON)
    for expected in (25, 50):
        (one,) = (await claim(ledger)).submissions
        await sent(ledger, one.attempt_id, "failed")
        assert exposure(place) == expected
        await ledger.retried(1, "me", NOON)
    assert (await claim(ledger)).submissions == ()


@pytest.mark.parametrize(("what", "kept"), [("lost", 0), ("resubmitted", 25), ("abandoned in doubt", 25)])
async def test_a_task_that_surfaces_after_a_persons_word_counts_again(ledger, place, what, kept):
    await ledger.declare(wanted(*jobs(1), price=25, max_cost=usd(60)), NOON)
    (one,) = (await claim(ledger)).submissions
    await sent(ledger, one.attempt_id, what)
    assert exposure(place) == kept
    await ledger.accepted(one.attempt_id, "late", NOON, NOON)
    assert totals(place)["batch 1", "USD"] == (1, 25)
    assert await ledger.accepted(one.attempt_id, "late", NOON, NOON) is Binding.KNOWN
    assert await ledger.accepted(one.attempt_id, "later", NOON, NOON) is Binding.EXTRA
    assert totals(place)["batch 1", "USD"] == (1, 50)


async def test_a_task_that_surfaces_without_a_price_is_counted_without_one(ledger, place):
    await ledger.declare(wanted(*jobs(1)), NOON)
    (one,) = (await claim(ledger)).submissions
    await sent(ledger, one.attempt_id, "lost")
    await ledger.accepted(one.attempt_id, "late", NOON, NOON)
    assert totals(place)["batch 1", ""] == (1, 0)


async def test_another_day_and_another_process_free_what_they_did_not_reserve(another, place):
    one, two = await another(), await another()
    await one.declare(wanted(*jobs(3), price=25), NOON)
    first, second = (await claim(one, 2)).submissions
    await two.not_sent(first.attempt_id, "refused", MIDNIGHT, MIDNIGHT)
    await two.accepted(second.attempt_id, "t", MIDNIGHT, MIDNIGHT)
    await two.task_failed(second.attempt_id, REJECTED, TaskReport("t", "FAILURE"), MIDNIGHT, None)
    assert totals(place)["day 2026-11-23", "USD"] == (1, 3)
    assert totals(place)[f"owner {one._owner.id}", "USD"] == (1, 3)
    assert totals(place)["violations 2026-11-24", ""] == (1, 0)
    assert not [scope for scope, _ in totals(place) if scope in {"day 2026-11-24", f"owner {two._owner.id}"}]


# -- prices -------------------------------------------------------------------------------------------------------


async def test_jobs_without_a_price_are_passed_over_and_block_nobody(ledger):
    specs = [job("a", "unknown"), job("b"), job("c", "unknown"), job("d"), job("e")]
    await ledger.declare(wanted(*specs, price=25, max_cost=usd(60)), NOON)
    found = await claim(ledger, 1)
    assert (keys(found), found.bars) == (["b"], ())
    found = await claim(ledger, 5)
    assert keys(found) == ["d"]
    unpriced = Bar(
        Barrier.UNPRICED,
        "the budget of b keeps b/a back: it has no price, and 0.00006 USD is the most that may be spent",
        'add its price to seedbatch.toml:\n[[prices]]\nmodel = "unknown"\nunit = "second"\nprice = "…"\n'
        'currency = "USD"\ndate = "…"',
    )
    assert [bar.barrier for bar in found.bars] == [Barrier.BUDGET, Barrier.UNPRICED]
    assert found.bars[1] == unpriced


async def test_only_jobs_without_a_price_are_left(ledger):
    await ledger.declare(wanted(job("a", "unknown"), job("b"), price=25, max_cost=usd(60)), NOON)
    assert keys(await claim(ledger)) == ["b"]
    found = await claim(ledger)
    assert (found.submissions, [bar.barrier for bar in found.bars]) == ((), [Barrier.UNPRICED])


async def test_without_a_cap_on_money_nobody_asks_for_a_price(ledger):
    specs = [job("a", "unknown"), job("b"), job("c", "foreign"), job("d")]
    prices = table(any=usd(25), foreign=eur(5))
    await ledger.declare(wanted(*specs, prices=prices, max_jobs=3), NOON)
    assert keys(await claim(ledger, day=Budget(max_jobs=9))) == ["a", "b", "c"]


async def test_each_of_the_three_caps_passes_over_what_has_no_price(ledger):
    await ledger.declare(wanted(job("a", "unknown"), *jobs(4), price=25), NOON)
    assert keys(await claim(ledger, 1, run=Budget(max_cost=usd(25)))) == ["j0"]
    assert keys(await claim(ledger, 1, day=Budget(max_cost=usd(50)))) == ["j1"]
    assert keys(await claim(ledger, 9)) == ["a", "j2", "j3"]


async def test_as_many_as_were_asked_for_say_nothing_of_the_batches_behind_them(ledger):
    await ledger.declare(wanted(*jobs(3), name="one", price=25, max_cost=usd(90)), NOON)
    await ledger.declare(wanted(job("a", "unknown"), name="two", max_cost=usd(90)), NOON)
    found = await claim(ledger, 2)
    assert (keys(found), found.bars) == (["j0", "j1"], ())
    assert [bar.barrier for bar in (await claim(ledger, 2)).bars] == [Barrier.UNPRICED]


async def test_a_batch_in_one_currency_under_a_cap_in_another(ledger):
    specs = [job("a", "foreign"), job("b"), job("c", "foreign")]
    await ledger.declare(wanted(*specs, prices=table(any=usd(25), foreign=eur(1)), max_cost=usd(60)), NOON)
    found = await claim(ledger)
    assert keys(found) == ["b"]
    assert [bar.reason for bar in found.bars] == [
        "the budget of b keeps b/a back: its price is in EUR, and the cap in USD"
    ]


async def test_what_was_spent_in_another_currency_closes_a_cap(ledger, place):
    specs = [job("a", "foreign"), job("b"), job("c")]
    prices = table(any=usd(25), foreign=eur(1))
    await ledger.declare(wanted(*specs, prices=prices), NOON)
    (one,) = (await claim(ledger, 1)).submissions
    await ledger.declare(wanted(*specs, prices=prices, max_cost=usd(60)), NOON)
    found = await claim(ledger)
    assert (found.submissions, [bar.barrier for bar in found.bars]) == ((), [Barrier.UNPRICED])
    assert found.bars[0].reason.endswith("earlier submissions were priced in EUR, and the cap is in USD")
    await ledger.not_sent(one.attempt_id, "refused", NOON, NOON)  # and once that is free, nothing does
    assert keys(await claim(ledger)) == ["b", "c"]
    assert (exposure(place), exposure(place, currency="EUR")) == (50, 0)


@pytest.mark.parametrize("model", [MODEL, "foreign"])
async def test_two_caps_in_two_currencies_let_nothing_through(ledger, model):
    prices = table(any=usd(1), foreign=eur(1))
    await ledger.declare(wanted(job("a", model), job("b", "unknown"), prices=prices, max_cost=usd(60)), NOON)
    found = await claim(ledger, day=Budget(max_cost=eur(60)))
    assert (found.submissions, [bar.barrier for bar in found.bars]) == ((), [Barrier.UNPRICED])


async def test_a_price_table_that_comes_later_prices_what_was_submitted_without_one(ledger, place):
    await ledger.declare(wanted(*jobs(9)), NOON)
    found = await claim(ledger, 4)
    free, taken, *_ = found.submissions
    await sent(ledger, free.attempt_id, "refused")
    await sent(ledger, taken.attempt_id, "moderated")
    # A cap without prices: nobody knows what is left.
    await ledger.declare(wanted(*jobs(9), max_cost=usd(100)), NOON)
    assert (await claim(ledger)).bars[0].barrier is Barrier.UNPRICED
    await ledger.declare(wanted(*jobs(9), price=25, max_cost=usd(100)), NOON)
    assert totals(place)["batch 1", "USD"] == (3, 25 + 25 + 3)
    assert totals(place)["day 2026-11-23", "USD"] == (3, 53)
    assert ask(place, "SELECT price, exposure FROM attempts ORDER BY id") == [
        (None, 0), (25, 3), (25, 25), (25, 25),
    ]  # fmt: skip
    assert len((await claim(ledger)).submissions) == 1
    assert exposure(place) == 78


async def test_what_still_has_no_price_keeps_the_cap_closed(ledger):
    specs = [job("a", "unknown"), *jobs(3)]
    await ledger.declare(wanted(*specs), NOON)
    await claim(ledger, 2)
    await ledger.declare(wanted(*specs, price=25, max_cost=usd(100)), NOON)
    found = await claim(ledger)
    assert found.submissions == ()
    assert found.bars[0].reason.endswith("1 earlier submissions have no price, so nobody knows what is left")
    await ledger.declare(wanted(*specs, prices=table(any=usd(25), unknown=usd(10)), max_cost=usd(100)), NOON)
    assert len((await claim(ledger)).submissions) == 2


async def test_a_price_that_changes_concerns_what_is_submitted_later(ledger, place):
    await ledger.declare(wanted(*jobs(9), price=25, max_cost=usd(100)), NOON)
    (_, two) = (await claim(ledger, 2)).submissions
    await ledger.declare(wanted(*jobs(9), price=40, max_cost=usd(100)), NOON)
    assert exposure(place) == 50
    assert len((await claim(ledger)).submissions) == 1
    assert exposure(place) == 90
    # What is freed is what was reserved.
    await sent(ledger, two.attempt_id, "refused")
    assert exposure(place) == 65
    await ledger.declare(wanted(*jobs(9), price=10, max_cost=usd(100)), NOON)
    assert len((await claim(ledger)).submissions) == 3
    assert exposure(place) == 95
    await ledger.declare(wanted(*jobs(9), max_cost=usd(100)), NOON)  # no price any more: nothing more
    assert (await claim(ledger)).bars[0].barrier is Barrier.UNPRICED
    assert exposure(place) == 95


async def test_what_a_reader_is_told_is_what_a_claim_goes_by(ledger, records, place):
    await ledger.declare(wanted(*jobs(3), price=25, max_jobs=5, max_cost=usd(60)), NOON)
    await ledger.declare(wanted(*jobs(2), name="other"), NOON)
    found = await claim(ledger, 3)
    await reject(ledger, Claim(found.submissions[:1]))
    accounts = records.accounts(NOON)
    assert accounts.batches == {"b": Spent(2, {"USD": 28}, 0), "other": Spent(1, {}, 1)}
    assert accounts.budgets == {"b": Budget(5, usd(60)), "other": Budget()}
    assert accounts.day == Spent(3, {"USD": 28}, 1)
    assert (accounts.exposure, accounts.unpriced) == ((usd(28),), 1)
    seen = accounts.moderation
    assert (seen.violations, seen.in_flight, seen.finished, seen.rejected) == (1, 2, 1, 1)
    assert accounts.running == {"b": Spent(1, {"USD": 25}, 0), "other": Spent(1, {}, 1)}
    assert accounts.in_doubt == {}
    one, other = found.submissions[1:]
    await ledger.doubted(one.attempt_id, "no answer", Evidence(), NOON)
    await ledger.declare(wanted(job("idle"), name="idle"), NOON)
    accounts = records.accounts(NOON)
    assert accounts.running == {"other": Spent(1, {}, 1)}
    assert accounts.in_doubt == {"b": Spent(1, {"USD": 25}, 0)}
    assert accounts.batches["idle"] == Spent()
    await ledger.not_sent(other.attempt_id, "refused", NOON, NOON)
    assert records.accounts(NOON).running == {}


async def test_a_run_is_told_of_its_own_batches_alone(ledger, records):
    await ledger.declare(wanted(*jobs(1), price=25), NOON)
    await ledger.declare(wanted(*jobs(1), name="other"), NOON)
    await claim(ledger, 2)
    accounts = records.progress(NOON, ["other"]).accounts
    assert accounts.batches == accounts.running == {"other": Spent(1, {}, 1)}
    assert accounts.budgets == {"other": Budget()}
    assert {*records.progress(NOON).accounts.batches} == {"b", "other"}
    assert {*records.progress(NOON, []).accounts.batches} == set()


# -- whatever happens ---------------------------------------------------------------------------------------------

VERBS = ("claim", "claim", "claim", "not sent", "throttled", "turned away", "refused", "doubt", "accept", "accept",
         "succeed", "fail", "reject", "lose", "resubmit", "adopt", "abandon", "retry", "price")  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 50)), max_size=40)
_STATE_BEFORE = {
    **dict.fromkeys(("not sent", "throttled", "turned away", "refused", "doubt"), "submitting"),
    **dict.fromkeys(("succeed", "fail", "reject"), "running"),
    **dict.fromkeys(("lose", "resubmit", "adopt"), "in_doubt"),
}


async def _step(ledger: SqliteLedger, path: Path, verb: str, pick: int, caps: Caps) -> None:
    if verb == "claim":
        await ledger.claim_submissions(None, FREE, caps, NOON, 1 + pick % 4)
        return
    if verb == "price":
        prices = table(any=usd(5 + pick % 7))
        await ledger.declare(wanted(*jobs(12), prices=prices, max_jobs=9, max_cost=usd(61)), NOON)
        return
    if verb in {"abandon", "retry"}:
        states = "('pending', 'in_doubt', 'running', 'succeeded')" if verb == "abandon" else "('failed', 'abandoned')"
        found = ask(path, f"SELECT id FROM jobs WHERE state IN {states} ORDER BY id")  # noqa: S608 - our words
        if found:
            (job_id,) = found[pick % len(found)]
            await (ledger.abandoned if verb == "abandon" else ledger.retried)(job_id, "me", NOON)
        return
    states = ("submitting", "in_doubt") if verb == "accept" else (_STATE_BEFORE[verb],)
    found = ask(
        path,
        "SELECT a.id, a.job_id FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE a.outcome IS NULL"
        " AND j.state IN (SELECT value FROM json_each(?)) ORDER BY a.id",
        json.dumps(states),
    )
    if not found:
        return
    attempt, job_id = found[pick % len(found)]
    report = TaskReport(f"t{attempt}", "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
    actions = {
        "not sent": lambda: ledger.not_sent(attempt, "x", NOON, NOON),
        "throttled": lambda: ledger.throttled(attempt, "x", NOON, NOON),
        "turned away": lambda: ledger.turned_away(attempt, "x", NOON),
        "refused": lambda: ledger.refused(attempt, BROKEN, Evidence(), NOON),
        "doubt": lambda: ledger.doubted(attempt, "x", Evidence(), NOON),
        "accept": lambda: ledger.accepted(attempt, f"t{attempt}", NOON, NOON),
        "succeed": lambda: ledger.succeeded(attempt, report, NOON, NOON),
        "fail": lambda: ledger.task_failed(attempt, BROKEN, report, NOON, None),
        "reject": lambda: ledger.task_failed(attempt, REJECTED, report, NOON, None),
        "lose": lambda: ledger.given_up(job_id, "me", NOON),
        "resubmit": lambda: ledger.resubmitted(job_id, "me", NOON),
        "adopt": lambda: ledger.adopted(job_id, f"t{attempt}", "me", NOON),
    }
    await actions[verb]()


@settings(max_examples=60)
@given(STEPS, st.integers(20, 70), st.integers(3, 9))
def test_whatever_happens_no_cap_is_exceeded_and_the_totals_are_a_recount(steps, day, run):
    caps = Caps(run=Budget(max_jobs=run), day=Budget(max_cost=usd(day)), brake=Brake(allowed=10**6))

    async def live(folder: Path) -> None:
        path = folder / "ledger.db"
        ledger = SqliteLedger(path, kind="real", folder=folder, now=NOON)
        try:
            await _step(ledger, path, "price", 0, caps)
            for verb, pick in steps:
                await _step(ledger, path, verb, pick, caps)
                found = totals(path)
                assert found == recounted(path)
                assert found.get(("batch 1", "USD"), (0, 0)) <= (9, 61)
                assert found.get(("batch 1", "USD"), (0, 0))[1] <= 61
                assert found.get(("day 2026-11-23", "USD"), (0, 0))[1] <= day
                assert found.get((f"owner {ledger._owner.id}", "USD"), (0, 0))[0] <= run
        finally:
            await ledger.aclose()

    with TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))


# -- many processes -----------------------------------------------------------------------------------------------

# Claims until a cap says no, and lets a third of its attempts go again in ways that free money.
CLAIMER = """
import asyncio, json, sys
from datetime import datetime
from pathlib import Path
from seedbatch.domain.answers import Evidence, TaskReport
from seedbatch.domain.brake import Brake
from seedbatch.domain.budget import Budget
from seedbatch.domain.jobs import Limits
from seedbatch.domain.money import Money
from seedbatch.domain.states import FailureClass
from seedbatch.domain.work import Caps, Failure
from seedbatch.ledger.sqlite import SqliteLedger

async def main():
    path, told = Path(sys.argv[1]), json.loads(sys.argv[2])
    now = datetime.fromisoformat(told["now"])
    day = Budget(told["day_jobs"], told["day_cost"] and Money(told["day_cost"], "USD"))
    caps = Caps(day=day, brake=Brake(allowed=10**6))
    rejected = Failure(FailureClass.MODERATION, "rejected")
    ledger = SqliteLedger(path, kind="real", folder=path.parent, now=now)
    await ledger.tally(None)
    print("ready", flush=True)
    sys.stdin.readline()
    claims = 0
    while found := (await ledger.claim_submissions(told["scope"], Limits(), caps, now, told["most"])).submissions:
        for one in found:
            attempt = one.attempt_id
            claims += 1
            match attempt % 9:
                case 0:
                    await ledger.not_sent(attempt, "x", now, now)
                case 3:
                    await ledger.throttled(attempt, "x", now, now)
                case 6:
                    await ledger.accepted(attempt, f"t{attempt}", now, now)
                    await ledger.task_failed(attempt, rejected, TaskReport(f"t{attempt}", "FAILURE"), now, None)
                case 8:
                    await ledger.doubted(attempt, "x", Evidence(), now)
                case _:
                    await ledger.accepted(attempt, f"t{attempt}", now, now)
    print(claims, flush=True)
    await ledger.aclose()

asyncio.run(main())
"""


MARK = (
    " ON totals BEGIN INSERT INTO marks VALUES (NEW.scope, NEW.count, NEW.exposure) ON CONFLICT (scope) DO UPDATE"
    " SET count = max(count, excluded.count), exposure = max(exposure, excluded.exposure); END"
)


def _watch(place: Path) -> None:
    with connect(place) as connection:
        connection.execute("CREATE TABLE marks (scope TEXT PRIMARY KEY, count INTEGER, exposure INTEGER)")
        connection.execute(f"CREATE TRIGGER mark_first AFTER INSERT {MARK}")
        connection.execute(f"CREATE TRIGGER mark_next AFTER UPDATE {MARK}")


def together(place: Path, *orders: dict[str, object]) -> list[int]:
    """Run a process for each order, all of them let go at once; returns how many claims each of them made.

    The ledger itself keeps meanwhile the most that each total ever was: see `marks`.
    """
    told = [{"scope": None, "most": 1, "now": NOON.isoformat(), "day_jobs": None, "day_cost": None} | order
            for order in orders]  # fmt: skip
    crew = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(place), json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for order in told
    ]
    assert [process.stdout.readline() for process in crew] == ["ready\n"] * len(crew)
    _watch(place)  # a ledger with triggers of others is refused: so not before they opened it
    for process in crew:
        process.stdin.write("go\n")
        process.stdin.flush()
    claims = [int(process.communicate()[0]) for process in crew]
    assert [process.returncode for process in crew] == [0] * len(crew)
    return claims


def marks(place: Path) -> dict[str, tuple[int, int]]:
    return {scope: (count, most) for scope, count, most in ask(place, "SELECT * FROM marks")}


async def test_eight_processes_exceed_no_batchs_cap_by_one_unit(ledger, place):
    price, cap, most = 70_000, 14_999_999, 200
    await ledger.declare(wanted(*jobs(400), name="money", price=price, max_cost=usd(cap)), NOON)
    await ledger.declare(wanted(*jobs(400), name="count", max_jobs=most), NOON)
    await ledger.aclose()
    claims = together(place, *({"most": 1 + number % 3} for number in range(8)))
    found = marks(place)
    assert found["batch 1"][1] <= cap
    assert found["batch 2"][0] == most
    assert cap - price < exposure(place, "batch 1") <= cap  # and as close to it as a price allows
    assert totals(place)["batch 2", ""] == (most, 0)
    assert sum(claims) == ask(place, "SELECT count(*) FROM attempts")[0][0] > 500
    assert len([one for one in claims if one]) > 1
    doubles = ask(place, "SELECT job_id FROM attempts WHERE counted = 1 GROUP BY job_id HAVING count(*) > 1")
    assert doubles == []


async def test_eight_processes_exceed_no_days_cap_on_either_side_of_midnight(ledger, place):
    price, cap = 70_000, 7_499_999
    for name in ("one", "two"):
        await ledger.declare(wanted(*jobs(400), name=name, price=price), NOON)
    await ledger.aclose()
    orders = [
        {
            "scope": [name],
            "most": most,
            "now": now.isoformat(),
            "day_cost": cap,
            "day_jobs": 90 + 900 * (now < MIDNIGHT),
        }
        for name in ("one", "two")
        for most in (1, 2)
        for now in (MIDNIGHT - timedelta(microseconds=1), MIDNIGHT)
    ]
    claims = together(place, *orders)
    found = marks(place)
    assert found["day 2026-11-23"][1] <= cap
    assert cap - price < exposure(place, "day 2026-11-23")
    assert found["day 2026-11-24"][0] == totals(place)["day 2026-11-24", "USD"][0] == 90
    assert exposure(place, "day 2026-11-24") <= found["day 2026-11-24"][1] <= cap
    assert sum(claims) == ask(place, "SELECT count(*) FROM attempts")[0][0]
    assert len([one for one in claims if one]) > 1


# -- the moderation brake -----------------------------------------------------------------------------------------


async def day_of_work(ledger, brake: Brake, verdicts: list[bool], in_flight: int) -> Claim:
    """Submit and finish tasks, oldest first, until nothing more may be submitted; `verdicts` says which violate."""
    limits, running = Limits(in_flight=in_flight), []
    while True:
        latest = await claim(ledger, limits=limits, brake=brake)
        await run(ledger, latest)
        running += latest.submissions
        if not running:
            return latest
        one = running.pop(0)
        violates = verdicts[int(one.name.address.removeprefix("j"))]
        report = TaskReport(f"t{one.attempt_id}", "FAILURE", updated_at=NOON)
        await ledger.task_failed(one.attempt_id, REJECTED if violates else BROKEN, report, NOON, None)


def violations(place: Path) -> int:
    ((count,),) = ask(place, "SELECT count(*) FROM attempts WHERE violated_on IS NOT NULL")
    return count


TWO_OF_THREE = [number % 3 != 0 for number in range(60)]
AT_THE_END = [number >= 20 for number in range(60)]


@pytest.mark.parametrize("verdicts", [TWO_OF_THREE, AT_THE_END, AT_THE_END[::-1]])
async def test_a_strict_brake_never_reaches_the_twentieth_violation(ledger, place, verdicts):
    assert sum(verdicts) == 40
    await ledger.declare(wanted(*jobs(60)), NOON)
    latest = await day_of_work(ledger, STRICT, verdicts, 5)
    assert violations(place) == 19
    reason = (
        "moderation: 19 violations today (UTC) and 0 tasks in flight, each counted as one; one more could reach a"
        " dearer surcharge"
    )
    assert latest.bars == (Bar(Barrier.MODERATION, reason, BRAKE_HINT),)


async def test_one_at_a_time_the_usual_brake_knows_enough_to_stop_at_nineteen(ledger, place):
    await ledger.declare(wanted(*jobs(30)), NOON)
    latest = await day_of_work(ledger, Brake(), [True] * 30, 1)
    assert violations(place) == 19
    assert [bar.barrier for bar in latest.bars] == [Barrier.MODERATION]


async def test_the_usual_brake_lets_a_tenth_of_what_is_in_flight_be_rejected(ledger):
    await ledger.declare(wanted(*jobs(250)), NOON)
    found = await claim(ledger, 250)
    assert (len(found.submissions), found.bars) == (190, ())
    await run(ledger, Claim(found.submissions[:100]))  # on the wire or running: both are in flight
    held = await claim(ledger, 250)
    reason = (
        "moderation: 0 violations today (UTC) and 190 tasks in flight, of which 10 % are taken to be rejected; one"
        " more could reach a dearer surcharge"
    )
    assert (held.submissions, held.bars) == ((), (Bar(Barrier.MODERATION, reason, BRAKE_HINT),))
    assert (held.in_flight, held.due) == (190, None)
    # One that ends well makes room for itself, and by what it teaches for some more.
    one = found.submissions[0]
    await ledger.task_failed(one.attempt_id, BROKEN, TaskReport("t1", "FAILURE"), NOON, None)
    assert len((await claim(ledger, 250)).submissions) == 10


async def test_a_brake_goes_by_the_share_that_this_ledger_has_seen(ledger):
    await ledger.declare(wanted(*jobs(90)), NOON)
    await reject(ledger, await claim(ledger, 17))
    held = (await claim(ledger), await claim(ledger))
    assert [len(one.submissions) for one in held] == [3, 0]
    assert held[1].bars[0].reason == (
        "moderation: 17 violations today (UTC) and 3 tasks in flight, of which 51 % are taken to be rejected; one"
        " more could reach a dearer surcharge"
    )


async def test_where_the_dearest_tier_is_reached_there_is_nothing_left_to_brake_for(ledger):
    await ledger.declare(wanted(*jobs(300)), NOON)
    await reject(ledger, await claim(ledger, 101, brake=Brake(500)))
    assert len((await claim(ledger, 150, brake=STRICT)).submissions) == 150
    assert len((await claim(ledger, 150)).submissions) == 49


async def test_what_is_in_doubt_is_not_in_flight(ledger):
    await ledger.declare(wanted(*jobs(30)), NOON)
    found = await claim(ledger, 19, brake=STRICT)
    assert (await claim(ledger, brake=STRICT)).submissions == ()
    await ledger.doubted(found.submissions[0].attempt_id, "no answer", Evidence(), NOON)
    assert len((await claim(ledger, brake=STRICT)).submissions) == 1


@pytest.mark.parametrize(("allowed", "through"), [(0, 0), (3, 3), (19, 19), (25, 25), (40, 30)])
async def test_a_person_may_allow_more_or_fewer(ledger, place, allowed, through):
    await ledger.declare(wanted(*jobs(30)), NOON)
    latest = await day_of_work(ledger, Brake(allowed, strict=True), [True] * 30, 5)
    assert violations(place) == through
    assert [bar.barrier for bar in latest.bars] == ([Barrier.MODERATION] if through < 30 else [])


async def test_the_brake_is_one_for_all_batches_and_processes(another):
    one, two = await another(), await another()
    for name in ("a", "b"):
        await one.declare(wanted(*jobs(30), name=name), NOON)
    assert len((await claim(one, 12, scope={"a"}, brake=STRICT)).submissions) == 12
    assert len((await claim(two, scope={"b"}, brake=STRICT)).submissions) == 7
    assert (await claim(one, scope={"a"}, brake=STRICT)).bars[0].barrier is Barrier.MODERATION


async def test_a_brake_with_nothing_to_hold_back_is_silent(ledger):
    await ledger.declare(wanted(*jobs(19), name="a"), NOON)
    await ledger.declare(wanted(*jobs(1), name="b"), NOON)
    await claim(ledger, 19, brake=STRICT)
    assert await claim(ledger, scope={"a"}, brake=STRICT) == Claim(in_flight=19)
    assert len((await claim(ledger, scope={"b"}, brake=STRICT)).bars) == 1
    assert len((await claim(ledger, brake=STRICT)).bars) == 1
    await ledger.declare(batch(name="b"), NOON)  # nobody wants it any more
    assert await claim(ledger, brake=STRICT) == Claim(in_flight=19)


async def test_a_brake_holds_back_neither_what_has_ended_nor_another_scope(ledger):
    await ledger.declare(wanted(*jobs(1), name="earlier"), NOON)
    await ledger.declare(wanted(*jobs(20), name="later"), NOON)
    first, *_ = (await claim(ledger, scope={"later"}, brake=Brake(500))).submissions
    assert await claim(ledger, scope={"later"}, brake=STRICT) == Claim(in_flight=20)
    await ledger.refused(first.attempt_id, BROKEN, Evidence(), NOON)
    assert await claim(ledger, scope={"later"}, brake=STRICT) == Claim(in_flight=19)
    assert len((await claim(ledger, scope={"earlier"}, brake=STRICT)).bars) == 1


async def test_a_brake_holds_beside_caps_and_limits(ledger):
    await ledger.declare(wanted(*jobs(30), max_jobs=25), NOON)
    assert len((await claim(ledger, brake=STRICT)).submissions) == 19
    assert len((await claim(ledger, brake=Brake(22, strict=True))).submissions) == 3
    assert len((await claim(ledger, 2, brake=Brake(500))).submissions) == 2
    found = await claim(ledger, brake=Brake(500))
    assert (len(found.submissions), found.bars[0].barrier) == (1, Barrier.BUDGET)


async def test_a_submission_that_is_flagged_is_no_violation(ledger, records):
    await ledger.declare(wanted(*jobs(2)), NOON)
    (one,) = (await claim(ledger, 1)).submissions
    await sent(ledger, one.attempt_id, "flagged")
    seen = records.accounts(NOON).moderation
    assert (seen.violations, seen.finished, seen.rejected) == (0, 0, 0)


@pytest.mark.parametrize(
    ("dated", "today", "tomorrow"),
    [
        (None, 3, 0),  # no word of the provider's: our own clock's day
        (NOON, 3, 0),
        (MIDNIGHT - timedelta(microseconds=1), 3, 0),
        # The provider's clock is ahead of ours: it counts for both days.
        (MIDNIGHT, 3, 3),
        (MIDNIGHT + timedelta(hours=23, minutes=59), 3, 3),
        (MIDNIGHT + timedelta(days=1), 0, 3),
        # An answer that was asked for after midnight: yesterday's.
        (NOON - timedelta(days=1), 0, 0),
        (datetime(2026, 11, 24, 8, 59, 59, tzinfo=timezone(timedelta(hours=9))), 3, 0),
        (datetime(2026, 11, 23, 19, tzinfo=timezone(timedelta(hours=-5))), 3, 3),
    ],
)
async def test_a_violation_is_dated_by_the_providers_own_day(ledger, records, place, dated, today, tomorrow):
    await ledger.declare(wanted(*jobs(3)), NOON)
    await reject(ledger, await claim(ledger), dated=dated)
    day = (dated or NOON).astimezone(UTC).date()
    assert ask(place, "SELECT DISTINCT violated_on FROM attempts") == [(day.isoformat(),)]
    assert records.accounts(NOON).moderation.violations == today
    assert records.accounts(MIDNIGHT).moderation.violations == tomorrow
    assert records.accounts(NOON).moderation.rejected == 3


async def test_todays_violations_and_those_dated_tomorrow_are_added_up(ledger, records):
    await ledger.declare(wanted(*jobs(50)), NOON)
    await reject(ledger, await claim(ledger, 10, brake=STRICT), dated=NOON)
    await reject(ledger, await claim(ledger, 9, brake=STRICT), dated=MIDNIGHT)
    assert records.accounts(NOON).moderation.violations == 19
    assert (await claim(ledger, brake=STRICT)).bars[0].barrier is Barrier.MODERATION
    assert len((await claim(ledger, now=MIDNIGHT, brake=STRICT)).submissions) == 10


async def test_at_midnight_utc_the_count_begins_anew(ledger):
    await ledger.declare(wanted(*jobs(50)), NOON)
    await reject(ledger, await claim(ledger, brake=STRICT))
    last = MIDNIGHT - timedelta(microseconds=1)
    tokyo = timezone(timedelta(hours=9))
    assert (await claim(ledger, now=last.astimezone(tokyo), brake=STRICT)).submissions == ()
    assert len((await claim(ledger, 3, now=MIDNIGHT.astimezone(tokyo), brake=STRICT)).submissions) == 3
    # What is in flight over midnight counts for the new day.
    assert len((await claim(ledger, now=MIDNIGHT, brake=STRICT)).submissions) == 16


async def test_what_was_submitted_before_midnight_and_rejected_after_it_is_the_new_days(ledger, records):
    await ledger.declare(wanted(*jobs(50)), NOON)
    found = await claim(ledger, 19, brake=STRICT)
    after = MIDNIGHT + timedelta(minutes=5)
    await reject(ledger, found, now=after, dated=after)
    assert records.accounts(after).moderation.violations == 19
    assert (await claim(ledger, now=after, brake=STRICT)).bars[0].barrier is Barrier.MODERATION


async def test_states_of_a_braked_batch_are_left_alone(ledger):
    await ledger.declare(wanted(*jobs(21)), NOON)
    await claim(ledger, brake=STRICT)
    await claim(ledger, brake=STRICT)
    (tally,) = await ledger.tally(None)
    assert tally.counts == {JobState.SUBMITTING: 19, JobState.PENDING: 2}
