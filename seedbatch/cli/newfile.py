"""A file that appears whole or not at all, in the place of what was there; and nobody changes it meanwhile."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
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


@contextmanager
def alone(files: Iterable[Path]) -> Iterator[None]:
    """Nobody else changes files in these folders meanwhile: what another process adds would be lost."""
    with ExitStack() as stack:
        for folder in sorted({Path(os.path.realpath(file)).parent for file in files}):
            stack.enter_context(_locked(folder))
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(f"{folder} cannot be used: {error.strerror or error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
