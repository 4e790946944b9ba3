"""Cells of CSV are text; a parameter may want a number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from seedbatch.domain.fingerprint import Json

_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?")
_TRUTHS: Final = {"true": True, "TRUE": True, "True": True, "false": False, "FALSE": False, "False": False}

Typed = Callable[[str], Json]


def typed_by(schema: Mapping[str, Any], parameter: str) -> Typed:
    """What a cell becomes that is the whole value of a parameter: by the types that the model's schema names for it.

    An empty cell leaves the parameter out. Text that fits none of the types stays text, so that the schema says so.
    """
    types, values = set[str](), list[Json]()
    for rule in _rules(schema, parameter):
        named = rule.get("type", [])
        types.update([named] if isinstance(named, str) else named)
        values += rule.get("enum", [])
    spelled = {json.dumps(one): one for one in values if not isinstance(one, str)}
    texts = {one for one in values if isinstance(one, str)}

    def typed(cell: str) -> Json:
        if not cell:
            return None
        if "string" in types or cell in texts:
            return cell
        if cell in spelled:
            return spelled[cell]
        if "boolean" in types and cell in _TRUTHS:
            return _TRUTHS[cell]
        if types & {"integer", "number"}:
            if _WHOLE.fullmatch(cell):
                return int(cell)
            if _NUMBER.fullmatch(cell):
                return float(cell)  # 5.0 becomes 5 as everywhere, 5.5 is no duration as everywhere
        return cell

    return typed


def _rules(schema: Any, parameter: str) -> list[Mapping[str, Any]]:
    """Every place of a schema that speaks of `input.<parameter>`, its branches included."""
    found: list[Mapping[str, Any]] = []
    if isinstance(schema, Mapping):
        given = schema.get("properties", {}).get("input", {})
        if isinstance(given, Mapping) and isinstance(rule := given.get("properties", {}).get(parameter), Mapping):
            found.append(rule)
        for keyword in ("allOf", "anyOf", "oneOf"):
            for branch in schema.get(keyword, ()):
                found += _rules(branch, parameter)
        for keyword in ("then", "else"):
            found += _rules(schema.get(keyword), parameter)
    return found
