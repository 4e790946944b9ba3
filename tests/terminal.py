"""A command on a real pseudo-terminal, as somebody sees it who resizes the window and closes it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from typing import Any

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PATIENCE = 60.0

Start = Callable[..., subprocess.Popen]


class Terminal:
    """`start` begins a process with the streams that it is given; the terminal controls it, so that its end is told."""

    def __init__(self, start: Start, *arguments: str, columns: int = 100, rows: int = 30) -> None:
        self._ours, theirs = pty.openpty()
        self.written = b""
        self._resize(theirs, columns, rows)
        streams: dict[str, Any] = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "text": False}
        self.process = start(
            *arguments, **streams, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        )
        os.close(theirs)

    @property
    def text(self) -> str:
        """Everything that was written so far."""
        return self.written.decode(errors="replace")

    @property
    def words(self) -> str:
        """The same without what a terminal obeys."""
        return ESCAPE.sub("", self.text)

    def until(self, pattern: str, *, after: int = 0) -> int:
        """Read until the words hold that, from that byte of what was written on; returns how many bytes were read."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, ESCAPE.sub("", self.written[after:].decode(errors="replace"))):
            assert time.monotonic() < deadline, self.words[-2_000:]
            assert self._read(), self.words[-2_000:]
        return len(self.written)

    def resize(self, columns: int, rows: int = 30) -> None:
        """The window has another size from now on."""
        self._resize(self._ours, columns, rows)

    def close(self) -> None:
        """Somebody closes the window."""
        os.close(self._ours)

    def end(self) -> int:
        """Read to the end; returns the exit code."""
        while self._read():
            pass
        self.close()
        return self.process.wait(timeout=PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], PATIENCE)
        try:
            block = os.read(self._ours, 65_536) if ready else b""
        except OSError:  # the other end is closed
            return False
        self.written += block
        return bool(block)

    @staticmethod
    def _resize(handle: int, columns: int, rows: int) -> None:
        fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
