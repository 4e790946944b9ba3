"""One JSON Schema, checked fast, and told in words where it fails.

jsonschema-rs is the gate; only what fails it is checked again by jsonschema, for path and message. Both would fetch a
remote `$ref`: neither may.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import jsonschema_rs

_LONGEST_VALUE: Final = 80
_MOST_FAULTS: Final = 20
_NEVER: Final[Mapping[str, Any]] = {"not": {}}
# What a YAML 1.1 parser makes of an unquoted ratio: base sixty.
_SEXAGESIMAL: Final = {
    width * 60 + height: f"{width}:{height}"
    for width, height in (
        *((16, 9), (9, 16), (1, 1), (21, 9), (9, 21), (4, 3), (3, 4)),
        *((3, 2), (2, 3), (5, 4), (4, 5), (2, 1), (1, 2)),
    )
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in an instance; `path` leads to it, keys and 0-based indices."""

    path: tuple[str | int, ...]
    code: str
    message: str
    hint: str = ""


class Checker:
    """Checks instances against `schema` (draft 2020-12, self-contained)."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._gate = jsonschema_rs.Draft202012Validator(dict(schema), retriever=_refuse)
        self._words: Any = None

    def is_valid(self, instance: object) -> bool:
        """Whether it fits; values that JSON cannot hold never do."""
        try:
            return self._gate.is_valid(instance)
        except (ValueError, UnicodeEncodeError):
            return False

    def faults(self, instance: object) -> list[Fault]:
        """Everything that is wrong, by place; at most twenty."""
        if self.is_valid(instance):
            return []
        try:
            found = sorted(dict.fromkeys(self._told(instance)), key=_place)
        except RecursionError:
            return [Fault((), "schema/depth", "it is nested too deeply")]
        return found[:_MOST_FAULTS] or [Fault((), "schema/json", "it holds a value that JSON cannot hold")]

    def _told(self, instance: object) -> Iterator[Fault]:
        if self._words is None:
            self._words = _words(self._schema)
        for error in self._words.iter_errors(instance):
            yield from _worded(error)


def _refuse(address: str) -> Any:
    message = f"no schema is fetched: {address}"
    raise ValueError(message)


def _words(schema: Mapping[str, Any]) -> Any:
    """The second reading of `schema`, by jsonschema; imported here since what is valid needs no words."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    usual = Draft202012Validator.VALIDATORS["properties"]

    def properties(validator: Any, wanted: Mapping[str, Any], instance: object, schema: object) -> Any:
        # jsonschema loses the place where `false` stands for a property; `not` anything keeps it.
        placed = {name: _NEVER if rule is False else rule for name, rule in wanted.items()}
        return usual(validator, placed, instance, schema)

    own = {"pattern": _pattern, "properties": properties}
    return validators.extend(Draft202012Validator, own)(schema, registry=Registry())  # type: ignore[no-untyped-call]


def _place(fault: Fault) -> tuple[list[tuple[str, int]], str]:
    """What faults are sorted by: indices as numbers, so that 2 comes before 10."""
    return [(part, 0) if isinstance(part, str) else ("", part) for part in fault.path], fault.code


def _pattern(_validator: Any, pattern: str, value: object, _schema: object) -> Iterator[Any]:
    """`pattern` as the gate reads it: to Python's `re`, `$` also stands before a last line break."""
    from jsonschema import ValidationError  # noqa: PLC0415 - imported by now

    try:
        fits = not isinstance(value, str) or _matcher(pattern).is_valid(value)
    except UnicodeEncodeError:  # half of a surrogate pair: no question of form
        return
    if not fits:
        yield ValidationError(f"{value!r} does not match {pattern!r}")


@cache
def _matcher(pattern: str) -> Any:
    return jsonschema_rs.Draft202012Validator({"pattern": pattern})


def _worded(error: Any) -> Iterator[Fault]:
    path = tuple(error.absolute_path)
    value, limit = error.instance, error.validator_value
    if "propertyNames" in error.relative_schema_path:
        hint = error.schema.get("description", "") or "a letter or underscore, then letters, digits, underscores"
        yield Fault((*path, str(value)), "schema/name", f"{_shown(value)} cannot be a name here", hint)
        return
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            yield from _unknown_keys(path, error)
        case "required":
            for missing in (name for name in limit if name not in value):
                yield Fault(path, "schema/required", f"{missing} is missing", _describe(error.schema, missing))
        case "enum":
            yield _not_one_of(path, value, limit, error.schema.get("x-when", ""))
        case "const":
            yield Fault(path, "schema/enum", f"{_shown(value)} is not {_shown(limit)}")
        case "type":
            allowed = " or ".join(str(_TYPES.get(one, one)) for one in (limit if isinstance(limit, list) else [limit]))
            yield Fault(path, "schema/type", f"{_shown(value)} is no {allowed}", error.schema.get("description", ""))
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf":
            hint = error.schema.get("description", "")
            yield Fault(path, "schema/range", f"{_shown(value)} is {_BOUNDS[error.validator]} {limit}", hint)
        case _ if error.validator in _SIZES:
            hint = error.schema.get("description", "")
            yield Fault(path, "schema/size", _sized(error.validator, value, limit, error.schema), hint)
        case "pattern":
            hint = error.schema.get("description", "") or f"allowed: {limit}"
            yield Fault(path, "schema/pattern", f"{_shown(value)} does not have the right form", hint)
        case _:
            yield from _worded_seldom(path, error)


def _worded_seldom(path: tuple[str | int, ...], error: Any) -> Iterator[Fault]:
    """Keywords that no schema of ours needs yet; a new family may."""
    value, limit = error.instance, error.validator_value
    hint = error.schema.get("description", "") if isinstance(error.schema, Mapping) else ""
    if error.validator is None or (error.validator == "not" and limit == {}):  # nothing fits, or `false`
        yield Fault(path, "schema/refused", f"{path[-1] if path else 'this'} is not accepted here", hint)
        return
    match error.validator:
        case "anyOf" | "oneOf":
            fitting = "none" if error.context else "more than one"
            yield Fault(path, f"schema/{error.validator}", f"{_shown(value)} fits {fitting} of the allowed forms", hint)
        case "not":
            yield Fault(path, "schema/not", f"{_shown(value)} is not allowed here", hint)
        case "uniqueItems":
            yield Fault(path, "schema/uniqueItems", "it holds the same twice", hint)
        case "dependentRequired":
            for name in (name for name in limit if name in value):
                for missing in (one for one in limit[name] if one not in value):
                    told = _describe(error.schema, missing)
                    yield Fault(path, "schema/required", f"{missing} is missing: {name} needs it", told)
        case _:
            yield Fault(path, f"schema/{error.validator}", error.message[:300])


# What people who write YAML call JSON's types.
_TYPES: Final = {"array": "list", "object": "mapping", "boolean": "true or false", "string": "text"}
_SIZES: Final = frozenset(
    f"{bound}{what}" for bound in ("min", "max") for what in ("Items", "Contains", "Length", "Properties")
)
_BOUNDS: Final = {
    "minimum": "less than",
    "maximum": "more than",
    "exclusiveMinimum": "not more than",
    "exclusiveMaximum": "not less than",
    "multipleOf": "no multiple of",
}


def _unknown_keys(path: tuple[str | int, ...], error: Any) -> Iterator[Fault]:
    schema: Mapping[str, Any] = error.schema
    if error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        forms = tuple(schema.get("patternProperties", {}))
        unknown = [
            name for name in error.instance if name not in known and not any(re.search(one, str(name)) for one in forms)
        ]
    else:
        # Which keys some branch accepts is known only to the library: its message lists the others.
        known = list(dict.fromkeys(_properties(schema)))
        unknown = [name for name in error.instance if repr(name) in error.message]
    for name in unknown:
        hint = _instead_of(str(name), schema) or _near_key(str(name), known)
        yield Fault((*path, name), "schema/unknown-key", f"there is no key {_shown(name)} here", hint)


def _instead_of(name: str, schema: Mapping[str, Any]) -> str:
    """Other models' name for what this one calls otherwise: no spelling leads from the one to the other."""
    for own, rule in schema.get("properties", {}).items():
        if isinstance(rule, Mapping) and name in rule.get("x-instead-of", ()):
            return f"here it is called {own}"
    return ""


def _near_key(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    listed = f"known here: {', '.join(known)}" if known else ""
    return f"did you mean {near[0]}?" if near else listed


def _properties(schema: object) -> Iterator[str]:
    """The names that a schema and its branches speak of."""
    if not isinstance(schema, Mapping):
        return
    yield from schema.get("properties", {})
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(keyword, ()):
            yield from _properties(branch)
    for keyword in ("if", "then", "else"):
        yield from _properties(schema.get(keyword))


def _not_one_of(path: tuple[str | int, ...], value: object, allowed: list[object], when: str) -> Fault:
    """`when` says in which case only these are allowed, as a schema's `x-when` does: `at 4k`."""
    listed = f"{f'allowed {when}' if when else 'allowed'}: {', '.join(str(one) for one in allowed)}"
    ratio = _SEXAGESIMAL.get(value) if isinstance(value, int) and not isinstance(value, bool) else None
    if ratio is not None and all(isinstance(one, str) and re.fullmatch(r"\d+:\d+", one) for one in allowed):
        return Fault(
            path,
            "schema/ratio-number",
            f"{value} is a number: a YAML 1.1 tool read the unquoted ratio {ratio} to base sixty",
            f'write "{ratio}" in quotes where that tool writes the file; {listed}',
        )
    near = difflib.get_close_matches(str(value), [str(one) for one in allowed], n=1)
    hint = listed + (f"; did you mean {near[0]}?" if near else "")
    return Fault(path, "schema/enum", f"{_shown(value)} is not allowed here", hint)


def _sized(keyword: str, value: Any, limit: Any, schema: Mapping[str, Any]) -> str:
    match keyword:
        case "minItems" | "minLength" | "minProperties":
            return "it is empty" if not value else f"it is too short: {len(value)}, at least {limit}"
        case "maxItems" | "maxLength" | "maxProperties":
            return f"it is too long: {len(value)}, at most {limit}"
        case _:
            kind = schema.get("contains", {}).get("title", "items of one kind")
            return f"it holds {'more' if keyword == 'maxContains' else 'less'} than {limit} {kind}"


def _describe(schema: Mapping[str, Any], name: str) -> str:
    found = schema.get("properties", {}).get(name, {})
    allowed = found.get("enum")
    return f"allowed: {', '.join(map(str, allowed))}" if allowed else found.get("description", "")


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    short = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
    if isinstance(value, str):
        return json.dumps(short, ensure_ascii=False)  # a line break at its end may be what is wrong: it is shown as \n
    return {"True": "true", "False": "false", "None": "null"}.get(short, short)
