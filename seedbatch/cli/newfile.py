"""A file that appears whole or not at all, in the place of what was there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from seedbatch.domain.errors import UsageError


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """What is written becomes the file when the block ends, and never if it fails; a pipe or device is written at once.

    Raises:
        UsageError: it cannot be written; what was there is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise UsageError(f"{path} is a folder", hint=f"name a file in it: {path / 'NAME'}")
        if target.exists() and not target.is_file():
            with target.open("wb") as sink:
                yield sink
            return
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with beside.open("xb") as sink:
                if target.exists():
                    os.fchmod(sink.fileno(), stat.S_IMODE(target.stat().st_mode))
                yield sink
                sink.flush()
                os.fsync(sink.fileno())
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}", hint="what was there is as it was"
        ) from error
