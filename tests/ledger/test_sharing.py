"""Jobs that share a task: who is sent, who waits, and who is free again."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import Evidence, MediaKind, StoredFile, TaskReport
from seedbatch.domain.errors import StaleCaller
from seedbatch.domain.jobs import Limits
from seedbatch.domain.records import Paid
from seedbatch.domain.states import PAID, JobState
from seedbatch.domain.work import Caps, Failure, FailureClass, JobName
from seedbatch.ledger.sharing import _PAID_STATES

WEEK = timedelta(days=7)
LATER = NOON + timedelta(hours=1)


def alike(*keys: str, name: str = "b"):
    return batch(*(spec(key, prompt="the same", output=f"{name}/{key}") for key in keys), name=name)


async def claimed(ledger, most=5, *, reuse=True):
    found = await ledger.claim_submissions(None, Limits(), Caps(reuse=reuse), NOON, most)
    return list(found.submissions)


async def on_disk(ledger, submission, task_id="t1", path=""):
    await ledger.accepted(submission.attempt_id, task_id, NOON, NOON)
    await ledger.claim_queries(None, NOON, 1)
    report = TaskReport(task_id, "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
    await ledger.succeeded(submission.attempt_id, report, NOON, NOON + WEEK)
    await ledger.claim_deliveries(None, NOON, 1)
    file = StoredFile(path or f"{submission.name}.mp4", 10, "a" * 64, "video/mp4")
    assert await ledger.stored(submission.attempt_id, 1, file, NOON)


def states(records):
    return {str(JobName(job.batch, job.address)): str(job.state) for job in records.jobs()}


def test_what_counts_as_paid_for_is_what_the_index_holds(ledger, place):
    assert set(re.findall(r"'(\w+)'", _PAID_STATES)) == set(PAID)
    with closing(sqlite3.connect(place)) as connection:
        ((sql,),) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'jobs_paid'")
    assert _PAID_STATES in sql


async def test_of_several_that_ask_for_the_same_one_is_sent(ledger, records):
    await ledger.declare(alike("a", "b", "c"), NOON)
    (sent,) = await claimed(ledger)
    assert sent.name == JobName("b", "a")
    assert await claimed(ledger) == []
    assert await ledger.waiting(None) == 2
    await on_disk(ledger, sent)
    shares, freed = await ledger.claim_shares(None, NOON, 5, ())
    assert ([share.name.address for share in shares], freed) == (["b", "c"], 0)
    assert {(share.source, share.task_id, len(share.files)) for share in shares} == {(str(sent.name), "t1", 1)}
    await ledger.linked(shares[0], [StoredFile("b/b.mp4", 10, "a" * 64, "video/mp4")], NOON)
    with pytest.raises(StaleCaller):  # somebody was faster
        await ledger.linked(shares[0], [StoredFile("b/b.mp4", 10, "a" * 64, "video/mp4")], NOON)
    assert states(records) == {"b/a": "completed", "b/b": "completed", "b/c": "pending"}
    (left,), _ = await ledger.claim_shares(None, NOON, 5, ())
    assert left.name.address == "c"
    assert await ledger.claim_shares(None, NOON, 5, {left.job_id}) == ([], 0)


async def test_processes_that_claim_at_once_send_it_once(ledger, another, records):
    others = [await another() for _ in range(4)]
    for number, process in enumerate(others):
        await process.declare(alike("a", "b", name=f"b{number}"), NOON)
    found = await asyncio.gather(*(claimed(process) for process in others))
    assert sum(map(len, found)) == 1
    assert sorted(states(records).values()) == ["pending"] * 7 + ["submitting"]


@pytest.mark.parametrize("end", ["refused", "failed", "lost", "abandoned"])
async def test_what_came_to_nothing_frees_the_others(ledger, end):
    await ledger.declare(alike("a", "b"), NOON)
    (sent,) = await claimed(ledger)
    assert await claimed(ledger) == []
    match end:
        case "refused":
            await ledger.refused(sent.attempt_id, Failure(FailureClass.INVALID, "no"), Evidence(), NOON)
        case "lost":
            await ledger.doubted(sent.attempt_id, "no answer", Evidence(), NOON)
            assert await ledger.claim_shares(None, NOON, 5, ()) == ([], 0)
            assert await ledger.waiting(None) == 1
            await ledger.given_up(sent.job_id, "ana", NOON)
        case _:
            await ledger.accepted(sent.attempt_id, "t1", NOON, NOON)
            if end == "abandoned":
                await ledger.abandoned(sent.job_id, "ana", NOON)
            else:
                await ledger.claim_queries(None, NOON, 1)
                failure = Failure(FailureClass.PROVIDER, "no reason")
                await ledger.task_failed(sent.attempt_id, failure, TaskReport("t1", "FAILURE"), NOON, None)
    assert await ledger.waiting(None) == 0
    assert await ledger.claim_shares(None, NOON, 5, ()) == ([], 1)
    (free,) = await claimed(ledger)
    assert free.name.address == "b"


async def test_without_reuse_each_is_sent(ledger, place):
    await ledger.declare(alike("a", "b", "c"), NOON)
    (first,) = await claimed(ledger)
    assert await claimed(ledger) == []  # they share it from now on
    assert len(await claimed(ledger, reuse=False)) == 2
    assert await ledger.waiting(None) == 0
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT count(*) FROM shares").fetchall() == [(0,)]
    await on_disk(ledger, first)
    assert await ledger.claim_shares(None, NOON, 5, ()) == ([], 0)


async def test_an_edit_ends_the_sharing(ledger):
    await ledger.declare(alike("a", "b"), NOON)
    await claimed(ledger)
    await claimed(ledger)
    await ledger.declare(batch(*alike("a").jobs, spec("b", prompt="another")), NOON)
    assert await ledger.waiting(None) == 0
    (sent,) = await claimed(ledger)
    assert sent.request.prompt == "another"


async def test_takes_of_one_number_share_and_others_do_not(ledger):
    jobs = [replace(spec("a", prompt="x"), take=take, address=f"a#{take}", output=f"b/a{take}") for take in (1, 2)]
    await ledger.declare(batch(*jobs, spec("b", prompt="x")), NOON)
    assert [one.name.address for one in await claimed(ledger)] == ["a#1", "a#2"]
    assert await claimed(ledger) == []


async def test_readers_are_told_which_job_was_paid_for(ledger, records):
    await ledger.declare(alike("a"), NOON)
    (wish,) = {(job.fingerprint, job.take) for job in records.jobs()}
    assert records.paid([wish]) == {}
    (sent,) = await claimed(ledger)
    assert records.paid([wish, ("f" * 64, 1)]) == {wish: Paid(sent.name, JobState.SUBMITTING)}
    await ledger.declare(alike("a", name="c"), NOON)
    assert len(await claimed(ledger, reuse=False)) == 1
    await on_disk(ledger, sent)
    assert records.paid([wish]) == {wish: Paid(sent.name, JobState.COMPLETED)}


async def test_a_run_finds_at_once_what_it_need_not_send(ledger):
    await ledger.declare(alike("a"), NOON)
    (sent,) = await claimed(ledger)
    await on_disk(ledger, sent)
    await ledger.declare(batch(*(spec(f"n{n}", prompt=f"new {n}") for n in range(3)), *alike("z").jobs, name="c"), NOON)
    await ledger.find_shares({"b"}, NOON)
    assert await ledger.waiting(None) == 0
    await ledger.find_shares({"c"}, NOON)
    ((share,), _) = await ledger.claim_shares({"c"}, NOON, 5, ())
    assert share.name == JobName("c", "z")
    found, _ = await claim(ledger, {"c"}, Limits(), NOON, 9)
    assert len(found) == 3


async def test_what_the_manifest_forgot_gets_a_name_of_its_own_where_another_jobs_file_lies(ledger, records):
    await ledger.declare(batch(spec("a", output="b/x"), spec("c", output="b/y")), NOON)
    forgotten, kept = await claimed(ledger)
    await ledger.declare(batch(spec("c", output="b/x")), NOON)  # it takes the place of the one that is running
    await on_disk(ledger, kept, "t2", path="b/x.mp4")
    await ledger.accepted(forgotten.attempt_id, "t1", NOON, NOON)
    await ledger.claim_queries(None, NOON, 1)
    report = TaskReport("t1", "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
    await ledger.succeeded(forgotten.attempt_id, report, NOON, NOON + WEEK)
    (delivery,), _ = await ledger.claim_deliveries(None, NOON, 5)
    assert (delivery.name.address, delivery.output) == ("a", f"b/x.orphan{delivery.job_id}")
    file = StoredFile(f"{delivery.output}.mp4", 10, "b" * 64, "video/mp4")
    assert await ledger.stored(delivery.attempt_id, 1, file, NOON)
    (found,) = [job for job in records.jobs() if job.address == "a"]
    assert (found.state, found.output) == (JobState.COMPLETED, delivery.output)


async def test_a_clip_that_was_linked_where_an_earlier_manifest_wanted_it_is_moved(ledger, another):
    await ledger.declare(alike("a", "b"), NOON)
    (submission,) = await claimed(ledger)
    await on_disk(ledger, submission)
    await ledger.find_shares(None, NOON)
    (share,), _ = await ledger.claim_shares(None, NOON, 5, ())
    edited = batch(*(replace(job, output=f"elsewhere/{job.key}") for job in alike("a", "b").jobs))
    await (await another()).declare(edited, NOON)  # by another process, while the files are linked
    await ledger.linked(share, [StoredFile(f"{share.output}.mp4", 10, "a" * 64, "video/mp4")], NOON)
    await ledger.declare(edited, NOON)
    found, _ = await ledger.claim_relocations(5)
    assert {(one.file.path, one.path) for one in found} == {
        ("b/a.mp4", "elsewhere/a.mp4"),
        ("b/b.mp4", "elsewhere/b.mp4"),
    }
