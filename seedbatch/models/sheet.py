"""What one model accepts, read out of its family's schema for people and programs: pure, and no check of anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from seedbatch.domain.fingerprint import Json
from seedbatch.models.checker import Checker

_TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
}
_MANY: Final = 3  # values of one parameter that a line of a table still names
_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key of `input`.

    `rule` is its JSON Schema for this model, `sent` what seedbatch sends unless told otherwise.
    """

    name: str
    rule: Mapping[str, Any]
    required: bool
    sent: Json = None

    @property
    def default(self) -> Json:
        """What the provider takes where it is not sent; None where none is documented."""
        found: Json = self.rule.get("default")
        return found

    @property
    def type(self) -> str:
        """JSON's name of its type."""
        if "type" in self.rule:
            return str(self.rule["type"])
        return "integer" if all(isinstance(one, int) for one in self.rule.get("enum", [""])) else "string"

    @property
    def type_words(self) -> str:
        """The same for people."""
        return _TYPES.get(self.type, self.type)

    @property
    def allowed(self) -> str:
        """Its values or bounds, in words; empty if any will do."""
        if "enum" in self.rule:
            return ", ".join(map(str, self.rule["enum"]))
        if self.type == "array":
            return _list_allowed(self.rule)
        return _between(self.rule.get("minimum"), self.rule.get("maximum"))

    @property
    def description(self) -> str:
        """What it is for."""
        return str(self.rule.get("description", ""))

    @property
    def source(self) -> str:
        """Where the provider says so."""
        return str(self.rule.get("x-source", ""))


@dataclass(frozen=True, slots=True)
class Remark:
    """A rule over several parameters, a warning, or a thing worth knowing; and where the provider says so."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One model.

    `status` is `documented`, `legacy` or `other clients only`; `era` is the generation of pages that list it.
    """

    name: str
    title: str
    kind: str
    era: str
    status: str
    note: str
    source: str
    parameters: tuple[Parameter, ...]
    rules: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    notes: tuple[Remark, ...]

    @property
    def takes(self) -> str:
        """What it accepts, in a few words; a prompt goes without saying, and ratios differ least."""
        told = sorted((one for one in self.parameters if one.name != "prompt"), key=lambda one: one.name == "ratio")
        return ", ".join(map(_in_few_words, told)) or "a prompt"


def sheet(schema: Mapping[str, Any], model: str) -> Sheet:
    """What `schema`, that of a family, says of one of its models."""
    data = schema["x-seedbatch"]
    facts = data["models"][model]
    found = _Reading(data.get("defaults", _NOTHING))
    found.read(schema, model)
    if "references" in data:
        about = data["references"]
        text = f"@1, @2, ... in {about['text']} name what stands in {about['list']}, and must not count beyond it."
        found.rules.append(Remark(text, about.get("source", "")))
    return Sheet(
        name=model,
        title=schema.get("title", ""),
        kind=facts.get("kind", ""),
        era=facts.get("era", ""),
        status=facts.get("status", ""),
        note=facts.get("note", ""),
        source=facts.get("source", ""),
        parameters=found.parameters(),
        rules=tuple(found.rules),
        warnings=tuple(_warnings(data, model)),
        notes=tuple(Remark(one["text"], one.get("source", "")) for one in data.get("notes", ())),
    )


@dataclass(slots=True)
class _Reading:
    """What has been read so far: later parts of a schema narrow earlier ones."""

    sent: Mapping[str, Json]
    described: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    rules: list[Remark] = field(default_factory=list)

    def read(self, schema: Mapping[str, Any], model: str) -> None:
        """A schema of a whole request, or a branch of one."""
        self._read_input(schema.get("properties", _NOTHING).get("input", _NOTHING))
        for branch in schema.get("allOf", ()):
            self.read(branch, model)
        if "if" not in schema:
            return
        asked = schema["if"].get("properties", _NOTHING)
        fits = Checker(asked["model"]).is_valid(model) if "model" in asked else True
        if "input" not in asked:
            self.read(schema.get("then" if fits else "else", _NOTHING), model)
        elif fits and "description" in schema:  # it depends on what else is asked for: only words can tell
            self.rules.append(Remark(schema["description"], schema.get("x-source", "")))

    def _read_input(self, schema: Mapping[str, Any]) -> None:
        for name, rule in schema.get("properties", _NOTHING).items():
            if isinstance(rule, Mapping) and rule.get("not") != {}:
                self.described[name] = {**self.described.get(name, _NOTHING), **rule}
                continue
            self.described.pop(name, None)
            if isinstance(rule, Mapping) and "description" in rule:
                self.rules.append(Remark(f"{name} is not accepted: {rule['description']}.", rule.get("x-source", "")))
        self.required.update(schema.get("required", ()))
        for name, needed in schema.get("dependentRequired", _NOTHING).items():
            self.rules.append(Remark(f"{name} needs {', '.join(needed)}.", schema.get("x-source", "")))

    def parameters(self) -> tuple[Parameter, ...]:
        """Those that the model accepts."""
        return tuple(
            Parameter(name, rule, name in self.required, self.sent.get(name)) for name, rule in self.described.items()
        )


def _warnings(data: Mapping[str, Any], model: str) -> Iterator[Remark]:
    for one in data.get("warnings", ()):
        asked = one["if"].get("properties", _NOTHING)
        if "model" not in asked or Checker(asked["model"]).is_valid(model):
            # What is said of the model itself needs no name before it.
            named = f"{one['path'][1]}: " if len(one["path"]) > 1 else ""
            yield Remark(f"{named}{one['message']}", one.get("source", ""))


def _between(least: object, most: object) -> str:
    if least is not None and most is not None:
        return f"{least} to {most}"
    if least is not None:
        return f"at least {least}"
    return f"at most {most}" if most is not None else ""


def _list_allowed(rule: Mapping[str, Any]) -> str:
    parts = [_between(rule.get("minItems"), rule.get("maxItems"))]
    if "maxContains" in rule:
        parts.append(f"at most {rule['maxContains']} {rule.get('contains', _NOTHING).get('title', 'of one kind')}")
    return ", ".join(part for part in parts if part)


def _in_few_words(one: Parameter) -> str:
    values = one.rule.get("enum")
    if one.type == "array":
        return f"up to {one.rule['maxItems']} {one.name}" if "maxItems" in one.rule else one.name
    if values is None:
        return f"{one.name} {one.allowed.replace(' to ', '-')}" if one.allowed else one.name
    return f"{one.name} {'/'.join(map(str, values))}" if len(values) <= _MANY else f"{len(values)} values of {one.name}"
