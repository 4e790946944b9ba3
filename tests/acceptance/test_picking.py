"""Picking takes with the installed command, and what `picked` means to the others."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from acceptance.conftest import COMMAND, Project

MANIFEST = """\
version: 1
batch: demo
defaults:
  model: seedance-2.0-fast
  input: {resolution: 480p, ratio: 1:1, duration: 5}
jobs:
  - {key: river, prompt: "A river"}
  - {key: market, prompt: "A market", takes: 3}
"""


@pytest.fixture(scope="module")
def applied(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("applied"))
    project.write("manifests/demo.yaml", MANIFEST)
    project.apply("manifests/demo.yaml")
    return project


@pytest.fixture
def unpicked(applied):
    picks = applied.folder / "manifests/picks.yaml"
    picks.unlink(missing_ok=True)
    return applied, picks


def keys(done):
    return [json.loads(line)["key"] for line in done.stdout.splitlines()]


def test_a_choice_is_kept_beside_the_manifest(unpicked):
    project, picks = unpicked
    assert "Nothing is picked yet." in project.run("pick", "--sandbox").stderr
    done = project.run("pick", "market#3", "demo/market#2", "--sandbox")
    assert done.stderr == ("demo/market#3 is picked.\ndemo/market#2 is picked.\n  → manifests/picks.yaml\n")
    assert picks.read_text().endswith("picks:\n  - demo/market#2\n  - demo/market#3\n")
    assert "demo/market#3 was picked already." in project.run("pick", "market#3", "--sandbox").stderr
    table = project.run("pick", "--list", "--sandbox").stdout.splitlines()
    assert [line.split("\t")[:3] for line in table[1:]] == [
        ["demo", "market#2", "completed"], ["demo", "market#3", "completed"],
    ]  # fmt: skip
    done = project.run("pick", "--remove", "market#2", "--sandbox")
    assert "demo/market#2 is no longer picked." in done.stderr
    assert picks.read_text().endswith("picks:\n  - demo/market#3\n")
    assert [path.name for path in picks.parent.iterdir()] == ["demo.yaml", "picks.yaml"]


def test_picked_is_what_other_commands_mean(unpicked):
    project, _ = unpicked
    assert "Nothing is picked yet" in project.run("list", "--sandbox", "--select", "picked").stderr
    project.run("pick", "market#2", "river", "--sandbox")
    assert keys(project.run("list", "--sandbox", "--select", "picked", "--json")) == ["river", "market#2"]
    assert keys(project.run("list", "--sandbox", "--select", "market", "--exclude", "picked", "--json")) == [
        "market#1", "market#3",
    ]  # fmt: skip
    assert keys(project.run("export", "--sandbox", "--select", "picked,*#2", "--format", "jsonl")) == ["market#2"]
    plan = project.run("plan", "manifests/demo.yaml", "--sandbox", "--select", "picked", "--format", "json")
    assert [job["key"] for job in json.loads(plan.stdout)["jobs"]] == ["river", "market#2"]
    done = project.run("retry", "--sandbox", "--select", "picked", "--yes", code=2)
    assert "no job that is selected can be sent again" in done.stderr
    other = project.write("other.yaml", "version: 1\npicks:\n  - demo/market#1\n")
    assert keys(project.run("list", "--sandbox", "--select", "picked", "--picks", other, "--json")) == ["market#1"]
    done = project.run("list", "--sandbox", "--select", "picked", "--picks", "no.yaml", code=2)
    assert "there is no file no.yaml" in done.stderr


def test_only_what_is_picked_is_submitted(project):
    project.write("demo.yaml", MANIFEST)
    project.write("picks.yaml", "version: 1\npicks:\n  - demo/river#1\n  - demo/market#2\n  - other/market#1\n")
    project.apply("demo.yaml", "--select", "picked")
    assert project.states() == {
        "river": "completed", "market#1": "pending", "market#2": "completed", "market#3": "pending",
    }  # fmt: skip
    assert project.submitted() == 2


def test_a_plan_file_is_about_what_was_picked_when_it_was_approved(project):
    project.write("demo.yaml", MANIFEST)
    chosen = project.write("chosen.yaml", "version: 1\npicks:\n  - demo/market#2\n")
    project.run("plan", "demo.yaml", "--sandbox", "--select", "picked", "--picks", chosen, "--out", "demo.plan")
    project.write(chosen, "version: 1\npicks:\n  - demo/market#1\n  - demo/market#2\n")
    done = project.apply("demo.plan", code=2)
    assert "demo.plan is stale: demo/market#1 would be submitted, and is not in it" in done.stderr
    assert "--select picked --picks chosen.yaml" in done.stderr
    project.write(chosen, "version: 1\npicks:\n  - demo/market#2\n")
    project.apply("demo.plan")
    assert {key for key, state in project.states().items() if state == "completed"} == {"market#2"}


def test_what_is_unknown_changes_nothing(unpicked):
    project, picks = unpicked
    done = project.run("pick", "market#2", "makret#3", "--sandbox", code=2)
    assert "there is no job 'makret#3'" in done.stderr
    assert "did you mean 'market#3'?" in done.stderr
    assert not picks.exists()
    project.run("pick", "market#2", "--sandbox")
    done = project.run("pick", "--remove", "market#3", "--sandbox", code=2)
    assert "'market#3' is not picked\n  → did you mean 'market#2'?" in done.stderr
    assert "which picks?" in project.run("pick", "--remove", "--sandbox", code=2).stderr
    assert "--list takes no keys" in project.run("pick", "--list", "river", "--sandbox", code=2).stderr


def test_a_pick_whose_job_is_gone_is_listed_and_can_go(unpicked):
    project, picks = unpicked
    picks.write_text("version: 1\npicks:\n  - demo/valley  # gone\n")
    assert "valley\t-\tno job of this name is wanted" in project.run("pick", "--sandbox").stdout
    assert keys(project.run("list", "--sandbox", "--select", "picked", "--json")) == []
    project.run("pick", "--remove", "valley", "--sandbox")
    assert "valley" not in picks.read_text()


def test_a_file_that_is_no_picks_is_told_and_stays(unpicked):
    project, picks = unpicked
    text = "version: 1\npicks:\n<<<<<<< HEAD\n  - demo/river\n=======\n  - demo/market#1\n>>>>>>> x\n"
    picks.write_text(text)
    for command in (["pick", "market#2"], ["pick"], ["list", "--select", "picked"], ["pick", "--remove", "river"]):
        done = project.run(*command, "--sandbox", code=2)
        assert "picks.yaml:3:1: a merge was left unfinished here" in done.stderr
    assert picks.read_text() == text


def test_manifests_by_a_pattern_are_without_the_picks(unpicked):
    project, _ = unpicked
    project.run("pick", "river", "--sandbox")
    both = ("manifests/demo.yaml", "manifests/picks.yaml")
    project.run("validate", *both)
    project.run("fmt", "--check", *both, code=None)
    assert "4 unchanged" in project.run("plan", *both, "--sandbox").stdout
    assert "picks" in project.run("validate", "manifests/picks.yaml", code=2).stderr


def test_the_manifest_is_found_from_elsewhere_or_told(unpicked, tmp_path):
    project, picks = unpicked
    ledger = str(project.folder / ".seedbatch/sandbox.db")
    elsewhere = Project(tmp_path)
    elsewhere.run("pick", "river", "--sandbox", "--ledger", ledger)
    assert "demo/river" in picks.read_text()
    moved = project.folder / "manifests/demo.yaml"
    moved.rename(moved.with_name("moved.yaml"))
    try:
        done = project.run("pick", "river", "--sandbox", code=2)
        assert "the manifest of demo is not where it was: manifests/demo.yaml" in done.stderr
        assert "--picks FILE" in done.stderr
        assert "Not known here are the picks of demo" in project.run("list", "--select", "picked", "--sandbox").stderr
        project.run("pick", "market#1", "--sandbox", "--picks", "manifests/picks.yaml")
        assert picks.read_text().endswith("  - demo/market#1\n  - demo/river\n")
    finally:
        moved.with_name("moved.yaml").rename(moved)


def test_many_may_pick_at_once(unpicked):
    project, picks = unpicked
    names = ["river", "market#1", "market#2", "market#3"]
    environment = {**os.environ, "HOME": str(project.folder)}
    running = [
        subprocess.Popen(
            [COMMAND, "pick", name, "--sandbox"], cwd=project.folder, env=environment, stderr=subprocess.PIPE
        )
        for name in names
    ]
    assert [process.wait(60) for process in running] == [0] * 4
    assert sorted(line.strip() for line in picks.read_text().splitlines()[3:]) == sorted(
        f"- demo/{name}" for name in names
    )
    for process in running:
        process.stderr.close()


def test_without_a_ledger_nothing_is_picked(project):
    assert "There is no ledger" in project.run("pick", "river").stderr
    assert list(project.folder.iterdir()) == []
