"""What models accept. Models are data: a new one is a new file in `schemas/models/`."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from seedbatch.domain.errors import UsageError
from seedbatch.domain.fingerprint import Json
from seedbatch.domain.jobs import Request
from seedbatch.models.checker import Checker, Fault
from seedbatch.models.sheet import sheet

DOCUMENTED: Final = "documented"
# What is worth knowing of a model whose status is another one.
_STATUS: Final[Mapping[str, str]] = {
    "legacy": "is legacy: the provider's newest documentation does not list it, and may refuse it",
    "other clients only": "is in no documentation of the provider: what it accepts was seen in other clients",
}
_LIKE: Final = 0.5
# What a price may depend on.
_COUNTED: Final = ("duration", "resolution", "n")


@dataclass(frozen=True, slots=True)
class _References:
    """Positions that a text names in a list: `@2` in `prompt` is the second of `mediaUrls`."""

    text: str
    list: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class _Warning:
    applies: Checker
    path: tuple[str | int, ...]
    message: str


class _Family:
    """One schema file: the models that it names, and its rules."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        data = schema["x-seedbatch"]
        self.schema = schema
        self.checker = Checker(schema)
        self.models: Mapping[str, Mapping[str, Any]] = data["models"]
        self.defaults: Mapping[str, Json] = data.get("defaults", {})
        parameters = schema["properties"]["input"]["properties"]
        self._assumed = {
            name: parameters[name]["default"] for name in _COUNTED if "default" in parameters.get(name, {})
        }
        self._charged = [(Checker(one["if"]), one["charged"]) for one in data.get("warnings", ()) if one.get("charged")]
        found = data.get("references")
        self.references = found and _References(found["text"], found["list"], re.compile(found["pattern"]))
        self.warnings = [
            _Warning(Checker(one["if"]), tuple(one["path"]), one["message"]) for one in data.get("warnings", ())
        ]
        self._allowed: dict[str, Mapping[str, str]] = {}
        # Of a million requests hardly any is wrong or has a warning: a single look tells.
        refused = [one["if"] for one in data.get("warnings", ())] + [
            schema[name] for name in ("not",) if name in schema
        ]
        self.unremarkable = Checker({**schema, "not": {"anyOf": refused or [False]}})

    def charged(self, model: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        """What a request of one of these models is charged for, as far as its schema tells."""
        made: dict[str, Json] = {}
        if self._charged:
            instance = {"model": model, "input": dict(params)}
            for applies, instead in self._charged:
                made.update(instead if applies.is_valid(instance) else {})
        files = self.models[model].get("files")
        assumed = self._assumed if files is None else {**self._assumed, "n": files}
        return {**assumed, **params, **made} if made or assumed.keys() - params.keys() else params

    def allowed(self, model: str) -> Mapping[str, str]:
        """The values of each parameter that has a list of them, for one model."""
        if model not in self._allowed:
            parameters = sheet(self.schema, model).parameters
            self._allowed[model] = {one.name: one.allowed for one in parameters if "enum" in one.rule}
        return self._allowed[model]


class Catalogue:
    """The models whose schemas lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._families: dict[str, _Family] = {}
        for path in sorted(folder.glob("*.schema.json")):
            family = _Family(json.loads(path.read_text(encoding="utf-8")))
            self._families.update(dict.fromkeys(family.models, family))
        # What is documented today comes first, wherever models are listed.
        self.names = tuple(sorted(self._families, key=lambda name: self._status(name) != DOCUMENTED))

    def knows(self, model: str) -> bool:
        """Whether there is a schema for this model."""
        return model in self._families

    def nearest(self, model: str) -> str | None:
        """The known model whose name is most like this one, if any is; of equals, one that is documented today."""
        wanted = difflib.SequenceMatcher(b=model.lower())
        likeness = dict.fromkeys(self.names, 0.0)
        for name in likeness:
            wanted.set_seq1(name)
            likeness[name] = wanted.ratio()
        best = max(likeness, key=likeness.__getitem__, default="")
        return best if best and likeness[best] >= _LIKE else None

    def defaults(self, model: str) -> Mapping[str, Json]:
        """What is sent for this model where nobody says otherwise."""
        family = self._families.get(model)
        return {} if family is None else family.defaults

    def charged(self, model: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        """The input that a request is charged for: with what it leaves out, and what is made in its place."""
        family = self._families.get(model)
        return params if family is None else family.charged(model, params)

    def approves(self, request: Request) -> bool:
        """Whether nothing is wrong with a request and nothing about it is worth knowing: the quick answer."""
        family = self._families.get(request.model)
        return (
            family is not None
            and self._status(request.model) == DOCUMENTED
            and family.unremarkable.is_valid(_instance(request))
            and not _dangling(family, request)
        )

    def check(self, request: Request) -> list[Fault]:
        """What is wrong with a request, by path from `model` or `input`; nothing for a model that is not known."""
        family = self._families.get(request.model)
        if family is None:
            return []
        if faults := family.checker.faults(_instance(request)):
            return [_narrowed(family, request.model, fault) for fault in faults]
        return _dangling(family, request)

    def warnings(self, request: Request) -> list[Fault]:
        """What is allowed and should be known all the same."""
        family = self._families.get(request.model)
        if family is None:
            return [_worth_knowing(("model",), f"no schema knows {request.model}: its input is sent unchecked")]
        told = _STATUS.get(self._status(request.model))
        found = [_worth_knowing(("model",), f"{request.model} {told}")] if told else []
        instance = _instance(request)
        return found + [
            _worth_knowing(one.path, one.message) for one in family.warnings if one.applies.is_valid(instance)
        ]

    def files(self, request: Request) -> int:
        """How many files its task is known to give: `n` of them, or as many as the schema says of the model."""
        family = self._families.get(request.model)
        if family is None:
            return 1
        count = request.input.get("n", family.models[request.model].get("files", 1))
        return count if isinstance(count, int) and not isinstance(count, bool) else 1

    def schema(self, model: str) -> Mapping[str, Any]:
        """The JSON Schema of a model's requests.

        Raises:
            UsageError: there is none, with the nearest name.
        """
        if model not in self._families:
            near = self.nearest(model)
            hint = f"did you mean {near}? " if near else ""
            raise UsageError(f"there is no model {model!r}", hint=f"{hint}seedbatch models lists them all")
        return self._families[model].schema

    def _status(self, model: str) -> str:
        return str(self._families[model].models[model].get("status", DOCUMENTED))


def _instance(request: Request) -> dict[str, Any]:
    """What a schema looks at."""
    return {"model": request.model, "input": dict(request.input)}


def _worth_knowing(path: tuple[str | int, ...], message: str) -> Fault:
    return Fault(path, "model/warning", message)


def _narrowed(family: _Family, model: str, fault: Fault) -> Fault:
    """What is missing, with the values that this model takes: the schema stumbles before it comes to its branches."""
    if fault.code != "schema/required" or fault.path != ("input",):
        return fault
    allowed = family.allowed(model).get(fault.message.removesuffix(" is missing"))
    return replace(fault, hint=f"allowed: {allowed}") if allowed else fault


def _dangling(family: _Family, request: Request) -> list[Fault]:
    rule = family.references
    text = request.input.get(rule.text) if rule else None
    if rule is None or not isinstance(text, str) or rule.pattern.search(text) is None:
        return []
    listed = request.input.get(rule.list)
    count = len(listed) if isinstance(listed, list) else 0
    wrong = [found.group(0) for found in rule.pattern.finditer(text) if not 1 <= int(found.group(1)) <= count]
    if not wrong:
        return []
    named = ", ".join(dict.fromkeys(wrong))
    holds = f"{rule.list} holds {count}" if count else f"there is no {rule.list}"
    return [Fault(("input", rule.text), "model/reference", f"{named} names no material: {holds}")]


def schema_folder() -> Path:
    """Where the schemas lie: inside the installed package, or at the top of the source tree."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


@cache
def catalogue() -> Catalogue:
    """The models that this installation knows."""
    return Catalogue(schema_folder() / "models")


@cache
def manifest_schema() -> Mapping[str, Any]:
    """The JSON Schema of manifests."""
    return cast("Mapping[str, Any]", json.loads((schema_folder() / "manifest.schema.json").read_text(encoding="utf-8")))
