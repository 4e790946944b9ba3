"""Runs: who opened the ledger for work, what came of it, and what of that survives a kill."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import Evidence
from seedbatch.domain.budget import Spent
from seedbatch.domain.jobs import Limits
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.domain.runs import Beginning, Bill, Declared
from seedbatch.domain.states import FailureClass
from seedbatch.domain.work import Failure
from seedbatch.ledger.care import examine
from seedbatch.ledger.locks import Owner, lives

APPLY = Beginning("apply", ("m.yaml",), "me@here", "0.1.0", (Declared("b", "m.yaml", "0" * 64, "c" * 40, True, 2),))
COLLECT = Beginning("collect", (), "me@here", "0.1.0")


async def test_a_run_begins_and_ends(ledger, records, clock):
    await ledger.declare(batch(spec("one")), NOON)
    await ledger.began(APPLY, clock.after(1))
    (run,) = records.runs(5)
    assert (run.number, run.beginning, run.event, run.began_at) == (1, APPLY, 1, clock.now)
    assert (run.ended_at, run.exit, run.did, run.lives) == (None, None, None, True)
    await ledger.ended(3, {"completed": 1, "failed": 1}, clock.after(60))
    (run,) = records.runs(5)
    assert (run.exit, run.ended_at, run.did, run.lives) == (3, clock.now, {"completed": 1, "failed": 1}, False)


async def test_what_it_submitted_is_told_of_it_alone(another, clock, records):
    one, two = await another(), await another()
    await one.declare(batch(spec("a"), spec("b"), spec("c")), NOON)
    await one.began(APPLY, NOON)
    await two.began(COLLECT, NOON)
    found, _ = await claim(one, None, Limits(), clock.after(1), 2)
    await one.doubted(found[0].attempt_id, "no answer", Evidence(), clock.after(1))
    await one.accepted(found[1].attempt_id, "t1", clock.after(1), clock.now)
    second, first = records.runs(5)
    assert (first.submitted, first.unpriced, first.in_doubt, first.cost) == (2, 2, 1, ())
    assert (second.beginning, second.submitted, second.in_doubt) == (COLLECT, 0, 0)


async def test_its_cost_is_what_may_be_owed_now(ledger, records, clock):
    row = PriceRow("seedance-2.0", None, Unit.CLIP, Money(250_000, "USD"))
    prices = PriceTable({("seedance-2.0", None): row})
    await ledger.declare(replace(batch(spec("a"), spec("b")), prices=prices), NOON)
    await ledger.began(APPLY, NOON)
    (one, two), _ = await claim(ledger, None, Limits(), clock.after(1), 2)
    assert records.runs(1)[0].cost == (Money(500_000, "USD"),)
    await ledger.accepted(one.attempt_id, "t1", clock.after(1), clock.now)
    await ledger.refused(two.attempt_id, Failure(FailureClass.INVALID, "no"), Evidence(), clock.after(1))
    (run,) = records.runs(1)
    assert (run.submitted, run.cost) == (1, (Money(250_000, "USD"),))


async def test_the_latest_come_first_and_one_is_found_by_its_number(another, clock, records):
    for _ in range(3):
        process = await another()
        await process.began(COLLECT, clock.after(1))
        await process.ended(0, {}, clock.after(1))
    assert [run.number for run in records.runs(2)] == [3, 2]
    assert records.run(1).number == 1
    assert records.run(9) is None


async def test_how_a_run_began_and_ended_stays(ledger, place, clock):
    await ledger.began(APPLY, NOON)
    await ledger.ended(0, {}, clock.after(1))
    await ledger.aclose()
    with closing(sqlite3.connect(place)) as connection:
        for statement in (
            "DELETE FROM runs",
            "UPDATE runs SET who = 'you'",
            "UPDATE runs SET exit = 1",
            "UPDATE runs SET event = 9",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)
    assert examine(place, files=False, accept_as=None, now=NOON).ledger == ()


async def test_a_row_that_was_edited_is_found(ledger, place):
    await ledger.began(APPLY, NOON)
    await ledger.aclose()
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("DROP TRIGGER runs_unchanged")
        connection.execute("UPDATE runs SET who = 'you'")
        connection.commit()
    found = [str(one) for one in examine(place, files=False, accept_as=None, now=NOON).ledger]
    assert "runs 1: was changed by other means than seedbatch" in found


def test_looking_at_a_process_leaves_its_mark_where_it_is(tmp_path):
    owner = Owner(tmp_path)
    assert lives(tmp_path, owner.id)
    owner.close()
    assert not lives(tmp_path, owner.id)
    (tmp_path / "left").touch()
    assert not lives(tmp_path, "left")
    assert (tmp_path / "left").exists()


async def test_a_bill_is_of_what_this_run_sent_and_of_nothing_else(another, clock):
    row = PriceRow("seedance-2.0", None, Unit.CLIP, Money(250_000, "USD"))
    wanted = batch(*(spec(key) for key in "abcdef"))
    one, two = await another(), await another()
    await one.declare(replace(wanted, prices=PriceTable({("seedance-2.0", None): row}), attempts=3), NOON)
    await one.began(APPLY, NOON)
    (before,), _ = await claim(one, None, Limits(), clock.after(1), 1)
    await one.accepted(before.attempt_id, "t0", clock.after(1), clock.now)
    await two.began(APPLY, NOON)
    assert await two.bill() == Bill()
    (doubtful, running, refused, late), _ = await claim(two, None, Limits(), clock.after(1), 4)
    await claim(one, None, Limits(), clock.after(1), 1)
    await two.doubted(doubtful.attempt_id, "no answer", Evidence(), clock.after(1))
    await two.accepted(running.attempt_id, "t1", clock.after(1), clock.now)
    await two.refused(refused.attempt_id, Failure(FailureClass.INVALID, "no"), Evidence(), clock.after(1))
    await two.not_sent(late.attempt_id, "no route", clock.after(1), clock.now)
    found = await two.bill()
    assert (found.jobs, found.submissions, found.unpriced) == (3, 3, 0)
    assert (found.estimate, found.worst) == ((Money(750_000, "USD"),), (Money(2_250_000, "USD"),))
    assert found.spent == (Money(0, "USD"),)
    assert (found.running, found.in_doubt) == (Spent(1, {"USD": 250_000}), Spent(1, {"USD": 250_000}))


async def test_a_bill_without_prices_has_no_sums(ledger, clock):
    await ledger.declare(batch(spec("a")), NOON)
    await ledger.began(APPLY, NOON)
    await claim(ledger, None, Limits(), clock.after(1), 1)
    assert await ledger.bill() == Bill(1, 1, 1, running=Spent(1, {}, 1))
