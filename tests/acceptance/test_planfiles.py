"""Plan files on the installed command: what was approved is what is carried out, and nothing else is paid for."""

from __future__ import annotations

import json
import os
import signal

import pytest

from seedbatch.cli.planfiles import plan_file_among
from seedbatch.domain.errors import UsageError

SOURCE = """\
version: 1
batch: shots
defaults: {model: seedance-2.0-fast, input: {resolution: 480p, ratio: 1:1, duration: 5}}
sources: [{csv: shots.csv, key: "{{ id }}", prompt: "{{ text }}"}]
"""
PRICES = 'prices = [{model = "seedance-2.0-fast", unit = "clip", price = "%s", currency = "USD"}]\n'


@pytest.fixture
def shots(project):
    project.write("shots.csv", "id,text\none,A river\ntwo,A lake\n")
    project.write("seedbatch.toml", PRICES % "0.25")
    return project.write("shots.yaml", SOURCE)


def plan(project, *arguments, out="p.plan"):
    return project.run("plan", *arguments, "--sandbox", "--out", out)


def refused(project, words, name="p.plan", *arguments):
    """Refused with these words; and nothing was spent."""
    before = project.submitted()
    done = project.apply(name, *arguments, code=2)
    assert words in done.stderr
    assert project.submitted() == before
    return done.stderr


def test_what_was_approved_is_carried_out(project, shots):
    done = plan(project, shots)
    assert "carry it out with: seedbatch apply p.plan --sandbox" in done.stderr
    assert not (project.folder / ".seedbatch").exists()
    first = (project.folder / "p.plan").read_bytes()
    plan(project, shots)  # the same things make the same file, in place of the earlier one
    assert (project.folder / "p.plan").read_bytes() == first
    header, *requests, last = map(json.loads, first.splitlines())
    assert [file["path"] for file in header["files"]] == ["shots.yaml", "shots.csv"]
    assert [(one["key"], one["price"]["micros"]) for one in requests] == [("one", 250_000), ("two", 250_000)]
    assert last["digest"] in done.stderr
    project.apply("p.plan")
    assert project.states() == {"one": "completed", "two": "completed"}
    # It has begun, so it may go on: nothing is left of it.
    assert "2 completed" in project.apply("p.plan").stderr
    assert project.submitted() == 2
    assert project.run("ledger", "check", "--sandbox").stdout.startswith("ledger ok")


def test_a_plan_is_about_the_jobs_that_were_selected(project):
    manifest = project.manifest("A river", "A lake", "A hill")
    plan(project, manifest, "--select", "j0 j2", "--exclude", "j2")
    project.apply("p.plan")
    assert project.states() == {"j0": "completed", "j1": "pending", "j2": "pending"}
    assert "leave out --select" in refused(project, "p.plan is a plan", "p.plan", "--select", "j1")


def test_a_stale_plan_says_what_moved_and_spends_nothing(project, shots):
    plan(project, shots)
    text = (project.folder / shots).read_text()
    project.write(shots, text + "# a remark\n")
    words = refused(project, "p.plan is stale: shots.yaml changed")
    assert "seedbatch plan shots.yaml --sandbox --out p.plan" in words
    project.write(shots, text)
    project.write("shots.csv", "id,text\none,A river\ntwo,A pond\n")
    refused(project, "p.plan is stale: shots.csv changed")
    project.write("shots.csv", "id,text\none,A river\ntwo,A lake\n")
    project.write("seedbatch.toml", PRICES % "0.26")
    refused(project, "p.plan is stale: the price table changed")
    project.write("seedbatch.toml", PRICES % "0.25")
    assert not (project.folder / ".seedbatch").exists()
    other = project.manifest("A hill", batch="other")
    project.apply(other)
    refused(project, "p.plan is stale: there was no ledger yet")
    plan(project, shots)
    project.apply(project.manifest("A hill", "A dale", batch="other"))
    refused(project, "p.plan is stale: the ledger has taken 1 submission since")
    plan(project, shots)
    refused(project, "p.plan is stale: it was made for another ledger", "p.plan", "--ledger", other_ledger(project))
    refused(project, "p.plan is stale: its ledger is not here", "p.plan", "--ledger", "none.db")
    project.apply("p.plan")
    assert project.submitted() == 4  # the third batch is another sandbox's


def other_ledger(project):
    """A ledger with another history."""
    project.apply(project.manifest("A wood", batch="third"), "--ledger", "third.db")
    return "third.db"


def test_a_plan_for_one_provider_is_not_carried_out_at_the_other(project):
    plan(project, project.manifest("A river"))
    done = project.run("apply", "p.plan", "--yes", code=2)
    assert "p.plan is a plan for the sandbox" in done.stderr


def test_what_settles_otherwise_makes_a_plan_stale(project):
    manifest = project.manifest("A river", "A lake")
    project.apply(manifest, "--select", "j0")
    plan(project, manifest)
    project.run("abandon", "j1", "--sandbox", "--yes")
    refused(project, "p.plan is stale: 1 of its requests would not be sent now")


def test_a_plan_that_was_interrupted_goes_on(project):
    manifest = project.manifest(*(f"A river, {number}" for number in range(30)))
    plan(project, manifest)
    running = project.start("apply", "p.plan", "--sandbox", "--yes", "--json", "--sandbox-speed=20")
    seen = 0
    for line in running.stdout:
        seen += json.loads(line)["type"] == "submitted"
        if seen == 5:
            running.send_signal(signal.SIGKILL)
            break
    running.communicate()
    assert 0 < project.submitted() < 30
    project.apply("p.plan", code=None)
    for job in project.jobs():
        if job["state"] == "in_doubt":
            project.run("resolve", job["key"], "--lost", "--sandbox", "--yes")
    assert all(len(tasks) == 1 for tasks in project.charges().values())
    assert set(project.states().values()) <= {"completed", "failed"}
    # What it is bound to holds for the rest of it too.
    project.write(manifest, (project.folder / manifest).read_text() + "# a remark\n")
    refused(project, "p.plan is stale: test.yaml changed")


def test_a_plan_that_was_begun_pays_for_nothing_beyond_it(project):
    manifest = project.manifest("A river [fail]", "A lake")
    plan(project, manifest)
    project.apply("p.plan", code=3)
    project.run("retry", "j0", "--sandbox", "--yes")
    # A person's word, as the plan has it: the same request of the same revision.
    project.apply("p.plan", code=3)
    assert project.submitted() == 3
    text = (project.folder / manifest).read_text()
    project.write(manifest, text.replace("A lake", "A pond"))
    refused(project, "p.plan is stale: test.yaml changed")


def test_a_plan_to_retry_what_failed(project):
    manifest = project.manifest("A river [fail]", "A lake")
    project.apply(manifest, code=3)
    done = plan(project, manifest, "--retry-failed")
    assert "retry" in done.stdout
    project.apply("p.plan", code=3)
    assert project.submitted() == 3
    assert "leave out" in refused(project, "p.plan is a plan", "p.plan", "--retry-failed")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text.replace(b"A river", b"A rover").replace(b'"j1"', b'"j9"'), "not as it was written"),
        (lambda text: text[:-20], "not as it was written"),
        (lambda text: text[: text.index(b"\n") + 1], "not as it was written"),
        (lambda text: text + b"\n", "not as it was written"),
        (lambda text: text + b'{"digest": "0"}\n', "not as it was written"),
        (lambda text: text.replace(b'{"seedbatch_plan": 1,', b'{"seedbatch_plan": 2,'), "of another version"),
        (lambda text: text.replace(b"\n", b"\r\n"), "not as it was written"),
    ],
)
def test_an_edited_plan_is_refused(project, damage, words):
    plan(project, project.manifest("A river", "A lake"))
    text = (project.folder / "p.plan").read_bytes()
    assert damage(text) != text
    project.write("p.plan", damage(text))
    refused(project, words)


def test_no_byte_of_a_plan_can_be_changed_unseen(project):
    plan(project, project.manifest("A river"))
    text = (project.folder / "p.plan").read_bytes()
    path = project.folder / "p.plan"
    for place in range(len(text)):
        path.write_bytes(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])
        try:
            assert plan_file_among([path]) is None  # taken for a manifest, which it is not
            assert place < len('{"seedbatch_plan": ')
        except UsageError:
            continue
    assert plan_file_among([project.folder / "test.yaml"]) is None
    path.write_bytes(b"?" + text[1:])
    project.apply("p.plan", code=2)


def test_a_plan_is_alone_and_no_manifest(project):
    manifest = project.manifest("A river")
    plan(project, manifest)
    assert "p.plan is a plan: it is applied alone" in project.apply("p.plan", manifest, code=2).stderr
    done = project.run("plan", "p.plan", "--sandbox", code=2)
    assert "carry it out with seedbatch apply p.plan" in done.stderr


def test_out_overwrites_nothing_but_plans(project):
    manifest = project.manifest("A river")
    text = (project.folder / manifest).read_text()
    done = project.run("plan", manifest, "--sandbox", "--out", manifest, code=2)
    assert "test.yaml is there already, and no plan" in done.stderr
    assert (project.folder / manifest).read_text() == text
    done = project.run("plan", manifest, "--sandbox", "--out", "nowhere/p.plan", code=2)
    assert "nowhere/p.plan cannot be written: No such file or directory" in done.stderr
    if os.geteuid():
        (project.folder / "shut").mkdir(mode=0o500)
        project.run("plan", manifest, "--sandbox", "--out", "shut/p.plan", code=2)
    done = project.run("plan", manifest, "--sandbox", "--out", "/dev/full", code=2)
    assert "/dev/full is there already, and no plan" in done.stderr
    assert sorted(path.name for path in project.folder.iterdir()) == ["test.yaml"] or os.geteuid()
