"""Interrupted anywhere, typed again, nothing paid twice."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from seedbatch.domain.records import Standing
from seedbatch.domain.states import JobState


def stop(process: subprocess.Popen, number: int = signal.SIGINT, patience: float = 60) -> tuple[int, str]:
    process.send_signal(number)
    _, words = process.communicate(timeout=patience)
    return process.returncode, words


def assert_nothing_was_lost_or_paid_twice(project):
    charges = project.charges()
    jobs = {job.job_id: job for job in project.records().jobs()}
    assert not set(charges) - set(jobs)
    for job_id, job in jobs.items():
        tasks = charges.get(job_id, [])
        assert len(tasks) <= 1, f"{job.address} was billed {len(tasks)} times"
        if job.state is JobState.IN_DOUBT:
            continue
        assert tasks == [job.task_id], f"{job.address} is {job.state}"
    for path in project.folder.joinpath("outputs/sandbox").rglob("*.mp4"):
        sidecar = json.loads(path.with_suffix(".json").read_text())
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sidecar["sha256"]
        assert path.stat().st_size == sidecar["bytes"]
    for job in jobs.values():
        for artifact in job.artifacts:
            assert Path(artifact.path).stat().st_size == artifact.bytes
    assert not list(project.folder.joinpath("outputs").rglob("*.part"))


def test_an_orphaned_submission_is_in_doubt_and_never_sent_again(project):
    manifest = project.manifest("a cat")
    process = project.start_and_hang(manifest)
    while project.submitted() == 0:  # the intent is durable before the request is anywhere
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for _ in range(2):
        done = project.apply(manifest, code=7)
        assert "IN DOUBT" in done.stderr
    assert project.states() == {"j0": "in_doubt"}
    assert project.submitted() == 1  # the sandbox took it, and its answer never came
    assert project.run("status", "--sandbox", "--exit-code", code=7).stdout.count("IN DOUBT") == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_in_order(project, number):
    manifest = project.manifest(*(f"clip {take}" for take in range(5)))
    process = project.start("apply", manifest, "--sandbox", "--yes", "--json", "--sandbox-speed=1")
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if sum(event["type"] == "submitted" for event in events) == 5:
            break
    code, words = stop(process, number)
    assert (code, "no new submissions" in words) == (130, True)
    assert set(project.states().values()) == {"running"}
    project.apply(manifest)
    assert project.submitted() == 5
    assert_nothing_was_lost_or_paid_twice(project)


def test_the_second_signal_leaves_at_once_and_loses_nothing(project):
    faults = project.write("faults.yaml", "rules: [{on: submit, do: {delay: 20}}]\n")
    manifest = project.manifest("one", "two", "three")
    process = project.start("apply", manifest, "--sandbox", "--yes", "--json", f"--sandbox-faults={faults}")
    while not (project.folder / ".seedbatch/sandbox.db").exists() or "submitting" not in project.states().values():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None  # requests on the wire are waited for
    begun = time.monotonic()
    assert stop(process)[0] == 130
    assert time.monotonic() - begun < 10
    assert sorted(project.states().values()) == ["in_doubt", "in_doubt", "pending"]
    project.apply(manifest, code=7)
    assert sorted(project.states().values()) == ["completed", "in_doubt", "in_doubt"]


def test_lost_answers_are_billed_once(project):
    faults = project.write("faults.yaml", "rules: [{on: submit, do: cut-after-accept, every: 3}]\n")
    manifest = project.manifest(*(f"clip {number}" for number in range(9)))
    done = project.apply(manifest, f"--sandbox-faults={faults}", code=7)
    assert "billed" not in done.stdout
    assert sorted(project.states().values()).count("in_doubt") == 3
    project.apply(manifest, code=7)
    assert project.submitted() == 9
    assert_nothing_was_lost_or_paid_twice(project)


def test_submit_now_collect_later(project):
    manifest = project.manifest("one", "two")
    done = project.run("apply", manifest, "--sandbox", "--yes", "--no-wait", code=6)
    assert "seedbatch collect" in done.stderr
    assert set(project.states().values()) == {"running"}
    project.run("collect", "--sandbox", "--watch", "--sandbox-speed=50")
    assert set(project.states().values()) == {"completed"}
    project.run("collect", "--sandbox")
    assert project.submitted() == 2


def test_another_batchs_tasks_do_not_hold_the_places_for_ever(project):
    first = project.manifest("one", "two", batch="first")
    second = project.manifest("three", "four", batch="second")
    project.run("apply", first, "--sandbox", "--yes", "--no-wait", "--in-flight=2", "--sandbox-speed=50", code=6)
    project.apply(second, "--in-flight=2")
    states = {(job["batch"], job["state"]) for job in project.jobs()}
    assert states == {("first", "succeeded"), ("second", "completed")}


def test_two_at_once_submit_each_job_once(project):
    manifest = project.manifest(*(f"clip {number}" for number in range(30)))
    both = [project.start("apply", manifest, "--sandbox", "--yes", "--sandbox-speed=20") for _ in range(2)]
    for process in both:
        _, words = process.communicate(timeout=90)
        assert process.returncode == 0, words
        assert "locked" not in words
    assert project.submitted() == 30
    assert_nothing_was_lost_or_paid_twice(project)


BEFORE = """\
version: 1
batch: edits
defaults: {model: seedance-2.0-fast, input: {resolution: 480p, ratio: 16:9, duration: 5}, tags: [one]}
jobs:
  - {key: river, prompt: "A river"}
  - {key: market, prompt: "A market", takes: 2}
  - {key: cat, prompt: "A cat", input: {ratio: 9:16}}
"""
ELSEWHERE = 'output: "elsewhere/{{ key }}"\n'
AFTER = """\
# reordered, retagged, reformatted, in another file
batch: "edits"
version: 1
vars: {animal: cat}
defaults:
  input:
    fallback: false
    duration: 5
    "resolution": '480p'
    ratio: "16:9"
  model: seedance-2.0-fast
jobs:
  - key: cat
    tags: [pets, two]
    input: {ratio: "9:16"}
    prompt: A {{ animal }}
  - key: river
    prompt: >-
      A
      river
  - prompt: "A market"
    takes: 2
    key: market
"""


@pytest.mark.parametrize(("output", "action", "code"), [("", "unchanged", 0), (ELSEWHERE, "move", 10)])
def test_cosmetic_edits_send_nothing(project, output, action, code):
    project.apply(project.write("before.yaml", BEFORE))
    edited = project.write("after.yaml", output + AFTER)
    plan = json.loads(project.run("plan", edited, "--sandbox", "--format", "json").stdout)
    assert {job["action"] for job in plan["jobs"]} == {action}
    project.run("plan", edited, "--sandbox", "--detailed-exitcode", code=code)
    project.apply(edited)
    project.run("plan", edited, "--sandbox", "--detailed-exitcode", code=0)
    assert project.submitted() == 4


def test_a_changed_request_is_a_revision_beside_the_old_one(project):
    manifest = project.manifest("A river", "A cat")
    project.apply(manifest)
    first = {job["key"]: job["artifacts"][0] for job in project.jobs()}
    project.manifest("A wide river", "A cat")
    plan = json.loads(project.run("plan", manifest, "--sandbox", "--format", "json").stdout)
    assert [(job["key"], job["action"], job["revision"]) for job in plan["jobs"]] == [
        ("j0", "regenerate", 2),
        ("j1", "unchanged", 1),
    ]
    assert project.run("plan", manifest, "--sandbox", "--detailed-exitcode", code=10)
    project.apply(manifest)
    old, new = [job for job in project.jobs() if job["key"] == "j0"]
    assert (old["standing"], new["standing"]) == (Standing.SUPERSEDED, Standing.CURRENT)
    assert old["artifacts"][0]["path"].endswith("j0.rev1.mp4")
    assert new["artifacts"][0]["path"] == first["j0"]["path"]
    for job in (old, new):
        path = Path(job["artifacts"][0]["path"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == job["artifacts"][0]["sha256"]
    assert project.submitted() == 3
    project.manifest("A river", "A cat")  # and back: what was paid for once is not paid for again
    project.apply(manifest)
    assert project.submitted() == 3


def test_a_job_that_left_is_an_orphan_and_nothing_is_deleted(project):
    manifest = project.manifest("A river", "A cat")
    project.apply(manifest)
    project.manifest("A river")
    done = project.run("plan", manifest, "--sandbox")
    assert "orphan" in done.stdout
    project.apply(manifest)
    assert {job["key"]: job["standing"] for job in project.jobs()} == {"j0": "current", "j1": "orphan"}
    assert all(Path(job["artifacts"][0]["path"]).exists() for job in project.jobs())
