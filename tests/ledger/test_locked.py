"""Requests that others of a team paid for: never sent, and completed with the files that are at hand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import StoredFile
from seedbatch.domain.errors import StaleCaller
from seedbatch.domain.jobs import Limits
from seedbatch.domain.locked import Found, Locked, LockedFile
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName, SharedFile

BEFORE = NOON - timedelta(days=2)
SHA = "c" * 64
FILE = StoredFile("b/x.mp4", 10, SHA, "video/mp4")


def alike(*keys: str, outputs: tuple[str, ...] = ()):
    places = outputs or tuple(f"b/{key}" for key in keys)
    return batch(*(spec(key, prompt="the same", output=place) for key, place in zip(keys, places, strict=True)))


def paid_for(wanted, *, here: bool = True) -> Found:
    task = Locked(wanted.jobs[0].request.fingerprint, 1, "theirs", BEFORE, BEFORE, (LockedFile(SHA, 10, "video/mp4"),))
    return Found(task, (SharedFile(1, "/elsewhere/clip.mp4", 10, SHA, "video/mp4"),) if here else ())


async def sent_by(ledger):
    return (await claim(ledger, None, Limits(), NOON, 5))[0]


async def taken_up(ledger):
    await ledger.find_shares(None, NOON)
    return (await ledger.claim_shares(None, NOON, 5, ()))[0]


def at(share) -> StoredFile:
    return StoredFile(f"{share.output}.mp4", 10, SHA, "video/mp4")


async def test_what_others_paid_for_is_not_sent(ledger):
    wanted = alike("a")
    await ledger.declare(wanted, NOON)
    await ledger.lock_in([paid_for(wanted, here=False)])
    assert await sent_by(ledger) == []
    assert await taken_up(ledger) == []
    assert (await ledger.held(None), await ledger.waiting(None)) == (1, 1)


async def test_the_first_has_the_task_and_the_others_share_it(ledger, records):
    wanted = alike("a", "b", "c")
    await ledger.declare(wanted, NOON)
    await ledger.lock_in([paid_for(wanted)])
    shares = await taken_up(ledger)
    assert [(share.task_id, share.source_id, share.source) for share in shares] == [("theirs", 0, "the lock file")] * 3
    for share in shares:
        assert await ledger.linked(share, [at(share)], NOON)
    assert {job.state for job in records.jobs()} == {JobState.COMPLETED}
    assert [job.attempts for job in records.jobs()] == [1, 0, 0]
    assert {job.task_id for job in records.jobs()} == {"theirs"}
    assert await taken_up(ledger) == []


async def test_whoever_was_slower_takes_what_the_faster_found_for_it(ledger, another, records):
    wanted = alike("a", "b")
    await ledger.declare(wanted, NOON)
    other = await another()
    for process in (ledger, other):
        await process.lock_in([paid_for(wanted)])
    mine, theirs = await taken_up(ledger), await taken_up(other)
    assert await other.linked(theirs[0], [at(theirs[0])], NOON)
    with pytest.raises(StaleCaller):
        await ledger.linked(mine[0], [at(mine[0])], NOON)
    # The faster one has found a source for the second meanwhile.
    (again,) = await taken_up(other)
    assert (again.name, again.source) == (JobName("b", "b"), "b/a")
    assert await ledger.linked(mine[1], [at(mine[1])], NOON)
    with pytest.raises(StaleCaller):
        await other.linked(again, [at(again)], NOON)
    assert {job.state for job in records.jobs()} == {JobState.COMPLETED}


async def test_two_that_want_it_at_one_path_are_told_apart(ledger, records):
    wanted = alike("a", "b", outputs=("b/x", "b/y"))
    await ledger.declare(wanted, NOON)
    await ledger.lock_in([paid_for(wanted)])
    first, second = await taken_up(ledger)
    assert await ledger.linked(first, [FILE], NOON)
    assert not await ledger.linked(second, [FILE], NOON)
    assert sorted(job.state for job in records.jobs()) == ["completed", "pending"]


async def test_a_task_that_this_ledger_has_met_is_not_taken_from_the_file(ledger):
    wanted = alike("a")
    await ledger.declare(wanted, NOON)
    (sent,) = await sent_by(ledger)
    await ledger.accepted(sent.attempt_id, "theirs", NOON, NOON)
    await ledger.abandoned(sent.job_id, "a person", NOON)
    await ledger.retried(sent.job_id, "a person", NOON)
    await ledger.lock_in([paid_for(wanted)])
    assert await taken_up(ledger) == []
    assert await sent_by(ledger) == []
