"""Selections on the installed command: only what is selected is paid for, and nothing else is touched."""

from __future__ import annotations

import json

MANIFEST = """\
version: 1
batch: demo
defaults:
  model: seedance-2.0-fast
  input: {resolution: 480p, ratio: 1:1, duration: 5}
matrix: {season: [spring, autumn]}
jobs:
  - {key: river, prompt: "A {{season}} river", tags: [hero]}
  - {key: market, prompt: "A {{season}} market [fail]", takes: 2}
"""


def listed(project, *arguments):
    done = project.run("list", "--sandbox", "--json", *arguments)
    return [json.loads(line)["key"] for line in done.stdout.splitlines()]


def test_only_the_selected_are_submitted_and_all_others_stay(project):
    project.write("m.yaml", MANIFEST)
    plan = json.loads(
        project.run("plan", "m.yaml", "--sandbox", "--select", "tag:hero,season=spring", "--format", "json").stdout
    )
    assert [job["key"] for job in plan["jobs"]] == ["river[season=spring]"]
    done = project.apply("m.yaml", "--select", "tag:hero,season=spring")
    assert "Selected 1 of 6 jobs; the others stay as they are." in done.stderr
    assert project.submitted() == 1
    states = project.states()
    assert states.pop("river[season=spring]") == "completed"
    assert set(states.values()) == {"pending"}
    assert len(states) == 5
    # Most of the manifest now, so that the claims go through the queue.
    project.apply("m.yaml", "--exclude", "*#2", code=3)
    assert project.submitted() == 4
    assert listed(project, "--select", "state:pending") == ["market[season=spring]#2", "market[season=autumn]#2"]
    assert listed(project, "--state", "failed", "--select", "season=spring") == ["market[season=spring]#1"]
    assert listed(project, "--select", "river season=autumn,market", "--exclude", "state:pending") == [
        *("river[season=spring]", "river[season=autumn]", "market[season=autumn]#1"),
    ]
    done = project.run("retry", "--sandbox", "--select", "season=autumn", "--yes")
    assert "demo/market[season=autumn]#1 is pending." in done.stderr
    project.apply("m.yaml", "--select", "state:pending,*#1", "--fail-fast", code=3)
    assert project.submitted() == 5
    assert project.run("ledger", "check", "--sandbox").stdout.startswith("ledger ok")


def test_a_var_selects_the_jobs_of_its_manifest(project):
    for name, style in (("one", "noir"), ("two", "pastel")):
        manifest = MANIFEST.replace("batch: demo", f"batch: {name}\nvars: {{style: {style}}}")
        project.write(f"{name}.yaml", manifest)
    plan = project.run(
        "plan", "one.yaml", "two.yaml", "--sandbox", "--select", "style=noir,tag:hero", "--format", "json"
    )
    assert [job["batch"] for job in json.loads(plan.stdout)["jobs"]] == ["one", "one"]
    project.apply("one.yaml", "two.yaml", "--select", "style=pastel,tag:hero")
    assert project.submitted() == 2
    assert listed(project, "--select", "style=pas*,state:completed") == ["river[season=spring]", "river[season=autumn]"]
    # An edit of a var that no template uses is written down, and costs nothing.
    project.write("two.yaml", (project.folder / "two.yaml").read_text().replace("pastel", "water"))
    project.apply("two.yaml", "--select", "style=water,tag:hero")
    assert project.submitted() == 2
    assert listed(project, "--select", "style=water,state:completed") == [
        "river[season=spring]",
        "river[season=autumn]",
    ]
    assert project.run("ledger", "check", "--sandbox").stdout.startswith("ledger ok")


def test_what_selects_nothing_says_so(project):
    project.write("m.yaml", MANIFEST)
    assert "None of 6 jobs matches" in project.run("plan", "m.yaml", "--sandbox", "--select", "tag:x").stderr
    done = project.apply("m.yaml", "--select", "tag:x", code=2)
    assert "None of 6 jobs matches" in done.stderr
    assert not (project.folder / ".seedbatch").exists()
    project.apply("m.yaml", "--select", "river", "--no-wait", code=6)
    done = project.run("list", "--sandbox", "--select", "state:abandoned")
    assert "No job matches." in done.stderr
    done = project.run("retry", "--sandbox", "--select", "river", "--yes", code=2)
    assert "no job that is selected can be sent again" in done.stderr


def test_what_is_no_selection_is_pointed_at(project):
    project.write("m.yaml", MANIFEST)
    done = project.run("plan", "m.yaml", "--sandbox", "--select", "staet:failed", code=2)
    assert "    | staet:failed\n    | ^^^^^\n  → did you mean state?" in done.stderr
    done = project.run("plan", "m.yaml", "--sandbox", "--exclude", "saeson=spring", code=2)
    assert "→ did you mean season=spring?" in done.stderr
    project.apply("m.yaml", "--select", "river", "--no-wait", code=6)
    done = project.run("list", "--sandbox", "--select", "dration=5", code=2)
    assert "→ did you mean duration=5?" in done.stderr
    assert "name them" in project.run("retry", "--sandbox", code=2).stderr
    assert "two wishes" in project.run("retry", "river", "--select", "river", "--sandbox", code=2).stderr
