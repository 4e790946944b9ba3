"""Chosen takes: a file beside the manifest that is kept in git, one line a pick. `docs/picks.md` describes it.

Lines are put in and taken out; whatever else stands in the file stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.errors import Problem, UsageError
from seedbatch.manifest.builder import Builder, Wrong
from seedbatch.manifest.formatting.scalars import quoted
from seedbatch.manifest.places import Lines, Pointer, locate
from seedbatch.manifest.reader import read

PICKS_FILE: Final = "picks.yaml"
_HEAD: Final = "version: 1\npicks:\n"
_BEGINNING: Final = f"# Chosen takes, one a line: seedbatch pick adds and removes them, comments are yours.\n{_HEAD}"
# What git leaves where two branches changed the same lines.
_MARKER: Final = re.compile(r"^(<{7}|\|{7}|={7}|>{7})( .*)?\r?$", re.MULTILINE)
_NOTHING: Final = re.compile(r"(?:[ \t]*(?:#.*)?\r?(?:\n|\Z))*")
_EMPTY_LIST: Final = re.compile(r"^(picks[ \t]*:)[ \t]*(?:\[[ \t]*\]|null|~)", re.MULTILINE)
# Lines as YAML counts them.
_LINE: Final = re.compile("[^\n\r\x85\u2028\u2029]*(?:\r\n|[\n\r\x85\u2028\u2029])|[^\n\r\x85\u2028\u2029]+")
# What needs no quotes in a list of one item a line, whichever version of YAML reads it.
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=:\[\],/#+@%~-]*(?<!:)")
_NAME: Final = re.compile(r"[^/]+/.+", re.DOTALL)
_DIGITS: Final = re.compile(r"(\d+)")
_SHOWN: Final = 120  # characters of a line


@dataclass(frozen=True, slots=True)
class Picks:
    """What a file of picks holds: its text, and the picks in its order, each `BATCH/ADDRESS`."""

    file: str
    text: str = ""
    names: tuple[str, ...] = ()


def without_picks(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The manifests among paths: `manifests/*.yaml` means the picks beside them too. Without others they stay."""
    given = tuple(paths)
    return tuple(path for path in given if path.name != PICKS_FILE) or given


def read_picks(path: Path) -> Picks:
    """The picks of a file; none if there is no such file.

    Raises:
        UsageError: it cannot be read, or something in it is no pick; the message tells the line.
    """
    if not path.exists():
        return Picks(str(path))
    document = read(path)
    if isinstance(document, Problem) and document.code == "file/unreadable":
        raise _wrong(document)
    text = path.read_bytes().decode("utf-8-sig", "replace") if isinstance(document, Problem) else document.text
    if marker := _MARKER.search(text):
        line = text.count("\n", 0, marker.start()) + 1
        hint = "keep the picks of both sides, or of one, and remove the lines with <<<<<<<, ======= and >>>>>>>"
        raise _wrong(Problem(str(path), line, 1, "", "a merge was left unfinished here", hint, Lines(text)[line]))
    if _NOTHING.fullmatch(text):
        return Picks(str(path), text)
    if isinstance(document, Problem):
        raise _wrong(document)
    return Picks(str(path), text, _names(str(path), text, document.value))


def changed(picks: Picks, *, adding: Iterable[str] = (), removing: Collection[str] = ()) -> str:
    """The text of the file with some picks more, each where it belongs by name, and without some others.

    Raises:
        UsageError: it is not written one pick a line, so that nothing can be changed without touching what is beside.
    """
    text, names = picks.text, list(picks.names)
    if not text:
        text = _BEGINNING
    elif _NOTHING.fullmatch(text):
        text = f"{text.rstrip()}\n{_HEAD}"
    for name in removing:
        while name in names:
            text = _without(text, names.index(name))
            names.remove(name)
    for name in adding:
        if name not in names:
            at = next((at for at, other in enumerate(names) if _order(other) > _order(name)), len(names))
            text = _with(text, name, at)
            names.insert(at, name)
    if _held(text) != names:
        raise UsageError(
            f"{picks.file} is not written one pick a line, so it is left as it is",
            hint="write its picks as a list, each on a line of its own: - BATCH/ADDRESS",
        )
    return text


def _order(name: str) -> list[str | int]:
    """Take 2 before take 10."""
    return [int(part) if number % 2 else part for number, part in enumerate(_DIGITS.split(name))]


# -- lines --------------------------------------------------------------------------------------------------------


def _without(text: str, at: int) -> str:
    lines = _LINE.findall(text)
    del lines[_line(text, ("picks", at)) - 1]
    return "".join(lines)


def _with(text: str, name: str, at: int) -> str:
    """The text with a pick more, behind the one before it, so that comments above the next stay with that."""
    if not _held(text):
        text = _EMPTY_LIST.sub(r"\1", text, count=1)
    end = "\r\n" if "\r\n" in text else "\n"
    lines = _LINE.findall(text)
    line = _line(text, ("picks", at - 1)) if at else _line(text, ("picks",), at_key=True)
    model = lines[min(_line(text, ("picks", max(0, at - 1))), len(lines)) - 1]
    indent = model[: len(model) - len(model.lstrip())] if model.lstrip().startswith("-") else "  "
    if not lines[line - 1].endswith("\n"):
        lines[line - 1] += end
    lines.insert(line, f"{indent}- {name if _PLAIN.fullmatch(name) else quoted(name)}{end}")
    return "".join(lines)


def _line(text: str, pointer: Pointer, *, at_key: bool = False) -> int:
    return locate(text, [(pointer, at_key)])[pointer, at_key][0]


def _held(text: str) -> list[str] | None:
    try:
        value = Builder(text).build()
    except Wrong:
        return None
    return list(value["picks"] or ()) if isinstance(value, dict) and "picks" in value else None


# -- what is wrong ------------------------------------------------------------------------------------------------


def _names(file: str, text: str, value: Any) -> tuple[str, ...]:
    for pointer, message, hint in _remarks(value):
        # The key itself is meant where it is no key of such a file.
        at_key = len(pointer) == 1 and isinstance(value, dict) and pointer[0] not in {"version", "picks"}
        line, column = locate(text, [(pointer, at_key)])[pointer, at_key]
        raise _wrong(Problem(file, line, column, "", message, hint, Lines(text)[line]))
    return tuple(value["picks"] or ())


def _remarks(value: Any) -> Sequence[tuple[Pointer, str, str]]:
    """What is wrong with the value of a file of picks: where, what, and what to do."""
    example = "a pick is BATCH/ADDRESS, as in - autumn/river#2"
    if not isinstance(value, dict):
        return [((), "this is no file of picks", f"begin it with version: 1 and picks:; {example}")]
    for name in value:
        if name not in {"version", "picks"}:
            near = get_close_matches(str(name), ["version", "picks"], n=1)
            hint = f"did you mean {near[0]}?" if near else "there are version and picks"
            return [((name,), f"{name!r} is nothing that a file of picks says", hint)]
    if value.get("version") != 1 or isinstance(value.get("version"), bool):
        return [(("version",), "the version of picks is 1", "write version: 1; a newer seedbatch may know others")]
    picks = value.get("picks")
    if picks is not None and not isinstance(picks, list):
        return [(("picks",), "picks are a list", example)]
    return [
        (("picks", at), "this is no pick", example)
        for at, name in enumerate(picks or ())
        if not isinstance(name, str) or not _NAME.fullmatch(name)
    ]


def _wrong(problem: Problem) -> UsageError:
    source = "".join(one if one.isprintable() else "�" for one in problem.source[:_SHOWN])
    caret = f"\n    | {' ' * (problem.column - 1)}^" if problem.column <= len(source) else ""
    return UsageError(f"{problem}\n    | {source}{caret}" if source else str(problem), hint=problem.hint)
