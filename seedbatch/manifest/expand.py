"""From one document to the jobs that it wants: merging, matrices, templates, takes."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seedbatch.domain.fingerprint import Json
from seedbatch.domain.jobs import KEY, JobSpec, Request, Scalar, address
from seedbatch.manifest import matrix, templates
from seedbatch.manifest.outputs import Unusable, file_name
from seedbatch.manifest.places import Pointer
from seedbatch.models import Catalogue, Fault

_OUTPUT: Final = "{{ batch }}/{{ key }}"
_MOST_EXACT: Final = 2**53
_NO_INPUT: Final[Mapping[str, Any]] = {}


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


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job, and the index of its entry in `jobs`."""

    index: int
    job: JobSpec


def expand(
    manifest: Mapping[str, Any],
    file: str,
    lines: Sequence[int],
    models: Catalogue,
    leniency: Leniency,
    *,
    skip: Collection[int] = (),
) -> Iterator[Wanted | Finding]:
    """The jobs of a manifest that fits its schema, and what is wrong with them.

    `lines` gives the 1-based line of each entry of `jobs`; the entries whose index is in `skip` are left alone.
    """
    shared = _Shared(manifest, file, models, leniency)
    for index, entry in enumerate(manifest["jobs"]):
        if index not in skip:
            yield from _Entry(shared, entry, index, lines[index]).jobs()


class _Shared:
    """What all entries of `jobs` have in common."""

    def __init__(self, manifest: Mapping[str, Any], file: str, models: Catalogue, leniency: Leniency) -> None:
        defaults = manifest.get("defaults", {})
        self.file = file
        self.models = models
        self.leniency = leniency
        self.batch: str = manifest["batch"]
        self.model: str = defaults.get("model", "")
        self.input: Mapping[str, Any] = defaults.get("input", {})
        self.tags: list[str] = defaults.get("tags", [])
        # JSON Schema takes 2.0 for an integer.
        self.takes = int(defaults.get("takes", manifest.get("takes", 1)))
        self.matrix: Mapping[str, Any] = manifest.get("matrix", {})
        self.output: str = manifest.get("output", _OUTPUT)
        self.has_output = "output" in manifest
        self.names: dict[str, Json] = {**manifest.get("vars", {}), "batch": self.batch}


@dataclass(slots=True)
class _Draft:
    """What templates made of an entry, for one combination and take; `at` is what is being looked at."""

    at: Pointer
    key: str = ""
    address: str = ""
    base: str = ""
    tags: tuple[str, ...] = ()
    output: str = ""
    input: dict[str, Json] = field(default_factory=dict)


class _Entry:
    """One entry of `jobs`, from which a job comes for every combination and take."""

    def __init__(self, shared: _Shared, entry: Mapping[str, Any], index: int, line: int) -> None:
        self._shared = shared
        self._entry = entry
        self._index = index
        self._here: Pointer = ("jobs", index)
        self._line = line
        self._takes = int(entry["takes"]) if "takes" in entry else shared.takes
        self._model: str = entry.get("model", shared.model) or ""
        self._tags: list[str] = [*shared.tags, *entry.get("tags", ())]
        self._input = _merged(shared.input, entry)
        self._bare = templates.is_template(entry["key"])

    def jobs(self) -> Iterator[Wanted | Finding]:
        if not self._model:
            yield Finding(self._here, "job/model", "this job has no model", "set model here or in defaults")
            return
        if not self._shared.models.knows(self._model) and not self._shared.leniency.unknown_model:
            yield self._unknown_model()
            return
        cells = self._cells()
        if isinstance(cells, Finding):
            yield cells
            return
        for cell in cells:
            for take in range(1, self._takes + 1):
                yield from self._job(cell, take)

    def _cells(self) -> Sequence[Mapping[str, Scalar]] | Finding:
        """The combinations, or why there are none."""
        own = "matrix" in self._entry
        wanted: Mapping[str, Any] = self._entry["matrix"] if own else self._shared.matrix
        if not wanted and self._takes <= matrix.GUARD:
            return ({},)
        at: Pointer = (*self._here, "matrix") if own else ("matrix",)
        try:
            cells = matrix.combinations(wanted, self._takes, allow_large=self._shared.leniency.large_matrix)
        except matrix.TooLarge as error:
            hint = "--allow-large-matrix, if that is meant"
            at = at if wanted else (*self._here, "takes")
            return Finding(
                at, "matrix/size", f"more than {matrix.GUARD:,} jobs of one entry: {error}", hint, at_key=True
            )
        except matrix.UnknownAxis as error:
            near = difflib.get_close_matches(error.name, error.axes, n=1)
            hint = f"did you mean {near[0]}?" if near else f"axes: {', '.join(error.axes)}"
            pointer = (*at, "exclude", error.index, error.name)
            return Finding(pointer, "matrix/axis", f"there is no axis {error.name}", hint, at_key=True)
        if cells:
            return cells
        message = "exclude leaves no combination, so this job is wanted nowhere"
        return Finding((*at, "exclude"), "matrix/empty", message, "exclude less, or remove the job", at_key=True)

    def _job(self, cell: Mapping[str, Scalar], take: int) -> Iterator[Wanted | Finding]:
        where = ", ".join(f"{name}={templates.scalar_text(cell[name])}" for name in sorted(cell))
        draft = _Draft((*self._here, "key"))
        try:
            self._fill(draft, cell, take)
        except templates.Wrong as error:
            yield Finding(draft.at, error.code, error.message, error.hint, axes=where)
            return
        except Unusable as error:
            yield Finding(draft.at, "job/output", f"the output cannot be used: {error}", axes=where)
            return
        request = Request(self._model, {**self._shared.models.defaults(self._model), **draft.input})
        faults = self._shared.models.check(request)
        if faults:
            for fault in faults:
                yield self._found(fault, where)
            return
        try:
            fingerprint = request.fingerprint
        except ValueError as error:
            # What no schema looked at: a number that is too large, half of a surrogate pair.
            yield Finding((*self._here, "input"), "job/json", f"JSON cannot hold this: {error}", axes=where)
            return
        for warning in self._shared.models.warnings(request):
            yield self._found(warning, where, warning=True)
        yield Wanted(
            self._index,
            JobSpec(
                address=draft.address,
                base=draft.base,
                key=draft.key,
                take=take,
                axes=dict(cell),
                request=request,
                fingerprint=fingerprint,
                output=draft.output,
                tags=draft.tags,
                file=self._shared.file,
                line=self._line,
            ),
        )

    def _fill(self, draft: _Draft, cell: Mapping[str, Scalar], take: int) -> None:
        """Render everything that may be a template.

        Raises:
            Wrong, Unusable: and `draft.at` says what it was.
        """
        names: dict[str, Json] = {**self._shared.names, **cell, "take": take}
        key = templates.text(self._entry["key"], names)
        if not KEY.fullmatch(key):
            hint = "letters, digits, dot, underscore and hyphen; a letter or digit first"
            raise templates.Wrong("job/key", f'"{key[:80]}" cannot be a key', hint)
        draft.key = names["key"] = key
        draft.base = address(key, cell, 1, 1, bare=self._bare)
        draft.address = f"{draft.base}#{take}" if self._takes > 1 else draft.base
        for name, value in self._input.items():
            draft.at = self._input_at(name)
            draft.input[name] = _integral(templates.render(value, names))
        draft.at = (*self._here, "tags")
        draft.tags = tuple(dict.fromkeys(templates.text(tag, names) for tag in self._tags))
        own = "output" in self._entry
        if own or self._shared.has_output:
            draft.at = (*self._here, "output") if own else ("output",)
        else:
            draft.at = (*self._here, "key")  # the usual output is made of it
        names["key"] = draft.address
        draft.output = file_name(templates.text(self._entry["output"] if own else self._shared.output, names))

    def _input_at(self, name: str) -> Pointer:
        """Where a parameter is written."""
        if name == "prompt" and "prompt" in self._entry:
            return (*self._here, "prompt")
        if name in self._entry.get("input", _NO_INPUT):
            return (*self._here, "input", name)
        if name in self._shared.input:
            return ("defaults", "input", name)
        return self._here

    def _found(self, fault: Fault, where: str, *, warning: bool = False) -> Finding:
        pointer: Pointer = self._here
        if fault.path[:1] == ("model",):
            pointer = (*self._here, "model") if "model" in self._entry else ("defaults", "model")
        elif len(fault.path) > 1:
            written = self._input_at(str(fault.path[1]))
            pointer = written if written == self._here else (*written, *fault.path[2:])
        at_key = fault.code == "schema/unknown-key"
        return Finding(pointer, fault.code, _named(fault), fault.hint, axes=where, at_key=at_key, warning=warning)

    def _unknown_model(self) -> Finding:
        models = self._shared.models
        near = models.nearest(self._model)
        hint = f"did you mean {near}? " if near else ""
        known = f"known: {', '.join(models.names)}; --allow-unknown-model passes others through"
        pointer: Pointer = (*self._here, "model") if "model" in self._entry else ("defaults", "model")
        return Finding(pointer, "model/unknown", f"there is no model {self._model}", f"{hint}{known}")


def _merged(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Shallow, the later wins; null removes."""
    merged = {**defaults, **entry.get("input", _NO_INPUT)}
    if "prompt" in entry:
        merged["prompt"] = entry["prompt"]
    return {name: value for name, value in merged.items() if value is not None}


def _integral(value: Json) -> Json:
    """`value` with 5.0 as 5: the same number to JSON, but not to every server."""
    match value:
        case float() if value.is_integer() and abs(value) <= _MOST_EXACT:
            return int(value)
        case list():
            return [_integral(item) for item in value]
        case dict():
            return {name: _integral(item) for name, item in value.items()}
        case _:
            return value


def _named(fault: Fault) -> str:
    """The fault's words, with the parameter's name before them where they do not say it."""
    name = fault.path[1] if len(fault.path) > 1 else ""
    if not name or fault.code == "schema/unknown-key" or fault.message.startswith(str(name)):
        return fault.message
    return f"{name}: {fault.message}"
