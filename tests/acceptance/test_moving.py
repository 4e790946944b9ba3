"""Other names cost nothing: files follow where the manifest wants them, and a renamed job stays the job that it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

HEADER = """\
version: 1
batch: b
defaults: {model: seedance-2.0-fast, input: {resolution: 480p, ratio: 16:9, duration: 5}}
"""


def write(project, *jobs: str, extra: str = "") -> str:
    return project.write("m.yaml", f"{HEADER}{extra}jobs:\n" + "".join(f"  - {{{job}}}\n" for job in jobs))


def outputs(project) -> Path:
    return project.folder / "outputs/sandbox"


def lying(project) -> dict[str, bytes]:
    """Every clip below the output folder, with the key that its sidecar names."""
    found = {}
    for path in sorted(outputs(project).rglob("*.mp4")):
        sidecar = json.loads(path.with_suffix(".json").read_text())
        assert sidecar["file"] == path.name
        found[path.relative_to(outputs(project)).as_posix()] = (sidecar["key"], path.read_bytes())
    assert len(list(outputs(project).rglob("*.json"))) == len(found)
    return found


def actions(project, *arguments):
    plan = json.loads(project.run_forked("plan", "m.yaml", "--sandbox", "--format", "json", *arguments).stdout)
    return {job["key"]: (job["action"], job["reason"]) for job in plan["jobs"]}


def sound(project):
    assert project.run_forked("ledger", "check", "--sandbox", "--files").stdout.startswith("ledger ok")


def test_files_follow_the_manifest(project):
    project.apply(write(project, "key: river, prompt: A river", "key: lake, prompt: A lake"))
    before = lying(project)
    write(project, "key: river, prompt: A river, output: new/deep/clip", "key: lake, prompt: A lake")
    assert actions(project) == {
        "river": ("move", "on disk; its file moves from b/river to new/deep/clip"),
        "lake": ("unchanged", "on disk"),
    }
    project.run("plan", "m.yaml", "--sandbox", "--detailed-exitcode", code=10)
    done = project.apply("m.yaml")
    assert "  moved        b/river  new/deep/clip.mp4" in done.stderr
    assert lying(project) == {"new/deep/clip.mp4": before["b/river.mp4"], "b/lake.mp4": before["b/lake.mp4"]}
    assert project.submitted() == 2
    assert set(actions(project).values()) == {("unchanged", "on disk")}
    sound(project)


def test_three_files_change_places(project):
    keys = ("one", "two", "three")
    project.apply(write(project, *(f"key: {key}, prompt: A {key}, output: x/{key}" for key in keys)))
    before = lying(project)
    places = dict(zip(keys, ("two", "three", "one"), strict=True))
    write(project, *(f"key: {key}, prompt: A {key}, output: x/{place}" for key, place in places.items()))
    assert "taken" not in project.run("plan", "m.yaml", "--sandbox").stderr
    project.apply("m.yaml")
    assert lying(project) == {f"x/{place}.mp4": before[f"x/{key}.mp4"] for key, place in places.items()}
    assert project.submitted() == 3
    sound(project)


def test_a_new_job_may_take_a_place_that_is_given_up(project):
    project.apply(write(project, "key: river, prompt: A river, output: x/hero"))
    write(project, "key: river, prompt: A river, output: x/old", "key: lake, prompt: A lake, output: x/hero")
    project.apply("m.yaml")
    assert {path: key for path, (key, _) in lying(project).items()} == {"x/old.mp4": "river", "x/hero.mp4": "lake"}
    sound(project)


def test_what_is_in_the_way_is_told_and_nothing_is_lost(project):
    project.apply(write(project, "key: river, prompt: A river"))
    before = lying(project)
    stranger = outputs(project) / "x/river.mp4"
    stranger.parent.mkdir()
    stranger.write_bytes(b"mine")
    write(project, "key: river, prompt: A river, output: x/river")
    told = project.run("plan", "m.yaml", "--sandbox").stderr
    assert "1 output name in outputs/sandbox is taken by files of other jobs, or of none: x/river.*." in told
    assert "→ unless it is that very clip, what was to move there stays where it is" in told
    done = project.apply("m.yaml", code=6)
    assert "b/river.mp4 cannot be moved to x/river.mp4" in done.stderr
    assert "cannot be moved to x/river.mp4: river.mp4 is there and is not ours" in done.stderr
    assert stranger.read_bytes() == b"mine"
    stranger.unlink()
    project.apply("m.yaml")
    assert lying(project) == {"x/river.mp4": before["b/river.mp4"]}
    sound(project)


def test_a_plan_tells_that_apply_will_submit_nothing(project):
    stranger = outputs(project) / "b/river.mp4"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"mine")
    write(project, "key: river, prompt: A river")
    told = project.run("plan", "m.yaml", "--sandbox").stderr
    assert "taken by files of other jobs, or of none: b/river.*.\n  → apply submits nothing until" in told
    project.apply("m.yaml", code=2)
    assert stranger.read_bytes() == b"mine"
    # Of the folder that `apply` is given.
    approving = project.run(
        "plan", "m.yaml", "--sandbox", "--output-dir", "other place", "--out", "approved.plan"
    ).stderr
    assert "taken" not in approving
    assert "seedbatch apply approved.plan --output-dir 'other place' --sandbox" in approving
    # Where the folder is none, `apply` says so, and a plan nothing untrue.
    shutil.rmtree(outputs(project))
    outputs(project).write_bytes(b"no folder")
    assert "taken" not in project.run("plan", "m.yaml", "--sandbox").stderr
    assert "outputs/sandbox" in project.apply("m.yaml", code=2).stderr


def test_a_clip_that_is_not_there_stops_nothing_and_is_found_again(project):
    """Removed, or on a drive that is not mounted: then its row must not lead to where it never was."""
    project.apply(write(project, "key: river, prompt: A river", "key: lake, prompt: A lake"))
    before = lying(project)
    mounted = outputs(project).rename(project.folder / "elsewhere")
    write(project, "key: river, prompt: A river, output: x/river", "key: lake, prompt: A lake")
    done = project.apply("m.yaml")
    assert "not moved    b/river  it is not there; seedbatch ledger check --files tells what is gone" in done.stderr
    assert "b/river.mp4 is gone" in project.run("ledger", "check", "--sandbox", "--files", code=None).stdout
    shutil.rmtree(outputs(project))
    mounted.rename(outputs(project))
    project.apply("m.yaml")
    assert lying(project) == {"x/river.mp4": before["b/river.mp4"], "b/lake.mp4": before["b/lake.mp4"]}
    sound(project)


def test_only_what_is_selected_moves(project):
    project.apply(write(project, "key: river, prompt: A river", "key: lake, prompt: A lake"))
    write(project, "key: river, prompt: A river", "key: lake, prompt: A lake", extra='output: "x/{{ key }}"\n')
    project.apply("m.yaml", "--select", "key:lake")
    assert set(lying(project)) == {"b/river.mp4", "x/lake.mp4"}
    project.apply("m.yaml")
    assert set(lying(project)) == {"x/river.mp4", "x/lake.mp4"}
    sound(project)


def test_a_file_of_another_output_folder_moves_within_it(project):
    manifest = write(project, "key: river, prompt: A river")
    project.apply(manifest, "--output-dir", "elsewhere")
    write(project, "key: river, prompt: A river, output: x/river")
    project.apply("m.yaml")
    assert (project.folder / "elsewhere/x/river.mp4").exists()
    assert not list((project.folder / "elsewhere/b").iterdir())
    sound(project)


def test_a_renamed_job_keeps_its_clip_its_revisions_and_its_story(project):
    project.apply(write(project, "key: river, prompt: 'A river {{ x }}', takes: 2", extra="matrix: {x: [1, 2]}\n"))
    before = lying(project)
    moved = "moved: [{from: river, to: stream}]\nmatrix: {x: [1, 2]}\n"
    write(project, "key: stream, prompt: 'A river {{ x }}', takes: 2", extra=moved)
    assert actions(project)["stream[x=1]#2"] == (
        "move",
        "on disk; its file moves from b/river-x=1--take2 to b/stream-x=1--take2; was river[x=1]",
    )
    project.apply("m.yaml")
    assert {content for _, content in lying(project).values()} == {content for _, content in before.values()}
    assert {key for key, _ in lying(project).values()} == {f"stream[x={x}]#{take}" for x in (1, 2) for take in (1, 2)}
    assert set(project.states()) == {key for key, _ in lying(project).values()}
    story = project.run("show", "stream[x=1]#2", "--sandbox").stdout
    assert "renamed: from river[x=1], to stream[x=1]" in story
    # Once every ledger has seen it, the entry may go; and it does no harm where it stays.
    assert set(actions(project).values()) == {("unchanged", "on disk")}
    write(project, "key: stream, prompt: 'A river {{ x }}', takes: 2", extra="matrix: {x: [1, 2]}\n")
    assert set(actions(project).values()) == {("unchanged", "on disk")}
    assert project.submitted() == len(before)
    sound(project)


def test_a_job_is_renamed_and_changed_at_once(project):
    project.apply(write(project, "key: river, prompt: A river"))
    write(project, "key: stream, prompt: A brook", extra="moved: [{from: river, to: stream}]\n")
    (action, reason) = actions(project)["stream"]
    assert (action, reason.partition(";")[2]) == ("regenerate", " was river")
    project.apply("m.yaml")
    assert {path: key for path, (key, _) in lying(project).items()} == {
        "b/river.mp4": "river",
        "b/stream.mp4": "stream",
    }
    assert [job["revision"] for job in project.jobs()] == [1, 2]
    sound(project)


def test_a_running_job_is_renamed(project):
    project.run("apply", write(project, "key: river, prompt: A river"), "--sandbox", "--yes", "--no-wait", code=6)
    write(project, "key: stream, prompt: A river", extra="moved: [{from: river, to: stream}]\n")
    project.apply("m.yaml", speed=1000)
    assert set(lying(project)) == {"b/stream.mp4"}
    assert project.submitted() == 1


@pytest.mark.parametrize("told", [True, False])
def test_a_new_key_at_the_same_output_costs_nothing(project, told):
    """A person who forgets to say `moved` has another job: it gets the clip, and what was there keeps a name."""
    project.apply(write(project, "key: river, prompt: A river, output: x/hero"))
    extra = "moved: [{from: river, to: stream}]\n" if told else ""
    write(project, "key: stream, prompt: A river, output: x/hero", extra=extra)
    project.apply("m.yaml")
    keys = {path: key for path, (key, _) in lying(project).items()}
    if told:
        # It did not move, so nothing tells the sidecar of the new key.
        assert keys == {"x/hero.mp4": "river"}
    else:
        assert keys == {"x/hero.mp4": "stream", "x/hero.rev1.mp4": "river"}
        hero, old = (outputs(project) / "x" / name for name in ("hero.mp4", "hero.rev1.mp4"))
        assert hero.samefile(old)
    assert project.submitted() == 1
    sound(project)


def test_two_jobs_cannot_have_one_clip_at_one_path(project):
    one = project.write("one.yaml", f"{HEADER}output: x/hero\njobs: [{{key: river, prompt: A river}}]\n")
    project.apply(one)
    text = f"{HEADER}output: x/hero\njobs: [{{key: river, prompt: A river}}]\n".replace("batch: b", "batch: c")
    done = project.apply(project.write("two.yaml", text), code=6)
    assert "it lies at that very path; give one of the two jobs another output" in done.stderr
    assert project.submitted() == 1
    sound(project)


def test_a_path_whose_file_was_removed_is_free(project):
    """What was recorded there is not forgotten: the check says that it is gone."""
    project.apply(write(project, "key: river, prompt: A river"))
    (outputs(project) / "b/river.mp4").unlink()
    write(project, "key: river, prompt: A brook")
    project.apply("m.yaml")
    assert project.states() == {"river": "completed"}
    assert (outputs(project) / "b/river.mp4").exists()
    told = project.run("ledger", "check", "--sandbox", "--files", code=None).stdout
    assert "b/river.gone1.mp4 is gone" in told


def test_who_is_selected_does_not_wait_for_who_is_not(project):
    project.apply(write(project, "key: one, prompt: A one, output: x/one", "key: two, prompt: A two, output: x/two"))
    before = lying(project)
    write(project, "key: one, prompt: A one, output: x/two", "key: two, prompt: A two, output: x/one")
    done = project.apply("m.yaml", "--select", "key:one", code=6)
    assert "x/one.mp4 cannot be moved to x/two.mp4" in done.stderr
    assert lying(project) == before
    project.apply("m.yaml")
    assert lying(project) == {"x/two.mp4": before["x/one.mp4"], "x/one.mp4": before["x/two.mp4"]}
    sound(project)


def test_the_clip_of_another_job_is_not_taken_for_ones_own(project):
    """Where a task is shared, what lies at the path is the same clip: it stays the other job's."""
    project.apply(write(project, "key: one, prompt: A river", "key: two, prompt: A river"))
    write(project, "key: two, prompt: A river, output: b/one")
    done = project.apply("m.yaml", code=6)
    assert "b/two.mp4 cannot be moved to b/one.mp4: the same clip lies there for b/one" in done.stderr
    assert {path: key for path, (key, _) in lying(project).items()} == {"b/one.mp4": "one", "b/two.mp4": "two"}
    sound(project)
