"""What a person sees: in a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from terminal import ESCAPE, Terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FAST = ("--sandbox", "--yes", "--sandbox-speed=4")
HUE = re.compile(r"\x1b\[[0-9;]*3[0-9](;[0-9;]*)?m")


def on_terminal(project, *arguments, columns=100, **environment):
    project.environment |= {"TERM": "xterm-256color", **environment}
    return Terminal(project.start, *arguments, columns=columns)


def seen(project, *arguments, columns=100, **environment):
    """Everything that the command wrote to a terminal of that width, and its exit code."""
    terminal = on_terminal(project, *arguments, columns=columns, **environment)
    code = terminal.end()
    return terminal.text, code


def width(line):
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in line)


def test_progress_on_a_terminal(project):
    manifest = project.manifest("one", "two", "three [fail]")
    written, code = seen(project, "apply", manifest, "--sandbox", "--yes", "--sandbox-speed=4")
    assert code == 3
    words = ESCAPE.sub("", written)
    assert re.search(r"\d/3", words)  # the bar
    assert "running" in words
    assert "completed    test/j0  test/j0.mp4" in words
    assert "failed       test/j2" in words
    assert "2 completed, 1 failed" in words
    assert COLOUR.search(written)


def test_no_color_is_honoured(project):
    written, code = seen(
        project, "apply", project.manifest("one"), "--sandbox", "--yes", "--sandbox-speed=9", NO_COLOR="1"
    )
    assert code == 0
    assert not HUE.search(written)


def test_a_narrow_window_keeps_what_matters(project):
    project.apply(project.manifest("one", "two [moderation]"), code=3)
    for columns in (40, 60, 80, 200):
        written, _ = seen(project, "list", "--sandbox", columns=columns)
        lines = [ESCAPE.sub("", line).rstrip() for line in written.splitlines()]
        assert max(map(len, lines)) <= columns
        assert any("j0" in line.split() for line in lines), lines
        assert any("completed" in line for line in lines)
        assert any("failed" in line for line in lines)
    assert any("outputs/sandbox/test/j0.mp4" in line for line in lines)


def test_a_narrow_window_keeps_what_a_run_did_and_how_it_ended(priced):
    priced.apply(priced.manifest("one", "two [fail]"), code=3)
    for columns in (40, 60, 80, 200):
        written, _ = seen(priced, "log", "--sandbox", columns=columns)
        lines = [ESCAPE.sub("", line).rstrip() for line in written.splitlines()]
        assert max(map(len, lines)) <= columns
        assert any("jobs failed" in line for line in lines), lines
        assert any("2 submitted"[: columns // 6] in line for line in lines), lines
    assert any("2 submitted, 1 completed, 1 failed" in line for line in lines)


def test_a_closed_terminal_does_not_stop_a_run(project):
    """The reader of the words is gone; what is asked for is done all the same."""
    manifest = project.manifest("one", "two")
    ours, theirs = pty.openpty()
    process = project.start(
        "apply",
        manifest,
        "--sandbox",
        "--yes",
        "--sandbox-speed=4",
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.read(ours, 100)
    os.close(ours)
    assert process.wait(timeout=60) in {0, 130}
    project.apply(manifest)
    assert set(project.states().values()) == {"completed"}
    assert project.submitted() == 2


def test_a_run_tells_what_it_may_owe_and_when_it_ends(priced):
    priced.apply(priced.manifest(*(f"earlier {n}" for n in range(9)), batch="earlier"))
    manifest = priced.manifest(*(f"clip {n}" for n in range(12)), extra="limits: {in_flight: 3}\n")
    terminal = on_terminal(
        priced, "apply", manifest, "--sandbox", "--yes", "--max-cost=4", "--sandbox-speed=8", columns=120
    )
    terminal.until(r"pace: \d+ submissions? in the last minute")
    terminal.until(r"may be owed: \d\.\d\d of 4\.00 USD \(this run\)")
    terminal.until(r"expected end: (in \d|any moment)")
    assert terminal.end() == 0
    assert "12 completed" in terminal.words


def test_a_new_ledger_has_learned_nothing_and_says_so(project):
    written, _ = seen(project, "apply", project.manifest("one"), *FAST, columns=120)
    assert "expected end: not known, too few tasks of seedance-2.0-fast have ended to tell" in ESCAPE.sub("", written)


def test_a_live_display_fits_a_narrow_window(priced):
    terminal = on_terminal(priced, "apply", priced.manifest("one", "two [fail]"), *FAST, columns=40)
    assert terminal.end() == 3
    lines = [line.strip("\r") for line in terminal.words.split("\n")]
    assert any("may be owed: 0.50 USD" in line for line in lines)
    drawn = [line for line in lines if "/2 " in line or line.startswith("  ")]
    assert drawn
    assert max(width(part) for line in drawn for part in line.split("\r")) <= 40


def test_a_window_that_is_made_narrower_is_wiped_first(project):
    """What was one row is several rows then: all of them go, so that no remnant stays above."""
    terminal = on_terminal(project, "apply", project.manifest("one [slow]"), "--sandbox", "--yes", columns=120)
    terminal.until("expected end: not known, too few tasks of seedance-2.0-fast have ended to tell")
    before = len(terminal.written)
    terminal.resize(30)
    terminal.until(r"expected end: not known, too\s+few", after=before)
    # A frame of the wider window may come between; drawing begins at the left, once all is wiped.
    wiped = re.search(r"((?:\x1b\[2K\x1b\[1A)+)\r", terminal.written[before:].decode())
    # In rows of 30 the end of 80 columns takes two more than it was drawn in, the pace of 40 and the bar of 36 one.
    assert wiped.group().count("\x1b[1A") == 4
    terminal.process.send_signal(2)
    assert terminal.end() == 130


@pytest.mark.parametrize("command", [["apply", "test.yaml", "--yes"], ["status", "--watch", "--exit-code"]])
def test_a_dumb_terminal_is_given_nothing_to_obey(project, command):
    project.apply(project.manifest("one", "two [fail]"), code=3)
    written, code = seen(project, *command, "--sandbox", TERM="dumb")
    assert code == 3
    assert "1 completed, 1 failed" in written or "test" in written
    assert "\x1b" not in written


def test_a_window_that_is_closed_ends_a_run_as_a_signal_does(project):
    """The terminal's end reaches the run as SIGHUP: what is on the wire is recorded, and the next apply goes on."""
    faults = project.write("faults.yaml", "rules: [{on: submit, do: {delay: 4}, first: 1}]\n")
    manifest = project.manifest("one", "two", "three")
    terminal = on_terminal(
        project, "apply", manifest, "--sandbox", "--yes", "--submitting=1", f"--sandbox-faults={faults}"
    )
    terminal.until("1 submitting")
    terminal.close()
    assert terminal.process.wait(timeout=60) == 130
    assert sorted(project.states().values()) == ["pending", "pending", "running"]
    project.apply(manifest)
    assert set(project.states().values()) == {"completed"}
    assert project.submitted() == 3


def test_nobody_reading_the_words_stops_no_run(project):
    manifest = project.manifest("one", "two")
    shell = f"seedbatch apply {manifest} --sandbox --yes --sandbox-speed 9 2>&1 | head -1; echo ${{PIPESTATUS[0]}}"
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=project.folder, capture_output=True, text=True, check=True, env={"PATH": path}
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""
    assert set(project.states().values()) == {"completed"}


HOSTILE = (
    r"<script>\e]0;mine\a\e[2J \u202eevil\u2028 =cmd|'x'!A1 \u6c34\u5f69\u753b \u98a8\u666f \u6620\u50cf \u6620\u753b"
)


def test_hostile_prompts_are_text_on_a_terminal(project):
    faults = project.write("faults.yaml", "rules: [{on: submit, do: cut-after-accept, first: 1}]\n")
    manifest = project.manifest(HOSTILE)
    project.apply(manifest, f"--sandbox-faults={faults}", code=7)
    for command in (["status"], ["list"], ["show", "j0"]):
        written, _ = seen(project, *command, "--sandbox", columns=40)
        for mark in ("\x1b]", "\x1b[2J", "\x07", "\u202e", "\u2028"):
            assert mark not in written, (command, mark)
        if command == ["status"]:
            lines = [ESCAPE.sub("", line).rstrip() for line in written.splitlines()]
            assert any("<script>" in line for line in lines)
            long = [line for line in lines if width(line) > 40]
            assert all(len(line.split()) == 1 for line in long), long
