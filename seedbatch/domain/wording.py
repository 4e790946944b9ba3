"""What changed between two texts, word by word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

_CONTEXT: Final = 3  # words beside a change
_MOST_SHOWN: Final = 12  # words of one change, and of what it replaces
# Finding the best match of two long texts takes the product of their words: beyond it, the middle is one change.
_MOST_COMPARED: Final = 250_000


def word_difference(before: str, after: str) -> str:
    """`A [-river-]{+lake+} in spring`: in brackets what left, in braces what came; nothing if all words are equal."""
    old, new = before.split(), after.split()
    parts: list[str] = []
    for kind, start, end, new_start, new_end in _changes(old, new):
        if kind == "equal":
            parts.append(_context(old[start:end], first=not parts, last=end == len(old) and new_end == len(new)))
            continue
        gone, come = _shown(old[start:end]), _shown(new[new_start:new_end])
        parts.append((f"[-{gone}-]" if gone else "") + (f"{{+{come}+}}" if come else ""))
    return " ".join(filter(None, parts)) if old != new else ""


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """As `SequenceMatcher.get_opcodes`, in a time that has a bound."""
    head = _alike(old, new)
    tail = min(_alike(reversed(old), reversed(new)), min(len(old), len(new)) - head)
    if head:
        yield "equal", 0, head, 0, head
    left, came = old[head : len(old) - tail], new[head : len(new) - tail]
    one_place = not left or not came or len(left) == len(came) == 1
    if one_place or len(left) * len(came) > _MOST_COMPARED:
        yield "replace", head, len(old) - tail, head, len(new) - tail
    else:
        for kind, start, end, new_start, new_end in SequenceMatcher(None, left, came, autojunk=False).get_opcodes():
            yield kind, head + start, head + end, head + new_start, head + new_end
    if tail:
        yield "equal", len(old) - tail, len(old), len(new) - tail, len(new)


def _alike(old: Iterable[str], new: Iterable[str]) -> int:
    """How many words they begin with in common."""
    count = 0
    for before, after in zip(old, new, strict=False):
        if before != after:
            break
        count += 1
    return count


def _context(words: Sequence[str], *, first: bool, last: bool) -> str:
    room = _CONTEXT * (2 - (first or last))
    if len(words) <= room:
        return " ".join(words)
    shown = [] if first else list(words[:_CONTEXT])
    shown.append("…")
    shown += [] if last else words[-_CONTEXT:]
    return " ".join(shown)


def _shown(words: Sequence[str]) -> str:
    more = len(words) - _MOST_SHOWN
    return " ".join(words) if more <= 1 else f"{' '.join(words[:_MOST_SHOWN])} … {more:,} words more"
