"""An answer of the provider, parsed as far as it can be, whatever it is."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from seedbatch.domain.answers import Evidence

LONGEST_TEXT: Final = 300

_CODES: Final = 1_000_000
_DEEPEST: Final = 32
_CONCEALED: Final = "[key]"
_SHORTEST_CONCEALED: Final = 4


Conceal = str | tuple[str, ...]  # secrets that no message may carry


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its HTTP status, its JSON object if it is one, and what is kept of it.

    `code` is None unless it is an integer of a size that means something. Source: maxapi contract, 1.3.
    """

    status: int
    envelope: Mapping[str, Any] | None
    code: int | None
    evidence: Evidence
    conceal: Conceal = field(repr=False)

    @classmethod
    def read(cls, status: int, body: bytes, conceal: Conceal) -> Answer:
        """Read any bytes; `conceal` is masked in what is kept."""
        envelope = _object(body)
        code = envelope.get("code") if envelope else None
        code = code if type(code) is int and abs(code) < _CODES else None
        text = body.decode("utf-8", "replace")
        evidence = Evidence(status, code, _shown(_message(envelope), conceal), _shown(text, conceal))
        return cls(status, envelope, code, evidence, conceal)

    @property
    def data(self) -> Mapping[str, Any]:
        """The object that the envelope carries, empty if there is none."""
        data = self.envelope.get("data") if self.envelope else None
        return data if isinstance(data, dict) else {}

    @property
    def words(self) -> str:
        """The answer in one line: `HTTP 400, code 400, "prompt is required"`."""
        parts = [f"HTTP {self.status}"]
        if self.code is not None:
            parts.append(f"code {self.code}")
        if self.evidence.message:
            parts.append(f'"{self.evidence.message}"')
        return ", ".join(parts)

    def shown(self, text: str, longest: int = LONGEST_TEXT) -> str:
        """`text` of this answer as it may be shown and kept: see `plain`."""
        return _shown(text, self.conceal, longest)


class _NotOneAnswer(ValueError):
    """The same member twice in one object: which of them is meant is anybody's guess."""


def _object(body: bytes) -> Mapping[str, Any] | None:
    """The JSON object in `body`; None for anything else, for repeated members, NaN, infinity, and nesting beyond 32."""
    try:
        value = _decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    shallow = body.count(b"{") + body.count(b"[") < _DEEPEST or _shallow(value)
    return value if isinstance(value, dict) and shallow else None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _NotOneAnswer
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


# Made once: json.loads with these would make a decoder for each answer.
_decode: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant, parse_float=_finite).decode


def _shallow(value: object) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return True
    return False


def _children(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _message(envelope: Mapping[str, Any] | None) -> str:
    found = (envelope.get(name) for name in ("msg", "message", "error")) if envelope else ()
    return next((text for text in found if isinstance(text, str) and text), "")


def _shown(text: str, conceal: Conceal, longest: int = LONGEST_TEXT) -> str:
    # Masked before it is cut: half a key is still a secret.
    for secret in (conceal,) if isinstance(conceal, str) else conceal:
        if len(secret) >= _SHORTEST_CONCEALED:
            text = text.replace(secret, _CONCEALED)
    return plain(text, longest)


def plain(text: str, longest: int = LONGEST_TEXT) -> str:
    """`text` on one line, at most `longest` characters, without control, format and surrogate characters."""
    text = text[: 4 * longest]  # so that a megabyte of spaces costs nothing
    if not text.isprintable():
        text = "".join(character if unicodedata.category(character)[0] != "C" else " " for character in text)
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
