"""YAML to values, from the events of PyYAML's C parser.

The usual loaders read `16:9` as 969, let the later of two equal keys win, share aliased objects without limit, and
crash on deep nesting. Here values are built from events, so each of these is an error with its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from seedbatch.domain.errors import Problem
from seedbatch.manifest.scalars import NotJson, plain

LARGEST_FILE: Final = 64 * 1024 * 1024
_DEEPEST: Final = 64
_MOST_REPLAYED: Final = 1_000_000
_SHORT_SOURCE: Final = 300

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE: Final = "tag:yaml.org,2002:"

Pointer = tuple[str | int, ...]


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

    def problem(self, pointer: Pointer, code: str, message: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """A problem at a place in the file; `at_key` means the key itself, not its value."""
        line, column = locate(self.text, pointer, at_key=at_key)
        return Problem(self.file, line, column, code, message, hint, source_line(self.text, line))


def read(path: Path) -> Document | Problem:
    """One manifest, or why it cannot be read."""
    name = str(path)
    raw = _bytes(path, name)
    if isinstance(raw, Problem):
        return raw
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        return Problem(name, line, column, "yaml/encoding", "this is not UTF-8", "save the file as UTF-8")
    try:
        builder = _Builder(text)
        value = builder.build()
    except _Wrong as wrong:
        source = source_line(text, wrong.line)
        return Problem(name, wrong.line, wrong.column, wrong.code, wrong.message, wrong.hint, source)
    return Document(name, text, value, hashlib.sha256(raw).hexdigest(), builder.lines)


def source_line(text: str, line: int) -> str:
    """The text of a 1-based line, cut where it is very long; nothing for line 0."""
    if line < 1:
        return ""
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
        if start == 0:
            return ""
    end = text.find("\n", start)
    return text[start : end if end >= 0 else None].rstrip("\r")[: _SHORT_SOURCE * 10]


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


class _Wrong(Exception):
    """What stops the reading; 1-based place."""

    def __init__(self, mark: Any, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line = mark.line + 1 if mark else 0
        self.column = mark.column + 1 if mark else 0
        self.code = f"yaml/{code}"
        self.message = message
        self.hint = hint


@dataclass(slots=True)
class _Anchor:
    """What an anchor stands for; `size` counts its nodes, `done` says that it is complete."""

    value: Any = None
    size: int = 0
    done: bool = False


@dataclass(slots=True)
class _Level:
    """One open collection. `key` waits for its value; `keys` remember where each was."""

    value: dict[str, Any] | list[Any]
    anchor: _Anchor | None
    begun: int
    keys: dict[str, int] = field(default_factory=dict)
    key: str | None = None


class _Builder:
    def __init__(self, text: str) -> None:
        self._text = text
        self._levels: list[_Level] = []
        self._anchors: dict[str, _Anchor] = {}
        self._nodes = 0
        self._replayed = 0
        self._root: Any = None
        self._jobs: Any = None
        self.lines: list[int] = []

    def build(self) -> Any:
        documents = 0
        for event in _events(self._text):
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.MappingStartEvent():
                    self._open({}, event)
                case yaml.SequenceStartEvent():
                    self._open([], event)
                case yaml.CollectionEndEvent():
                    self._close()
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise _Wrong(event.start_mark, "documents", "a manifest is one document", "remove the ---")
        if documents == 0 or self._root is None:
            raise _Wrong(None, "empty", "the file is empty", "seedbatch init writes a first manifest")
        return self._root

    def _scalar(self, event: Any) -> None:
        level = self._levels[-1] if self._levels else None
        if level is not None and level.key is None and isinstance(level.value, dict):
            self._key(level, event)
            return
        value = self._value(event)
        self._nodes += 1
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(value, 1, done=True)
        self._put(value, event)

    def _value(self, event: Any) -> Any:
        if event.tag in {None, f"{_CORE}str", "!"}:
            if event.implicit[0] and event.tag is None:
                try:
                    return plain(event.value)
                except NotJson as error:
                    raise _Wrong(event.start_mark, "number", str(error)) from None
            return event.value
        raise _Wrong(event.start_mark, "tag", f"the tag {event.tag} is not allowed here", "remove it")

    def _key(self, level: _Level, event: Any) -> None:
        name = event.value
        value = self._value(event)
        if name == "<<" and event.implicit[0]:
            raise _Wrong(event.start_mark, "merge", "<< is not part of YAML 1.2", "use defaults, vars or matrix")
        if not isinstance(value, str):
            raise _Wrong(event.start_mark, "key", f"{name} is a {_kind(value)}, and keys are text", f'write "{name}"')
        if name in level.keys:
            first = level.keys[name] + 1
            raise _Wrong(
                event.start_mark,
                "duplicate-key",
                f"the key {name} is here for the second time",
                f"it is on line {first} already",
            )
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(name, 1, done=True)
        level.keys[name] = event.start_mark.line
        level.key = name

    def _open(self, value: dict[str, Any] | list[Any], event: Any) -> None:
        self._check_key_position(event)
        if event.tag is not None and event.tag not in (f"{_CORE}map", f"{_CORE}seq", "!"):
            raise _Wrong(event.start_mark, "tag", f"the tag {event.tag} is not allowed here", "remove it")
        if len(self._levels) >= _DEEPEST:
            raise _Wrong(event.start_mark, "depth", f"this is nested deeper than {_DEEPEST} levels")
        self._nodes += 1
        anchor = None
        if event.anchor:
            anchor = self._anchors[event.anchor] = _Anchor()
        self._put(value, event)
        self._levels.append(_Level(value, anchor, self._nodes))

    def _close(self) -> None:
        level = self._levels.pop()
        if level.anchor is not None:
            level.anchor.value = level.value
            level.anchor.size = self._nodes - level.begun + 1
            level.anchor.done = True

    def _alias(self, event: Any) -> None:
        self._check_key_position(event)
        anchor = self._anchors.get(event.anchor)
        if anchor is None or not anchor.done:
            what = "is not set before" if anchor is None else "holds itself"
            raise _Wrong(event.start_mark, "alias", f"*{event.anchor}: &{event.anchor} {what}")
        # An alias counts for all that it stands for, or a few lines could stand for billions.
        self._nodes += anchor.size
        self._replayed += anchor.size
        if self._replayed > _MOST_REPLAYED:
            raise _Wrong(event.start_mark, "alias", "the aliases of this file stand for more than a million values")
        self._put(anchor.value, event)

    def _check_key_position(self, event: Any) -> None:
        level = self._levels[-1] if self._levels else None
        if level is not None and isinstance(level.value, dict) and level.key is None:
            raise _Wrong(event.start_mark, "key", "keys are plain text")

    def _put(self, value: Any, event: Any) -> None:
        if not self._levels:
            self._root = value
            return
        level = self._levels[-1]
        if isinstance(level.value, list):
            if level.value is self._jobs:
                self.lines.append(event.start_mark.line + 1)
            level.value.append(value)
        else:
            assert level.key is not None
            if level.key == "jobs" and len(self._levels) == 1:
                self._jobs = value
            level.value[level.key] = value
            level.key = None


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if "\t" in _before(text, mark):
            raise _Wrong(mark, "tab", "a tab stands where YAML wants spaces", "indent with spaces") from None
        raise _Wrong(mark, "syntax", _friendly(error.problem or "this is no YAML", error.context)) from None
    except yaml.reader.ReaderError as error:
        raise _Wrong(
            None, "character", f"it holds a character that YAML does not allow: #x{error.character:04x}"
        ) from None
    except yaml.YAMLError as error:
        raise _Wrong(None, "syntax", str(error)[:300]) from None


def _before(text: str, mark: Any) -> str:
    """The line of a mark, up to and with its column."""
    return source_line(text, mark.line + 1)[: mark.column + 1] if mark else ""


def _friendly(problem: str, context: str | None) -> str:
    return f"{problem} ({context})" if context else problem


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "truth value"
        case _:
            return "number"


@dataclass(slots=True)
class _Frame:
    """An open collection while a place is looked for: the key that waits for its value, or the next index."""

    is_mapping: bool
    next: str | int | None

    def take(self) -> str | int:
        taken = self.next
        assert taken is not None
        self.next = None if self.is_mapping else int(taken) + 1
        return taken


def locate(text: str, pointer: Pointer, *, at_key: bool = False) -> tuple[int, int]:
    """The 1-based line and column of the value (or of the key) that `pointer` leads to, or of the nearest thing above.

    Reads the file again: positions are only wanted where something is wrong.
    """
    best = (1, 1)
    path: list[str | int] = []
    frames: list[_Frame] = []
    for event in _events(text):
        if isinstance(event, yaml.CollectionEndEvent):
            frames.pop()
            if frames:
                path.pop()
        elif isinstance(event, yaml.NodeEvent):
            place = _place(event)
            frame = frames[-1] if frames else None
            if frame is not None and frame.is_mapping and frame.next is None:
                frame.next = getattr(event, "value", "")
                if at_key and (*path, frame.next) == pointer:
                    return place
                continue
            if frame is not None:
                path.append(frame.take())
            if tuple(path) == pointer[: len(path)]:
                best = place
                if len(path) == len(pointer) and not at_key:
                    return place
            if isinstance(event, yaml.CollectionStartEvent):
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                frames.append(_Frame(is_mapping, None if is_mapping else 0))
            elif frame is not None:
                path.pop()
    return best


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
