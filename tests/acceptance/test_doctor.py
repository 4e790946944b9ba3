"""`doctor` as people and scripts meet it, beside a real provider and a real listener."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import subprocess
from contextlib import closing, contextmanager

import pytest
from acceptance.conftest import COMMAND, Project
from acceptance.test_terminal import COLOUR, ESCAPE, seen

from seedbatch.settings.values import FIELDS

KEY = "sk-doctor-0123456789"
NAMES = [
    "settings", "key", "provider", "clock", "sqlite", "disk", "output", "ledger", "locks", "public_url", "callbacks",
    "descriptors",
]  # fmt: skip


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """The address of a sandbox that runs for other programs."""
    file = tmp_path_factory.mktemp("provider") / "provider.db"
    arguments = [COMMAND, "sandbox", "--port", "0", "--file", str(file), "--internal-callbacks"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        yield re.search(r"listens at (\S+)", process.stderr.readline())[1]
        process.terminate()
        process.stderr.read()


@pytest.fixture
def ready(project, provider):
    """A project with a key and a provider that takes it."""
    project.environment |= {"MAXAPI_BASE_URL": provider, "MAXAPI_API_KEY": KEY}
    return project


@pytest.fixture
def nowhere():
    with socket.socket() as taken:  # bound, and not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module", autouse=True)
def broken(tmp_path_factory):
    """A `doctor` that finds everything broken, and waits ten seconds for an answer: begun before the other tests."""
    project = Project(tmp_path_factory.mktemp("broken"))
    (project.folder / "outputs").write_text("a file")
    (project.folder / "state.db").mkdir()
    with socket.socket() as taken, socket.create_server(("127.0.0.1", 0)) as silent:
        taken.bind(("127.0.0.1", 0))  # and not listening
        for name, one in (("MAXAPI_BASE_URL", taken), ("SEEDBATCH_PUBLIC_URL", silent)):
            project.environment[name] = f"http://127.0.0.1:{one.getsockname()[1]}"
        project.environment["MAXAPI_API_KEY"] = KEY
        with project.start("doctor", "--json", "--ledger", "state.db") as process:
            yield process
            process.kill()


@contextmanager
def listener(project):
    """A real `seedbatch listen`; the address it listens at."""
    with project.start("listen", "--bind", "127.0.0.1:0") as process:
        try:
            yield re.search(r"Listening at ([^\s,]+)", process.stderr.readline())[1]
        finally:
            process.terminate()
            process.communicate(timeout=60)


def told(stdout):
    """What `--json` tells: checks and settings by name."""
    facts = json.loads(stdout)
    assert facts["version"] == 1
    assert KEY not in stdout
    assert not re.search(r"/callbacks/\w", stdout)
    checks = {check["name"]: check for check in facts["checks"]}
    assert all(check.keys() == {"name", "verdict", "words", "hint"} for check in checks.values())
    return checks, {one["name"]: one for one in facts["settings"]}


def examined(project, *arguments, code=0):
    done = project.run("doctor", "--json", *arguments, code=code)
    assert done.stderr == ""
    return told(done.stdout)


def inbox(project):
    with closing(sqlite3.connect(project.folder / ".seedbatch/ledger.db")) as connection:
        return [json.loads(body) for (body,) in connection.execute("SELECT body FROM callbacks")]


def test_a_sound_place_and_nothing_is_made_there(ready):
    checks, settings = examined(ready)
    assert list(checks) == NAMES
    assert {name for name, check in checks.items() if check["verdict"] != "ok"} == {"public_url", "callbacks"}
    assert settings.keys() == {*FIELDS, "api_key", "day_budget"}
    assert settings["api_key"] == {"name": "api_key", "value": None, "origin": "environment MAXAPI_API_KEY"}
    assert list(ready.folder.iterdir()) == []


def test_settings_that_are_wrong_are_a_problem_among_others(ready):
    ready.environment |= {"SEEDBATCH_PUBLIC_URL": "http://hooks.example"}
    checks, settings = examined(ready, code=2)
    assert list(checks) == ["settings"]
    assert "public_url from environment SEEDBATCH_PUBLIC_URL must be https" in checks["settings"]["words"]
    assert settings == {}


def test_a_callback_comes_back_to_a_real_listener(ready):
    with listener(ready) as address:
        ready.environment |= {"SEEDBATCH_PUBLIC_URL": address}
        # At once: its own ledger, another one, and another key.
        right = ready.start("doctor", "--json")
        wrong = ready.start("doctor", "--json", "--ledger", "another.db")
        ready.environment |= {"MAXAPI_API_KEY": "another-key"}
        strange = ready.start("doctor", "--json")
        (checks, _), (others, _), (strangers, _) = (told(one.communicate()[0]) for one in (right, wrong, strange))
    assert "reaches the listener of this ledger" in checks["public_url"]["words"]
    assert "it is not the listener of this ledger" in others["public_url"]["words"]
    assert "HTTP 404: a listener of another API key" in strangers["public_url"]["words"]
    assert (right.returncode, wrong.returncode, strange.returncode) == (0, 2, 2)
    assert [body.keys() for body in inbox(ready)] == [{"seedbatch", "nonce"}] * 2
    assert not (ready.folder / "another.db").exists()


def test_doctor_listens_itself(ready):
    checks, _ = examined(ready, "--bind", "127.0.0.1:0")
    assert "reaches this machine" in checks["public_url"]["words"]
    assert list(ready.folder.iterdir()) == []


def test_results_that_no_callback_ever_announced(project, nowhere):
    project.apply(project.manifest("one", "two"), "--public-url", nowhere)
    checks, settings = examined(project, "--sandbox")
    assert {checks[name]["verdict"] for name in ("key", "provider", "clock")} == {"skipped"}
    assert settings["sandbox"]["origin"] == "flag --sandbox"
    assert "2 results came, and no callback ever did" in checks["callbacks"]["words"]
    assert "seedbatch doctor --sandbox --public-url URL" in checks["callbacks"]["hint"]


def test_a_narrow_window(ready, nowhere):
    written, code = seen(ready, "doctor", "--public-url", f"{nowhere}/a/way/to/the/listener", columns=60)
    lines = [ESCAPE.sub("", line).rstrip() for line in written.splitlines()]
    assert code == 2
    assert max(map(len, lines)) <= 60
    assert "1 problem, 0 warnings." in lines
    assert COLOUR.search(written)
    assert KEY not in written


def test_without_colours(ready):
    written, code = seen(ready, "doctor", columns=80, NO_COLOR="1")
    assert code == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9](;[0-9;]*)?m", written)
    assert re.search(r"^ok +provider +http://127.0.0.1:\d+ answers", written, flags=re.MULTILINE)
    done = ready.run("doctor")
    assert re.search(r"^ok +provider +http", done.stdout, flags=re.MULTILINE)
    assert "\x1b" not in done.stdout
    assert done.stderr.strip() == "No problem, 0 warnings."


def test_everything_is_broken_and_each_says_so(broken):
    stdout, stderr = broken.communicate()
    checks, _ = told(stdout)
    problems = {name: check["words"] for name, check in checks.items() if check["verdict"] == "problem"}
    assert (broken.returncode, stderr) == (8, "")
    assert problems.keys() == {"provider", "output", "ledger", "public_url"}
    assert "Connection refused" in problems["provider"]
    assert "a file is in the way" in problems["output"]
    assert "is a folder, not a ledger" in problems["ledger"]
    assert "did not answer in 10 s" in problems["public_url"]
    assert all(checks[name]["hint"] for name in problems)
