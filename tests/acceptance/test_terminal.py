"""What a person sees: in a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def seen(project, *arguments, columns=100, **environment):
    """Everything that the command wrote to a terminal of that width, and its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    project.environment |= {"TERM": "xterm-256color", **environment}
    process = project.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, text=False)
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 65_536):
            written += block
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return written.decode(), process.wait(timeout=60)


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
    assert not re.search(r"\x1b\[[0-9;]*3[0-9](;[0-9;]*)?m", written)


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
