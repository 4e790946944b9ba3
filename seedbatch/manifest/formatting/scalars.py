"""How scalars are written: with quotes exactly where YAML 1.1 and YAML 1.2 would not read the same text."""

from __future__ import annotations

import re
from typing import Final

import yaml

from seedbatch.manifest.builder import Builder, Wrong
from seedbatch.manifest.formatting.tree import Scalar
from seedbatch.manifest.scalars import NotJson, plain

_TEXT_TAGS: Final = frozenset({"!", "!!str"})
# Numbers that YAML 1.1 and 1.2 read alike. Not 012, 0o14, 1e3.
_NUMBER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|[-+]?[0-9]+\.[0-9]*(?:[eE][-+][0-9]+)?")
# YAML 1.1 has single letters for true and false, and PyYAML leaves them out.
_LETTERS: Final = frozenset("yYnN")
# By first character, what is more than text to YAML 1.1; None holds for any.
_OLD: Final = yaml.SafeLoader.yaml_implicit_resolvers
# To YAML 1.1 these end a line, and to most programs they do not.
_SEPARATORS: Final = re.compile("[\u2028\u2029]")
_NAMED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# Beyond these a character is written as an escape: YAML does not take it, or takes it for the end of a line.
_ESCAPED: Final = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]')


def misread(text: str) -> bool:
    """Whether a YAML reader of either version takes this text for something else, where it has no quotes."""
    try:
        if not isinstance(plain(text), str):
            return True
    except NotJson:
        return True
    resolvers = (*_OLD.get(text[:1], ()), *_OLD.get(None, ()))
    return text in _LETTERS or "\t" in text or any(pattern.match(text) for _, pattern in resolvers)


def quoted(text: str) -> str:
    """`text` in double quotes, on one line."""
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _NAMED.get(character) or (f"\\x{ord(character):02x}" if character < "\x80" else f"\\u{ord(character):04x}")


def properties(anchor: str, tag: str) -> str:
    """Anchor and tag as they stand before a value, with a space behind them."""
    return (f"&{anchor} " if anchor else "") + (f"{tag} " if tag not in {"", "!", "!!map", "!!seq"} else "")


def written(scalar: Scalar) -> list[str]:
    """The lines of a scalar: the first as it stands behind its key, the others without their indentation.

    An empty value is one empty line.
    """
    first, *rest = _lines(scalar)
    return [_marked(scalar, first), *rest]


def one_line(scalar: Scalar, *, in_brackets: bool) -> str | None:
    """A scalar on one line, as a key or (`in_brackets`) in a list or mapping of one line; None if it takes several."""
    first, *rest = _lines(scalar)
    if rest or scalar.style in {"|", ">"}:
        return None
    if in_brackets and not first:
        first = "null"
    elif in_brackets and not scalar.style and _clashes(first):
        first = quoted(scalar.text)
    return _marked(scalar, first)


def _marked(scalar: Scalar, first: str) -> str:
    marks = properties(scalar.anchor, "" if scalar.tag in _TEXT_TAGS else scalar.tag)
    return f"{marks}{first}" if first else marks.rstrip()


def _clashes(text: str) -> bool:
    """Whether YAML 1.1 takes some of a plain text for an indicator of a list or mapping of one line."""
    return text[:1] != '"' and ("?" in text or text.startswith(":"))


def _lines(scalar: Scalar) -> list[str]:
    if scalar.tag and scalar.tag not in _TEXT_TAGS:
        return [scalar.source] if "\n" not in scalar.source else [quoted(scalar.text)]
    if not scalar.style and not scalar.tag and not _is_text(scalar.text):
        return [scalar.source if _is_sound(scalar.source) else _number(scalar.text)]
    if scalar.style in {"|", ">"}:
        lines = _block(scalar)
    elif _wants_quotes(scalar):
        lines = [quoted(scalar.text)]
    else:
        lines = _folded_source(scalar)
    return lines if len(lines) == 1 or _reads_as(lines, scalar.text) else [quoted(scalar.text)]


def _wants_quotes(scalar: Scalar) -> bool:
    """Whether it is written in double quotes: where it would be misread, and in the place of single ones."""
    if _SEPARATORS.search(scalar.source):
        return True
    if not scalar.style:
        return misread(scalar.text)
    return scalar.style == "'" and "\n" not in scalar.source and not _ESCAPED.search(scalar.text)


def _is_text(text: str) -> bool:
    return isinstance(plain(text), str)


def _is_sound(source: str) -> bool:
    """A number that both versions read alike; or a word for null, true or false, which they do."""
    return not source[-1:].isdigit() or _NUMBER.fullmatch(source) is not None


def _number(text: str) -> str:
    value = plain(text)
    found = repr(value)
    return found.replace("e", ".0e") if "e" in found and "." not in found else found


def _folded_source(scalar: Scalar) -> list[str]:
    """Plain or quoted text over several lines, whose indentation means nothing."""
    first, *rest = scalar.source.split("\n")
    return [_right_stripped(first), *(_right_stripped(line.lstrip(" \t")) for line in rest)]


def _right_stripped(line: str) -> str:
    stripped = line.rstrip(" \t")
    # In double quotes a backslash may hold on to the space behind it.
    return line if stripped.endswith("\\") else stripped


def _block(scalar: Scalar) -> list[str]:
    """A block scalar: a literal one is its text; of a folded one the lines are kept."""
    body = scalar.text.rstrip("\n")
    ends = len(scalar.text) - len(body)
    if not body:
        return [quoted(scalar.text)]
    header, *source = scalar.source.split("\n")
    if scalar.style == ">" and not any(character.isdigit() for character in header.partition("#")[0]):
        indent = min((len(line) - len(line.lstrip(" ")) for line in source if line.strip(" ")), default=0)
        lines = [line[indent:] for line in source]
        while lines and not lines[-1].strip(" "):
            lines.pop()
        style = ">"
    else:
        style, lines = "|", body.split("\n")
    first = next((line for line in lines if line), "")
    indicator = "2" if first[:1] in {" ", "\t"} else ""
    chomping = {0: "-", 1: ""}.get(ends, "+")
    return [f"{style}{indicator}{chomping}", *lines, *[""] * (ends - 1)]


def _reads_as(lines: list[str], text: str) -> bool:
    shown = "\n".join([f"k: {lines[0]}", *(f"  {line}" if line else "" for line in lines[1:])])
    try:
        return bool(Builder(f"{shown}\n").build() == {"k": text})
    except Wrong:
        return False
