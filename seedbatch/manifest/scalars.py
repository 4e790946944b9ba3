"""Plain scalars by the YAML 1.2 core schema: `16:9`, `no` and `012` are not what YAML 1.1 makes of them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from seedbatch.domain.jobs import Scalar

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_OCTAL: Final = re.compile(r"0o[0-7]+")
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_JSON: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Only these begin anything but text; the rest of a manifest is not looked at further.
BEGINNINGS: Final = frozenset(["", *"0123456789+-.~ntfNTF"])
_LONGEST_NUMBER: Final = 400
_SHORT: Final = 40


class NotJson(ValueError):
    """A number that JSON cannot hold."""


def plain(text: str) -> Scalar:
    """The value of an unquoted scalar.

    Raises:
        NotJson: it is infinite, or no number, or longer than any number that is meant.
    """
    if text[:1] not in BEGINNINGS:
        return text
    return _short(text) if len(text) <= _SHORT else _read(text)


def _read(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise NotJson(f"{text} is too large a number")
        return number
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _NOT_JSON.fullmatch(text):
        raise NotJson(f"{text} is a number that JSON cannot hold")
    return text


# In a large manifest the same few come a hundred thousand times.
_short: Final = lru_cache(maxsize=4096)(_read)
