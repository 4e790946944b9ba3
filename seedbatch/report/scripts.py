"""Data as classic scripts: a page that was opened from disk may load those, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

_FIRST: Final = 120  # jobs that are there with the first paint
_MORE: Final = 1_000
# What a script must not hold as it is: the end of its string, the ends of lines, and what HTML would take for a tag.
_ESCAPES: Final = {"\\": "\\\\", "'": "\\'", "<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_TABLE: Final = str.maketrans(_ESCAPES)


def scripts(cards: Sequence[Any]) -> list[bytes]:
    """The cards in their order, as scripts that hand them to the page: few in the first one, many in the others."""
    starts = [0, *range(_FIRST, len(cards), _MORE)]
    ends = [*starts[1:], len(cards)]
    return [script(cards[start:end]) for start, end in zip(starts, ends, strict=True)]


def script(value: Any) -> bytes:
    """One script: JSON in a string, which engines read faster than a literal of the same size."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"gallery.receive('{text.translate(_TABLE)}');\n".encode()
