"""Three uses of the kernel's file lock, which ends with its process and with nothing else.

A stopped process or a sleeping laptop still holds it; kill -9 frees it at once. Time never decides.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class WriteLock:
    """Held around each write transaction and each checkpoint of one ledger.

    SQLite before 3.51.3 can lose a commit that meets a checkpoint of another connection; one lock for both keeps
    them apart, and it makes writers queue instead of meeting `database is locked`.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, hold it, give it back."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Forget the lock's file."""
        os.close(self._handle)


class Turn:
    """What one process at a time may do; whoever finds it taken does not wait."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle = -1

    def take(self) -> bool:
        """Whether it is ours now, until `close`."""
        if self._handle >= 0:
            return True
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def close(self) -> None:
        """Let others; may be repeated."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class Owner:
    """This process's mark of life: a file that it keeps locked while it holds claims on a ledger."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.id = secrets.token_hex(8)
        self._path = folder / self.id
        # Locked before it gets its name, so that nobody can see it unlocked and think it dead.
        newborn = folder / f".{self.id}"
        self._handle = os.open(newborn, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        newborn.rename(self._path)

    def close(self) -> None:
        """Give up all claims."""
        with suppress(OSError):  # whoever finds it unlocked removes it
            self._path.unlink(missing_ok=True)
        os.close(self._handle)


def is_dead(folder: Path, owner: str) -> bool:
    """Whether the process that called itself `owner` is gone; removes what a dead one left."""
    path = folder / owner
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(handle)


def lives(folder: Path, owner: str) -> bool:
    """Whether the process that called itself `owner` still runs; for those who only read: nothing is removed."""
    try:
        handle = os.open(folder / owner, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two readers do not take one another for the process that they ask about.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)
