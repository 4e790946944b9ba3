"""Ledgers that are lost or put back from a copy, and what the files beside them still tell."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from engine.workshop import LeapingClock, Workshop, _assert_artifacts, _assert_attempts, _assert_events, clips
from samples import NOON, batch, claim, jobs_digest, spec

from seedbatch.domain.answers import Evidence, MediaKind, TaskReport
from seedbatch.domain.errors import LedgerDamaged, LedgerError, LedgerLocked, UsageError
from seedbatch.domain.jobs import BatchSpec, Limits, Request
from seedbatch.domain.moments import stamp
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.work import Failure
from seedbatch.engine.plan import make_plan
from seedbatch.engine.planned import Action
from seedbatch.engine.run import Until
from seedbatch.ledger.emergency import EmergencyRecord, Kept, emergency_path
from seedbatch.ledger.mark import mark_path, read_mark
from seedbatch.ledger.opening import connect_sealing
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.rebuild import Rebuilt, rebuild
from seedbatch.ledger.sqlite import SqliteLedger
from seedbatch.sandbox.book import read_tasks

PROMPTS = ("a river", "a market", "a cat", "a storm")


def again(shop: Workshop) -> Rebuilt:
    return rebuild(shop.ledger_file, kind="sandbox", folder=shop.outputs, now=shop.clock.now())


def lose(shop: Workshop, *, mark: bool = False) -> None:
    for suffix in ("", "-wal", "-shm"):
        shop.ledger_file.with_name(f"ledger.db{suffix}").unlink(missing_ok=True)
    if mark:
        mark_path(shop.ledger_file).unlink()


def actions(shop: Workshop, *batches: BatchSpec) -> list[Action]:
    records = SqliteRecords(shop.ledger_file)
    found = [job.action for job in make_plan(batches, records).jobs]
    records.close()
    return found


def assert_sound(shop: Workshop) -> None:
    _assert_attempts(shop)
    _assert_events(shop)
    _assert_artifacts(shop)
    assert shop.ask("PRAGMA foreign_key_check") == []
    # what triggers keep while rows change is what a new count finds
    assert shop.ask(
        "SELECT 'batch ' || batch_id, sum(counted) FROM attempts a JOIN jobs j ON j.id = a.job_id GROUP BY 1"
    ) == shop.ask("SELECT scope, sum(count) FROM totals WHERE scope LIKE 'batch %' GROUP BY 1")
    finished = shop.ask("SELECT count(*) FROM attempts WHERE outcome IN ('succeeded', 'failed')")
    assert shop.ask("SELECT coalesce(sum(count), 0) FROM totals WHERE scope = 'finished'") == finished


async def applied(shop: Workshop, *prompts: str) -> int:
    """Apply some prompts and close; returns how many were charged for until now."""
    process = await shop.open()
    await process.ledger.declare(clips(*prompts), shop.clock.now())
    await process.apply()
    await process.aclose()
    return shop.charged().total()


@pytest.fixture
async def shop(tmp_path):
    async with AsyncExitStack() as stack:
        yield Workshop(tmp_path, LeapingClock(), stack)


@pytest.fixture
async def done(shop):
    """Four clips on disk, and everything closed."""
    process = await shop.start(*PROMPTS)
    await process.apply()
    await process.aclose()
    assert shop.states() == {"completed": 4}
    return shop


# -- from nothing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [False, True], ids=["the mark is there", "the mark is lost as well"])
async def test_a_lost_ledger_is_made_of_its_files_and_nothing_is_paid_twice(done, mark):
    before = {path: path.read_bytes() for path in done.outputs.rglob("*") if path.is_file()}
    lose(done, mark=mark)
    found = again(done)
    assert (found.made, found.completed, found.known, found.missing) == (True, 4, 0, 0)
    assert (found.damaged, found.unclear, found.kept, found.left) == ((), (), (), ())
    assert actions(done, clips(*PROMPTS)) == [Action.UNCHANGED] * 4
    assert_sound(done)
    assert await applied(done, *PROMPTS) == 4
    assert_sound(done)
    assert {path: path.read_bytes() for path in done.outputs.rglob("*") if path.is_file()} == before


async def test_the_jobs_are_what_they_were(done):
    query = (
        "SELECT address, base, take, revision, standing, state, model, input, fingerprint, output FROM jobs"
        " ORDER BY base"
    )
    files = "SELECT path, folder, bytes, sha256, content_type FROM artifacts ORDER BY path"
    tasks = "SELECT task_id, kind, outcome, counted, accepted_at, ended_at FROM attempts ORDER BY task_id"
    before = [done.ask(sql) for sql in (query, files, tasks)]
    lose(done)
    again(done)
    assert [done.ask(sql) for sql in (query, files, tasks)] == before
    assert done.ask("SELECT DISTINCT type FROM events WHERE type = 'rebuilt'") == [("rebuilt",)]


async def test_run_again_it_changes_nothing(done):
    lose(done)
    again(done)
    mark, before = read_mark(done.ledger_file), done.ask("SELECT * FROM meta ORDER BY key")
    events = done.ask("SELECT count(*) FROM events")
    found = again(done)
    assert (found.made, found.completed, found.known) == (False, 0, 4)
    assert (read_mark(done.ledger_file), done.ask("SELECT * FROM meta ORDER BY key")) == (mark, before)
    assert done.ask("SELECT count(*) FROM events") == events


async def test_a_ledger_that_lost_nothing_is_left_as_it_is(done):
    mark = read_mark(done.ledger_file)
    events = done.ask("SELECT count(*) FROM events")
    found = again(done)
    assert (found.known, found.completed, found.missing) == (4, 0, 0)
    assert read_mark(done.ledger_file) == mark
    assert done.ask("SELECT count(*) FROM events") == events


async def test_the_new_ledger_has_its_own_name_and_the_next_generation(done):
    old = read_mark(done.ledger_file)
    lose(done)
    found = again(done)
    new = read_mark(done.ledger_file)
    assert (old.generation, new.generation, found.generation) == (4, 5, 5)
    assert new.ledger != old.ledger
    assert dict(done.ask("SELECT key, value FROM meta"))["generation"] == "5"
    assert await applied(done, *PROMPTS, "a fifth") == 5
    assert max(done.charged().values()) == 1  # no reference was sent twice
    assert read_mark(done.ledger_file).generation == 6


async def test_a_log_that_the_lost_ledger_left_is_not_taken_for_the_new_ones(done):
    process = await done.open()
    await process.ledger.declare(clips(*PROMPTS, "another"), done.clock.now())
    shutil.copy(f"{done.ledger_file}-wal", done.folder / "wal")
    await process.aclose()
    lose(done, mark=True)
    shutil.copy(done.folder / "wal", f"{done.ledger_file}-wal")
    with pytest.raises(LedgerError, match="there was a ledger"):
        await done.open()
    again(done)
    assert Path(f"{done.ledger_file}-wal.lost").read_bytes() == (done.folder / "wal").read_bytes()
    assert_sound(done)


async def test_where_nothing_is_nothing_is_made(shop):
    shop.outputs.mkdir()
    with pytest.raises(UsageError, match="no sidecar") as caught:
        again(shop)
    assert "--output-dir" in caught.value.hint
    assert not shop.ledger_file.exists()


async def test_a_damaged_ledger_is_not_touched_and_the_hint_goes_on(done):
    done.ledger_file.write_bytes(b"not a ledger" * 1000)
    with pytest.raises(LedgerDamaged) as caught:
        again(done)
    assert "move it away" in caught.value.hint
    assert done.ledger_file.read_bytes() == b"not a ledger" * 1000
    done.ledger_file.rename(done.folder / "away")
    assert again(done).completed == 4


async def test_a_ledger_in_use_is_refused(done):
    process = await done.open()
    with pytest.raises(LedgerLocked, match="another process"):
        again(done)
    await process.aclose()
    assert again(done).known == 4


# -- from a copy ----------------------------------------------------------------------------------------------------


async def test_an_older_copy_learns_what_happened_since(shop):
    process = await shop.start(*PROMPTS)
    await process.aclose()
    shutil.copy(shop.ledger_file, shop.folder / "copy.db")  # four pending jobs
    assert await applied(shop, *PROMPTS, "a fifth") == 5
    shutil.copy(shop.folder / "copy.db", shop.ledger_file)
    with pytest.raises(LedgerError, match="older copy: it does not know the latest 5 submissions"):
        await shop.open()
    found = again(shop)
    assert (found.made, found.completed, found.missing) == (False, 5, 0)
    assert shop.states() == {"completed": 5}
    assert actions(shop, clips(*PROMPTS, "a fifth")) == [Action.UNCHANGED] * 5
    assert_sound(shop)
    assert await applied(shop, *PROMPTS, "a fifth") == 5


async def test_what_nothing_tells_of_is_counted(shop):
    process = await shop.start(*PROMPTS)
    await process.aclose()
    shutil.copy(shop.ledger_file, shop.folder / "copy.db")
    await applied(shop, *PROMPTS)
    for stem in ("b/j0-1", "b/j1-1", "b/j2-1"):
        for suffix in (".mp4", ".json"):
            (shop.outputs / f"{stem}{suffix}").rename(shop.folder / f"{stem.replace('/', '')}{suffix}")
    shutil.copy(shop.folder / "copy.db", shop.ledger_file)
    assert again(shop).missing == 3
    assert again(shop).missing == 3
    for stem in ("b/j0-1", "b/j1-1"):
        for suffix in (".mp4", ".json"):
            (shop.folder / f"{stem.replace('/', '')}{suffix}").rename(shop.outputs / f"{stem}{suffix}")
    found = again(shop)
    assert (found.completed, found.missing) == (2, 1)
    assert actions(shop, clips(*PROMPTS)).count(Action.UNCHANGED) == 3


async def test_a_copy_from_the_middle_of_a_run(shop):
    """Running, succeeded and submitting jobs of the copy become what their files say."""
    process = await shop.start(*PROMPTS)
    await process.apply(until=Until.SUBMITTED, collect=False, download=False)
    await process.ledger.aclose()
    shutil.copy(shop.ledger_file, shop.folder / "copy.db")
    assert shop.states() == {"running": 4}
    await applied(shop, *PROMPTS)
    shutil.copy(shop.folder / "copy.db", shop.ledger_file)
    found = again(shop)
    assert (found.completed, found.missing) == (4, 0)
    assert shop.states() == {"completed": 4}
    assert_sound(shop)


async def test_another_ledger_takes_up_what_lies_there(done):
    old = read_mark(done.ledger_file)
    other = SqliteLedger(done.folder / "other/ledger.db", kind="sandbox", folder=done.outputs, now=NOON)
    await other.aclose()
    shutil.copy(done.folder / "other/ledger.db", done.ledger_file)
    with pytest.raises(LedgerError, match="another ledger"):
        await done.open()
    found = again(done)
    assert (found.completed, found.missing) == (4, 0)
    assert read_mark(done.ledger_file).generation == old.generation + 1
    assert await applied(done, *PROMPTS) == 4


async def test_revisions_keep_their_files(shop):
    process = await shop.start("first", "still")
    await process.apply()
    await process.aclose()
    shutil.copy(shop.ledger_file, shop.folder / "copy.db")
    assert await applied(shop, "second", "still") == 3
    wanted = shop.ask("SELECT j.revision, f.path FROM artifacts f JOIN jobs j ON j.id = f.job_id ORDER BY path")
    assert [path for _, path in wanted] == ["b/j0-1.mp4", "b/j0-1.rev1.mp4", "b/j1-1.mp4"]
    for source in (shop.folder / "copy.db", None):
        lose(shop)
        if source is not None:
            shutil.copy(source, shop.ledger_file)
        assert again(shop).missing == 0
        assert actions(shop, clips("second", "still")) == [Action.UNCHANGED] * 2
        assert actions(shop, clips("first", "still")) == [Action.UNCHANGED] * 2  # and back again
        query = "SELECT j.revision, f.path FROM artifacts f JOIN jobs j ON j.id = f.job_id ORDER BY path"
        assert shop.ask(query) == wanted
        assert shop.ask("SELECT output FROM jobs ORDER BY output") == [("b/j0-1",), ("b/j0-1",), ("b/j1-1",)]
        assert_sound(shop)


async def test_a_file_whose_place_another_took_gives_way_in_the_copy(shop):
    process = await shop.start("first")
    await process.apply()
    await process.aclose()
    shutil.copy(shop.ledger_file, shop.folder / "copy.db")
    await applied(shop, "second")
    for suffix in ("mp4", "json"):
        (shop.outputs / f"b/j0-1.rev1.{suffix}").unlink()
    shutil.copy(shop.folder / "copy.db", shop.ledger_file)
    assert again(shop).completed == 1
    assert shop.ask("SELECT path FROM artifacts ORDER BY path") == [("b/j0-1.mp4",), ("b/j0-1.rev1.mp4",)]
    assert actions(shop, clips("second")) == [Action.UNCHANGED]


async def test_files_that_were_moved_are_found_where_they_are(done):
    shutil.move(done.outputs, done.folder / "elsewhere")
    found = rebuild(done.ledger_file, kind="sandbox", folder=done.folder / "elsewhere", now=done.clock.now())
    assert found.known == 4
    assert done.ask("SELECT DISTINCT folder FROM artifacts") == [("elsewhere",)]
    (done.folder / "elsewhere/b/j0-1.mp4").rename(done.folder / "elsewhere/best.mp4")
    (done.folder / "elsewhere/b/j0-1.json").rename(done.folder / "elsewhere/best.json")
    rebuild(done.ledger_file, kind="sandbox", folder=done.folder / "elsewhere", now=done.clock.now())
    assert ("best.mp4",) in done.ask("SELECT path FROM artifacts")


async def test_clips_of_one_task_that_were_moved_since_stay_each_its_jobs(shop):
    """The rows go on with what lies there, and what the manifest wants is compared with that."""
    process = await shop.start("the same", "the same", "another")
    await process.apply()
    await process.aclose()
    shutil.copy(shop.ledger_file, shop.folder / "copy.db")
    before = clips("the same", "the same", "another")
    jobs = tuple(replace(job, output=f"{place}/{job.key}") for job, place in zip(before.jobs, "xzy", strict=True))
    moved = replace(before, jobs=jobs, jobs_digest=jobs_digest(jobs))
    process = await shop.open()
    await process.ledger.declare(moved, shop.clock.now())
    await process.apply()
    await process.aclose()
    there = {"x/j0.mp4", "z/j1.mp4", "y/j2.mp4"}
    assert {path.relative_to(shop.outputs).as_posix() for path in shop.outputs.rglob("*.mp4")} == there
    shutil.copy(shop.folder / "copy.db", shop.ledger_file)
    again(shop)
    lying = "SELECT j.base, j.output || '.mp4', f.path FROM jobs j JOIN artifacts f ON f.job_id = j.id ORDER BY 1"
    found = [("j0", *["x/j0.mp4"] * 2), ("j1", *["z/j1.mp4"] * 2), ("j2", *["y/j2.mp4"] * 2)]
    assert shop.ask(lying) == found
    assert actions(shop, moved) == [Action.UNCHANGED] * 3
    again(shop)
    assert shop.ask(lying) == found
    process = await shop.open()
    await process.ledger.declare(before, shop.clock.now())
    await process.apply()
    await process.aclose()
    assert {path.relative_to(shop.outputs).as_posix() for path in shop.outputs.rglob("*.mp4")} == {
        f"{job.output}.mp4" for job in before.jobs
    }
    assert shop.charged().total() == 2


async def test_a_copy_of_the_folder_confuses_nobody(done):
    shutil.copytree(done.outputs, done.outputs / "a")
    paths = done.ask("SELECT path FROM artifacts ORDER BY path")
    assert again(done).known == 4
    assert done.ask("SELECT path FROM artifacts ORDER BY path") == paths
    lose(done)
    assert again(done).completed == 4


# -- files that are missing or changed ------------------------------------------------------------------------------


async def test_a_clip_whose_file_is_gone_is_asked_for_again_and_not_paid_again(done):
    (done.outputs / "b/j0-1.mp4").unlink()
    lose(done)
    found = again(done)
    assert (found.completed, found.asked_again, found.damaged, found.missing) == (
        3,
        1,
        (str(done.outputs / "b/j0-1.mp4"),),
        0,
    )
    assert done.states() == {"completed": 3, "running": 1}
    assert_sound(done)
    assert await applied(done, *PROMPTS) == 4
    assert (done.outputs / "b/j0-1.mp4").exists()
    assert done.states() == {"completed": 4}
    assert_sound(done)


async def test_a_clip_that_was_changed_is_no_completed_one(done):
    with (done.outputs / "b/j0-1.mp4").open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    lose(done)
    found = again(done)
    assert (found.completed, found.asked_again, found.damaged) == (3, 1, (str(done.outputs / "b/j0-1.mp4"),))
    assert actions(done, clips(*PROMPTS)) == [Action.COLLECT, *[Action.UNCHANGED] * 3]


# -- single sidecars, made by hand ----------------------------------------------------------------------------------


def sidecar(folder: Path, stem: str = "b/a-1", **changes: Any) -> dict[str, Any]:
    """A file and its sidecar; a member that is changed to None is left out."""
    content = f"content of {changes.get('task_id', 't1')} {changes.get('position', 1)}".encode()
    request = Request("seedance-2.0", {"prompt": changes.pop("prompt", "a"), "ratio": "16:9", "duration": 5})
    members = {
        "batch": "b", "key": "a", "base": "a", "revision": 1, "take": 1, "model": request.model,
        "input": dict(request.input), "fingerprint": request.fingerprint, "attempt": 1, "task_id": "t1", "outputs": 1,
        "position": 1, "accepted_at": stamp(NOON), "finished_at": stamp(NOON + timedelta(minutes=2)),
        "manifest": {"path": "m.yaml", "digest": "0" * 64, "commit": None, "dirty": None, "file": "m.yaml", "line": 3},
        "ledger": {"id": "0123456789ab", "kind": "sandbox", "generation": 1, "since": 0},
        "seedbatch": "0.1.0",
        "file": f"{Path(stem).name}.mp4", "bytes": len(content), "sha256": sha256(content).hexdigest(),
        "content_type": "video/mp4", **changes,
    }  # fmt: skip
    members = {name: value for name, value in members.items() if value is not None}
    path = folder / f"{stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".mp4").write_bytes(content)
    path.write_text(json.dumps(members))
    return members


async def declared(shop: Workshop, *keys: str) -> SqliteLedger:
    ledger = SqliteLedger(shop.ledger_file, kind="sandbox", folder=shop.outputs, now=NOON)
    await ledger.declare(batch(*(spec(key) for key in keys)), NOON)
    return ledger


def test_foreign_json_is_not_even_mentioned(shop):
    sidecar(shop.outputs)
    for name, content in (
        ("package.json", '{"name": "x"}'), ("list.json", "[1]"), ("bad.json", "{"), ("empty.json", ""),
        ("deep.json", "[" * 100_000), ("number.json", "7"),
    ):  # fmt: skip
        (shop.outputs / name).write_text(content)
    (shop.outputs / "folder.json").mkdir()
    (shop.outputs / "dangling.json").symlink_to("nowhere")
    (shop.outputs / "link.json").symlink_to("b/a-1.json")
    found = again(shop)
    assert (found.completed, found.unclear) == (1, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"base": None}, {"ledger": None}, {"outputs": None}, {"attempt": None}, {"manifest": None},
        {"prompt": "b", "fingerprint": "0" * 64}, {"take": 0}, {"position": "x"}, {"input": []}, {"ledger": {"id": 1}},
        {"accepted_at": "yesterday"}, {"file": "../a-1.mp4"}, {"sha256": "00"}, {"task_id": ""}, {"bytes": 0},
    ],
)  # fmt: skip
def test_a_sidecar_that_tells_too_little_is_reported(shop, changes):
    sidecar(shop.outputs, "b/z-1", task_id="t9", base="z")
    sidecar(shop.outputs, **changes)
    found = again(shop)
    assert found.unclear == (str(shop.outputs / "b/a-1.json"),)
    assert found.completed == 1


def test_what_another_kind_of_ledger_made_stays_out(shop):
    sidecar(shop.outputs)
    sidecar(
        shop.outputs, "b/c-1", task_id="t2", base="c", ledger={"id": "x", "kind": "real", "generation": 5, "since": 0}
    )
    found = again(shop)
    assert (found.completed, found.missing) == (1, 0)
    assert shop.ask("SELECT base FROM jobs") == [("a",)]


def test_several_outputs_are_one_job(shop):
    for position in (1, 2, 3):
        stem = "b/a-1" if position == 1 else f"b/a-1-{position}"
        sidecar(shop.outputs, stem, position=position, outputs=3)
    found = again(shop)
    assert (found.completed, shop.states()) == (1, {"completed": 1})
    assert len(shop.ask("SELECT 1 FROM artifacts")) == 3
    assert shop.ask("SELECT output FROM jobs") == [("b/a-1",)]
    assert_sound(shop)


def test_half_of_the_outputs_are_no_completed_job(shop):
    sidecar(shop.outputs, "b/a-1-2", position=2, outputs=2)
    assert again(shop).asked_again == 1
    assert shop.ask("SELECT state, output FROM jobs") == [("running", "b/a-1")]
    sidecar(shop.outputs, position=1, outputs=2)
    assert again(shop).completed == 1
    assert shop.states() == {"completed": 1}
    assert_sound(shop)


async def test_a_job_in_doubt_gets_the_task_that_its_file_names(shop):
    ledger = await declared(shop, "a")
    (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
    await ledger.doubted(submission.attempt_id, "no answer", Evidence(), NOON)
    await ledger.aclose()
    sidecar(shop.outputs)
    assert again(shop).completed == 1
    assert shop.ask("SELECT task_id, outcome, reference FROM attempts") == [("t1", "succeeded", submission.reference)]
    assert_sound(shop)


async def test_a_doubt_that_a_later_attempt_followed_stays_on_the_bill(shop):
    ledger = await declared(shop, "a")
    await claim(ledger, None, Limits(), NOON, 1)
    await ledger.aclose()  # in the copy it is still being submitted
    sidecar(shop.outputs, attempt=2)
    assert again(shop).completed == 1
    assert shop.ask("SELECT number, task_id, outcome, counted FROM attempts") == [
        (1, None, "resubmitted", 1), (2, "t1", "succeeded", 1),
    ]  # fmt: skip
    assert_sound(shop)


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.ABANDONED])
async def test_a_job_that_was_tried_again_since_is_completed(shop, state):
    ledger = await declared(shop, "a")
    (one,), _ = await claim(ledger, None, Limits(), NOON, 1)
    await ledger.accepted(one.attempt_id, "t0", NOON, NOON)
    report = TaskReport("t0", "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
    if state is JobState.SUCCEEDED:
        await ledger.succeeded(one.attempt_id, report, NOON, NOON)
    elif state is JobState.FAILED:
        await ledger.task_failed(one.attempt_id, Failure(FailureClass.PROVIDER, "no reason"), report, NOON, None)
    elif state is JobState.ABANDONED:
        await ledger.abandoned(one.job_id, "somebody", NOON)
    await ledger.aclose()
    sidecar(shop.outputs, attempt=2)
    assert again(shop).completed == 1
    assert shop.states() == {"completed": 1}
    assert shop.ask("SELECT task_id FROM attempts ORDER BY id") == [("t0",), ("t1",)]
    assert shop.ask("PRAGMA integrity_check") == [("ok",)]


async def test_a_second_file_for_a_completed_job_is_left_and_told(shop):
    sidecar(shop.outputs)
    again(shop)
    sidecar(shop.outputs, "b/second", task_id="t2")
    found = again(shop)
    assert (found.known, found.left) == (1, (str(shop.outputs / "b/second.mp4"),))
    assert again(shop).left == found.left


async def test_a_revision_number_that_the_copy_uses_otherwise_is_not_taken_twice(shop):
    """The request was amended after the copy was made, before anything was sent."""
    ledger = await declared(shop, "a")
    await ledger.aclose()
    sidecar(shop.outputs, prompt="amended")
    assert again(shop).completed == 1
    assert shop.ask("SELECT revision, standing, state FROM jobs ORDER BY revision") == [
        (1, "superseded", "pending"), (2, "current", "completed"),
    ]  # fmt: skip
    assert actions(shop, batch(spec("a", prompt="amended"))) == [Action.UNCHANGED]


async def test_prices_that_the_copy_knows_stay_reserved(shop):
    ledger = await declared(shop, "a")
    await ledger.aclose()
    with closing(connect_sealing(shop.ledger_file)) as connection:
        connection.execute("UPDATE jobs SET price = 250000, currency = 'USD'")
    sidecar(shop.outputs)
    again(shop)
    assert shop.ask("SELECT price, currency, exposure FROM attempts") == [(250000, "USD", 250000)]
    assert shop.ask("SELECT exposure FROM totals WHERE scope = 'batch 1'") == [(250000,)]


async def test_the_emergency_record_is_applied(shop):
    ledger = await declared(shop, "a", "c")
    (one, _), _ = await claim(ledger, None, Limits(), NOON, 2)
    record = EmergencyRecord(emergency_path(shop.ledger_file))
    record.keep(Kept(one.attempt_id, ledger._owner.id, "t7", NOON, NOON))
    record.keep(Kept(99, "somebody", "t8", NOON, NOON))
    record.keep(Kept(98, "somebody", "t1", NOON, NOON))  # a file tells of it
    await ledger.aclose()
    sidecar(shop.outputs, base="z", key="z")
    found = again(shop)
    assert (found.recovered, len(found.kept)) == (2, 1)
    assert "task t8" in found.kept[0]
    assert shop.ask("SELECT task_id FROM attempts WHERE task_id IS NOT NULL ORDER BY 1") == [("t1",), ("t7",)]


# -- the installed command ------------------------------------------------------------------------------------------

MANIFEST = """\
version: 1
batch: test
defaults: {model: seedance-2.0-fast, input: {resolution: 480p, ratio: 16:9, duration: 5}}
jobs:
  - {key: river, prompt: "A river", takes: 2}
  - {key: "{{ animal }}", prompt: "A {{ animal }}", matrix: {animal: [cat, dog]}}
"""


def seedbatch(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = str(Path(sys.executable).with_name("seedbatch"))
    kept = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb"}
    options = {"capture_output": True, "text": True, "timeout": 100, "stdin": subprocess.DEVNULL}
    done = subprocess.run([command, *arguments, "--sandbox"], cwd=folder, env=kept, check=False, **options)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_the_command_brings_a_lost_ledger_back(tmp_path):
    (tmp_path / "m.yaml").write_text(MANIFEST)
    apply = ("apply", "m.yaml", "--yes", "--sandbox-speed=50")
    seedbatch(tmp_path, *apply)
    for path in (tmp_path / ".seedbatch").glob("sandbox.db*"):
        if "emergency" not in path.name and "generation" not in path.name:
            path.unlink()
    refused = seedbatch(tmp_path, *apply, "--output-dir=elsewhere", code=8)
    assert "there was a ledger at" in refused.stderr
    assert "seedbatch ledger rebuild --sandbox" in refused.stderr
    done = seedbatch(tmp_path, "ledger", "rebuild", "--json")
    assert "4 clips recorded, 0 known already." in done.stderr
    facts = json.loads(done.stdout)
    assert {name: facts[name] for name in ("version", "made", "completed", "missing", "generation")} == {
        "version": 1, "made": True, "completed": 4, "missing": 0, "generation": 5,
    }  # fmt: skip
    assert facts["output_dir"] == str(tmp_path / "outputs/sandbox")
    plan = json.loads(seedbatch(tmp_path, "plan", "m.yaml", "--format=json").stdout)
    assert [job["action"] for job in plan["jobs"]] == ["unchanged"] * 4
    seedbatch(tmp_path, *apply)
    assert len(read_tasks(tmp_path / ".seedbatch/sandbox-provider.db")) == 4
    assert "ledger ok" in seedbatch(tmp_path, "ledger", "check", "--files").stdout


def test_the_command_says_plainly_what_may_be_paid_twice(tmp_path):
    (tmp_path / "m.yaml").write_text(MANIFEST)
    seedbatch(tmp_path, "apply", "m.yaml", "--yes", "--sandbox-speed=50")
    (tmp_path / "outputs/sandbox/test/cat.json").unlink()
    (tmp_path / "outputs/sandbox/test/cat.mp4").unlink()
    (tmp_path / "outputs/sandbox/test/dog.mp4").unlink()
    (tmp_path / ".seedbatch/sandbox.db").unlink()
    said = seedbatch(tmp_path, "ledger", "rebuild").stderr
    assert "1 submission was made by the lost ledger, and nothing tells what became of them" in said
    assert "1 task will be asked about again by seedbatch collect" in said
    assert "dog.mp4" in said
    assert "seedbatch plan MANIFEST --sandbox" in said
    plan = json.loads(seedbatch(tmp_path, "plan", "m.yaml", "--format=json").stdout)
    actions = {job["key"]: job["action"] for job in plan["jobs"]}
    assert sorted(actions.values()) == ["collect", "create", "unchanged", "unchanged"]


def test_where_there_is_nothing_the_command_exits_2(tmp_path):
    assert "no sidecar" in seedbatch(tmp_path, "ledger", "rebuild", code=2).stderr
    assert not (tmp_path / ".seedbatch").exists()


# -- killed on the way ----------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from datetime import datetime, UTC
from pathlib import Path
from seedbatch.ledger.rebuild import rebuild

moment, calls = sys.argv[3], int(sys.argv[4])
def watch(frame, event, _):
    global calls
    code = frame.f_code
    if event == "call" and code.co_name == moment and "seedbatch/ledger/" in code.co_filename:
        calls -= 1
        if calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(watch)
rebuild(Path(sys.argv[1]), kind="sandbox", folder=Path(sys.argv[2]), now=datetime.now(UTC))
"""


@pytest.mark.parametrize("copy", [True, False])
async def test_killed_anywhere_and_run_again_it_ends_at_the_same_place(shop, copy):
    process = await shop.start(*PROMPTS)
    await process.aclose()
    shutil.copy(shop.ledger_file, shop.folder / "copy.db")
    await applied(shop, *PROMPTS)
    (shop.outputs / "b/j3-1.json").unlink()
    (shop.outputs / "b/j3-1.mp4").unlink()
    state = shop.folder / "state"
    state.mkdir()
    for name in ("ledger.db.generation", "ledger.db.emergency"):
        shutil.copy(shop.folder / name, state / name)
    moments = [
        ("create", 1), ("upgrade", 1), ("slots", 1), ("_carry_over", 1), ("_record", 1), ("_record", 3), ("_store", 2),
        ("_begin_anew", 1), ("_attempts", 2), ("exchange", 1), ("sync", 1), ("close", 1), ("_told", 1),
    ]  # fmt: skip
    for moment, calls in moments:
        lose(shop)
        for path in state.iterdir():
            shutil.copy(path, shop.folder / path.name)
        if copy:
            shutil.copy(shop.folder / "copy.db", shop.ledger_file)
        arguments = [str(shop.ledger_file), str(shop.outputs), moment, str(calls)]
        killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
        assert killed.returncode == (0 if copy and moment == "create" else -signal.SIGKILL), moment
        found = again(shop)
        assert (found.missing, found.known + found.completed) == (1, 3), moment
        assert dict(shop.ask("SELECT key, value FROM meta"))["generation"] == "5", moment
        assert read_mark(shop.ledger_file).generation == 5
        assert actions(shop, clips(*PROMPTS)).count(Action.UNCHANGED) == 3
        assert_sound(shop)
        await (await shop.open()).aclose()
