"""Files to documents: the bytes, their encoding, and everything that stops the reading as a value."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.errors import Problem
from seedbatch.manifest.builder import Builder, Following, Wrong
from seedbatch.manifest.places import LONGEST_SOURCE, Lines, Pointer, locate

LARGEST_FILE: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to say about a place in a document; `at_key` means the key itself, not its value."""

    pointer: Pointer
    code: str
    message: str
    hint: str = ""
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read.

    `value` is what it holds, `digest` the SHA-256 of its bytes, `lines` the 1-based lines of the entries of `jobs`.
    """

    file: str
    text: str
    value: Any
    digest: str
    lines: Sequence[int] = ()

    def problems(self, remarks: Iterable[Remark]) -> list[Problem]:
        """The remarks with their places in the file, in order of place."""
        told = list(dict.fromkeys(remarks))
        if not told:
            return []
        places = locate(self.text, [(one.pointer, one.at_key) for one in told])
        lines = Lines(self.text)
        found = []
        for one in told:
            line, column = places[one.pointer, one.at_key]
            found.append(Problem(self.file, line, column, one.code, one.message, one.hint, lines.around(line, column)))
        return sorted(found)


def read(path: Path, following: Following | None = None) -> Document | Problem:
    """One manifest, or why it cannot be read; `following` is told at times how far the reading is."""
    name = str(path)
    raw = _bytes(path, name)
    if isinstance(raw, Problem):
        return raw
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _not_utf8(name, raw, error.start)
    builder = Builder(text, following)
    try:
        value = builder.build()
    except Wrong as wrong:
        source = Lines(text).around(wrong.line, wrong.column)
        return Problem(name, wrong.line, wrong.column, wrong.code, wrong.message, wrong.hint, source)
    return Document(name, text, value, hashlib.sha256(raw).hexdigest(), builder.lines)


def _bytes(path: Path, name: str) -> bytes | Problem:
    def problem(message: str, hint: str = "") -> Problem:
        return Problem(name, 0, 0, "file/unreadable", message, hint)

    try:
        if path.is_dir():
            return problem("this is a folder", f"name its files: {path}/*.yaml")
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return problem("there is no such file")
    except (OSError, ValueError) as error:
        return problem(f"it cannot be read: {getattr(error, 'strerror', None) or error}")
    if len(raw) > LARGEST_FILE:
        return problem("it is larger than 64 MB", "split it; files that name one batch are one batch")
    return raw


def _not_utf8(name: str, raw: bytes, at: int) -> Problem:
    start = raw.rfind(b"\n", 0, at) + 1
    line = raw.count(b"\n", 0, at) + 1
    column = len(raw[start:at].decode("utf-8", "replace")) + 1
    end = raw.find(b"\n", at)
    source = raw[start : end if end >= 0 else None].decode("utf-8", "replace").rstrip("\r")
    shown = source[:LONGEST_SOURCE] if column <= LONGEST_SOURCE else ""
    return Problem(name, line, column, "yaml/encoding", "this is not UTF-8", "save the file as UTF-8", shown)
