"""What the live page is sent, as server-sent events."""

from __future__ import annotations

import json
from typing import Any, Final

MOST: Final = 20_000  # jobs of a page: a browser keeps all of them


def frame(event: str, value: Any, number: str = "") -> bytes:
    """One event; JSON holds no end of line, so it is one line. `number` is where a page goes on after a break."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    mark = f"id: {number}\n" if number else ""
    return f"event: {event}\n{mark}data: {text}\n\n".encode("utf-8", "replace")
