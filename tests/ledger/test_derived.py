"""What the ledger derives from its rows, so that nobody counts a million: kept in step, and found when it is not."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from samples import NOON, batch, spec

from seedbatch.domain.answers import MediaKind, TaskReport
from seedbatch.domain.budget import Budget
from seedbatch.domain.errors import LedgerDamaged
from seedbatch.domain.jobs import Limits
from seedbatch.domain.secret import Secret
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.tokens import TokenKey, minting
from seedbatch.domain.work import Caps, Failure
from seedbatch.ledger.care import examine
from seedbatch.ledger.check import live_rows
from seedbatch.ledger.sqlite import SqliteLedger

FREE = Limits(submitting=9, submits_per_minute=None)
MINT = minting("https://example.org", TokenKey(Secret("k")), secrets.token_bytes)


def edit(place, statement):
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute(statement)


def found(place):
    return " ".join(map(str, examine(place, files=False, accept_as=None, now=NOON).ledger))


async def work(ledger):
    """Four jobs: one moderated, one done, one running, one pending; callbacks asked for."""
    await ledger.declare(batch(*(spec(key) for key in "abcd")), NOON)
    claimed = await ledger.claim_submissions(None, FREE, Caps(), NOON, 3, MINT)
    for number, one in enumerate(claimed.submissions):
        await ledger.accepted(one.attempt_id, f"t{number}", NOON, NOON)
    tasks, _ = await ledger.claim_queries(None, NOON, 2)
    moderated = Failure(FailureClass.MODERATION, "flagged")
    await ledger.task_failed(tasks[0].attempt_id, moderated, TaskReport("t0", "FAILURE", updated_at=NOON), NOON, None)
    report = TaskReport("t1", "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
    await ledger.succeeded(tasks[1].attempt_id, report, NOON, NOON)
    return claimed.submissions


async def test_counts_follow_every_move(ledger, place):
    await work(ledger)
    (tally,) = await ledger.tally(None)
    states = (JobState.FAILED, JobState.SUCCEEDED, JobState.RUNNING, JobState.PENDING)
    assert {state: count for state, count in tally.counts.items() if count} == dict.fromkeys(states, 1)
    await ledger.declare(batch(spec("a", prompt="other"), spec("d")), NOON)
    (tally,) = await ledger.tally(None)
    assert (tally.total, tally.orphans) == (4, 2)
    assert found(place) == ""


@pytest.mark.parametrize(
    "statement", ["UPDATE counts SET count = 7 WHERE state = 'pending'", "DELETE FROM counts WHERE state = 'running'"]
)
async def test_wrong_counts_are_found_and_counted_anew(ledger, place, statement):
    await work(ledger)
    await ledger.aclose()
    edit(place, statement)
    assert "counts: are wrong for batch 1, current, " in found(place)
    assert examine(place, files=False, accept_as="me", now=NOON).ledger == ()


async def test_callbacks_are_counted_whether_read_or_not(ledger, place, records):
    first, second, third = await work(ledger)
    standings = records.standings(NOON, 0)
    assert (standings.with_webhook, standings.without_webhook) == (0, 2)
    await ledger.receive(token_of(place, first), b"{}", NOON)
    await ledger.receive(token_of(place, third), b"{}", NOON)
    standings = records.standings(NOON, 0)
    assert (standings.with_webhook, standings.without_webhook) == (1, 1)
    calls, _ = await ledger.claim_calls(NOON + timedelta(seconds=1), 9, timedelta())
    assert len(calls) == 2
    await ledger.receive(token_of(place, second), b"{}", NOON)
    standings = records.standings(NOON, 0)
    assert (standings.with_webhook, standings.without_webhook) == (2, 0)
    report = TaskReport("t2", "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
    await ledger.claim_queries(None, NOON, 9)
    await ledger.succeeded(third.attempt_id, report, NOON, NOON)
    standings = records.standings(NOON, 0)
    assert (standings.with_webhook, standings.without_webhook) == (3, 0)
    assert found(place) == ""


def token_of(place, submission):
    with closing(sqlite3.connect(place)) as connection:
        ((token,),) = connection.execute("SELECT token FROM attempts WHERE id = ?", (submission.attempt_id,))
    return token


# -- large ledgers --------------------------------------------------------------------------------------------------


def found_when_opened(place):
    """What is found in a ledger that is too large to be examined whole."""
    with closing(sqlite3.connect(place)) as connection:
        return " ".join(map(str, live_rows(connection)))


@pytest.mark.parametrize("scope", ["day 2026-11-23", "finished", "rejected", "violations 2026-11-23"])
@pytest.mark.parametrize("change", ["UPDATE totals SET count = count + 1", "DELETE FROM totals"])
async def test_the_totals_of_now_are_looked_at_in_any_ledger(ledger, place, scope, change):
    await work(ledger)
    assert found_when_opened(place) == ""
    edit(place, f"{change} WHERE scope = '{scope}'")
    assert f"totals {scope}: says " in found_when_opened(place)


async def test_a_day_that_is_over_is_left_to_the_check(ledger, place):
    await work(ledger)
    await ledger.claim_submissions(None, FREE, Caps(), NOON + timedelta(days=1), 1)
    edit(place, "UPDATE totals SET count = 9 WHERE scope = 'day 2026-11-23'")
    assert found_when_opened(place) == ""
    edit(place, "UPDATE totals SET count = 9 WHERE scope = 'day 2026-11-24'")
    assert "totals day 2026-11-24" in found_when_opened(place)
    edit(place, "INSERT INTO totals VALUES ('day 2026-11-25', '', 1, 0)")
    assert "totals day 2026-11-25" in found_when_opened(place)


@pytest.mark.parametrize("change", ["UPDATE totals SET count = 0", "DELETE FROM totals"])
async def test_no_budget_is_kept_by_a_total_that_is_wrong(ledger, place, change):
    await work(ledger)
    wanted = batch(*(spec(key) for key in "abcd"))
    edit(place, f"{change} WHERE scope = 'batch 1'")
    await ledger.declare(wanted, NOON)
    with pytest.raises(LedgerDamaged, match="totals batch 1"):
        await ledger.declare(replace(wanted, budget=Budget(max_jobs=4)), NOON)
    await ledger.aclose()
    with pytest.raises(LedgerDamaged, match="totals batch 1"):
        SqliteLedger(place, kind="real", folder=place.parent, now=NOON)
