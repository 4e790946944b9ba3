"""What every ledger must do; this file names no adapter."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import Evidence, MediaKind, StoredFile, TaskReport
from seedbatch.domain.calls import Binding
from seedbatch.domain.errors import StaleCaller
from seedbatch.domain.jobs import Limits
from seedbatch.domain.records import Standing
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.work import Failure, JobName

FREE = Limits()
WEEK = timedelta(days=7)
LOST = Failure(FailureClass.PROVIDER, "no reason", retryable=True)
END = TaskReport("t1", "FAILURE")


def file(path: str, size: int = 10) -> StoredFile:
    return StoredFile(path, size, "a" * 64, "video/mp4")


def report(task_id: str, *urls: str) -> TaskReport:
    return TaskReport(task_id, "SUCCESS", MediaKind.VIDEO, urls or ("https://x.example/1.mp4",))


async def states(ledger):
    (tally,) = await ledger.tally(None)
    return {state: count for state, count in tally.counts.items() if count}


async def submit_one(ledger, clock, task_id="t1"):
    (submission,), _ = await claim(ledger, None, FREE, clock.after(1), 1)
    await ledger.accepted(submission.attempt_id, task_id, clock.after(1), clock.after(0))
    return submission


async def run_one(ledger, clock, task_id="t1", urls=()):
    await submit_one(ledger, clock, task_id)
    (task,), _ = await ledger.claim_queries(None, clock.after(1), 1)
    await ledger.succeeded(task.attempt_id, report(task_id, *urls), clock.after(1), clock.now + WEEK)
    (delivery,), _ = await ledger.claim_deliveries(None, clock.after(1), 1)
    return delivery


async def test_a_job_goes_from_wanted_to_disk(ledger, clock, records):
    await ledger.declare(batch(spec("river")), NOON)
    assert await states(ledger) == {JobState.PENDING: 1}
    (submission,), due = await claim(ledger, None, FREE, clock.after(1), 5)
    assert (submission.name, submission.tries, due) == (JobName("b", "river"), 1, None)
    assert submission.request.input["ratio"] == "16:9"
    assert await states(ledger) == {JobState.SUBMITTING: 1}
    assert await ledger.accepted(submission.attempt_id, "t1", clock.after(1), clock.now) is Binding.RUNNING
    (task,), _ = await ledger.claim_queries(None, clock.after(1), 5)
    assert (task.task_id, task.tries, task.tries_allowed) == ("t1", 1, 1)
    await ledger.succeeded(task.attempt_id, report("t1"), clock.after(1), clock.now + WEEK)
    (delivery,), _ = await ledger.claim_deliveries(None, clock.after(1), 5)
    assert [output.url for output in delivery.outputs] == ["https://x.example/1.mp4"]
    assert delivery.sidecar["task_id"] == "t1"
    assert await ledger.stored(delivery.attempt_id, 1, file("b/river-1.mp4"), clock.after(1))
    assert await states(ledger) == {JobState.COMPLETED: 1}
    (job,) = records.jobs()
    assert (job.state, job.task_id, job.attempts) == (JobState.COMPLETED, "t1", 1)
    assert [event.type for event in records.story(job.job_id)] == [
        "declared", "intended", "accepted", "succeeded", "stored", "completed",
    ]  # fmt: skip


async def test_a_history_tells_each_attempt_by_both_clocks(ledger, clock, records):
    jobs = [replace(spec("river"), axes={"ratio": "16:9"}), spec("sea")]
    await ledger.declare(batch(*jobs, attempts=2), NOON)
    failing = await submit_one(ledger, clock, "t0")
    (task,), _ = await ledger.claim_queries(None, clock.after(1), 1)
    began = NOON + timedelta(seconds=1.5)
    ended = TaskReport("t0", "FAILURE", created_at=began, updated_at=began + timedelta(seconds=30))
    await ledger.task_failed(task.attempt_id, LOST, ended, clock.after(1), clock.now)
    (again,), _ = await claim(ledger, None, FREE, clock.after(1), 1)
    await ledger.accepted(again.attempt_id, "t1", clock.after(1), clock.now)
    (task,), _ = await ledger.claim_queries(None, clock.after(1), 1)
    await ledger.succeeded(task.attempt_id, report("t1"), clock.after(1), clock.now + WEEK)
    await ledger.claim_deliveries(None, clock.after(1), 1)
    await ledger.stored(task.attempt_id, 1, file("b/river.mp4"), clock.after(1))
    ids = {job.address: job.job_id for job in records.jobs()}
    found = records.histories(ids.values())
    river = found[ids["river"]]
    assert (river.axes, river.stored_at, found[ids["sea"]].attempts) == ({"ratio": "16:9"}, clock.now, ())
    first, second = river.attempts
    assert (first.number, first.task_id, first.outcome, first.took) == (1, "t0", "failed", 30)
    assert (first.began_at, first.finished_at) == (began, began + timedelta(seconds=30))
    assert first.intended_at < first.accepted_at < first.ended_at < second.intended_at
    assert (second.outcome, second.began_at, second.cost) == ("succeeded", None, None)
    assert failing.name == again.name


async def test_replaying_the_events_gives_the_state(ledger, clock, records):
    await ledger.declare(batch(spec("a"), spec("b"), spec("c")), NOON)
    await run_one(ledger, clock, "t1")
    (doubtful, refused), _ = await claim(ledger, None, FREE, clock.after(1), 2)
    await ledger.doubted(doubtful.attempt_id, "no answer", Evidence(status=502), clock.after(1))
    await ledger.refused(refused.attempt_id, Failure(FailureClass.INVALID, "no"), Evidence(status=400), clock.after(1))
    for job in records.jobs():
        state = None
        for event in records.story(job.job_id):
            if event.to_state is not None:
                assert event.from_state == state
                state = event.to_state
        assert state == job.state


async def test_two_claims_never_hold_one_job(another, clock):
    one, two = await another(), await another()
    await one.declare(batch(*(spec(f"j{number}") for number in range(40))), NOON)

    async def take_all(ledger):
        names = []
        while found := (await claim(ledger, None, FREE, clock.now, 3))[0]:
            names += [submission.name for submission in found]
        return names

    first, second = await asyncio.gather(take_all(one), take_all(two))
    assert len(first) + len(second) == 40
    assert len({*first, *second}) == 40


async def test_submitting_and_in_flight_are_ceilings_over_all_processes(another, clock):
    one, two = await another(), await another()
    await one.declare(batch(*(spec(f"j{number}") for number in range(10))), NOON)
    limits = Limits(submitting=2, in_flight=3)
    first, _ = await claim(one, None, limits, clock.after(1), 10)
    assert len(first) == 2
    assert (await claim(two, None, limits, clock.after(1), 10))[0] == []
    await one.accepted(first[0].attempt_id, "t1", clock.after(1), clock.now)
    second, _ = await claim(two, None, limits, clock.after(1), 10)
    assert len(second) == 1
    await one.accepted(first[1].attempt_id, "t2", clock.after(1), clock.now)
    assert (await claim(two, None, limits, clock.after(1), 10))[0] == []
    # what is in doubt has no place at the provider that anybody could count on
    await two.doubted(second[0].attempt_id, "no answer", Evidence(), clock.after(1))
    assert len((await claim(two, None, limits, clock.after(1), 10))[0]) == 1


async def test_the_pace_holds_over_all_processes(another, clock):
    one, two = await another(), await another()
    await one.declare(batch(*(spec(f"j{number}") for number in range(4))), NOON)
    limits = Limits(submits_per_minute=30)
    first, _ = await claim(one, None, limits, clock.now, 10)
    assert len(first) == 1
    none, due = await claim(two, None, limits, clock.after(0.5), 10)
    assert (none, due) == ([], NOON + timedelta(seconds=2))
    assert len((await claim(two, None, limits, clock.after(1.5), 10))[0]) == 1
    # a clock that was set back delays by one gap, not by an hour
    back = clock.now - timedelta(hours=1)
    none, due = await claim(one, None, limits, back, 10)
    assert (none, due) == ([], back + timedelta(seconds=2))


async def test_what_was_not_sent_is_pending_again_and_no_try(ledger, clock):
    await ledger.declare(batch(spec("river")), NOON)
    (submission,), _ = await claim(ledger, None, FREE, clock.after(1), 1)
    later = clock.now + timedelta(seconds=30)
    await ledger.not_sent(submission.attempt_id, "refused", clock.after(1), later)
    assert await claim(ledger, None, FREE, clock.after(1), 1) == ([], later)
    (again,), _ = await claim(ledger, None, FREE, clock.after(60), 1)
    assert (again.tries, again.attempt_id != submission.attempt_id) == (1, True)
    assert again.reference != submission.reference
    await ledger.throttled(again.attempt_id, "429", clock.after(1), clock.now)
    (third,), _ = await claim(ledger, None, FREE, clock.after(1), 1)
    await ledger.turned_away(third.attempt_id, "401", clock.after(1))
    (fourth,), _ = await claim(ledger, None, FREE, clock.after(1), 1)
    assert fourth.tries == 1


async def test_in_doubt_is_never_claimed_again_yet_a_late_answer_counts(ledger, clock, records):
    await ledger.declare(batch(spec("river")), NOON)
    (submission,), _ = await claim(ledger, None, FREE, clock.after(1), 1)
    await ledger.doubted(submission.attempt_id, "no answer", Evidence(), clock.after(1))
    assert await claim(ledger, None, FREE, clock.after(10**6), 1) == ([], None)
    assert [job.reason for job in records.standings(clock.now, 0).in_doubt] == ["no answer"]
    assert await ledger.accepted(submission.attempt_id, "t1", clock.after(1), clock.now) is Binding.RUNNING


async def test_one_task_cannot_answer_for_two_attempts(ledger, clock):
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    (one, two), _ = await claim(ledger, None, FREE, clock.after(1), 2)
    await ledger.accepted(one.attempt_id, "t1", clock.after(1), clock.now)
    assert await ledger.accepted(two.attempt_id, "t1", clock.after(1), clock.now) is Binding.IN_DOUBT
    assert await states(ledger) == {JobState.RUNNING: 1, JobState.IN_DOUBT: 1}


async def test_stale_callers_change_nothing(ledger, clock):
    await ledger.declare(batch(spec("river")), NOON)
    submission = await submit_one(ledger, clock)
    before = await states(ledger)
    for verb in (
        ledger.not_sent(submission.attempt_id, "x", clock.now, clock.now),
        ledger.doubted(submission.attempt_id, "x", Evidence(), clock.now),
        ledger.stored(submission.attempt_id, 1, file("x.mp4"), clock.now),
        ledger.fetch_later(submission.attempt_id, "x", clock.now, clock.now),
        ledger.expired(submission.attempt_id, "x", clock.now),
        ledger.succeeded(999, report("t1"), clock.now, clock.now),
    ):
        with pytest.raises(StaleCaller):
            await verb
    assert await states(ledger) == before
    await ledger.task_failed(submission.attempt_id, LOST, END, clock.now, None)
    with pytest.raises(StaleCaller):
        await ledger.succeeded(submission.attempt_id, report("t1"), clock.now, clock.now + WEEK)


async def test_only_one_asks_about_a_task(another, clock):
    one, two = await another(), await another()
    await one.declare(batch(spec("river")), NOON)
    submission = await submit_one(one, clock)
    (task,), _ = await one.claim_queries(None, clock.after(1), 5)
    assert await two.claim_queries(None, clock.after(10**6), 5) == ([], None)
    await one.unanswered(task.attempt_id, "502", clock.after(1), clock.now + timedelta(seconds=5))
    none, due = await two.claim_queries(None, clock.now, 5)
    assert (none, due) == ([], clock.now + timedelta(seconds=5))
    (again,), _ = await two.claim_queries(None, clock.after(5), 5)
    assert (again.attempt_id, again.misses) == (submission.attempt_id, 1)
    await two.still_running(again.attempt_id, "PROCESSING", clock.after(1), clock.now)
    (third,), _ = await two.claim_queries(None, clock.after(1), 5)
    assert third.misses == 0
    await two.aclose()  # it dies while it asks
    assert await one.claim_queries(None, clock.after(1), 5) == ([], None)
    assert await one.rescue(clock.after(1)) == []
    assert len((await one.claim_queries(None, clock.after(1), 5))[0]) == 1


async def test_a_retry_that_the_manifest_allows_is_a_new_attempt(ledger, clock):
    await ledger.declare(batch(spec("river"), attempts=2), NOON)
    submission = await submit_one(ledger, clock)
    await ledger.task_failed(submission.attempt_id, LOST, END, clock.after(1), clock.now + timedelta(seconds=9))
    assert await states(ledger) == {JobState.PENDING: 1}
    (again,), _ = await claim(ledger, None, FREE, clock.after(10), 1)
    assert (again.tries, again.job_id) == (2, submission.job_id)


async def test_a_retry_is_not_for_jobs_that_nobody_wants_any_more(ledger, clock):
    await ledger.declare(batch(spec("river", prompt="old"), attempts=2), NOON)
    submission = await submit_one(ledger, clock)
    await ledger.declare(batch(spec("river", prompt="new"), attempts=2), clock.after(1))
    await ledger.task_failed(submission.attempt_id, LOST, END, clock.after(1), clock.now)
    (claimed,), _ = await claim(ledger, None, FREE, clock.after(10), 5)
    assert claimed.request.input["prompt"] == "new"


async def test_deliveries_come_earliest_expiry_first_and_once(another, clock):
    one, two = await another(), await another()
    await one.declare(batch(*(spec(f"j{number}") for number in range(3))), NOON)
    for number, days in enumerate((5, 1, 3)):
        submission = await submit_one(one, clock, f"t{number}")
        expires = clock.now + timedelta(days=days)
        await one.succeeded(submission.attempt_id, report(f"t{number}"), clock.now, expires)
    first, _ = await one.claim_deliveries(None, clock.after(1), 2)
    rest, _ = await two.claim_deliveries(None, clock.after(1), 2)
    assert [delivery.task_id for delivery in (*first, *rest)] == ["t1", "t2", "t0"]
    with pytest.raises(StaleCaller):
        await two.stored(first[0].attempt_id, 1, file("x.mp4"), clock.now)
    await one.fetch_later(first[0].attempt_id, "busy", clock.now, clock.now + timedelta(seconds=5))
    assert await two.claim_deliveries(None, clock.after(1), 5) == ([], clock.now + timedelta(seconds=4))
    (again,), _ = await two.claim_deliveries(None, clock.after(5), 5)
    assert (again.task_id, again.misses) == ("t1", 1)


async def test_several_outputs_are_all_needed(ledger, clock, records):
    await ledger.declare(batch(spec("river")), NOON)
    delivery = await run_one(ledger, clock, urls=("https://x.example/1.mp4", "https://x.example/2.mp4"))
    assert not await ledger.stored(delivery.attempt_id, 2, file("b/river-2.mp4"), clock.after(1))
    await ledger.fetch_later(delivery.attempt_id, "cut", clock.after(1), clock.now)
    (again,), _ = await ledger.claim_deliveries(None, clock.after(1), 5)
    assert [output.position for output in again.outputs] == [1]
    await ledger.renewed(again.attempt_id, report("t1", "https://y.example/1", "https://y.example/2"), clock.after(1))
    assert await ledger.claim_deliveries(None, clock.after(1), 5) == ([], None)  # it is still being downloaded
    await ledger.fetch_later(again.attempt_id, "cut", clock.after(1), clock.now)
    (renewed,), _ = await ledger.claim_deliveries(None, clock.after(1), 5)
    assert ([output.url for output in renewed.outputs], renewed.renewals) == (["https://y.example/1"], 1)
    assert await ledger.stored(renewed.attempt_id, 1, file("b/river.mp4"), clock.after(1))
    (job,) = records.jobs()
    assert [artifact.path.rpartition("/")[2] for artifact in job.artifacts] == ["river.mp4", "river-2.mp4"]


async def test_what_is_gone_is_expired(ledger, clock):
    await ledger.declare(batch(spec("river")), NOON)
    delivery = await run_one(ledger, clock)
    await ledger.expired(delivery.attempt_id, "404", clock.after(1))
    assert await states(ledger) == {JobState.EXPIRED: 1}
    assert await claim(ledger, None, FREE, clock.after(10**6), 5) == ([], None)


async def test_declaring_again_changes_nothing(ledger, clock, records):
    wanted = batch(spec("a"), spec("b"))
    await ledger.declare(wanted, NOON)
    await run_one(ledger, clock)
    before = list(records.jobs())
    await ledger.declare(wanted, clock.after(1))
    assert list(records.jobs()) == before


async def test_order_tags_and_paths_are_free(ledger, clock, records):
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    await ledger.declare(batch(spec("b", output="c/new"), spec("a")), clock.after(1))
    jobs = list(records.jobs())
    assert [(job.address, job.revision, job.output) for job in jobs] == [("b", 1, "c/new"), ("a", 1, "b/a-1")]


async def test_a_changed_request_is_the_next_revision_and_the_way_back_is_free(ledger, clock, records):
    old, new = batch(spec("river", prompt="old")), batch(spec("river", prompt="new"))
    await ledger.declare(old, NOON)
    await ledger.declare(new, clock.after(1))  # nothing was sent yet: the same revision
    assert [(job.revision, job.standing) for job in records.jobs()] == [(1, Standing.CURRENT)]
    await run_one(ledger, clock)
    await ledger.declare(old, clock.after(1))
    assert [(job.revision, job.standing, job.state) for job in records.jobs()] == [
        (1, Standing.SUPERSEDED, JobState.SUCCEEDED),
        (2, Standing.CURRENT, JobState.PENDING),
    ]
    await ledger.declare(new, clock.after(1))
    assert [(job.revision, job.standing) for job in records.jobs()] == [
        (1, Standing.CURRENT),
        (2, Standing.SUPERSEDED),
    ]
    assert await claim(ledger, None, FREE, clock.after(1), 5) == ([], None)


async def test_a_job_that_left_is_an_orphan_and_is_still_collected(ledger, clock, records):
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    await submit_one(ledger, clock)
    await ledger.declare(batch(spec("c")), clock.after(1))
    assert [(job.address, job.standing) for job in records.jobs() if job.standing is not Standing.CURRENT] == [
        ("a", Standing.ORPHAN),
        ("b", Standing.ORPHAN),
    ]
    (claimed,), _ = await claim(ledger, None, FREE, clock.after(1), 5)
    assert claimed.name.address == "c"
    assert len((await ledger.claim_queries(None, clock.after(1), 5))[0]) == 1
    (tally,) = await ledger.tally(None)
    assert tally.orphans == 1  # the one that still runs


async def test_takes_keep_their_job(ledger, clock, records):
    await ledger.declare(batch(spec("river")), NOON)
    await run_one(ledger, clock)
    takes = [spec("river", take=take, address=f"river#{take}") for take in (1, 2, 3)]
    await ledger.declare(batch(*takes), clock.after(1))
    assert [(job.address, job.state) for job in records.jobs()] == [
        ("river#1", JobState.SUCCEEDED),
        ("river#2", JobState.PENDING),
        ("river#3", JobState.PENDING),
    ]


async def test_an_earlier_revisions_file_is_known_where_it_stands(ledger, clock):
    await ledger.declare(batch(spec("river", prompt="old")), NOON)
    delivery = await run_one(ledger, clock)
    await ledger.stored(delivery.attempt_id, 1, file("b/river-1.mp4"), clock.after(1))
    await ledger.declare(batch(spec("river", prompt="new")), clock.after(1))
    second = await run_one(ledger, clock, "t2")
    occupant = await ledger.occupant(second.job_id, "b/river-1")
    assert (occupant.path, occupant.revision, occupant.tries) == ("b/river-1.mp4", 1, 1)
    await ledger.moved(occupant.artifact_id, "b/river-1.rev1.mp4", clock.after(1))
    assert await ledger.occupant(second.job_id, "b/river-1") is None
    assert await ledger.stored(second.attempt_id, 1, file("b/river-1.mp4"), clock.after(1))


async def test_only_what_is_held_can_be_retried(ledger, clock):
    await ledger.declare(batch(spec("river")), NOON)
    (submission,), _ = await claim(ledger, None, FREE, clock.after(1), 1)
    with pytest.raises(StaleCaller, match="is submitting"):
        await ledger.retried(submission.job_id, "a person", clock.after(1))
    await ledger.doubted(submission.attempt_id, "cut", Evidence(), clock.after(1))
    with pytest.raises(StaleCaller, match="is in_doubt"):
        await ledger.retried(submission.job_id, "a person", clock.after(1))
    assert await states(ledger) == {JobState.IN_DOUBT: 1}


async def test_the_file_of_an_earlier_try_gives_way_too(ledger, clock):
    await ledger.declare(batch(spec("river")), NOON)
    urls = ("https://x.example/1.mp4", "https://x.example/2.mp4")
    for task in ("t1", "t2", "t3"):  # of two files, only the first ever comes
        delivery = await run_one(ledger, clock, task, urls=urls)
        occupant = await ledger.occupant(delivery.job_id, "b/river")
        if occupant is not None:
            await ledger.moved(occupant.artifact_id, f"b/river.{occupant.tries}.mp4", clock.after(1))
        assert (occupant and occupant.tries) == {"t1": None, "t2": 1, "t3": 2}[task]
        await ledger.stored(delivery.attempt_id, 1, file("b/river.mp4"), clock.after(1))
        assert await ledger.occupant(delivery.job_id, "b/river") is None  # it is this try's own
        await ledger.expired(delivery.attempt_id, "gone", clock.after(1))
        await ledger.retried(delivery.job_id, "a person", clock.after(1))


async def test_the_slow_download_of_an_earlier_try_does_not_count_as_the_later_one(ledger, clock):
    await ledger.declare(batch(spec("river")), NOON)
    urls = ("https://x.example/1.mp4", "https://x.example/2.mp4")
    slow = await run_one(ledger, clock, "t1", urls=urls)
    await ledger.abandoned(slow.job_id, "a person", clock.after(1))
    await ledger.retried(slow.job_id, "a person", clock.after(1))
    delivery = await run_one(ledger, clock, "t2")
    assert (delivery.job_id, delivery.attempt_id) != (slow.job_id, slow.attempt_id)
    for verb in (
        ledger.stored(slow.attempt_id, 1, file("b/river.mp4"), clock.now),
        ledger.stored(slow.attempt_id, 2, file("b/river-2.mp4"), clock.now),
        ledger.fetch_later(slow.attempt_id, "cut", clock.now, clock.now),
        ledger.renewed(slow.attempt_id, report("t1", *urls), clock.now),
        ledger.expired(slow.attempt_id, "gone", clock.now),
    ):
        with pytest.raises(StaleCaller):
            await verb
    assert await states(ledger) == {JobState.SUCCEEDED: 1}
    assert await ledger.stored(delivery.attempt_id, 1, file("b/river.mp4"), clock.after(1))


async def test_scopes_keep_batches_apart(ledger, clock):
    await ledger.declare(batch(spec("a"), name="one"), NOON)
    await ledger.declare(batch(spec("a"), name="two"), NOON)
    (submission,), _ = await claim(ledger, {"two"}, FREE, clock.after(1), 5)
    assert submission.name == JobName("two", "a")
    assert [tally.batch for tally in await ledger.tally({"one"})] == ["one"]


async def test_the_living_are_not_rescued(another, clock):
    one, two = await another(), await another()
    await one.declare(batch(spec("a")), NOON)
    await claim(one, None, FREE, clock.after(1), 1)
    assert await two.rescue(clock.after(10**6)) == []
    await one.aclose()
    assert await two.rescue(clock.after(1)) == [JobName("b", "a")]
    assert await states(two) == {JobState.IN_DOUBT: 1}


async def test_a_cancelled_caller_is_obeyed_all_the_same(ledger, clock):
    await ledger.declare(batch(spec("a")), NOON)
    (submission,), _ = await claim(ledger, None, FREE, clock.after(1), 1)
    task = asyncio.ensure_future(ledger.accepted(submission.attempt_id, "t1", clock.now, clock.now))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await states(ledger) == {JobState.RUNNING: 1}


async def test_a_batch_of_many_is_declared_as_one_of_few(ledger, clock, records):
    """More jobs than are compared at once: edits, removals, new ones and what comes back, all over the batch."""
    count = 1_300
    names = [f"j{number:04d}" for number in range(count)]
    await ledger.declare(batch(*map(spec, names)), NOON)
    submitted = set()
    while len(submitted) < 30:
        found, _ = await claim(ledger, None, FREE, clock.after(1), 10)
        for one in found:
            await ledger.accepted(one.attempt_id, f"t{one.attempt_id}", clock.after(1), clock.now)
            submitted.add(one.name.address)
    # Every third is edited, every seventh gone, and the order is the other way round.
    wanted = [spec(name, prompt="edited" if number % 3 == 0 else "") for number, name in enumerate(names) if number % 7]
    wanted = [*reversed(wanted), spec("new")]
    for _ in range(2):  # the second time nothing is left to do
        await ledger.declare(batch(*wanted), clock.after(1))
        current = [job for job in records.jobs() if job.standing is Standing.CURRENT]
        assert [job.address for job in current] == [one.address for one in wanted]
        assert [job.fingerprint for job in current] == [one.fingerprint for one in wanted]
        assert {job.address for job in current if job.revision > 1} == {
            name for number, name in enumerate(names) if number % 7 and number % 3 == 0 and name in submitted
        }
        gone = {job.address for job in records.jobs() if job.standing is Standing.ORPHAN}
        assert gone == {name for number, name in enumerate(names) if number % 7 == 0}
    await ledger.declare(batch(*map(spec, names)), clock.after(1))
    current = [job for job in records.jobs() if job.standing is Standing.CURRENT]
    assert [(job.address, job.revision) for job in current] == [(name, 1) for name in names]


async def test_a_plan_begins_where_it_was_made_and_goes_on_from_anywhere(ledger, clock, records):
    await ledger.begin("a" * 64, 0)
    await ledger.declare(batch(spec("river"), spec("lake")), NOON)
    assert records.identity().begun == "a" * 64
    await submit_one(ledger, clock)
    assert records.identity().generation == 1
    await ledger.begin("a" * 64, 0)
    with pytest.raises(StaleCaller):
        await ledger.begin("b" * 64, 0)
    assert records.identity().begun == "a" * 64
    await ledger.begin("b" * 64, 1)
    with pytest.raises(StaleCaller):
        await ledger.begin("a" * 64, 0)
