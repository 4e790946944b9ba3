"""What a ledger tells of its past: runs, and the story of a job."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest

from seedbatch.domain.states import JobState

PRICES = """
[[prices]]
model = "seedance-2.0-fast"
resolution = "480p"
unit = "second"
price = "0.05"
currency = "USD"
"""
GIT = ("git", "-c", "user.name=me", "-c", "user.email=me@x.example", "-c", "commit.gpgsign=false")


def git(project, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=project.folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def log(project, *arguments: str) -> list[dict]:
    return [json.loads(line) for line in project.run("log", "--sandbox", "--json", *arguments).stdout.splitlines()]


@pytest.fixture
def priced(project):
    project.write("seedbatch.toml", PRICES)
    return project


def test_runs_are_listed_newest_first_with_what_they_did_and_cost(priced):
    priced.apply(priced.manifest("one", "two [fail]"), code=3)
    priced.run("collect", "--sandbox", code=3)
    collected, applied = log(priced)
    assert (applied["command"], applied["exit"], applied["state"]) == ("apply", 3, "ended")
    assert applied["arguments"][0] == "test.yaml"
    assert (applied["submitted"], applied["did"]) == (2, {"completed": 1, "failed": 1, "expired": 0})
    assert applied["cost"] == {"micros": 500_000, "currency": "USD"}
    (batch,) = applied["batches"]
    assert (batch["batch"], batch["manifest"], batch["jobs"], len(batch["digest"])) == ("test", "test.yaml", 2, 64)
    assert (collected["command"], collected["submitted"], collected["cost"]) == ("collect", 0, None)
    assert collected["batches"] == []
    words = priced.run("log", "--sandbox").stdout.splitlines()
    assert [line.split("\t")[0] for line in words] == ["RUN", "2", "1"]
    assert words[2].split("\t")[6:9] == ["2 submitted, 1 completed, 1 failed", "0.50 USD", "jobs failed"]
    assert [run["run"] for run in log(priced, "--limit", "1")] == [2]
    priced.run("ledger", "check", "--sandbox")


def test_a_run_knows_the_commit_of_its_manifest(project):
    git(project, "init", "-q")
    manifest = project.manifest("one")
    git(project, "add", manifest)
    git(project, "commit", "-qm", "first")
    commit = git(project, "rev-parse", "HEAD")
    project.apply(manifest)
    project.manifest("one", "two")
    project.apply(manifest)
    second, first = (run["batches"][0] for run in log(project))
    assert (first["commit"], first["dirty"]) == (commit, False)
    assert (second["commit"], second["dirty"]) == (commit, True)
    lines = project.run("log", "--sandbox").stdout.splitlines()
    assert [line.split("\t")[4] for line in lines[1:]] == [f"{commit[:7]}*", commit[:7]]


def test_a_run_that_was_killed_says_so_and_one_that_runs_as_well(project):
    faults = project.write("faults.yaml", "rules: [{on: submit, do: {delay: 30}, first: 1}]\n")
    manifest = project.manifest("a cat")
    process = project.start("apply", manifest, "--sandbox", "--yes", "--json", f"--sandbox-faults={faults}")
    ledger = project.folder / ".seedbatch/sandbox.db"
    while not ledger.exists() or [job.state for job in project.records().jobs()] != [JobState.SUBMITTING]:
        time.sleep(0.02)
        assert process.poll() is None
    (run,) = log(project)
    assert (run["state"], run["exit"], run["did"], run["submitted"]) == ("running", None, None, 1)
    assert run["seconds"] > 0
    assert "still running" in project.run("log", "--sandbox").stdout
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (run,) = log(project)
    assert (run["state"], run["ended_at"], run["seconds"], run["in_doubt"]) == ("killed", None, None, 0)
    project.apply(manifest, code=7)
    second, first = log(project)
    assert (second["exit"], second["submitted"]) == (7, 0)
    assert (first["state"], first["in_doubt"]) == ("killed", 1)
    assert "killed" in project.run("log", "--sandbox").stdout


def test_an_interrupted_run_says_so(project):
    process = project.start("apply", project.manifest("one"), "--sandbox", "--yes", "--json", "--sandbox-speed=1")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    (run,) = log(project)
    assert (run["exit"], run["state"]) == (130, "ended")


def test_a_log_of_nothing(project):
    assert "There is no ledger" in project.run("log").stderr
    done = project.run("log", "--sandbox", "--json")
    assert (done.stdout, "There is no ledger" in done.stderr) == ("", True)
    assert "0 is not in the range" in project.run("log", "--limit", "0", code=2).stderr


def test_a_plan_as_a_comment(priced):
    priced.apply(priced.manifest("one", "two [fail]"), code=3)
    priced.manifest("one | @team <b>", "two [fail]", "three")
    text = priced.run("plan", "test.yaml", "--sandbox", "--format", "markdown").stdout
    assert text.startswith("## Applying submits 2 requests for 0.50 USD\n")
    assert "> - **1 job held.**" in text
    assert "| regenerate | 1 | 0.25 USD |" in text
    chosen = priced.run("plan", "test.yaml", "--sandbox", "--format", "markdown", "--select", "j2").stdout
    assert "Selected 1 of 3 jobs; the others stay as they are." in chosen
    priced.run("plan", "test.yaml", "--sandbox", "--format", "markdown", "--detailed-exitcode", code=10)
