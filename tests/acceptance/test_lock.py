"""What a team paid for is not paid for again: a fresh clone with the lock file, and with the clips or without them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from acceptance.conftest import Project

LOCK = "seedbatch.sandbox.lock"


@pytest.fixture
def clone(project, tmp_path_factory):
    """What a colleague has: the manifest and the lock file of a project that was applied, and no ledger."""
    project.apply(project.manifest("[two] A river", "A lake"))
    done = project.run("lock", "test.yaml", "--sandbox")
    assert (done.stdout, "2 tasks, 2 new." in done.stderr) == (f"{LOCK}\n", True)
    other = Project(tmp_path_factory.mktemp("clone"))
    for name in ("test.yaml", LOCK):
        shutil.copy(project.folder / name, other.folder / name)
    return other


def clips(project) -> Path:
    return project.folder / "outputs/sandbox"


def actions(project, *arguments):
    plan = json.loads(project.run("plan", "test.yaml", "--sandbox", "--format", "json", *arguments).stdout)
    return {job["key"]: job["action"] for job in plan["jobs"]}


def sound(project):
    assert project.run("ledger", "check", "--sandbox", "--files").stdout.startswith("ledger ok")


def test_what_others_paid_for_is_linked_from_their_folder(project, clone):
    shared = ("--shared", str(clips(project)))
    assert actions(clone, *shared) == {"j0": "reuse", "j1": "reuse"}
    done = clone.apply("test.yaml", *shared)
    assert "reused       test/j0  test/j0-2.mp4" in done.stderr
    assert clone.submitted() == 0
    for name in ("j0", "j0-2", "j1"):
        path = Path("test", f"{name}.mp4")
        assert (clips(clone) / path).read_bytes() == (clips(project) / path).read_bytes()
    sidecar = json.loads((clips(clone) / "test/j0.json").read_text())
    assert (sidecar["key"], sidecar["shared_from"]) == ("j0", "the lock file")
    assert {job["task_id"] for job in clone.jobs()} == {job["task_id"] for job in project.jobs()}
    assert actions(clone) == {"j0": "unchanged", "j1": "unchanged"}
    story = clone.run("show", "j1", "--sandbox").stdout
    assert "by others, who paid for it: the lock file tells" in story
    assert "allowed by:   nobody here: others paid for it" in story
    assert "cost:         nothing\n" in story
    assert "found by a query" not in story
    sound(clone)
    # It is as if it had been made here: the files alone bring it back.
    for path in (clone.folder / ".seedbatch").glob("sandbox.db*"):
        path.unlink()
    clone.run("ledger", "rebuild", "--sandbox")
    assert actions(clone) == {"j0": "unchanged", "j1": "unchanged"}


def test_without_the_clips_nothing_is_paid_for(clone):
    assert actions(clone) == {"j0": "held", "j1": "held"}
    plan = clone.run("plan", "test.yaml", "--sandbox").stdout
    assert f"of {LOCK}, whose clip is not here" in plan
    assert "→ --shared DIR names the folder that holds such clips; --no-reuse pays for them again" in plan
    markdown = clone.run("plan", "test.yaml", "--sandbox", "--format", "markdown").stdout
    assert "**2 clips paid for by others** and not here" in markdown
    done = clone.apply("test.yaml", code=3)
    assert "2 pending, for others paid for the same requests, and their clips are not here" in done.stderr
    clone.manifest("[two] A river", "A lake", "A hill")
    clone.apply("test.yaml", code=3)
    assert (clone.submitted(), clone.states()) == (1, {"j0": "pending", "j1": "pending", "j2": "completed"})
    sound(clone)


def test_who_says_so_pays_again(clone):
    assert actions(clone, "--no-reuse") == {"j0": "create", "j1": "create"}
    clone.apply("test.yaml", "--no-reuse")
    assert clone.submitted() == 2


def test_clips_that_lie_there_already_are_taken_up(project, clone):
    """A team that keeps the output folder itself in a shared place."""
    shutil.copytree(clips(project), clips(clone))
    clone.apply("test.yaml")
    assert (clone.submitted(), set(clone.states().values())) == (0, {"completed"})
    sound(clone)


def test_clips_without_sidecars_are_known_by_their_content(project, clone, tmp_path):
    folder = tmp_path / "any names"
    folder.mkdir()
    for number, path in enumerate(clips(project).rglob("*.mp4")):
        shutil.copy(path, folder / f"clip {number}.mp4")
    clone.apply("test.yaml", "--shared", str(folder))
    assert (clone.submitted(), set(clone.states().values())) == (0, {"completed"})
    sound(clone)


def test_a_clip_that_was_changed_is_not_taken(project, clone):
    path = clips(project) / "test/j1.mp4"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = clone.apply("test.yaml", "--shared", str(clips(project)), code=6)
    assert "was changed since it was downloaded" in done.stderr
    assert (clone.submitted(), clone.states()) == (0, {"j0": "completed", "j1": "pending"})


def test_several_jobs_get_one_locked_clip(project, clone):
    clone.manifest("[two] A river", "A lake", "A lake", "A lake")
    clone.apply("test.yaml", "--shared", str(clips(project)))
    assert (clone.submitted(), set(clone.states().values())) == (0, {"completed"})
    sound(clone)


def test_an_applying_team_keeps_the_file(project, clone):
    clone.manifest("[two] A river", "A lake", "A hill")
    done = clone.apply("test.yaml", "--shared", str(clips(project)))
    assert f"{LOCK}: 3 tasks, 1 new" in done.stderr
    before = (clone.folder / LOCK).read_bytes()
    clone.apply("test.yaml")
    assert (clone.folder / LOCK).read_bytes() == before
    # An earlier prompt stays paid for, and a second file of the batch beside it shares the lock.
    clone.manifest("[two] A river", "A pond", "A hill")
    clone.apply("test.yaml")
    assert len((clone.folder / LOCK).read_text().splitlines()) == 5
    clone.manifest("[two] A river", "A lake", "A hill")
    assert set(actions(clone).values()) == {"unchanged"}


PRICES = """\
[[prices]]
model = "seedance-2.0-fast"
unit = "clip"
price = "1"
currency = "USD"
date = 2026-11-01
"""


def test_it_costs_nothing(project, clone):
    clone.write("seedbatch.toml", PRICES)
    clone.manifest("[two] A river", "A lake", "A hill", extra="budget: {max_cost: 1, currency: USD}\n")
    clone.apply("test.yaml", "--shared", str(clips(project)))
    assert set(clone.states().values()) == {"completed"}
    status = json.loads(clone.run("status", "--sandbox", "--json").stdout)
    assert status["exposure"] == {"micros": 1_000_000, "currency": "USD"}


@pytest.mark.parametrize("command", ["plan", "apply", "lock"])
def test_an_unfinished_merge_stops_everything(project, command):
    manifest = project.manifest("A river")
    project.apply(manifest)
    project.write(LOCK, "<<<<<<< HEAD\n")
    done = project.run(command, manifest, "--sandbox", *(["--yes"] if command == "apply" else []), code=2)
    assert f"{LOCK}:1: a merge was left unfinished here" in done.stderr
    assert (project.folder / LOCK).read_text() == "<<<<<<< HEAD\n"


def test_there_is_none_unless_it_is_made(project):
    project.apply(project.manifest("A river"))
    assert not (project.folder / LOCK).exists()


def test_a_folder_that_is_not_there_is_no_empty_one(clone):
    """A forgotten mount, or a slip in its name: said before anything is held or sent."""
    clone.manifest("[two] A river", "A lake", "A hill")
    done = clone.apply("test.yaml", "--shared", "nowhere", code=2)
    assert f"there is no folder {clone.folder / 'nowhere'} with clips of others" in done.stderr
    assert clone.submitted() == 0


def test_who_only_waits_for_clips_is_not_told_to_go_on(clone):
    done = clone.apply("test.yaml", code=3)
    assert "--shared DIR" in done.stderr
    assert "Not finished" not in done.stderr


def test_a_lock_file_that_cannot_be_kept_changes_no_outcome(project):
    """What was paid for is in the ledger, and the run ended as it did."""
    manifest = project.manifest("A river [slow]")
    project.run("validate", manifest)
    project.write(LOCK, "")
    process = project.start("apply", manifest, "--sandbox", "--yes", "--sandbox-speed=5")
    while not project.submitted():
        time.sleep(0.02)
        assert process.poll() is None
    project.write(LOCK, "<<<<<<< HEAD\n")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert f"The lock file is not up to date: {LOCK}:1: a merge was left unfinished here" in told
    assert "→ seedbatch lock MANIFEST writes it" in told


def test_two_that_write_it_lose_no_line(project):
    """Each reads, adds and writes alone."""
    manifests = [project.manifest(f"A river {name}", batch=name) for name in "abcdef"]
    project.apply(*manifests)
    project.write(LOCK, "")
    writers = [project.start("lock", manifest, "--sandbox") for manifest in manifests]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * len(writers)
    for writer in writers:
        writer.communicate()
    assert len((project.folder / LOCK).read_text().splitlines()) == 1 + len(writers)
