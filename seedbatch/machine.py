"""What this machine gives a run: room, folders, locks and file descriptors. Nothing is left behind by looking."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import secrets
import shutil
import stat
from contextlib import suppress
from errno import ENOTDIR
from pathlib import Path
from typing import Final

from seedbatch.domain.health import Descriptors, Ground, Locking

_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def try_out(folder: Path) -> Ground:
    """Write, link and lock in a folder, or in the nearest one above it that exists."""
    try:
        there = _nearest(folder)
        device, free = there.stat().st_dev, shutil.disk_usage(there).free
    except OSError as error:
        return Ground(str(folder), trouble=_words(error))
    trouble, links, locking = "", None, None
    try:
        links, locking = _scratch(there)
    except OSError as error:
        trouble = _words(error)
    filesystem = filesystem_of(there.resolve(), _mounts())
    return Ground(str(folder), str(there), trouble, device, free, filesystem, links, locking)


def descriptors() -> Descriptors:
    """The limits of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Descriptors(*(None if limit == resource.RLIM_INFINITY else limit for limit in (soft, hard)))


def filesystem_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds an absolute path, by the text of Linux's `mountinfo`; else empty."""
    found, deepest = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds:  # noqa: PLR2004 - the fifth is where it is mounted
            continue
        place = Path(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), fields[4]))
        depth = len(place.parts)
        if path.is_relative_to(place) and depth >= deepest:  # of two at one place the later one hides the other
            found, deepest = kinds[0], depth
    return found


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists.

    Raises:
        OSError: it cannot be looked at, or something else is in the way.
    """
    for one in (folder, *folder.parents):
        try:
            mode = one.stat().st_mode
        except FileNotFoundError:
            if not one.is_symlink():
                continue
            mode = 0
        if not stat.S_ISDIR(mode):
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(one))
        return one
    raise FileNotFoundError(str(folder))


def _scratch(folder: Path) -> tuple[bool, Locking]:
    """Whether hard links and locks work in a folder.

    Raises:
        OSError: nothing can be written there.
    """
    path = folder / f".seedbatch-doctor-{secrets.token_hex(8)}"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, b"doctor\n")
        os.fsync(handle)  # where room is only promised until then
        return _links(path), _locking(path, handle)
    finally:
        os.close(handle)
        path.unlink()


def _links(path: Path) -> bool:
    twin = path.with_name(f"{path.name}.link")
    try:
        twin.hardlink_to(path)
    except OSError:
        return False
    twin.unlink()
    return True


def _locking(path: Path, handle: int) -> Locking:
    other = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Locking.HOLDS
    except OSError:
        return Locking.LACKING
    finally:
        os.close(other)
    return Locking.PRETENDS


def _mounts() -> str:
    with suppress(OSError):  # no Linux
        return _MOUNTS.read_text(encoding="utf-8", errors="replace")
    return ""


def _words(error: OSError) -> str:
    if error.errno == ENOTDIR:
        return "a file is in the way"
    return error.strerror or str(error)
