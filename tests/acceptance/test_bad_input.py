"""What goes wrong before or instead of a submission: words, exit codes, nothing submitted, nothing lost."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from contextlib import closing

import pytest

GOOD = (
    "version: 1\nbatch: b\ndefaults: {model: seedance-2.0-fast, input: {resolution: 480p, ratio: 16:9, duration: 5}}\n"
)
JOBS = "jobs:\n  - {key: a, prompt: a cat}\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        (b"version: 1\nbatch: caf\xe9\n", "this is not UTF-8"),
        (GOOD + "batch: c\n" + JOBS, "the key batch is here for the second time"),
        (GOOD + "jbos: []\n" + JOBS, "did you mean jobs?"),
        (GOOD + JOBS + "  - {key: a, prompt: a dog}\n", "the job a is wanted twice"),
        (GOOD + 'jobs: [{key: a, prompt: "a {{ citty }}"}]\nvars: {city: Oslo}\n', "did you mean city?"),
        (GOOD + "x: &a [1]\ny: [*a]\n" + JOBS, 'there is no key "x" here'),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcdefg", "bcdefgh", strict=True)),
            "stand for more than a million values",
        ),
        ("[" * 100_000, "nested deeper than 64"),
        (GOOD.replace("seedance-2.0-fast", "seedance-2.0-fats") + JOBS, "did you mean seedance-2.0-fast?"),
        (GOOD.replace("duration: 5", "duration: 3") + JOBS, "3 is less than 4"),
        (GOOD.replace("ratio: 16:9", "ratio: 969") + JOBS, "16:9"),
        (GOOD + 'jobs: [{key: a, prompt: x, output: "../../etc/x"}]\n', "leaves the output folder"),
        (GOOD + "jobs: [{key: a, prompt: x, takes: 0}]\n", "0 is less than 1"),
        (GOOD + "jobs:\n\t- {key: a}\n", "tab"),
        ("- a\n- b\n", "a manifest is a mapping"),
        (GOOD + JOBS + "---\nb: 1\n", "a manifest is one document"),
        (GOOD + "jobs: [{key: a, prompt: !!python/object:os.system x}]\n", "tag"),
    ],
)
def test_a_bad_manifest(project, content, words):
    name = project.write("bad.yaml", content)
    for command in (("validate", name), ("plan", name), ("apply", name, "--sandbox", "--yes")):
        done = project.run(*command, code=2)
        assert words in done.stderr
        assert "bad.yaml" in done.stderr
    assert not (project.folder / ".seedbatch").exists()


def test_every_problem_of_every_file_is_told_at_once(project):
    one = project.write(
        "one.yaml", GOOD + "jobs:\n  - {key: a, prompt: x, tkaes: 2}\n  - {key: b, prompt: y, takes: x}\n"
    )
    two = project.write("two.yaml", "version: 2\n")
    words = project.run("validate", one, two, "three.yaml", code=2).stderr
    for expected in (
        "one.yaml:5:25",
        "did you mean takes?",
        "one.yaml:6:32",
        "two.yaml:1:10",
        "batch is missing",
        "three.yaml: there is no such file",
    ):
        assert expected in words


def test_a_missing_file_and_a_folder(project):
    assert "there is no such file" in project.run("apply", "none.yaml", "--sandbox", "--yes", code=2).stderr
    (project.folder / "folder").mkdir()
    assert "this is a folder" in project.run("validate", "folder", code=2).stderr


def test_no_key(project):
    done = project.run("apply", project.manifest("a cat"), "--yes", code=4)
    assert "MAXAPI_API_KEY" in done.stderr
    assert not (project.folder / ".seedbatch").exists()


def sandbox(project, *arguments):
    process = project.start("sandbox", "--port", "0", "--file", "elsewhere/provider.db", *arguments)
    address = process.stderr.readline().split()[-1]
    project.environment |= {"MAXAPI_BASE_URL": address, "MAXAPI_API_KEY": "sk-secret-word"}
    return process


def test_a_wrong_key_stops_everything_and_loses_nothing(project):
    faults = project.write("faults.yaml", "rules: [{on: submit, do: 401}]\n")
    manifest = project.manifest(*(f"clip {number}" for number in range(20)))
    with sandbox(project, "--faults", faults) as server:
        done = project.run("apply", manifest, "--yes", code=4)
        server.terminate()
    assert "the provider refused the API key" in done.stderr
    assert project.run("list").stdout.count("pending") == 20
    for path in project.folder.rglob("*"):
        assert not path.is_file() or b"sk-secret-word" not in path.read_bytes(), path
    assert "sk-secret-word" not in done.stdout + done.stderr


def test_spent_credits_stop_submissions_only(project):
    faults = project.write("faults.yaml", "balance: 0\n")
    manifest = project.manifest("one", "two", "three")
    done = project.apply(manifest, f"--sandbox-faults={faults}", code=5)
    assert "credits are spent" in done.stderr
    assert set(project.states().values()) == {"pending"}
    project.apply(manifest)
    assert project.submitted() == 3


def test_a_wrong_address_is_one_message_not_one_failure_per_job(project):
    manifest = project.manifest(*(f"clip {number}" for number in range(20)))
    with sandbox(project) as server:
        project.environment["MAXAPI_BASE_URL"] += "/no/such/api"
        done = project.run("apply", manifest, "--yes", code=9)
        server.terminate()
    assert done.stderr.count("stopped") == 1
    assert project.run("list").stdout.count("pending") == 20


def test_an_unreachable_provider(project):
    """All the pauses before it is given up, in a hundredth of their time."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    project.environment |= {"MAXAPI_BASE_URL": f"http://127.0.0.1:{port}", "MAXAPI_API_KEY": "k" * 20}
    arguments = ["apply", project.manifest("a cat"), "--yes", "--submits-per-minute", "6000"]
    done = project.run_forked(*arguments, code=9, module="acceptance.hasty")
    assert "the provider cannot be reached" in done.stderr
    assert "pending" in project.run("list").stdout


def test_a_real_address_must_be_https(project):
    project.environment |= {"MAXAPI_BASE_URL": "http://api.example.com", "MAXAPI_API_KEY": "k" * 20}
    assert "https" in project.run("apply", project.manifest("a cat"), "--yes", code=2).stderr


def test_a_read_only_output_folder(project):
    (project.folder / "outputs").symlink_to("/proc/1")  # where not even root may write
    done = project.apply(project.manifest("a cat"), code=2)
    assert "cannot be written" in done.stderr
    assert not (project.folder / ".seedbatch").exists()


def test_an_output_folder_that_is_a_file(project):
    project.write("outputs", "mine")
    assert "cannot be written" in project.apply(project.manifest("a cat"), code=2).stderr
    assert (project.folder / "outputs").read_text() == "mine"


def test_files_that_are_not_ours_are_never_overwritten(project):
    project.write("outputs/sandbox/test/j0.mp4", "mine")
    done = project.apply(project.manifest("a cat", "a dog"), code=2)
    assert "test/j0" in done.stderr
    assert (project.folder / "outputs/sandbox/test/j0.mp4").read_text() == "mine"
    assert project.submitted() == 0


@pytest.mark.parametrize("content", ["", "no database", "SQLite format 3\x00" + "x" * 9000])
def test_a_ledger_that_is_none(project, content):
    project.write(".seedbatch/sandbox.db", content)
    manifest = project.manifest("a cat")
    done = project.apply(manifest, code=8)
    assert "sandbox.db" in done.stderr
    for command in ("status", "list", "show j0"):
        project.run(*command.split(), "--sandbox", code=8)
    project.run("plan", manifest, "--sandbox", code=8)
    assert (project.folder / ".seedbatch/sandbox.db").read_text() == content


def test_a_sandboxs_ledger_never_meets_the_real_provider(project):
    manifest = project.manifest("a cat")
    project.apply(manifest)
    project.environment["MAXAPI_API_KEY"] = "k" * 20
    done = project.run("apply", manifest, "--yes", "--ledger", ".seedbatch/sandbox.db", code=8)
    assert "--sandbox" in done.stderr


def test_nobody_is_asked_where_there_is_no_terminal(project):
    done = project.run("apply", project.manifest("a cat"), "--sandbox", code=2)
    assert "--yes" in done.stderr
    assert not project.provider_file.exists()


@pytest.mark.parametrize(("answer", "code", "billed"), [("n\n", 2, 0), ("\n", 2, 0), ("y\n", 0, 1)])
def test_a_person_is_asked_before_money_is_spent(project, answer, code, billed):
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    done = project.run("apply", project.manifest("a cat"), "--sandbox", "--sandbox-speed=50", code=code, stdin=theirs)
    os.close(ours)
    os.close(theirs)
    assert "Submit 1 request to the sandbox" in done.stderr
    assert project.submitted() == billed


def test_unknown_things_name_the_nearest(project):
    assert "did you mean 'apply'" in project.run("aply", code=2).stderr
    assert "seedance-2.0" in project.run("schema", "seedanse-2.0", code=2).stderr
    project.apply(project.manifest("a cat"))
    assert "did you mean 'j0'" in project.run("show", "j1", "--sandbox", code=2).stderr
    project.run("apply", code=2)
    project.run("apply", "x.yaml", "--submitting", "many", code=2)


def test_bad_settings(project):
    manifest = project.manifest("a cat")
    project.write("seedbatch.toml", 'base_url = "https://elsewhere.example"\n')
    assert "base_url" in project.run("plan", manifest, code=2).stderr
    project.write("seedbatch.toml", "outptu_dir = 'x'\n")
    assert "output_dir" in project.run("plan", manifest, code=2).stderr
    project.write("seedbatch.toml", "= nonsense")
    assert "seedbatch.toml" in project.run("plan", manifest, code=2).stderr


def test_a_full_disk_stops_before_anything_is_sent(project):
    """The ledger may not grow: nothing is submitted, and the next run does everything."""
    manifest = project.manifest(*(f"clip {number}" for number in range(40)))
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, -1));"
        "from seedbatch.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "apply", manifest, "--sandbox", "--yes"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 8, done.stderr
    assert "cannot be" in done.stderr
    assert project.submitted() == 0
