"""The action as a workflow runs it: planned and commented in a pull request, applied when that is merged."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml
from workflow import ACTION, BOT, ROOT, TOKEN, Api, GitHub, Runner

PULL = {"pull_request": {"number": 7}}
MERGE = "a" * 40
PUSH = {"ref": "refs/heads/main"}


@pytest.fixture
def github():
    return GitHub(merged={MERGE: [{"number": 7, "merged_at": "2026-11-28T00:00:00Z", "base": {"ref": "main"}}]})


@pytest.fixture
def api(github):
    opened = Api(github)
    yield opened
    opened.close()


@pytest.fixture
def run(priced, api):
    runner = Runner(priced.folder, priced._env(), api.url)

    def go(event, payload, sha=MERGE, **inputs):
        given = {"manifests": "*.yaml", "sandbox": "true", "install": "false", **inputs}
        return runner.go(event, payload, sha, **given)

    return go


def planned(run, **inputs):
    return run("pull_request", PULL, **inputs)


def merged(run, **inputs):
    return run("push", PUSH, command="apply", max_cost="5 USD", **inputs)


def test_a_pull_request_gets_one_comment_that_is_brought_up_to_date(priced, run, github):
    priced.manifest("one", "two")
    for number in range(150):
        github.say(7, f"talk {number}", "somebody")
    done = planned(run)
    assert done.failed is None
    assert len(github.comments[7]) == 151
    body = github.comments[7][-1]["body"]
    mark, heading = body.splitlines()[:2]
    assert heading == "## Applying submits 2 requests for 0.50 USD"
    digest = done.outputs["digest"]
    assert len(digest) == 64
    assert mark.endswith(f" digest={digest} -->")
    assert body.endswith(f"Plan digest: `{digest}`\n")
    assert heading in done.summary
    assert (done.outputs["changes"], done.outputs["plan-file"]) == ("true", "seedbatch.plan")
    assert json.loads((priced.folder / "seedbatch.plan").read_text().splitlines()[-1]) == {"digest": digest}
    priced.manifest("one", "two", "three")
    again = planned(run)
    assert len(github.comments[7]) == 151
    assert "3 requests" in github.comments[7][-1]["body"]
    assert again.outputs["digest"] != digest
    assert not (priced.folder / ".seedbatch").exists()


def test_the_approved_plan_is_applied_when_it_is_merged(priced, run, github):
    priced.manifest("one", "two")
    planned(run)
    done = merged(run)
    assert done.failed is None, done.words
    assert priced.states() == {"j0": "completed", "j1": "completed"}
    assert "Approved in #7" in done.words
    assert merged(run).failed is None  # there is nothing left of it to do
    assert priced.submitted() == 2


def test_a_job_that_is_run_again_goes_on_with_the_plan_that_it_began(priced, run):
    priced.manifest("one", "two")
    planned(run)
    done = run("push", PUSH, command="apply", max_cost="0.30 USD")
    assert (done.failed, priced.submitted()) == ("Apply", 1)
    done = merged(run)
    assert done.failed is None, done.words
    assert priced.submitted() == 2
    priced.manifest("one", "two", "three")
    assert merged(run).failed == "Apply"
    assert priced.submitted() == 2


def test_what_was_not_approved_is_not_submitted(priced, run, github):
    priced.manifest("one", "two")
    planned(run)
    priced.manifest("one", "two", "three")
    done = merged(run)
    assert done.failed == "Apply"
    assert "::error title=seedbatch::what was approved is not what would be done now" in done.words
    assert priced.submitted() == 0
    now = done.words.rpartition("digest: ")[2].strip()
    assert merged(run, digest=now).failed is None
    assert priced.submitted() == 3


def test_no_other_comment_is_believed_or_changed(priced, run, github):
    priced.manifest("one")
    digest = planned(run, comment="false").outputs["digest"]
    github.comments.clear()
    planned(run)
    forged = github.comments[7][0]["body"]
    github.comments.clear()
    github.say(7, forged, "mallory")
    assert merged(run).failed == "Find what was approved"
    assert priced.submitted() == 0
    planned(run)
    assert [one["user"]["login"] for one in github.comments[7]] == ["mallory", BOT]
    assert digest in github.comments[7][1]["body"]


def test_without_a_pull_request_nothing_is_approved(priced, run, github):
    priced.manifest("one")
    github.merged.clear()
    done = merged(run)
    assert (done.failed, "belongs to no merged pull request" in done.words) == ("Find what was approved", True)
    github.merged[MERGE] = [{"number": 7, "merged_at": None, "base": {"ref": "main"}}]
    assert merged(run).failed == "Find what was approved"
    assert priced.submitted() == 0


def test_nothing_is_applied_without_a_cap_and_the_cap_holds(priced, run):
    priced.manifest("one", "two")
    planned(run)
    done = run("push", PUSH, command="apply")
    assert (done.failed, "apply wants a cap" in done.words) == ("Apply", True)
    assert priced.submitted() == 0
    done = run("push", PUSH, command="apply", max_cost="0.30 USD")
    assert done.failed == "Apply"
    assert priced.submitted() == 1


def test_a_wrong_manifest_is_told_at_its_line(priced, run, github):
    priced.write("m.yaml", "version: 1\nbatch: b\njobs:\n  - {kye: a}\n")
    done = planned(run)
    assert done.failed == "Validate"
    assert "::error file=m.yaml,line=4,col=6," in done.words
    assert github.comments == {}


def test_names_are_names_whatever_is_in_them(priced, run):
    priced.write("a b/$(touch owned); x.yaml", (priced.folder / priced.manifest("one")).read_text())
    priced.write(
        "-x.yaml",
        (priced.folder / "test.yaml").read_text().replace("batch: test", "batch: other").replace("one", "two"),
    )
    done = planned(run, manifests="a b/*.yaml\n-x.yaml\n")
    assert done.failed is None, done.words
    assert "2 requests" in done.summary
    assert not list(priced.folder.rglob("owned"))
    assert planned(run, manifests=" \n").failed == "Validate"


def test_submitting_and_collecting_apart(priced, run):
    priced.manifest("one")
    planned(run)
    done = merged(run, wait="false")
    assert done.failed is None, done.words
    assert priced.submitted() == 1
    for _ in range(60):
        collected = run("schedule", {}, command="collect")
        assert collected.failed is None, collected.words
        if priced.states() == {"j0": "completed"}:
            break
    assert priced.states() == {"j0": "completed"}


def test_a_token_that_may_not_comment_is_no_failure(priced, run, github):
    priced.manifest("one")
    github.refuses = 403
    done = planned(run)
    assert done.failed is None
    assert "::warning title=seedbatch::this token may not comment (403)" in done.words
    assert "1 request" in done.summary
    github.refuses = 500
    assert planned(run).failed == "Comment"
    assert "Traceback" not in planned(run).words


def test_no_secret_is_said_and_no_input_becomes_a_script(priced, run):
    priced.manifest("one")
    done = planned(run)
    assert TOKEN not in done.words + done.summary
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert step.get("shell") == ("sh" if "run" in step else None)


def test_the_documented_workflow_is_one():
    text = (ROOT / "docs/ci.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    flow = yaml.safe_load(text)
    assert flow["permissions"] == {}
    assert flow["concurrency"]["cancel-in-progress"] is False
    for name, job in flow["jobs"].items():
        (step,) = (step for step in job["steps"] if step["uses"].startswith("seedbatch/"))
        assert step["with"].get("command", "plan") == name
        assert set(step["with"]) <= set(ACTION["inputs"])
        assert ("MAXAPI_API_KEY" in step.get("env", {})) is (name != "plan")
        assert job["permissions"].get("pull-requests") == {"plan": "write", "apply": "read"}.get(name)
        assert ("max-cost" in step["with"]) is (name == "apply")


@pytest.mark.parametrize("script", sorted((ROOT / "action").glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_are_for_any_shell(script):
    subprocess.run(["sh", "-n", str(script)], check=True)
    text = script.read_text()
    for word in ("[[", "local ", "function ", "pipefail", "<<<", "&>"):
        assert word not in text
