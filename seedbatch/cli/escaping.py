"""Foreign text in GitHub's Markdown: shown as it is, and never obeyed.

It stands in code only. A character reference keeps text from being Markdown or HTML, but GitHub looks for @mentions,
issue numbers and links in what was rendered, code aside: `&#64;team` would still call the team.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

from seedbatch.cli.words import clean

BACKTICKS: Final = re.compile("`+")
# Half a surrogate pair cannot be written, and the others are ends of lines to some.
_ODD: Final = re.compile("[\ud800-\udfff\u2028\u2029]")
_LONGEST: Final = 300


def code(text: str, longest: int = _LONGEST) -> str:
    """A code span that holds `text` whatever is in it, on one line; for paragraphs and lists, not for tables."""
    text = _plain(text, longest)
    fence = "`" * (max(map(len, BACKTICKS.findall(text)), default=0) + 1)
    # One space on each side is no part of the span: it keeps backticks and spaces of the text away from the fence.
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def html_code(text: str, longest: int = _LONGEST) -> str:
    """The same inside a line of HTML, such as a `<summary>`."""
    return f"<code>{escape(_plain(text, longest))}</code>"


def _plain(text: str, longest: int) -> str:
    text = _ODD.sub("�", clean(text))
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return text if text.strip() else "(nothing)"
