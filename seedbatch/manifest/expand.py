"""From one document to the jobs that it wants: merging, matrices, templates, takes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from seedbatch.domain.fingerprint import Json
from seedbatch.domain.jobs import KEY, JobSpec, Request, Scalar, address
from seedbatch.manifest import matrix, templates
from seedbatch.manifest.outputs import Unusable, file_name
from seedbatch.models import Catalogue, Fault

_OUTPUT: Final = "{{ batch }}/{{ key }}"

Pointer = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one job, or (`warning`) worth knowing; `axes` are the values for which it is so."""

    pointer: Pointer
    code: str
    message: str
    hint: str = ""
    axes: str = ""
    at_key: bool = False
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Leniency:
    """What a manifest may do beyond the usual."""

    unknown_model: bool = False
    large_matrix: bool = False


def expand(
    manifest: Mapping[str, Any], file: str, lines: Sequence[int], models: Catalogue, leniency: Leniency
) -> Iterator[JobSpec | Finding]:
    """The jobs of a manifest that fits its schema, and what is wrong with them.

    `lines` gives the 1-based line of each entry of `jobs`.
    """
    for index, entry in enumerate(manifest["jobs"]):
        job = _Job(manifest, entry, index, file, lines[index], models, leniency)
        yield from job.specs()


class _Job:
    """One entry of `jobs`, from which a job comes for every combination and take."""

    def __init__(
        self,
        manifest: Mapping[str, Any],
        entry: Mapping[str, Any],
        index: int,
        file: str,
        line: int,
        models: Catalogue,
        leniency: Leniency,
    ) -> None:
        defaults = manifest.get("defaults", {})
        self._entry = entry
        self._here: Pointer = ("jobs", index)
        self._file = file
        self._line = line
        self._models = models
        self._leniency = leniency
        self._batch: str = manifest["batch"]
        self._vars: Mapping[str, Json] = manifest.get("vars", {})
        self._matrix_at: Pointer = (*self._here, "matrix") if "matrix" in entry else ("matrix",)
        self._matrix = entry.get("matrix", manifest.get("matrix", {}))
        self._takes: int = entry.get("takes", defaults.get("takes", manifest.get("takes", 1)))
        self._output: str = entry.get("output", manifest.get("output", _OUTPUT))
        self._model = entry.get("model", defaults.get("model"))
        self._model_at: Pointer = (*self._here, "model") if "model" in entry else ("defaults", "model")
        self._tags: list[str] = [*defaults.get("tags", []), *entry.get("tags", [])]
        self._input = _merged(defaults, entry)
        self._default_input = defaults.get("input", {})

    def specs(self) -> Iterator[JobSpec | Finding]:
        if self._model is None:
            yield Finding(self._here, "job/model", "this job has no model", "set model here or in defaults")
            return
        if not self._models.knows(self._model) and not self._leniency.unknown_model:
            yield self._unknown_model()
            return
        try:
            cells = matrix.combinations(self._matrix, allow_large=self._leniency.large_matrix)
        except matrix.TooLarge as error:
            hint = "--allow-large-matrix, if that is meant"
            yield Finding(self._matrix_at, "matrix/size", f"the matrix is large: {error}", hint, at_key=True)
            return
        except matrix.UnknownAxis as error:
            pointer = (*self._matrix_at, "exclude", error.index, error.name)
            near = difflib.get_close_matches(error.name, error.axes, n=1)
            hint = f"did you mean {near[0]}?" if near else f"axes: {', '.join(error.axes)}"
            yield Finding(pointer, "matrix/axis", f"there is no axis {error.name}", hint, at_key=True)
            return
        for cell in cells:
            for take in range(1, self._takes + 1):
                yield from self._spec(cell, take)

    def _spec(self, cell: Mapping[str, Scalar], take: int) -> Iterator[JobSpec | Finding]:
        where = ", ".join(f"{name}={value}" for name, value in sorted(cell.items()))
        names: dict[str, Json] = {**self._vars, **cell, "batch": self._batch, "take": take}
        at: Pointer = (*self._here, "key")
        try:
            key = templates.text(self._entry["key"], names)
            if not KEY.fullmatch(key):
                yield self._bad_key(key, where)
                return
            bare = templates.is_template(self._entry["key"])
            whole = address(key, cell, take, self._takes, bare=bare)
            at = (*self._here, "input")
            sent: dict[str, Json] = {}
            for name, value in self._input.items():
                at = self._input_at(name)
                sent[name] = templates.render(value, names)
            at = (*self._here, "tags")
            tags = tuple(dict.fromkeys(templates.text(tag, names) for tag in self._tags))
            at = (*self._here, "output") if "output" in self._entry else ("output",)
            output = file_name(templates.text(self._output, {**names, "key": whole}))
        except templates.Wrong as error:
            yield Finding(at, error.code, error.message, error.hint, axes=where)
            return
        except Unusable as error:
            yield Finding(at, "job/output", f"the output cannot be used: {error}", axes=where)
            return
        request = Request(self._model, {**self._models.defaults(self._model), **sent})
        faults = [self._found(fault, where) for fault in self._models.check(request)]
        yield from faults
        if faults:
            return
        for warning in self._models.warnings(request):
            yield self._found(warning, where, warning=True)
        yield JobSpec(
            address=whole,
            base=address(key, cell, 1, 1, bare=bare),
            key=key,
            take=take,
            axes=dict(cell),
            request=request,
            fingerprint=request.fingerprint,
            output=output,
            tags=tags,
            file=self._file,
            line=self._line,
        )

    def _input_at(self, name: str) -> Pointer:
        """Where a parameter is written."""
        if name == "prompt" and "prompt" in self._entry:
            return (*self._here, "prompt")
        if name in self._entry.get("input", {}):
            return (*self._here, "input", name)
        if name in self._default_input:
            return ("defaults", "input", name)
        return self._here

    def _found(self, fault: Fault, where: str, *, warning: bool = False) -> Finding:
        pointer: Pointer = self._here
        if fault.path[:1] == ("model",):
            pointer = self._model_at
        elif len(fault.path) > 1:
            written = self._input_at(str(fault.path[1]))
            pointer = written if written == self._here else (*written, *fault.path[2:])
        at_key = fault.code == "schema/unknown-key"
        return Finding(pointer, fault.code, self._named(fault), fault.hint, axes=where, at_key=at_key, warning=warning)

    def _named(self, fault: Fault) -> str:
        """The fault's words, with the parameter's name before them where they do not say it."""
        name = fault.path[1] if len(fault.path) > 1 else ""
        if not name or fault.code == "schema/unknown-key" or fault.message.startswith(str(name)):
            return fault.message
        return f"{name}: {fault.message}"

    def _bad_key(self, key: str, where: str) -> Finding:
        message = f'"{key}" cannot be a key'
        hint = "letters, digits, dot, underscore and hyphen; a letter or digit first"
        return Finding((*self._here, "key"), "job/key", message, hint, axes=where)

    def _unknown_model(self) -> Finding:
        near = self._models.nearest(self._model)
        hint = f"did you mean {near}? " if near else ""
        known = f"known: {', '.join(self._models.names)}; --allow-unknown-model passes others through"
        return Finding(self._model_at, "model/unknown", f"there is no model {self._model}", f"{hint}{known}")


def _merged(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Shallow, the later wins; null removes."""
    merged = {**defaults.get("input", {}), **entry.get("input", {})}
    if "prompt" in entry:
        merged["prompt"] = entry["prompt"]
    return {name: value for name, value in merged.items() if value is not None}
