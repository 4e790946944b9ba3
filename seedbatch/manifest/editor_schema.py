"""The one schema that editors read: the manifest's, and within it what each model accepts.

The gate checks a request after templates and merging. An editor sees a manifest before both, so here a template may
stand for any value, a parameter may be missing (the defaults may have it), and what depends on another parameter is
judged only where that one is written beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from seedbatch.models import Checker, catalogue, manifest_schema

Schema = dict[str, Any]

_TEMPLATE: Final = {"type": "string", "pattern": r"\{\{|\{%"}
# What asserts that something is there: in one part of a merge it need not be.
_PRESENCE: Final = frozenset({"required", "dependentRequired", "dependentSchemas", "minProperties"})
_COMBINING: Final = ("allOf", "anyOf", "oneOf")


def editor_schema(*, allow_unknown_model: bool = False) -> Schema:
    """The schema of a whole manifest, without references to elsewhere.

    It refuses models that no schema knows, as `validate` does; `allow_unknown_model`: it offers those it knows, and
    refuses none.
    """
    schema = deepcopy(dict(manifest_schema()))
    schema.pop("$id", None)  # nobody shall look for it elsewhere
    schema["$defs"]["model"] = _model(schema["$defs"]["model"], allow_unknown_model=allow_unknown_model)
    rules_of_jobs: list[Schema] = []
    rules_of_defaults: list[Schema] = []
    for number, (models, inputs, definitions) in enumerate(_families(), 1):
        name = f"input-{number}"
        schema["$defs"].update(definitions)
        schema["$defs"][name] = inputs
        fits = {"properties": {"model": {"enum": models}}, "required": ["model"]}
        then = {"properties": {"input": {"$ref": f"#/$defs/{name}"}}}
        rules_of_jobs.append({"if": fits, "then": then})
        without_model = {"items": {"if": {"not": {"required": ["model"]}}, "then": then}}
        rules_of_defaults.append(
            {
                "if": {"properties": {"defaults": fits}, "required": ["defaults"]},
                "then": {"properties": {"defaults": then, "jobs": without_model, "sources": without_model}},
            }
        )
    for place in ("job", "source"):
        if place in schema["$defs"]:
            schema["$defs"][place].setdefault("allOf", []).extend(rules_of_jobs)
    schema.setdefault("allOf", []).extend(rules_of_defaults)
    found = _without_notes(schema)
    assert isinstance(found, dict)
    return found


def _model(described: Mapping[str, Any], *, allow_unknown_model: bool) -> Schema:
    names = list(catalogue().names)
    known = {"enum": names, "enumDescriptions": [_status(name) for name in names]}
    if not allow_unknown_model:
        return {"description": described["description"], **known}
    return {"description": described["description"], "anyOf": [known, {"type": "string", "minLength": 1}]}


def _status(model: str) -> str:
    schema = catalogue().schema(model)
    status = schema["x-seedbatch"]["models"][model].get("status", "")
    return f"{schema.get('title', model)}: {status}" if status else str(schema.get("title", model))


def _families() -> Iterator[tuple[list[str], Schema, Schema]]:
    """Models that accept the same, what that is, and the definitions it refers to."""
    groups: dict[str, tuple[list[str], Schema, Schema]] = {}
    for model in catalogue().names:
        schema = catalogue().schema(model)
        definitions = {f"{_prefix(schema)}{name}": one for name, one in schema.get("$defs", {}).items()}
        prefix = _prefix(schema)
        inputs = _moved(_whole(_inputs(schema, model)), prefix)
        moved = {name: _moved(_open(one), prefix) for name, one in definitions.items()}
        key = json.dumps([inputs, prefix], sort_keys=True)
        groups.setdefault(key, ([], inputs, moved))[0].append(model)
    yield from groups.values()


def _prefix(schema: Mapping[str, Any]) -> str:
    """What the names of a family's definitions begin with, so that two families never meet."""
    first = next(iter(schema["x-seedbatch"]["models"]))
    return f"{str(first).replace('/', '-')}-"


def _whole(parts: list[Schema]) -> Schema:
    return parts[0] if len(parts) == 1 else {"allOf": parts}


# -- what a model accepts as input, from the schema of its whole request -----------------------------------------------


def _inputs(schema: Mapping[str, Any], model: str) -> list[Schema]:
    """The rules for `input` that hold for this model."""
    parts: list[Schema] = []
    if isinstance(schema.get("properties", {}).get("input"), Mapping):
        parts.append(_partial(schema["properties"]["input"]))
    for branch in schema.get("allOf", ()):
        parts += _inputs(branch, model)
    if "if" in schema:
        parts += _conditional(schema, model)
    return parts


def _conditional(schema: Mapping[str, Any], model: str) -> list[Schema]:
    condition = schema["if"]
    asked = dict(condition.get("properties", {}))
    if set(condition) - {"properties", "required", "type"} or set(asked) - {"model", "input"}:
        return []  # of another kind than those known here: left to `validate`
    chosen, other = (_inputs(schema.get(branch, {}), model) for branch in ("then", "else"))
    if "model" in asked and not Checker(asked["model"]).is_valid(model):
        return other
    if "input" not in asked:
        return chosen
    return [_guarded(asked["input"], _whole(chosen) if chosen else None, _whole(other) if other else None)]


def _guarded(condition: Mapping[str, Any], then: Schema | None, other: Schema | None) -> Schema:
    """A condition on parameters, asked only where all of them are written, and as values."""
    names = list(condition.get("properties", {}))
    rule = {"if": condition, **({"then": then} if then else {}), **({"else": other} if other else {})}
    return {"if": {"required": names, "properties": {name: {"not": _TEMPLATE} for name in names}}, "then": rule}


def _partial(schema: Mapping[str, Any]) -> Schema:
    """An object's schema for a part of it: nothing need be there, and templates may stand for values."""
    found: Schema = {}
    for keyword, value in schema.items():
        match keyword:
            case "properties" | "patternProperties":
                found[keyword] = {name: _value(one, removable=True) for name, one in value.items()}
            case "allOf" | "anyOf":
                found[keyword] = [_partial(one) for one in value]
            case "oneOf":
                # Without what must be there, more than one of them may fit.
                found["anyOf"] = [_partial(one) for one in value]
            case "if" | "then" | "else":
                pass  # below
            case _ if keyword not in _PRESENCE:
                found[keyword] = value
    if "if" in schema:
        then, other = (_partial(schema[branch]) if branch in schema else None for branch in ("then", "else"))
        found["allOf"] = [*found.get("allOf", ()), _guarded(schema["if"], then, other)]
    return found


def _value(schema: Any, *, removable: bool = False) -> Any:
    """A value's schema, or a template in its place; or (`removable`) null, which takes it out."""
    if not isinstance(schema, Mapping) or not schema:
        return schema
    words = {name: schema[name] for name in ("title", "description") if name in schema}
    kept = _open(schema)
    return {**words, "anyOf": [_nullable(kept) if removable else kept, _TEMPLATE]}


def _nullable(schema: Schema) -> Schema:
    """The same, or null. Within the schema where it can be: beside it, editors would offer nothing but null."""
    if {"$ref", "const", "not", *_COMBINING} & set(schema):
        return {"anyOf": [schema, {"type": "null"}]}
    found = dict(schema)
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    if "type" in found:
        types = found["type"] if isinstance(found["type"], list) else [found["type"]]
        found["type"] = [*types, "null"]
    return found


def _open(schema: Any) -> Any:
    """A schema within which templates may stand for values."""
    if not isinstance(schema, Mapping):
        return schema
    found = dict(schema)
    for keyword in ("properties", "patternProperties"):
        if keyword in found:
            found[keyword] = {name: _value(one) for name, one in found[keyword].items()}
    if isinstance(found.get("items"), Mapping):
        found["items"] = _value(found["items"])
    if "prefixItems" in found:
        found["prefixItems"] = [_value(one) for one in found["prefixItems"]]
    for keyword in _COMBINING:
        if keyword in found:
            found[keyword] = [_open(one) for one in found[keyword]]
    return found


def _moved(schema: Any, prefix: str) -> Any:
    """The same with its references to definitions under their new names."""
    match schema:
        case dict():
            return {
                name: value.replace("#/$defs/", f"#/$defs/{prefix}", 1) if name == "$ref" else _moved(value, prefix)
                for name, value in schema.items()
            }
        case list():
            return [_moved(one, prefix) for one in schema]
        case _:
            return schema


def _without_notes(schema: Any) -> Any:
    """The same without keywords of our own (`x-...`), which no editor reads."""
    match schema:
        case dict():
            return {name: _without_notes(one) for name, one in schema.items() if not name.startswith("x-")}
        case list():
            return [_without_notes(one) for one in schema]
        case _:
            return schema
