"""Folders in which files of others may lie: found by their content, wherever they are and whatever they are called."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from seedbatch.artifacts import names
from seedbatch.domain.locked import LockedFile

_LARGEST = 64 * 1024 * 1024  # bytes of a sidecar


class SharedFolders:
    """Looks when it is asked for the first time: at every sidecar, and at the content of files that have none."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(dict.fromkeys(folder.absolute() for folder in folders))
        self._told: dict[str, str] | None = None
        self._silent: defaultdict[int, list[Path]] = defaultdict(list)

    def find(self, file: LockedFile) -> str | None:
        """The absolute path of a file with this content; what a sidecar tells is proved by whoever links it."""
        if self._told is None:
            self._told = {}
            for path in self._files():
                self._look(path, self._told)
        if (known := self._told.get(file.sha256)) and Path(known).exists():
            return known
        for path in self._silent.pop(file.bytes, ()):
            self._told.setdefault(_digest(path), str(path))
        return self._told.get(file.sha256)

    def _files(self) -> Iterator[Path]:
        for folder in self._folders:
            for place, folders, files in os.walk(folder):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                yield from (Path(place, name) for name in sorted(files))

    def _look(self, path: Path, told: dict[str, str]) -> None:
        if path.suffix[1:] not in names.EXTENSIONS or path.is_symlink():
            return
        try:
            members = json.loads(path.with_suffix(".json").read_bytes()[:_LARGEST])
            digest = members["sha256"] if members["file"] == path.name else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            digest = None
        if isinstance(digest, str):
            told.setdefault(digest, str(path))
            return
        try:
            self._silent[path.stat().st_size].append(path)
        except OSError:
            return


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
