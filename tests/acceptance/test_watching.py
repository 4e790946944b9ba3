"""`status --watch`, beside a run and alone."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from itertools import pairwise

import pytest
from terminal import Terminal


def test_a_watcher_waits_for_the_ledger_and_sees_a_run_to_its_end(project):
    watcher = project.start("status", "--watch", "0.1", "--json", "--exit-code", "--sandbox")
    assert "There is no ledger" in watcher.stderr.readline()
    assert "Waiting for one" in watcher.stderr.readline()
    project.apply(project.manifest("one", "two [fail]"), code=3, speed=4)
    told, errors = watcher.communicate(timeout=60)
    assert (watcher.returncode, errors) == (3, "")
    found = [json.loads(line) for line in told.splitlines()]
    assert len(found) >= 2
    assert found[-1]["batches"][0]["counts"]["completed"] == found[-1]["batches"][0]["counts"]["failed"] == 1
    assert found[-1]["progress"] == {"submitted_last_minute": 2, "expected_end": None, "next_expiry": None}
    without = [{name: value for name, value in one.items() if name not in {"at", "progress"}} for one in found]
    assert all(one != next_ for one, next_ in pairwise(without))
    assert without[-1] == json.loads(project.run("status", "--json", "--sandbox").stdout)


@pytest.fixture(scope="module")
def settled(new_project, tmp_path_factory):
    """A project in which nothing is left to do."""
    made = new_project(tmp_path_factory.mktemp("settled"), {"TERM": "xterm-256color"})
    made.apply(made.manifest("one"))
    return made


def test_nothing_is_told_twice(settled):
    watcher = settled.start("status", "--watch", "0.1", "--sandbox")
    for line in iter(watcher.stdout.readline, ""):
        if line.startswith("Ledger: "):
            break
    time.sleep(0.5)  # five looks
    watcher.send_signal(signal.SIGINT)
    assert watcher.communicate(timeout=60) == ("", "")
    assert watcher.returncode == 130


def test_a_change_is_a_new_page(project):
    project.apply(project.manifest("one"))
    watcher = project.start("status", "--watch", "0.1", "--sandbox")
    lines = iter(watcher.stdout.readline, "")
    next(line for line in lines if line.startswith("test\t1\t1"))
    project.apply(project.manifest("one", "two"))
    next(line for line in lines if line.startswith("test\t2\t2"))
    watcher.send_signal(signal.SIGTERM)
    watcher.communicate(timeout=60)
    assert watcher.returncode == 130


@pytest.mark.parametrize("name", [["--json"], []])
def test_a_reader_that_leaves_ends_it(settled, name):
    watcher = settled.start("status", "--watch", "0.1", "--sandbox", *name)
    assert watcher.stdout.readline()
    watcher.stdout.close()
    assert watcher.wait(timeout=20) == 0
    assert watcher.stderr.read() == ""
    watcher.stderr.close()


def test_on_a_terminal_it_has_a_screen_of_its_own(priced):
    priced.environment |= {"TERM": "xterm-256color"}
    manifest = priced.manifest("one", "two [slow]")
    run = priced.start(
        "apply",
        manifest,
        "--sandbox",
        "--yes",
        "--sandbox-speed=2",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (priced.folder / ".seedbatch/sandbox.db").exists():
        time.sleep(0.02)
    terminal = Terminal(priced.start, "status", "--watch", "0.2", "--sandbox", columns=100)
    terminal.until(r"pace: 2 submissions in the last minute")
    before = terminal.until(r"COMPLETED\s+ORPHANS\s+─+\s+test\s+2\s+1\s+1\s+0")
    terminal.resize(40)
    terminal.until(r"test: 1 running, 1 completed", after=before)
    run.terminate()
    run.wait(timeout=60)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    screen, _, after = terminal.text.partition("\x1b[?1049l")
    assert "\x1b[?1049h" in screen
    assert "test: 1 running, 1 completed" in after  # the last page stays
    assert "\x1b[H" not in after


def test_a_window_that_is_closed_ends_it(settled):
    terminal = Terminal(settled.start, "status", "--watch", "--sandbox")
    terminal.until("test")
    terminal.close()
    assert terminal.process.wait(timeout=20) in {0, 130}


def test_a_ledger_that_vanishes_and_one_that_is_none(project):
    project.apply(project.manifest("one"))
    watcher = project.start("status", "--watch", "0.1", "--sandbox")
    assert watcher.stdout.readline()
    (project.folder / ".seedbatch/sandbox.db").unlink()
    _, errors = watcher.communicate(timeout=60)
    assert watcher.returncode == 8
    assert "is gone" in errors
    project.write("other.db", "no ledger at all, but some text")
    done = project.run("status", "--watch", "--ledger", "other.db", code=8)
    assert "other.db" in done.stderr


def test_an_interval_is_a_number_of_seconds(project):
    for seconds in ("0.01", "nan", "100000", "soon"):
        assert "--watch" in project.run("status", f"--watch={seconds}", code=2).stderr
