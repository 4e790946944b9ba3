"""A person's word, typed: resolve, retry, abandon; and the caps that a person names."""

from __future__ import annotations

import json
import time

import pytest
from acceptance.conftest import PRICES


@pytest.fixture
def doubtful(project):
    """Four jobs of which `j1` was accepted and its answer lost."""
    faults = project.write("faults.yaml", "rules: [{on: submit, do: cut-after-accept, at: [2]}]\n")
    project.write("seedbatch.toml", PRICES)
    done = project.apply(project.manifest("a", "b", "c", "d"), "--sandbox-faults", faults, code=7)
    return project, done


def lost_task(project) -> str:
    known = {job["task_id"] for job in project.jobs()}
    ((task,),) = (
        [task for task in tasks if task not in known] for tasks in project.charges().values() if not set(tasks) & known
    )
    return task


def events(project, key) -> list[str]:
    shown = json.loads(project.run("show", key, "--sandbox", "--json").stdout)
    return [event["type"] for event in shown["story"]]


def test_the_end_of_apply_says_what_is_in_doubt_and_what_to_type(doubtful):
    project, done = doubtful
    assert "IN DOUBT: 1 job may have been accepted and charged; 0.25 USD may be owed" in done.stderr
    assert "→ seedbatch resolve test/j1 --task-id ID --sandbox" in done.stderr
    status = project.run("status", "--sandbox")
    assert "seedbatch resolve test/j1 --task-id ID --sandbox" in status.stdout
    told = json.loads(project.run("status", "--sandbox", "--json").stdout)
    (job,) = told["in_doubt"]
    assert (job["key"], job["cost"]) == ("j1", {"micros": 250_000, "currency": "USD"})
    assert told["exposure"] == {"micros": 1_000_000, "currency": "USD"}


def test_a_task_that_was_found_is_taken_over_and_nothing_is_paid_twice(doubtful):
    project, _ = doubtful
    task = lost_task(project)
    done = project.run("resolve", "j1", "--task-id", task, "--sandbox")
    assert "seedbatch collect --sandbox" in done.stderr
    project.run("collect", "--sandbox", "--watch")
    assert project.states() == dict.fromkeys(["j0", "j1", "j2", "j3"], "completed")
    assert project.submitted() == 4
    assert "adopted" in events(project, "j1")


def test_a_task_is_not_believed_unasked(doubtful):
    project, _ = doubtful
    other = next(job["task_id"] for job in project.jobs() if job["key"] == "j0")
    unknown = "11111111-2222-4333-8444-555555555555"
    assert "does not know a task" in project.run("resolve", "j1", "--task-id", unknown, "--sandbox", code=2).stderr
    assert "another request" in project.run("resolve", "j1", "--task-id", other, "--sandbox", code=2).stderr
    assert project.states()["j1"] == "in_doubt"


def test_a_job_given_up_as_lost_is_free_again_and_may_be_retried(doubtful):
    project, _ = doubtful
    assert "no terminal to ask at" in project.run("resolve", "j1", "--lost", "--sandbox", code=2).stderr
    project.run("resolve", "j1", "--lost", "--sandbox", "--yes")
    assert project.states()["j1"] == "failed"
    told = json.loads(project.run("status", "--sandbox", "--json").stdout)
    assert told["exposure"]["micros"] == 750_000
    project.apply("test.yaml", code=3)
    assert project.submitted() == 4  # held: nobody asked for it
    project.run("retry", "j1", "--sandbox", "--yes")
    project.apply("test.yaml")
    assert project.states()["j1"] == "completed"
    assert events(project, "j1")[-6:] == ["retried", "intended", "accepted", "succeeded", "stored", "completed"]


def test_a_submission_that_died_with_its_process_can_be_settled_at_once(project):
    faults = project.write("faults.yaml", "rules: [{on: submit, do: {delay: 30}, first: 1}]\n")
    manifest = project.manifest("a cat")
    process = project.start("apply", manifest, "--sandbox", "--yes", f"--sandbox-faults={faults}")
    ledger = project.folder / ".seedbatch/sandbox.db"
    while not ledger.exists() or [job.state for job in project.records().jobs()] != ["submitting"]:
        time.sleep(0.02)
        assert process.poll() is None
    while project.submitted() == 0:  # the intent is durable before the request is anywhere
        time.sleep(0.02)
    process.kill()
    process.communicate()
    (task,) = [task for tasks in project.charges().values() for task in tasks]
    project.run("resolve", "j0", "--task-id", task, "--sandbox")
    project.run("collect", "--sandbox", "--watch")
    assert (project.states(), project.submitted()) == ({"j0": "completed"}, 1)


def test_a_job_that_is_sent_again_counts_twice(doubtful):
    project, _ = doubtful
    done = project.run("resolve", "j1", "--resubmit", "--sandbox", "--yes")
    assert "the next apply of its manifest submits it" in done.stderr
    project.apply("test.yaml")
    assert project.submitted() == 5
    told = json.loads(project.run("status", "--sandbox", "--json").stdout)
    assert told["exposure"]["micros"] == 1_250_000


def test_an_abandoned_job_keeps_its_money_and_is_left_alone(doubtful):
    project, _ = doubtful
    done = project.run("abandon", "j1", "--sandbox", "--yes")
    assert "test/j1 is abandoned" in done.stderr
    project.apply("test.yaml", code=3)
    assert project.submitted() == 4
    told = json.loads(project.run("status", "--sandbox", "--json").stdout)
    assert told["exposure"]["micros"] == 1_000_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["resolve", "j0", "--lost", "--yes"], "j0 is completed, not in doubt"),
        (["resolve", "j1"], "say one of --task-id ID, --lost and --resubmit"),
        (["resolve", "j1", "--lost", "--resubmit"], "say one of"),
        (["resolve", "jj", "--lost"], "did you mean"),
        (["retry", "j0", "--yes"], "only failed, expired and abandoned jobs can be sent again"),
        (["retry", "--yes"], "KEY"),
        (["abandon", "j0", "--yes"], "there is nothing to give up"),
    ],
)
def test_a_word_that_makes_no_sense_changes_nothing(doubtful, arguments, words):
    project, _ = doubtful
    before = project.jobs()
    assert words in project.run(*arguments, "--sandbox", code=2).stderr
    assert project.jobs() == before


def test_what_moderation_refused_is_never_sent_again_unchanged(project):
    manifest = project.manifest("[moderation] a", "[flag:sexual] b", "[invalid] c", "[fail] d")
    project.apply(manifest, code=3)
    submitted = project.submitted()
    for key in ("j0", "j1"):
        assert "moderation" in project.run("retry", key, "--sandbox", "--yes", code=2).stderr
    project.apply(manifest, "--retry-failed", code=3)
    assert project.submitted() == submitted + 2
    assert events(project, "j0").count("intended") == 1
    assert events(project, "j2").count("intended") == 2


def test_caps_of_a_run(project):
    manifest = project.manifest(*"abcd")
    done = project.apply(manifest, "--max-jobs", "2", code=5)
    assert (project.submitted(), "Stopped: this run's cap keeps test/j2 back" in done.stderr) == (2, True)
    assert "names no currency" in project.apply(manifest, "--max-cost", "0.30", code=2).stderr
    done = project.apply(manifest, "--max-cost", "0.30 USD", code=5)
    row = ["[[prices]]", 'model = "seedance-2.0-fast"', 'resolution = "480p"', 'unit = "second"']
    stopped = done.stderr.partition("→ add its price to seedbatch.toml:\n")[2]
    assert stopped.splitlines()[:4] == [f"    {line}" for line in row]
    project.write("seedbatch.toml", PRICES)
    project.apply(manifest, "--max-cost", "0.30", code=5)
    assert project.submitted() == 3
    project.apply(manifest)
    assert project.submitted() == 4


def test_a_budget_in_the_manifest_holds_for_ever(project):
    project.write("seedbatch.toml", PRICES)
    manifest = project.manifest(*"abcd", extra="budget: {max_cost: 0.70, currency: USD}\n")
    for _ in range(2):
        assert "raise budget in its manifest" in project.apply(manifest, code=5).stderr
    assert project.submitted() == 2
    planned = json.loads(project.run("plan", manifest, "--sandbox", "--format", "json").stdout)
    assert planned["summary"]["kept_back"] == 2
    assert planned["summary"]["price"] == {"micros": 500_000, "currency": "USD"}
    assert planned["summary"]["exposure_after"] == {"micros": 1_000_000, "currency": "USD"}


def test_fail_fast(project):
    done = project.apply(project.manifest("[reject] a", *"bcdefgh"), "--fail-fast", "--submitting", "1", code=3)
    assert "--fail-fast" in done.stderr
    assert project.submitted() < 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[prices]]\nmodel = "m"\nunit = "second"\nprice = "-1"\ncurrency = "USD"\n', "price 1: price must be"),
        ('[[prices]]\nmodel = "m"\nunit = "minute"\nprice = "1"\ncurrency = "USD"\n', "unit cannot be 'minute'"),
        ('[[prices]]\nmodel = "m"\nunit = "clip"\ncurrency = "USD"\n', "price is missing"),
        ('[[prices]]\nmodel = "m"\nunit = "clip"\nprice = 1\ncurrency = "usd"\n', "three capital letters"),
        ('prices = "none.toml"\n', "there is no file none.toml"),
        ("[budget]\nmax_cost = 5\n", "max_cost and currency go together"),
        ('moderation_brake = "lax"\n', '"expected" or "strict"'),
    ],
)
def test_settings_of_money_that_are_wrong(project, text, words):
    project.write("seedbatch.toml", text)
    assert words in project.run("plan", project.manifest("a"), "--sandbox", code=2).stderr
