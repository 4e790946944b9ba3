"""What was paid for once is never paid for again: other jobs that ask for the same get the clip, at their own path."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from acceptance.conftest import HEADER

MEMORY = Path("/dev/shm")  # noqa: S108 - a fresh folder in it


def actions(project, *arguments):
    plan = json.loads(project.run("plan", *arguments, "--sandbox", "--format", "json").stdout)
    return {f"{job['batch']}/{job['key']}": (job["action"], job["reason"]) for job in plan["jobs"]}


def clip(project, name):
    return project.folder / "outputs/sandbox" / f"{name}.mp4"


def sound(project):
    done = project.run("ledger", "check", "--sandbox", "--files")
    assert done.stdout.startswith("ledger ok")


def test_another_batch_that_asks_for_the_same_gets_the_clip(project):
    project.apply(project.manifest("A river", "A lake", batch="one"))
    two = project.manifest("A pond", "A river", batch="two")
    assert actions(project, two) == {
        "two/j0": ("create", "new"),
        "two/j1": ("reuse", "the same request as one/j0, which is on disk"),
    }
    done = project.apply(two)
    assert "reused       two/j1  two/j1.mp4" in done.stderr
    assert project.submitted() == 3
    assert clip(project, "two/j1").read_bytes() == clip(project, "one/j0").read_bytes()
    assert clip(project, "two/j1").stat().st_ino == clip(project, "one/j0").stat().st_ino
    sidecar = json.loads(clip(project, "two/j1").with_suffix(".json").read_text())
    assert (sidecar["batch"], sidecar["key"], sidecar["shared_from"]) == ("two", "j1", "one/j0")
    (mine, source) = (
        next(job for job in project.jobs() if (job["batch"], job["key"]) == name)
        for name in (("two", "j1"), ("one", "j0"))
    )
    assert mine["task_id"] == source["task_id"]
    assert (mine["attempts"], mine["cost"]) == (0, None)
    assert set(actions(project, two).values()) == {("unchanged", "on disk")}
    sound(project)


def test_a_request_that_is_made_twice_is_sent_once(project):
    manifest = project.manifest("A river", "A lake", "A river", "A river")
    done = project.run("plan", manifest, "--sandbox")
    assert "& reuse       j2  the same request as test/j0, which is sent once" in done.stdout
    assert "Applying submits 2 requests" in done.stdout
    project.apply(manifest)
    assert project.submitted() == 2
    assert set(project.states().values()) == {"completed"}
    sound(project)


def test_takes_are_clips_of_their_own(project):
    manifest = project.write(
        "m.yaml",
        HEADER.format(batch="m") + "  - {key: a, prompt: A river, takes: 2}\n  - {key: b, prompt: A river, takes: 3}\n",
    )
    project.apply(manifest)
    assert project.submitted() == 3  # a#1 and a#2 are b#1 and b#2 as well
    assert set(project.states().values()) == {"completed"}


def test_no_reuse_pays_again(project):
    project.apply(project.manifest("A river", batch="one"))
    two = project.manifest("A river", batch="two")
    assert actions(project, two, "--no-reuse") == {"two/j0": ("create", "new")}
    project.apply(two, "--no-reuse")
    assert project.submitted() == 2
    assert clip(project, "two/j0").stat().st_ino != clip(project, "one/j0").stat().st_ino
    sound(project)


def test_what_came_to_nothing_is_not_shared(project):
    manifest = project.manifest("A river [fail]", "A river [fail]")
    project.apply(manifest, code=3)
    # The first failed; the other is free to try its own luck.
    assert project.submitted() == 2
    assert project.states() == {"j0": "failed", "j1": "failed"}
    project.run("retry", "j1", "--sandbox", "--yes")
    project.apply(manifest, code=3)
    assert project.submitted() == 3


def test_a_running_task_is_waited_for(project):
    one = project.manifest("A river", batch="one")
    project.apply(one, "--no-wait", code=6)
    two = project.manifest("A river", "A lake", batch="two")
    assert actions(project, two)["two/j0"] == ("reuse", "the same request as one/j0, which is running at the provider")
    done = project.apply(two, code=6)  # the other batch is not waited for
    assert "1 pending, 1 completed" in done.stderr
    assert "two/j0 shares the task of one/j0, which is " in done.stderr
    assert "seedbatch collect --watch --sandbox" in done.stderr
    # Of what the same run looks after it says nothing.
    assert "shares the task" not in project.apply(one, two).stderr
    assert project.submitted() == 2
    assert {job["state"] for job in project.jobs()} == {"completed"}
    sound(project)


def test_a_changed_request_may_be_one_that_was_paid_for(project):
    manifest = project.manifest("A river", "A lake")
    project.apply(manifest)
    project.manifest("A lake", "A lake")
    assert actions(project, manifest)["test/j0"] == ("reuse", "the same request as test/j1, which is on disk")
    project.apply(manifest)
    assert project.submitted() == 2
    assert clip(project, "test/j0").read_bytes() == clip(project, "test/j1").read_bytes()
    assert clip(project, "test/j0.rev1").exists()
    sound(project)


def test_an_edit_before_it_was_shared_is_an_edit(project):
    one = project.manifest("A river", batch="one")
    project.apply(one, "--no-wait", code=6)
    two = project.manifest("A river", batch="two")
    project.apply(two, code=6)
    project.manifest("A pond", batch="two")
    project.apply(two, one)
    assert project.submitted() == 2
    sound(project)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_source_that_is_not_what_it_was_is_told_and_not_paid_for_again(project, damage):
    project.apply(project.manifest("A river", batch="one"))
    source = clip(project, "one/j0")
    before = source.read_bytes()
    source.unlink()
    if damage == "changed":
        source.write_bytes(before + b"x")
    two = project.manifest("A river", batch="two")
    done = project.apply(two, code=6)
    assert f"{source} {'is gone' if damage == 'gone' else 'was changed since it was downloaded'}" in done.stderr
    assert "--no-reuse" in done.stderr
    assert project.submitted() == 1
    source.write_bytes(before)
    project.apply(two)
    assert project.submitted() == 1
    sound(project)


@pytest.mark.skipif(not MEMORY.is_dir(), reason="needs a second file system")
def test_across_file_systems_it_is_copied(project):
    with TemporaryDirectory(dir=MEMORY) as elsewhere:
        project.apply(project.manifest("A river", batch="one"))
        project.apply(project.manifest("A river", batch="two"), "--output-dir", elsewhere)
        assert (Path(elsewhere) / "two/j0.mp4").read_bytes() == clip(project, "one/j0").read_bytes()
        assert project.submitted() == 1
        sound(project)


def test_a_lost_ledger_learns_it_from_the_files(project):
    project.apply(project.manifest("A river", batch="one"))
    two = project.manifest("A river", batch="two")
    project.apply(two)
    for path in (project.folder / ".seedbatch").glob("sandbox.db*"):
        path.unlink()
    project.run("ledger", "rebuild", "--sandbox")
    project.apply("one.yaml", two)
    assert project.submitted() == 1
    assert {job["state"] for job in project.jobs()} == {"completed"}
    sound(project)


def test_what_shares_a_doubt_waits_for_a_person_with_it(project):
    faults = project.write("faults.yaml", "rules: [{on: submit, do: cut-after-accept, at: [1]}]\n")
    manifest = project.manifest("A river", "A river")
    done = project.apply(manifest, "--sandbox-faults", faults, code=7)
    assert "test/j1 shares the task of test/j0, which is in doubt" in done.stderr
    project.run("resolve", "j0", "--lost", "--sandbox", "--yes")
    project.apply(manifest, code=3)
    assert project.states() == {"j0": "failed", "j1": "completed"}
