"""What the plan says of each job, read from a real ledger."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import Evidence, MediaKind, StoredFile, TaskReport
from seedbatch.domain.jobs import Limits, Request
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.work import Failure
from seedbatch.engine.plan import foreign_files, make_plan
from seedbatch.engine.planned import Action
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.sqlite import SqliteLedger

S = JobState


class Past:
    """A ledger whose jobs are brought to a state."""

    def __init__(self, folder) -> None:
        self.path = folder / "ledger.db"
        self.ledger = SqliteLedger(self.path, kind="real", folder=folder / "outputs", now=NOON)

    async def declare(self, *specs):
        await self.ledger.declare(batch(*specs), NOON)

    async def bring(self, state):
        """Take the next pending job to a state."""
        if state is S.PENDING:
            return
        if state is S.ABANDONED:
            with closing(SqliteRecords(self.path)) as records:
                pending = next(job for job in records.jobs() if job.state is S.PENDING)
            await self.ledger.abandoned(pending.job_id, "ana", NOON)
            return
        ledger = self.ledger
        (one,), _ = await claim(ledger, None, Limits(), NOON, 1)
        if state is S.IN_DOUBT:
            await ledger.doubted(one.attempt_id, "no answer", Evidence(), NOON)
        elif state is S.FAILED:
            failure = Failure(FailureClass.INVALID, "no such ratio")
            await ledger.refused(one.attempt_id, failure, Evidence(), NOON)
        elif state is not S.SUBMITTING:
            await self._bring_further(one, state)

    async def _bring_further(self, one, state):
        ledger = self.ledger
        await ledger.accepted(one.attempt_id, f"t{one.attempt_id}", NOON, NOON + timedelta(hours=1))
        if state is S.RUNNING:
            return
        report = TaskReport(f"t{one.attempt_id}", "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
        await ledger.succeeded(one.attempt_id, report, NOON, NOON + timedelta(days=7))
        if state is S.SUCCEEDED:
            return
        ((delivery,), _) = await ledger.claim_deliveries(None, NOON, 1)
        if state is S.COMPLETED:
            file = StoredFile(f"{delivery.output}.mp4", 10, "a" * 64, "video/mp4")
            await ledger.stored(delivery.attempt_id, 1, file, NOON)
        else:
            await ledger.expired(delivery.attempt_id, "HTTP 403", NOON)

    def plan(self, *specs):
        with closing(SqliteRecords(self.path)) as records:
            return make_plan([batch(*specs)], records)

    def foreign(self, lying, *specs):
        with closing(SqliteRecords(self.path)) as records:
            plan = make_plan([batch(*specs)], records)
            found = foreign_files(plan, records, lambda names: [name for name in names if name in lying])
            return [job.address for job, _ in found]


@pytest.fixture
async def past(tmp_path):
    one = Past(tmp_path)
    yield one
    await one.ledger.aclose()


def told(plan):
    return [(job.address, job.revision, job.action.value, job.reason) for job in plan.jobs]


STANDING_STILL = {
    S.PENDING: ("create", "recorded, not submitted yet"),
    S.SUBMITTING: ("collect", "being submitted"),
    S.RUNNING: ("collect", "running at the provider"),
    S.SUCCEEDED: ("download", "finished, not on disk yet"),
    S.COMPLETED: ("unchanged", "on disk"),
    S.IN_DOUBT: ("held", "in doubt: it may have been accepted and charged, so it is not sent again"),
    S.FAILED: ("held", "failed: no such ratio"),
    S.EXPIRED: ("held", "expired: HTTP 403"),
    S.ABANDONED: ("held", "abandoned: by ana"),
}
ORPHANED = {
    S.PENDING: "no longer in the manifest; never submitted",
    S.SUBMITTING: "no longer in the manifest; submitting, and still looked after",
    S.RUNNING: "no longer in the manifest; running, and still looked after",
    S.SUCCEEDED: "no longer in the manifest; succeeded, and still looked after",
    S.IN_DOUBT: "no longer in the manifest; in_doubt, and still looked after",
    S.COMPLETED: "no longer in the manifest",
    S.FAILED: "no longer in the manifest",
    S.EXPIRED: "no longer in the manifest",
    S.ABANDONED: "no longer in the manifest",
}
EARLIER = {S.SUBMITTING: "collect", S.IN_DOUBT: "held", S.RUNNING: "collect", S.SUCCEEDED: "download"}


def test_without_a_ledger_everything_is_new():
    plan = make_plan([batch(spec("a"), spec("b"))], None)
    assert told(plan) == [("a", 1, "create", "new"), ("b", 1, "create", "new")]
    assert (plan.submissions, plan.changes, plan.counts) == (2, True, {Action.CREATE: 2})


@pytest.mark.parametrize("state", list(JobState))
async def test_an_unchanged_job_is_what_its_state_says(past, state):
    await past.declare(spec("a"))
    await past.bring(state)
    action, reason = STANDING_STILL[state]
    plan = past.plan(spec("a"))
    assert told(plan) == [("a", 1, action, reason)]
    assert plan.submissions == (1 if state is S.PENDING else 0)
    assert plan.changes is (action not in {"unchanged", "held"})


@pytest.mark.parametrize("state", list(JobState))
async def test_a_job_that_left_the_manifest_is_an_orphan(past, state):
    await past.declare(spec("a"))
    await past.bring(state)
    wanted = spec("b")
    expected = [("b", 1, "create", "new"), ("a", 1, "orphan", ORPHANED[state])]
    assert told(past.plan(wanted)) == expected
    await past.declare(wanted)  # recorded: it is still told
    assert told(past.plan(wanted))[1:] == expected[1:]


@pytest.mark.parametrize("state", list(JobState))
async def test_a_changed_request_is_the_next_revision_once_it_was_sent(past, state):
    await past.declare(spec("a"))
    await past.bring(state)
    before = EARLIER.get(state)
    earlier = [("a", 1, before, f"an earlier revision, {state}")] if before else []
    plan = past.plan(spec("a", prompt="another"))
    if state is S.PENDING:
        assert told(plan) == [("a", 1, "create", "its request changed before it was submitted")]
    else:
        assert told(plan) == [("a", 2, "regenerate", "prompt a → another"), *earlier]
    assert plan.submissions == 1
    await past.declare(spec("a", prompt="another"))
    assert told(past.plan(spec("a", prompt="another")))[1:] == earlier


@pytest.mark.parametrize("state", [S.COMPLETED, S.RUNNING, S.FAILED])
async def test_an_earlier_request_is_taken_up_again(past, state):
    await past.declare(spec("a"))
    await past.bring(state)
    await past.declare(spec("a", prompt="another"))
    action, reason = STANDING_STILL[state]
    plan = past.plan(spec("a"))
    assert told(plan)[0] == ("a", 1, action, f"{reason}; wanted again")
    assert plan.submissions == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"duration": 10}, "duration 5 → 10"),
        ({"ratio": "9:16", "duration": 4}, "duration 5 → 4, ratio 16:9 → 9:16"),
        ({"fallback": False}, "fallback nothing → false"),
        ({"fallback": True, "prompt": "b"}, "fallback nothing → true, prompt a → b"),
        ({"imageUrls": ["https://x.example/a.png"]}, "imageUrls changed"),
        ({"duration": True}, "duration 5 → true"),
        ({"prompt": "a wide river"}, "prompt a {+wide river+}"),
    ],
)
async def test_what_changed_is_named(past, change, reason):
    await past.declare(spec("a"))
    await past.bring(S.COMPLETED)
    before = spec("a")
    request = Request(before.request.model, {**before.request.input, **change})
    after = replace(before, request=request, fingerprint=request.fingerprint)
    assert told(past.plan(after)) == [("a", 2, "regenerate", reason)]


async def test_another_model_is_named(past):
    await past.declare(spec("a"))
    await past.bring(S.COMPLETED)
    before = spec("a")
    request = Request(
        "seedance-2.0-fast", {name: value for name, value in before.request.input.items() if name != "ratio"}
    )
    after = replace(before, request=request, fingerprint=request.fingerprint)
    reason = "model seedance-2.0 → seedance-2.0-fast, ratio 16:9 → nothing"
    assert told(past.plan(after)) == [("a", 2, "regenerate", reason)]


async def test_cosmetic_changes_submit_nothing(past):
    await past.declare(spec("a"), spec("b"))
    await past.bring(S.COMPLETED)
    await past.bring(S.COMPLETED)
    other = replace(spec("a"), tags=("other",), line=99, file="n.yaml")
    plan = past.plan(spec("b"), other)
    assert [job.action for job in plan.jobs] == [Action.UNCHANGED, Action.UNCHANGED]
    assert (plan.submissions, plan.changes) == (0, False)
    plan = past.plan(spec("b", output="elsewhere/b"), other)
    assert [job.action for job in plan.jobs] == [Action.MOVE, Action.UNCHANGED]
    assert (plan.submissions, plan.changes) == (0, True)


async def test_plan_and_recording_agree(past):
    await past.declare(spec("a"), spec("b"), spec("c"), spec("gone"))
    for state in (S.COMPLETED, S.RUNNING, S.FAILED):
        await past.bring(state)
    wanted = (spec("d"), spec("c", prompt="c again"), spec("b"), spec("a", prompt="a again"))
    shown = {(job.address, job.revision) for job in past.plan(*wanted).jobs if job.action in {"create", "regenerate"}}
    await past.declare(*wanted)
    claimed, _ = await claim(past.ledger, None, Limits(), NOON, 10)
    assert len(claimed) == len(shown) == 3
    assert {name.name.address for name in claimed} == {address for address, _ in shown}


def test_a_file_where_a_new_output_belongs_is_foreign():
    plan = make_plan([batch(spec("a"), spec("b"))], None)
    assert [job.address for job, _ in foreign_files(plan, None, lambda names: [n for n in names if "b-1" in n])] == [
        "b"
    ]
    assert foreign_files(plan, None, lambda _names: []) == []


@pytest.mark.parametrize(
    ("state", "foreign"), [(S.PENDING, ["a"]), (S.COMPLETED, []), (S.SUCCEEDED, []), (S.FAILED, ["a"])]
)
async def test_our_own_files_are_not_foreign(past, state, foreign):
    await past.declare(spec("a"))
    await past.bring(state)
    assert past.foreign({"b/a-1"}, spec("a", prompt="another")) == foreign


async def test_only_what_is_submitted_is_asked_about(past):
    await past.declare(spec("a"))
    await past.bring(S.RUNNING)
    assert past.foreign({"b/a-1"}, spec("a")) == []


def test_a_plan_of_very_many_jobs_is_the_same_plan():
    count = 30_000
    specs = [spec(f"k{number}") for number in range(count)]
    plan = make_plan([batch(*specs)], None)
    assert not isinstance(plan.jobs, tuple)  # they lie on disk
    assert len(plan.jobs) == plan.submissions == plan.counts[Action.CREATE] == count
    assert [job.address for job in plan.jobs] == [one.address for one in specs]
    assert sum(1 for _ in plan.of(Action.CREATE)) == count
    assert list(plan.of(Action.RETRY)) == []
    lying = foreign_files(plan, None, lambda names: [name for name in names if name.endswith("99-1")])
    assert [job.address for job, _ in lying] == [one.address for one in specs if one.key.endswith("99")]
