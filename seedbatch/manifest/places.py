"""Where things stand in a file. Looked up only when something is wrong, so that reading stays fast."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import yaml

from seedbatch.manifest.builder import events

Pointer = tuple[str | int, ...]
Place = tuple[int, int]

# A pointer, and whether the key itself is meant and not its value.
Wanted = tuple[Pointer, bool]

LONGEST_SOURCE: Final = 3_000
# What YAML takes for the end of a line, so that lines are counted as the parser counts them.
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def locate(text: str, wanted: Iterable[Wanted]) -> dict[Wanted, Place]:
    """The 1-based line and column of each wanted thing, or of the nearest thing above it that the file has.

    One more pass over the file, however many are wanted.
    """
    search = _Search(wanted)
    with events(text) as next_event:
        while (event := next_event()) is not None:
            if search.take(event):
                break
    return search.found


class Lines:
    """The lines of a text, by 1-based number."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: list[int] | None = None

    def around(self, line: int, column: int) -> str:
        """The text of a line, if the 1-based `column` is in what is shown of it."""
        return self[line] if column <= LONGEST_SOURCE else ""

    def __getitem__(self, line: int) -> str:
        """The text of a line, cut where it is very long; nothing for one that there is not."""
        if self._starts is None:
            self._starts = [0, *(found.end() for found in _BREAK.finditer(self._text))]
        if not 1 <= line <= len(self._starts):
            return ""
        start = self._starts[line - 1]
        end = self._starts[line] if line < len(self._starts) else len(self._text)
        return self._text[start : min(end, start + LONGEST_SOURCE)].rstrip("\r\n\x85\u2028\u2029")


class _Search:
    def __init__(self, wanted: Iterable[Wanted]) -> None:
        self.found: dict[Wanted, Place] = dict.fromkeys(wanted, (1, 1))
        self._left = set(self.found)
        # Everything on the way to something wanted; the rest of the file is passed over.
        self._ways: dict[Pointer, list[Wanted]] = {}
        for one in self.found:
            for length in range(len(one[0]) + 1):
                self._ways.setdefault(one[0][:length], []).append(one)
        # Open collections on the way: their pointer, and the key that waits for its value or the next index.
        self._open: list[tuple[Pointer, bool]] = []
        self._next: list[str | int | None] = []
        self._ignored = 0

    def take(self, event: Any) -> bool:
        if isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)
        return not self._left

    def _close(self) -> None:
        if self._ignored:
            self._ignored -= 1
            return
        self._open.pop()
        self._next.pop()

    def _node(self, event: Any) -> None:
        begins = isinstance(event, yaml.CollectionStartEvent)
        if self._ignored:
            self._ignored += begins
            return
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        pointer: Pointer = ()
        if self._open:
            above, is_mapping = self._open[-1]
            waiting = self._next[-1]
            if is_mapping and waiting is None:
                self._next[-1] = event.value
                self._meet(((*above, event.value), True), place)
                return
            assert waiting is not None
            pointer = (*above, waiting)
            self._next[-1] = None if is_mapping else int(waiting) + 1
        ways = self._ways.get(pointer)
        for one in ways or ():
            if one != (pointer, True) or one not in self.found or one in self._left:
                self.found[one] = place
        self._left.discard((pointer, False))
        self._left.discard((pointer, True))
        if begins and ways is not None:
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            self._open.append((pointer, is_mapping))
            self._next.append(None if is_mapping else 0)
        elif begins:
            self._ignored = 1

    def _meet(self, one: Wanted, place: Place) -> None:
        if one in self._left:
            self.found[one] = place
            self._left.discard(one)
