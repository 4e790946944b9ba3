"""Values from the events of PyYAML's C parser.

The usual loaders read `16:9` as 969, let the later of two equal keys win, share aliased objects without limit, and
crash on deep nesting. Here values are built from events, so each of these is an error with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from seedbatch.manifest.scalars import BEGINNINGS, NotJson, plain

DEEPEST: Final = 64
_MOST_REPLAYED: Final = 1_000_000
_TOLD_AFTER: Final = 500  # entries

# The pure loader makes the same events four times slower, where PyYAML was built without libyaml.
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE: Final = "tag:yaml.org,2002:"
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    f"{_CORE}null": (type(None),),
    f"{_CORE}bool": (bool,),
    f"{_CORE}int": (int,),
    f"{_CORE}float": (float, int),
}


class Wrong(Exception):
    """What stops the reading, in words for a person; the place is 1-based, 0 where the file as a whole is meant."""

    def __init__(self, mark: Any, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line = mark.line + 1 if mark else 0
        self.column = mark.column + 1 if mark else 0
        self.code = f"yaml/{code}"
        self.message = message
        self.hint = hint


@dataclass(slots=True)
class _Anchor:
    """What an anchor stands for: how many nodes, how deep, and whether it is complete."""

    value: Any = None
    size: int = 1
    depth: int = 0
    done: bool = False


@dataclass(slots=True)
class _Level:
    """One open collection. `key` waits for its value; `keys` remember their 0-based lines; `depth` is what it holds."""

    value: Any
    is_mapping: bool
    anchor: _Anchor | None
    begun: int
    keys: dict[str, int] = field(default_factory=dict)
    key: str | None = None
    depth: int = 1


# What is built so far, the entries of `jobs` with the 1-based line of each, and how many of them are complete.
Following = Callable[[Mapping[str, Any], Sequence[Any], Sequence[int], int], None]


class Builder:
    """Builds the one document of `text`; afterwards `lines` has the 1-based line of each entry of `jobs`.

    `following` is told at times, while there is more to read.
    """

    def __init__(self, text: str, following: Following | None = None) -> None:
        self._text = text
        self._following = following
        self._levels: list[_Level] = []
        self._level: _Level | None = None  # the innermost of them
        self._anchors: dict[str, _Anchor] = {}
        self._nodes = 0
        self._replayed = 0
        self._documents = 0
        self._root: Any = None
        self._jobs: Any = None
        self.lines: list[int] = []

    def build(self) -> Any:
        """The document's value: JSON types only.

        Raises:
            Wrong: it is no YAML, or more than a manifest may be.
        """
        steps: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._open,
            yaml.SequenceStartEvent: self._open,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }
        # One event at a time: the limits must stop libyaml, which reads deep nesting in quadratic time.
        with events(self._text) as next_event:
            while (event := next_event()) is not None:
                step = steps.get(type(event))
                if step is not None:
                    step(event)
        if self._root is None:
            raise Wrong(None, "empty", "the file is empty", "seedbatch init writes a first manifest")
        return self._root

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise Wrong(event.start_mark, "documents", "a second document begins here", "a manifest is one document")

    def _scalar(self, event: Any) -> None:
        value = event.value
        # Of most scalars the first character says that they are text; this is the busiest line of a large manifest.
        if event.tag is not None or (event.implicit[0] and value[:1] in BEGINNINGS):
            value = _value(event)
        level = self._level
        if level is not None and level.is_mapping and level.key is None:
            self._key(level, value, event)
            return
        self._nodes += 1
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(value, done=True)
        if level is None:
            self._root = value
        elif level.is_mapping:
            level.value[level.key] = value
            level.key = None
        else:
            self._append(level, value, event)

    def _key(self, level: _Level, name: Any, event: Any) -> None:
        if name == "<<" and event.implicit[0]:
            raise Wrong(
                event.start_mark, "merge", "<< is not part of YAML 1.2 and merges nothing", "use defaults, vars, matrix"
            )
        if not isinstance(name, str):
            shown = event.value or "an empty key"
            raise Wrong(event.start_mark, "key", f"{shown} is no text, and keys are text", f'write "{event.value}"')
        if name in level.keys:
            first = f"it is on line {level.keys[name] + 1} already"
            raise Wrong(event.start_mark, "duplicate-key", f"the key {name} is here for the second time", first)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(name, done=True)
        level.keys[name] = event.start_mark.line
        level.key = name

    def _open(self, event: Any) -> None:
        is_mapping = type(event) is yaml.MappingStartEvent
        self._refuse_as_key(event)
        if event.tag is not None and event.tag not in (f"{_CORE}{'map' if is_mapping else 'seq'}", "!"):
            raise _foreign(event)
        if len(self._levels) >= DEEPEST:
            raise _deep(event.start_mark)
        self._nodes += 1
        anchor = None
        if event.anchor:
            anchor = self._anchors[event.anchor] = _Anchor()
        value: Any = {} if is_mapping else []
        self._put(value, event)
        self._level = _Level(value, is_mapping, anchor, self._nodes)
        self._levels.append(self._level)

    def _close(self, _event: Any) -> None:
        level = self._levels.pop()
        self._level = self._levels[-1] if self._levels else None
        if self._level is not None and self._level.depth <= level.depth:
            self._level.depth = level.depth + 1
        if level.anchor is not None:
            level.anchor.value = level.value
            level.anchor.size = self._nodes - level.begun + 1
            level.anchor.depth = level.depth
            level.anchor.done = True

    def _alias(self, event: Any) -> None:
        self._refuse_as_key(event)
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            raise Wrong(event.start_mark, "alias", f"*{event.anchor} is used, and no &{event.anchor} stands before it")
        if not anchor.done:
            raise Wrong(event.start_mark, "alias", f"&{event.anchor} holds itself")
        if len(self._levels) + anchor.depth > DEEPEST:
            raise _deep(event.start_mark)
        # An alias counts for all that it stands for, or a few lines could stand for billions.
        self._nodes += anchor.size
        self._replayed += anchor.size
        if self._replayed > _MOST_REPLAYED:
            raise Wrong(event.start_mark, "alias", "the aliases of this file stand for more than a million values")
        if self._level is not None:
            self._level.depth = max(self._level.depth, anchor.depth + 1)
        self._put(anchor.value, event)

    def _refuse_as_key(self, event: Any) -> None:
        level = self._level
        if level is not None and level.is_mapping and level.key is None:
            raise Wrong(event.start_mark, "key", "this stands where a key belongs, and keys are text")

    def _put(self, value: Any, event: Any) -> None:
        level = self._level
        if level is None:
            self._root = value
            return
        if not level.is_mapping:
            self._append(level, value, event)
            return
        if level.key == "jobs" and len(self._levels) == 1 and isinstance(value, list):
            self._jobs = value
            # An alias brings its entries along; what there is of them in the file is the alias.
            self.lines = [event.start_mark.line + 1] * len(value)
        level.value[level.key] = value
        level.key = None

    def _append(self, level: _Level, value: Any, event: Any) -> None:
        if level.value is self._jobs:
            complete = len(level.value)
            if self._following is not None and complete and complete % _TOLD_AFTER == 0:
                self._following(self._root, level.value, self.lines, complete)
            self.lines.append(event.start_mark.line + 1)
        level.value.append(value)


@contextmanager
def events(text: str) -> Iterator[Callable[[], Any]]:
    """A function that gives the next event of a YAML stream, and None after the last.

    Raises:
        Wrong: inside the block, where the stream is no YAML.
    """
    parser: Any = None
    try:
        parser = LOADER(text)
        yield parser.get_event
    except yaml.MarkedYAMLError as error:
        raise _syntax(text, error) from None
    except yaml.reader.ReaderError as error:
        character = f"#x{ord(error.character) if isinstance(error.character, str) else error.character:04x}"
        words = f"it holds a character that YAML does not allow: {character}"
        raise Wrong(_mark_of(text, error), "character", words, "write it as an escape in double quotes") from None
    finally:
        if parser is not None:
            parser.dispose()


@dataclass(frozen=True, slots=True)
class _Mark:
    line: int
    column: int


def _mark_of(text: str, error: Any) -> _Mark:
    """The place of a forbidden character: the reader counts from the beginning, and not in lines."""
    wanted = error.character if isinstance(error.character, str) else chr(error.character)
    at = max(text.find(wanted), 0)
    return _Mark(text.count("\n", 0, at), at - (text.rfind("\n", 0, at) + 1))


def _syntax(text: str, error: Any) -> Wrong:
    mark = error.problem_mark or error.context_mark
    if error.context_mark and "end of stream" in (error.problem or ""):
        mark = error.context_mark  # where it begins says more than where the file ends
    if "maximum nesting depth" in (error.problem or ""):
        return _deep(mark)  # libyaml 0.2.6 stops by itself at 1,000, at times before it gave the first event
    lines = text.split("\n", mark.line + 1) if mark else []
    before = lines[mark.line][: mark.column + 1] if mark and mark.line < len(lines) else ""
    indent = before[: len(before) - len(before.lstrip())]
    if "\t" in indent or before.endswith("\t"):
        return Wrong(mark, "tab", "a tab stands where YAML wants spaces", "indent with spaces")
    hint = ""
    if "mapping values are not allowed" in (error.problem or ""):
        hint = "quote text that holds a colon and a space"
    words = error.problem or "this is no YAML"
    return Wrong(mark, "syntax", f"{words} ({error.context})" if error.context else words, hint)


def _value(event: Any) -> Any:
    tag, text = event.tag, event.value
    if tag is None:
        if not event.implicit[0]:
            return text
        try:
            return plain(text)
        except NotJson as error:
            raise Wrong(event.start_mark, "number", str(error), "quote it, if it is meant as text") from None
    if tag in {"!", f"{_CORE}str"}:
        return text
    if tag not in _TYPES:
        raise _foreign(event)
    try:
        value = plain(text)
    except NotJson as error:
        raise Wrong(event.start_mark, "number", str(error)) from None
    if not isinstance(value, _TYPES[tag]) or (isinstance(value, bool) and bool not in _TYPES[tag]):
        raise Wrong(event.start_mark, "tag", f"{text} is no !!{tag.removeprefix(_CORE)}")
    return float(value) if tag == f"{_CORE}float" and value is not None else value


def _foreign(event: Any) -> Wrong:
    tag = event.tag.replace(_CORE, "!!")
    return Wrong(event.start_mark, "tag", f"the tag {tag} is not allowed here", "remove it")


def _deep(mark: Any) -> Wrong:
    return Wrong(mark, "depth", f"this is nested deeper than {DEEPEST} levels")
