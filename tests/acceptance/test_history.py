"""What a ledger tells of its past: runs, and the story of a job."""

from __future__ import annotations

import json
import signal


def log(project, *arguments: str) -> list[dict]:
    return [json.loads(line) for line in project.run("log", "--sandbox", "--json", *arguments).stdout.splitlines()]


def test_runs_are_listed_newest_first_with_what_they_did_and_cost(priced):
    priced.apply(priced.manifest("one", "two [fail]"), code=3)
    priced.run("collect", "--sandbox", code=3)
    collected, applied = log(priced)
    assert (applied["command"], applied["exit"], applied["state"]) == ("apply", 3, "ended")
    assert applied["arguments"][0] == "test.yaml"
    assert (applied["submitted"], applied["did"]) == (2, {"completed": 1, "reused": 0, "failed": 1, "expired": 0})
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


def test_a_clip_that_was_paid_for_already_is_told_as_reused(priced):
    priced.apply(priced.manifest("one", batch="a"))
    priced.apply(priced.manifest("one", batch="b"))
    second, _ = log(priced)
    assert (second["submitted"], second["did"]["reused"], second["cost"]) == (0, 1, None)


def test_a_run_knows_the_commit_of_its_manifest(project):
    project.git("init", "-q")
    manifest = project.manifest("one")
    project.git("add", manifest)
    project.git("commit", "-qm", "first")
    commit = project.git("rev-parse", "HEAD")
    project.apply(manifest)
    project.manifest("one", "two")
    project.apply(manifest)
    second, first = (run["batches"][0] for run in log(project))
    assert (first["commit"], first["dirty"]) == (commit, False)
    assert (second["commit"], second["dirty"]) == (commit, True)
    lines = project.run("log", "--sandbox").stdout.splitlines()
    assert [line.split("\t")[4] for line in lines[1:]] == [f"{commit[:7]}*", commit[:7]]


def test_a_run_that_was_killed_says_so_and_one_that_runs_as_well(project):
    manifest = project.manifest("a cat")
    process = project.start_and_hang(manifest)
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


def tries(project, key: str) -> list[list[dict]]:
    lines = project.run("show", key, "--sandbox", "--json").stdout.splitlines()
    return [json.loads(line)["tries"] for line in lines]


def test_the_story_of_a_job_that_was_retried(priced):
    priced.git("init", "-q")
    manifest = priced.manifest("one", "two [fail]", extra="retry: {attempts: 2}\n")
    priced.git("add", manifest)
    priced.git("commit", "-qm", "first")
    priced.apply(manifest, code=3)
    priced.run("retry", "j1", "--sandbox", "--yes")
    priced.apply(manifest, code=3)
    story = json.loads(priced.run("show", "j1", "--sandbox", "--json").stdout)
    commit = priced.git("rev-parse", "HEAD")
    assert story["manifest"] == {"file": "test.yaml", "line": 8, "commit": commit, "dirty": False, "run": 1}
    assert [(one["attempt"], one["run"], one["sent"], one["learned_by"]) for one in story["tries"]] == [
        (1, 1, "yes", "query"),
        (2, 1, "yes", "query"),
        (3, 2, "yes", "query"),
    ]
    allowed = [one["allowed_by"] for one in story["tries"]]
    assert allowed[0] == "the manifest"
    assert allowed[1] == "the manifest's retry.attempts (2), for a failure that may be retried"
    assert allowed[2].startswith("the word of ")
    assert all(one["refund_unknown"] and one["cost"] == one["reserved"] for one in story["tries"])
    words = priced.run("show", "j1", "--sandbox").stdout
    assert f"manifest:     test.yaml:8, commit {commit[:12]}, since run 1" in words
    assert words.count("whether a failed task is refunded is not known") == 3


def test_the_story_of_a_job_that_is_in_doubt(project):
    faults = project.write("faults.yaml", "rules: [{on: submit, do: cut-after-accept, at: [1]}]\n")
    project.apply(project.manifest("one"), "--sandbox-faults", faults, code=7)
    project.run("resolve", "j0", "--resubmit", "--sandbox", "--yes")
    project.apply("test.yaml")
    ((first, second),) = tries(project, "j0")
    assert (first["sent"], first["outcome"], first["task_id"], first["cost"]) == ("unknown", "resubmitted", None, None)
    assert first["doubt"]
    assert second["allowed_by"].endswith("who accepted that it may be billed twice")
    words = project.run("show", "j0", "--sandbox").stdout
    assert "sent:         not known; if so, with user_id seedbatch-" in words


def test_each_revision_has_the_commit_that_asked_for_it(project):
    project.git("init", "-q")
    commits = []
    for prompt in ("one", "two"):
        project.git("add", project.manifest(prompt))
        project.git("commit", "-qm", prompt)
        commits.append(project.git("rev-parse", "HEAD"))
        project.apply("test.yaml")
    lines = project.run("show", "j0", "--sandbox", "--json").stdout.splitlines()
    assert [json.loads(line)["manifest"]["commit"] for line in lines] == commits


def test_the_story_tells_who_told_the_end(project):
    project.run("apply", project.manifest("one"), "--sandbox", "--yes", "--listen=127.0.0.1:0", "--sandbox-speed=20")
    ((only,),) = tries(project, "j0")
    assert (only["callback_asked"], only["learned_by"]) == (True, "callback")
    assert [one["verdict"] for one in only["callbacks"]] == ["heard"]
    assert "told by a callback and confirmed by a query" in project.run("show", "j0", "--sandbox").stdout


def test_what_changed_between_two_runs(priced):
    priced.apply(priced.manifest("one", "two", "three"))
    priced.apply("test.yaml")
    priced.write("test.yaml", (priced.folder / "test.yaml").read_text().replace('"two"', '"two [fail]"'))
    priced.write(
        "test.yaml", (priced.folder / "test.yaml").read_text().replace("key: j2", "key: j9, input: {duration: 4}")
    )
    priced.apply("test.yaml", code=3)
    assert "the same jobs are wanted" in priced.run("diff", "1", "2", "--sandbox").stdout
    found = json.loads(priced.run("diff", "1", "3", "--sandbox", "--json").stdout)
    assert [(job["key"], job["edit"], job["from_revision"], job["to_revision"]) for job in found["jobs"]] == [
        ("j1", "changed", 1, 2),
        ("j2", "removed", 1, None),
        ("j9", "added", None, 1),
    ]
    assert found["jobs"][0]["reason"].endswith("; failed")
    assert found["summary"]["costs"] == [{"micros": 450_000, "currency": "USD"}]
    assert found["summary"]["costs_before"] == [{"micros": 500_000, "currency": "USD"}]
    assert (found["from"]["run"], found["to"]["run"]) == (1, 3)
    words = priced.run("diff", "1", "3", "--sandbox").stdout
    assert "1 added, 1 changed, 1 removed.\n" in words
    assert "What came and changed may cost 0.45 USD so far; what it replaced or left behind had cost 0.50 USD." in words
    back = json.loads(priced.run("diff", "3", "1", "--sandbox", "--json").stdout)
    assert [job["edit"] for job in back["jobs"]] == ["changed", "added", "removed"]
    again = priced.run("diff", "2", "3", "--sandbox", "--json").stdout
    assert json.loads(again)["jobs"] == found["jobs"]


def test_a_job_that_came_back_between_two_runs_is_no_difference(project):
    project.apply(project.manifest("one", "two"))
    project.apply(project.manifest("one"))
    project.apply(project.manifest("one", "two"))
    assert json.loads(project.run("diff", "1", "3", "--sandbox", "--json").stdout)["jobs"] == []
    (only,) = json.loads(project.run("diff", "1", "2", "--sandbox", "--json").stdout)["jobs"]
    assert (only["key"], only["edit"]) == ("j1", "removed")


def test_only_batches_of_the_runs_are_compared(project):
    project.apply(project.manifest("one", batch="a"))
    project.apply(project.manifest("one", batch="b"))
    project.apply(project.manifest("one", "two", batch="a"))
    (only,) = json.loads(project.run("diff", "1", "3", "--sandbox", "--json").stdout)["jobs"]
    assert (only["batch"], only["key"]) == ("a", "j1")


def test_what_changed_between_two_commits(priced):
    priced.git("init", "-q")
    for prompt in ("one", "other"):
        priced.git("add", priced.manifest("same", prompt))
        priced.git("commit", "-qm", prompt)
    (priced.folder / "test.yaml").unlink()
    found = json.loads(priced.run("diff", "HEAD~1", "HEAD", "test.yaml", "--json").stdout)
    (only,) = found["jobs"]
    assert (only["key"], only["edit"], only["price"]["micros"]) == ("j1", "changed", 250_000)
    assert (found["ref"], found["until"]) == ("HEAD~1", "HEAD")
    words = priced.run("diff", "HEAD~1", "HEAD", "test.yaml").stdout
    assert words.startswith("From HEAD~1 (")
    assert "The edit asks for 1 new request for 0.25 USD." in words
    assert "neither HEAD~1 nor HEAD has a file" in priced.run("diff", "HEAD~1", "HEAD", "never.yaml", code=2).stderr


def test_what_is_no_run(project):
    assert "There is no ledger" in project.run("diff", "1", "2").stderr
    project.apply(project.manifest("one"))
    assert "there is no run 2" in project.run("diff", "1", "2", "--sandbox", code=2).stderr
    assert "there is no run 99" in project.run("diff", "9" * 99, "2", "--sandbox", code=2).stderr
    done = project.run("diff", "main", "2", "--sandbox", code=2)
    assert "'main' is no number of a run" in done.stderr
    assert "seedbatch diff main 2 MANIFEST" in done.stderr
