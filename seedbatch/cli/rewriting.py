"""A file's new text in the place of its old one: whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from seedbatch.domain.errors import UsageError

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def rewrite(path: Path, text: str) -> None:
    """Replace what a file holds, keeping its permissions; of a symbolic link, what it leads to.

    Raises:
        UsageError: it may not be written, and is as it was.
    """
    try:
        target = Path(os.path.realpath(path))
        status = target.stat()
        if not status.st_mode & _WRITABLE or not os.access(target, os.W_OK):
            raise UsageError("it is read-only", hint=f"chmod u+w {target}, or work on a copy")
        _replace(target, text, status)
    except OSError as error:
        words = error.strerror or str(error)
        raise UsageError(
            f"it cannot be written: {words}", hint="it is as it was; a new file is made beside it"
        ) from error


def _replace(target: Path, text: str, status: os.stat_result) -> None:
    handle, name = mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    beside = Path(name)
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - a handle, no path
            file.write(text)
            file.flush()
            os.fchmod(handle, stat.S_IMODE(status.st_mode))
            with suppress(PermissionError):  # another's file in a shared folder becomes ours
                os.fchown(handle, status.st_uid, status.st_gid)
            os.fsync(handle)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
