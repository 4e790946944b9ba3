"""What changed since somebody looked, of a ledger of any size."""

from __future__ import annotations

import sqlite3

import pytest
from samples import batch, claim, spec

from seedbatch.domain.answers import Evidence
from seedbatch.domain.jobs import Limits
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.work import Failure
from seedbatch.ledger import changes
from seedbatch.ledger.sqlite import SqliteLedger

# `counts` has a row for each state of a batch; every other table grows with what was done.
SCANS = [["SCAN", name] for name in ("jobs", "events", "e", "o", "attempts", "artifacts")]
FREE = Limits(submits_per_minute=None)


def addresses(records, ids):
    return [records.details([job_id])[job_id].address for job_id in ids]


async def test_what_events_tell_of_is_touched(ledger, records, clock):
    await ledger.declare(batch(*map(spec, ("a", "b", "c"))), clock.now)
    first = records.pulse()
    assert records.touched(0, first.last, None, 9) == [1, 2, 3]
    assert records.touched(0, first.last, None, 2) == [1, 2]
    assert records.touched(first.last, first.last, None, 9) == []
    (one,), _ = await claim(ledger, None, FREE, clock.after(1), 1)
    await ledger.refused(one.attempt_id, Failure(FailureClass.INVALID, "no"), Evidence(400, "{}"), clock.after(1))
    second = records.pulse()
    assert second.commits != first.commits
    assert records.touched(first.last, second.last, None, 9) == [one.job_id]
    assert records.touched(first.last, second.last, {"other"}, 9) == []
    (noted,) = records.notable(first.last, second.last, None, 9)
    assert (noted.type, noted.batch, noted.address, noted.job_id) == ("refused", "b", "a", one.job_id)
    assert records.tally(None)[0].counts == {JobState.PENDING: 2, JobState.FAILED: 1}


async def test_a_job_is_all_its_revisions_and_shown_is_the_latest(ledger, records, clock):
    await ledger.declare(batch(spec("a"), spec("b")), clock.now)
    (one, _), _ = await claim(ledger, None, FREE, clock.after(1), 2)
    await ledger.refused(one.attempt_id, Failure(FailureClass.INVALID, "no"), Evidence(400, "{}"), clock.after(1))
    await ledger.declare(batch(spec("c"), spec("a", prompt="another")), clock.after(1))
    present = records.present(None, 9)
    assert addresses(records, present) == ["c", "a", "b"]  # b left the manifest, and runs
    assert one.job_id not in present
    family = records.family([one.job_id])
    assert set(family) == {one.job_id, present[1]}
    assert family[present[1]] > records.family([present[0]])[present[0]]


async def test_of_many_those_come_that_wait_and_those_that_changed_last(ledger, records, clock):
    await ledger.declare(batch(*(spec(f"k{number:03}") for number in range(60))), clock.now)
    (doubtful, *others), _ = await claim(ledger, None, FREE, clock.after(1), 40)
    await ledger.doubted(doubtful.attempt_id, "lost", Evidence(None, ""), clock.after(1))
    for one in others[-2:]:
        await ledger.accepted(one.attempt_id, f"task-{one.job_id}", clock.after(1), clock.now)
    assert addresses(records, records.present(None, 3)) == ["k000", "k038", "k039"]
    assert len(records.present(None, 60)) == 60
    assert records.present({"other"}, 3) == []


@pytest.mark.parametrize(
    ("question", "arguments"),
    [
        ("present", (None, 3)), ("present", ({"b"}, 3)), ("touched", (2, 5, None, 9)), ("touched", (2, 5, {"b"}, 9)),
        ("family", ([1, 2],)), ("notable", (2, 5, None, 9)), ("pulse", ()),
    ],
)  # fmt: skip
async def test_every_question_begins_at_an_index(ledger: SqliteLedger, place, clock, question, arguments):
    await ledger.declare(batch(*(spec(f"k{number:03}") for number in range(60))), clock.now)
    connection = sqlite3.connect(place)
    asked = []
    connection.set_trace_callback(asked.append)
    getattr(changes, question)(connection, *arguments)
    connection.set_trace_callback(None)
    for query in asked:
        if query.startswith("SELECT"):
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
            assert not [step for step in plan if step.split()[:2] in SCANS], plan
    connection.close()
