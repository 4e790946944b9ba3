"""The installed command, called back: by an embedded receiver, by a permanent one, and what is refused beforehand."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager

import pytest

from seedbatch.domain.secret import Secret
from seedbatch.domain.tokens import TokenKey
from seedbatch.sandbox import read_bill

PATIENT = {"SEEDBATCH_RECONCILE_FIRST": "60", "SEEDBATCH_RECONCILE_EVERY": "60"}
KEY = TokenKey(Secret("sandbox"))


def word_of(process, beginning):
    """The rest of the first line on stderr that begins so."""
    for line in process.stderr:
        if line.startswith(beginning):
            return line.removeprefix(beginning).strip()
    raise AssertionError(process.poll())


@contextmanager
def running(project, *arguments):
    process = project.start(*arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def provider(project, *arguments):
    """A sandbox that outlives the processes that ask it."""
    with running(project, "sandbox", "--port", "0", "--speed", "50", "--internal-callbacks", *arguments) as process:
        project.environment |= {
            "MAXAPI_BASE_URL": word_of(process, "The sandbox listens at "),
            "MAXAPI_API_KEY": "sandbox",
        }
        # Nobody reads on, and a full pipe would hold it up.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield project.folder / ".seedbatch/sandbox-provider.db"


def listen(project, *arguments):
    process = project.start("listen", "--bind", "127.0.0.1:0", *arguments)
    url = word_of(process, "Listening at ").split(",")[0]
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process, url


def post(url, body, method="POST"):
    request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - a listener of ours
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def ask(path, sql):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def test_an_embedded_receiver_brings_results_and_adopts_what_was_lost(project):
    project.environment |= PATIENT
    faults = project.write("faults.yaml", "rules: [{on: submit, do: cut-after-accept, every: 5}]\n")
    manifest = project.manifest(*(f"clip {number}" for number in range(10)))
    done = project.apply(manifest, "--listen", "127.0.0.1:0", f"--sandbox-faults={faults}", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["type"] for event in events].count("adopted") == 2
    assert (events[-1]["exit"], events[-1]["without_webhook"]) == (0, 0)
    assert set(project.states().values()) == {"completed"}
    assert project.submitted() == 10


def test_a_permanent_listener_works_for_every_process_of_its_ledger(project):
    manifest = project.manifest("a cat", "a dog", "[fail] a fish")
    with provider(project) as bill:
        project.environment |= PATIENT
        process, url = listen(project)
        done = project.run("apply", manifest, "--yes", "--no-wait", "--public-url", url, code=None)
        assert done.returncode in {3, 6}  # a task may have failed meanwhile
        assert "No public URL" not in done.stderr
        ledger = project.folder / ".seedbatch/ledger.db"
        begun = time.monotonic()
        while ask(ledger, "SELECT count(*) FROM jobs WHERE state IN ('completed', 'failed')") != [(3,)]:
            assert time.monotonic() - begun < 30
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 130
        charges = [line for line in read_bill(bill) if line.kind == "charge"]
    assert len(charges) == 3
    status = json.loads(project.run("status", "--json").stdout)
    assert (status["with_webhook"], status["without_webhook"]) == (3, 0)
    project.run("ledger", "check")


def test_two_listeners_and_garbage_at_both(project):
    with provider(project):
        one, first = listen(project)
        two, second = listen(project)
        token = KEY.token(secrets.token_bytes(16))
        for url in (first, second):
            assert post(f"{url}/callbacks/{token}", b"{}") == 200
            assert post(f"{url}/callbacks/{token[:-1]}x", b"{}") == 404
            assert post(f"{url}/callbacks/{token}", None, "GET") == 404
            assert post(f"{url}/", b"{}") == 404
            assert post(f"{url}/callbacks/{token}", b"x" * 70_000) == 413
        ledger = project.folder / ".seedbatch/ledger.db"
        begun = time.monotonic()
        while ask(ledger, "SELECT verdict FROM callbacks") != [("unknown",)]:
            assert time.monotonic() - begun < 20
            time.sleep(0.05)
        for process in (one, two):
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 130
    words = project.run("status").stdout
    assert "STRAY: 1 callback" in words
    assert token not in words


def test_no_token_is_in_any_output_or_file(project):
    project.environment |= PATIENT
    manifest = project.manifest("a cat")
    seen = project.folder / "seen.txt"
    project.environment["SEEDBATCH_SANDBOX_FAULTS"] = project.write(
        "faults.yaml", "rules: [{on: submit, do: cut-after-accept}]\n"
    )
    done = project.apply(manifest, "--listen", "127.0.0.1:0", "--verbose")
    ((url,),) = ask(project.provider_file, "SELECT callback_url FROM tasks")
    token = url.rpartition("/")[2]
    assert len(token) == 43
    shown = project.run("show", "j0", "--sandbox").stdout + project.run("status", "--sandbox", "--json").stdout
    assert token not in done.stdout + done.stderr + shown
    ours = [path for path in project.folder.rglob("*") if path.is_file() and "sandbox-provider" not in path.name]
    assert all(token.encode() not in path.read_bytes() for path in ours)
    assert not seen.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "nonsense"), "HOST:PORT"),
        (("--listen", "127.0.0.1:99999"), "HOST:PORT"),
        (("--listen", "::1:80"), "HOST:PORT"),
        (("--listen", "127.0.0.1:0", "--proxy", "somewhere", "--sandbox"), "--proxy"),
        (("--listen", "192.0.2.1:1", "--sandbox"), "cannot listen at 192.0.2.1:1"),
        (("--listen", "127.0.0.1:0"), "add --public-url https://"),
        (("--listen", "127.0.0.1:0", "--public-url", "http://hooks.example.com"), "must be https"),
        (("--public-url", "ftp://x"), "public_url from flag --public-url"),
    ],
)
def test_an_address_that_cannot_be_used_ends_before_anything_is_submitted(project, arguments, words):
    project.environment["MAXAPI_API_KEY"] = "k" * 20
    done = project.run("apply", project.manifest("a cat"), "--yes", *arguments, code=2)
    assert words in done.stderr
    assert project.submitted() == 0


def test_a_port_that_is_taken_ends_before_anything_is_submitted(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = project.apply(project.manifest("a cat"), "--listen", f"127.0.0.1:{port}", code=2)
        assert f"cannot listen at 127.0.0.1:{port}" in done.stderr
        assert project.submitted() == 0
        assert project.run("listen", "--sandbox", "--bind", f"127.0.0.1:{port}", code=2).stdout == ""


def test_without_a_public_url_it_says_what_that_means_before_it_asks(project):
    project.environment |= {"MAXAPI_API_KEY": "k" * 20, "MAXAPI_BASE_URL": "https://127.0.0.2:9"}
    manifest = project.manifest("a cat")
    # On this machine a provider is known to reach us; so the words are for the others.
    project.environment["MAXAPI_BASE_URL"] = "https://provider.invalid"
    done = project.run("apply", manifest, code=2)
    assert done.stderr.index("No public URL") < done.stderr.index("no terminal to ask at")
    assert project.run("apply", manifest, "--quiet", code=2).stderr.count("No public URL") == 0


def test_a_silent_provider_is_told_and_doctor_is_named(project):
    faults = project.write("faults.yaml", "rules: [{on: callback, do: drop}]\n")
    done = project.apply(project.manifest("a", "b", "c", "d"), "--listen", "127.0.0.1:0", f"--sandbox-faults={faults}")
    assert done.stderr.count("does the public URL reach the listener?") == 1
    assert "4 results came without a callback" in done.stderr
    assert "seedbatch doctor --sandbox" in done.stderr
    assert "no callback ever came" in project.run("status", "--sandbox").stdout


def test_ctrl_c_at_a_listener_finishes_what_is_under_way(project):
    with provider(project):
        process, url = listen(project)
        posting = threading.Thread(
            target=lambda: [post(f"{url}/callbacks/{KEY.token(secrets.token_bytes(16))}", b"{}") for _ in range(20)]
        )
        posting.start()
        posting.join()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    assert ask(project.folder / ".seedbatch/ledger.db", "SELECT count(*) FROM callbacks") == [(20,)]
    assert list((project.folder / ".seedbatch/owners").iterdir()) == []
