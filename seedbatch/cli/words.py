"""Words for people: on stderr, without anything that a terminal would obey."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import IO

import click

from seedbatch.domain.errors import Problem

# Control characters, and the marks that turn the reading direction around.
_HOSTILE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

_FILLER = "\x00"

# A line of a manifest, and the caret below it: they stand one above the other, or mean nothing.
_QUOTED = re.compile(r"\s+\d*\s*\|")


def clean(text: str) -> str:
    """Foreign text (prompts, a provider's messages, file names) as it may be shown: on one line, harmless."""
    return _HOSTILE.sub("�", text.replace("\n", " ").replace("\t", " "))


def fitted(text: str, stream: IO[str]) -> str:
    """The same words, broken between words where a terminal is too narrow; untouched elsewhere."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(_broken(line, width) for line in text.split("\n"))


def _broken(line: str, width: int) -> str:
    if _QUOTED.match(line):
        return line
    # A character that takes two columns is measured as two, the second of which no text has.
    line = line if line.isascii() else "".join(one + _FILLER if _is_wide(one) else one for one in line)
    if len(line) > width:
        indent = line[: len(line) - len(line.lstrip())]
        line = textwrap.fill(
            line.strip(),
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return line.replace(_FILLER, "")


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in {"W", "F"}


def colours() -> bool:
    """Whether a terminal is to be given any: `NO_COLOR`, and terminals that would show the codes themselves."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "").lower() != "dumb"


def say(text: str = "", style: str = "") -> None:
    """A line to stderr, `bold` or in a colour on a terminal; nobody listening is no error."""
    try:
        text = fitted(text, sys.stderr)
        if style and sys.stderr.isatty() and colours():
            text = click.style(text, bold=True) if style == "bold" else click.style(text, fg=style)
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the one place that prints words
    except (OSError, ValueError):
        return


def problems_text(problems: Iterable[Problem]) -> Iterator[str]:
    """Each problem with its place, its line, a caret, and what to do about it."""
    for problem in problems:
        yield f"{clean(str(problem))}  [{problem.code}]"
        if problem.source and problem.line:
            source = clean(problem.source)
            shown, caret = _window(source, problem.column)
            yield f"  {problem.line:>5} | {shown}"
            yield f"        | {' ' * caret}^"
        if problem.hint:
            yield f"        → {clean(problem.hint)}"


# Codes whose message says all that there is to say.
_PLAIN = frozenset({"file/unreadable", "problems/more"})


def more_about(problems: Iterable[Problem]) -> Iterator[str]:
    """The command that explains the first problem at length, if there is more to say than its message says."""
    for problem in problems:
        if problem.code not in _PLAIN:
            yield f"  → seedbatch explain {problem.code}"
            return


def _window(source: str, column: int, width: int = 100) -> tuple[str, int]:
    """The part of a long line around a 1-based column, and where the caret goes below it."""
    start = 0 if len(source) <= width else max(0, min(column - 1 - width // 2, len(source) - width))
    return source[start : start + width], max(0, column - 1 - start)


def span(duration: timedelta) -> str:
    """A duration in its two largest units: `3 d 4 h`, `12 min`, `40 s`."""
    seconds = int(duration.total_seconds())
    if seconds < 0:
        return "0 s"
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for unit, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def moment_text(moment: datetime) -> str:
    """A moment as people read it, in their own zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 job`, `1,200 jobs`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def short_path(path: str) -> str:
    """A path as seen from here, if it lies below."""
    here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 - text in, text out
    return path.removeprefix(here)


def whoever() -> str:
    """Who says so, as events keep it: `name@host`."""
    import getpass
    import socket

    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container without a user database
        name = str(os.getuid())
    return clean(f"{name}@{socket.gethostname()}")
