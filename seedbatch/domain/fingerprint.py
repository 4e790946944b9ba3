"""The identity of a request: the SHA-256 of its canonical JSON (RFC 8785)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import lru_cache

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_MAX_EXACT = 2**53
_PLAIN_DIGITS = 21  # ECMAScript writes numbers below 1e21 without an exponent
_SMALLEST_EXPONENT = -6  # and numbers from 1e-6 up
_string = json.encoder.encode_basestring  # what json.dumps calls for each string, without its setting up


def fingerprint(model: str, input_: Mapping[str, Json]) -> str:
    """64 hexadecimal digits that are equal exactly when model and input are the same JSON values.

    Raises:
        ValueError: the input holds NaN, an infinity, an integer beyond 2**53 or a lone surrogate.
    """
    # As `canonical` of both in one object, which the tests hold it to.
    text = f'{{"input":{_text(input_ if isinstance(input_, dict) else dict(input_))},"model":{_string(model)}}}'
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(value: Json) -> bytes:
    """`value` in the JSON Canonicalization Scheme: sorted keys, no space, ECMAScript numbers, UTF-8."""
    return _text(value).encode("utf-8")


@lru_cache(maxsize=1024)
def _ordered(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The names of an object in canonical order, each with what is written before its value.

    A million rows of a source have the same few.
    """
    return tuple((name, f"{_string(name)}:") for name in sorted(names, key=lambda name: name.encode("utf-16-be")))


def _text(value: Json) -> str:
    match value:
        case dict():
            return _object(value)
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
        case str():
            return _string(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            if abs(value) > _MAX_EXACT:
                raise ValueError(f"{value} is beyond the integers that JSON carries exactly")
            return str(value)
        case float():
            return _number(value)
        case _:
            raise ValueError(f"{type(value).__name__} is not a JSON value")


def _object(value: dict[str, Json]) -> str:
    parts = []
    for name, written in _ordered(tuple(value)):
        item = value[name]
        # Nearly all of them are one of these; a bool is none of class int.
        if item.__class__ is str:
            parts.append(f"{written}{_string(item)}")
        elif item.__class__ is int and -_MAX_EXACT <= item <= _MAX_EXACT:
            parts.append(f"{written}{item}")
        else:
            parts.append(f"{written}{_text(item)}")
    return "{" + ",".join(parts) + "}"


def _number(value: float) -> str:
    """`Number::toString` of ECMAScript, from the shortest digits that Python's repr finds as well."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value!r}".lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" and not exponent else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= _PLAIN_DIGITS:
        return sign + digits.ljust(point, "0")
    if 0 < point <= _PLAIN_DIGITS:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if _SMALLEST_EXPONENT < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    exponent = f"{point - 1:+d}"
    return f"{sign}{digits[0]}{'.' + digits[1:] if len(digits) > 1 else ''}e{exponent}"
