"""The folder of a report: what is ours in it, and how it changes without ever being half of two reports.

Names tell the content (a hash in each), so a file under its name is right, and what is new is written beside what is
shown. `index.html` alone names what belongs together, and is replaced last. The mark `report.json` lists our files:
those to be written stand there before they are, so that a crash leaves nothing that the next report does not know.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from seedbatch.domain.errors import UsageError

MARK: Final = "report.json"
INDEX: Final = "index.html"
FOLDERS: Final = ("assets", "data", "media", "posters")
_OURS: Final = re.compile(rf"{re.escape(INDEX)}|({'|'.join(FOLDERS)})/[A-Za-z0-9][A-Za-z0-9._-]*")
_PART: Final = re.compile(r"\.seedbatch-[0-9a-f]+\.part")


class ReportFolder:
    """A folder that is open for writing; `notes` is what the last report noted in the mark, by name of file."""

    def __init__(self, path: Path, files: set[str], notes: Mapping[str, Any]) -> None:
        self.path = path
        self.notes = dict(notes)
        self._files = files

    def intend(self, names: set[str]) -> None:
        """Say that these files are ours from now on."""
        self._files |= names
        self._mark()

    def has(self, name: str, size: int | None = None) -> bool:
        """Whether a file of that name (and size) is there."""
        try:
            found = (self.path / name).lstat()
        except FileNotFoundError:
            return False
        return size is None or found.st_size == size

    def write(self, name: str, content: bytes) -> None:
        """Put a file there, whole or not at all."""
        with self._part(name) as part:
            part.write_bytes(content)

    def bring(self, name: str, source: Path) -> None:
        """Put a file there that lies elsewhere: linked where that is possible, else copied.

        Raises:
            OSError: it is not there, or there is no room for it.
        """
        with self._part(name) as part:
            try:
                os.link(source, part, follow_symlinks=False)
            except FileNotFoundError:
                raise
            except OSError:  # another disk, no links, not our file: whatever it is, a copy needs no link
                shutil.copyfile(source, part)

    def settle(self, names: set[str]) -> None:
        """Remove what is ours and no longer belongs to the report."""
        for name in self._files - names:
            (self.path / name).unlink(missing_ok=True)
        self._files = set(names)
        self._mark()

    def _mark(self) -> None:
        mark = {"version": 1, "files": sorted(self._files), "notes": self.notes}
        self.write(MARK, json.dumps(mark, ensure_ascii=False).encode())

    @contextlib.contextmanager
    def _part(self, name: str) -> Iterator[Path]:
        target = self.path / name
        part = target.with_name(f".seedbatch-{secrets.token_hex(8)}.part")
        try:
            yield part
            os.replace(part, target)  # noqa: PTH105 - atomic by name
        finally:
            part.unlink(missing_ok=True)


def named(folder: str, stem: str, extension: str, content: bytes) -> str:
    """A name that tells the content: `data/0001-6f3c….js`."""
    return f"{folder}/{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{extension}"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[ReportFolder]:
    """The folder at `path`, made if it is not there, for one writer at a time.

    Raises:
        UsageError: it cannot be made or written, holds something else, or another report is being written there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(f"the folder {path} cannot be made: {error.strerror or error}") from error
    try:
        _lock(descriptor, path)
        files, notes = _read(path)
        try:
            _prepare(path)
            yield ReportFolder(path, files, notes)
        except OSError as error:
            raise UsageError(f"the report in {path} cannot be written: {error.strerror or error}") from error
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    with contextlib.suppress(OSError):  # a file system without locks
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another report is being written in {path}", hint="wait until it is done") from None


def _read(path: Path) -> tuple[set[str], dict[str, Any]]:
    """Our files there, and the notes; nothing for an empty folder.

    Raises:
        UsageError: the folder holds something, and no report.
    """
    try:
        mark = json.loads((path / MARK).read_bytes())
    except FileNotFoundError:
        strangers = sorted(entry.name for entry in path.iterdir() if not _PART.fullmatch(entry.name))
        if strangers:
            raise UsageError(
                f"{path} is no report and not empty: {_some(strangers)} would be among its files",
                hint="name a new folder, or an empty one",
            ) from None
        return set(), {}
    except (OSError, ValueError):
        mark = None
    match mark:
        case {"version": 1, "files": list(files), "notes": dict(notes)} if all(map(_is_ours, files)):
            return set(files), notes
    raise UsageError(f"{path / MARK} is not as seedbatch wrote it", hint="name a new folder, or an empty one")


def _is_ours(name: object) -> bool:
    """Whether a report may have written a file of that name: a mark that was edited must not remove any other."""
    return isinstance(name, str) and _OURS.fullmatch(name) is not None and ".." not in PurePosixPath(name).parts


def _some(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _prepare(path: Path) -> None:
    """Real folders for our files, without what an interrupted report left.

    Raises:
        UsageError: something else has the name of one.
    """
    for name in FOLDERS:
        folder = path / name
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UsageError(f"{folder} is in the way", hint="name a new folder, or an empty one")
        folder.mkdir(exist_ok=True)
    for folder in (path, *(path / name for name in FOLDERS)):
        for entry in os.scandir(folder):
            if _PART.fullmatch(entry.name):
                os.unlink(entry.path)  # noqa: PTH108 - a string already
