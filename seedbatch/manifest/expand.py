"""From one document to the jobs that it wants: merging, matrices, templates, takes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from seedbatch.domain.fingerprint import Json
from seedbatch.domain.jobs import KEY, JobSpec, Request, Scalar, address
from seedbatch.domain.selection import LABEL_BYTES
from seedbatch.manifest import matrix, templates
from seedbatch.manifest.cells import Typed, typed_by
from seedbatch.manifest.outputs import Unusable, file_name
from seedbatch.manifest.places import Pointer
from seedbatch.manifest.sources import Row, Source
from seedbatch.models import Catalogue, Fault

_OUTPUT: Final = "{{ batch }}/{{ key }}"
_MOST_EXACT: Final = 2**53
_NO_INPUT: Final[Mapping[str, Any]] = {}
_NO_CELL: Final[Mapping[str, Scalar]] = {}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one job, or (`warning`) worth knowing; `axes` tell for which values or row it is so."""

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
    """A job, and the entry of the manifest that wants it; `row` is its row's number, if a source gave it."""

    at: Pointer
    job: JobSpec
    row: int = 0


class Expansion:
    """The jobs of a manifest that fits its schema, and what is wrong with them; `file` is its name in messages."""

    def __init__(self, manifest: Mapping[str, Any], file: str, models: Catalogue, leniency: Leniency) -> None:
        self._shared = _Shared(manifest, file, models, leniency)
        self.batch = self._shared.batch

    def of_entry(self, index: int, entry: Mapping[str, Any], line: int) -> Iterator[Wanted | Finding]:
        """What the entry of `jobs` at `index` wants; it begins on `line` (1-based)."""
        made = _Entry(self._shared, entry, ("jobs", index), self._shared.matrix)
        cells = made.cells()
        if isinstance(cells, Finding):
            yield cells
        else:
            yield from made.jobs(cells, self._shared.names, _Origin(self._shared.file, line))

    def of_source(self, index: int, entry: Mapping[str, Any], source: Source) -> SourceEntry | Finding:
        """The entry of `sources` at `index`, whose rows are in `source`; or why nothing can come of it."""
        # The batch's matrix is for `jobs`: a row is one job, unless its source has a matrix of its own.
        made = _Entry(self._shared, entry, ("sources", index), {}, is_csv=source.delimiter is not None)
        cells = made.cells()
        return cells if isinstance(cells, Finding) else SourceEntry(self._shared, made, cells, source)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the text of a job stands: a line of the manifest, or a row of a source."""

    file: str
    line: int
    row: int = 0


def _entries(value: Any) -> Mapping[str | int, Any]:
    if isinstance(value, list):
        return dict(enumerate(value))
    return value if isinstance(value, dict) else {}


class _Shared:
    """What all entries of a manifest have in common."""

    def __init__(self, manifest: Mapping[str, Any], file: str, models: Catalogue, leniency: Leniency) -> None:
        defaults = manifest.get("defaults", {})
        self.manifest = manifest
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
        # Those that a job can be selected by.
        self.vars: dict[str, Scalar] = {
            name: value
            for name, value in manifest.get("vars", {}).items()
            if not isinstance(value, list | dict) and len(str(value).encode()) <= LABEL_BYTES
        }


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
    """One entry of `jobs` or `sources`, from which a job comes for every row, combination and take."""

    def __init__(
        self,
        shared: _Shared,
        entry: Mapping[str, Any],
        here: Pointer,
        matrix_: Mapping[str, Any],
        *,
        is_csv: bool = False,
    ) -> None:
        self._shared = shared
        self._entry = entry
        self._here = here
        self._matrix: Mapping[str, Any] = entry.get("matrix", matrix_)
        self._takes = int(entry["takes"]) if "takes" in entry else shared.takes
        self._model: str = entry.get("model", shared.model) or ""
        self._bare = templates.is_template(entry["key"])
        self._tags: tuple[str, ...] = tuple(dict.fromkeys((*shared.tags, *entry.get("tags", ()))))
        self._plain_tags = not any(map(templates.is_template, self._tags))
        self._usual = shared.models.defaults(self._model)
        # What every row has, in its order, and how the rest is filled: most values are the same for a million rows.
        self._same: dict[str, Json] = {**self._usual}
        self._filled: list[tuple[str, Callable[[templates.Names], Json]]] = []
        self._sort(_merged(shared.input, entry), is_csv=is_csv)

    def _sort(self, parameters: Mapping[str, Any], *, is_csv: bool) -> None:
        for name, value in parameters.items():
            self._same[name] = value
            fill = templates.filler(value)
            if fill is None:
                self._same[name] = value if isinstance(value, str) else _integral(value)
            elif is_csv and templates.single_name(value) and self._shared.models.knows(self._model):
                typed = typed_by(self._shared.models.schema(self._model), name)
                self._filled.append((name, partial(_typed, fill, typed)))
            else:
                self._filled.append((name, fill))

    def cells(self) -> Sequence[Mapping[str, Scalar]] | Finding:
        """The combinations of its matrix, or why nothing can come of this entry."""
        if not self._model:
            return Finding(self._here, "job/model", "this job has no model", "set model here or in defaults")
        if not self._shared.models.knows(self._model) and not self._shared.leniency.unknown_model:
            return self._unknown_model()
        return self._cells()

    def jobs(
        self, cells: Sequence[Mapping[str, Scalar]], names: Mapping[str, Json], origin: _Origin
    ) -> Iterator[Wanted | Finding]:
        """Every combination and take, with `names` for its templates."""
        for cell in cells:
            for take in range(1, self._takes + 1):
                yield from self._job(cell, take, {**names, **cell, "take": take}, origin)

    def written(self, pointer: Pointer) -> Json:
        """What the manifest says at a place that a finding names: here, or in what all entries share."""
        value: Any = None if pointer == self._here else self._shared.manifest
        for part in pointer:
            value = _entries(value).get(part)
        found: Json = value
        return found

    def _cells(self) -> Sequence[Mapping[str, Scalar]] | Finding:
        """The combinations, or why there are none."""
        own = "matrix" in self._entry
        wanted = self._matrix
        if not wanted and self._takes <= matrix.GUARD:
            return (_NO_CELL,)
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

    def _job(
        self, cell: Mapping[str, Scalar], take: int, names: dict[str, Json], origin: _Origin
    ) -> Sequence[Wanted | Finding]:
        draft = _Draft((*self._here, "key"))
        try:
            self._fill(draft, cell, take, names)
        except templates.Wrong as error:
            return [Finding(draft.at, error.code, error.message, error.hint, axes=_where(cell))]
        except Unusable as error:
            return [Finding(draft.at, "job/output", f"the output cannot be used: {error}", axes=_where(cell))]
        request = Request(self._model, draft.input)
        approved = self._shared.models.approves(request)
        if not approved and (faults := self._shared.models.check(request)):
            return [self._found(fault, _where(cell)) for fault in faults]
        try:
            fingerprint = request.fingerprint
        except ValueError as error:
            # What no schema looked at: a number that is too large, half of a surrogate pair.
            return [Finding((*self._here, "input"), "job/json", f"JSON cannot hold this: {error}", axes=_where(cell))]
        job = JobSpec(
            address=draft.address,
            base=draft.base,
            key=draft.key,
            take=take,
            axes=dict(cell),
            request=request,
            fingerprint=fingerprint,
            output=draft.output,
            tags=draft.tags,
            file=origin.file,
            line=origin.line,
            files=self._shared.models.files(request),
            # What took the name of one is another object.
            vars={name: value for name, value in self._shared.vars.items() if names[name] is value},
        )
        wanted = Wanted(self._here, job, origin.row)
        if approved:
            return (wanted,)
        warnings = self._shared.models.warnings(request)
        return [*(self._found(warning, _where(cell), warning=True) for warning in warnings), wanted]

    def _fill(self, draft: _Draft, cell: Mapping[str, Scalar], take: int, names: dict[str, Json]) -> None:
        """Render everything that may be a template; `names` will have the key as well.

        Raises:
            Wrong, Unusable: and `draft.at` says what it was.
        """
        key: str = self._entry["key"]
        if self._bare:
            key = templates.text(key, names)
        if not KEY.fullmatch(key):
            hint = "letters, digits, dot, underscore and hyphen; a letter or digit first"
            raise templates.Wrong("job/key", f'"{key[:80]}" cannot be a key', hint)
        draft.key = names["key"] = key
        draft.base = address(key, cell, 1, 1, bare=self._bare) if cell else key
        draft.address = f"{draft.base}#{take}" if self._takes > 1 else draft.base
        self._fill_input(draft, names)
        draft.at = (*self._here, "tags")
        draft.tags = self._tags
        if not self._plain_tags:
            draft.tags = tuple(dict.fromkeys([templates.text(tag, names) for tag in self._tags]))
        own = "output" in self._entry
        if own or self._shared.has_output:
            draft.at = (*self._here, "output") if own else ("output",)
        else:
            draft.at = (*self._here, "key")  # the usual output is made of it
        names["key"] = draft.address
        draft.output = file_name(templates.text(self._entry["output"] if own else self._shared.output, names))

    def _fill_input(self, draft: _Draft, names: Mapping[str, Json]) -> None:
        name = ""
        filled = draft.input = self._same.copy()
        try:
            for name, fill in self._filled:
                value = fill(names)
                if value is not None:
                    filled[name] = value if value.__class__ is str else _integral(value)
                elif name in self._usual:
                    filled[name] = self._usual[name]
                else:
                    del filled[name]
        except templates.Wrong:
            draft.at = self._input_at(name)
            raise

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
        elif fault.code == "schema/required":
            # What is written and missing all the same: an empty cell, or a template that gives null.
            pointer = self._input_at(fault.message.removesuffix(" is missing"))
        at_key = fault.code == "schema/unknown-key"
        return Finding(pointer, fault.code, _named(fault), fault.hint, axes=where, at_key=at_key, warning=warning)

    def _unknown_model(self) -> Finding:
        models = self._shared.models
        near = models.nearest(self._model)
        hint = f"did you mean {near}? " if near else ""
        known = "seedbatch models lists them all; --allow-unknown-model passes others through"
        pointer: Pointer = (*self._here, "model") if "model" in self._entry else ("defaults", "model")
        return Finding(pointer, "model/unknown", f"there is no model {self._model}", f"{hint}{known}")


class SourceEntry:
    """One entry of `sources`, from which jobs come for every row of `source`; they are of `batch`."""

    def __init__(self, shared: _Shared, entry: _Entry, cells: Sequence[Mapping[str, Scalar]], source: Source) -> None:
        self.source = source
        self.batch = shared.batch
        self.written = entry.written
        self._names = shared.names
        self._entry = entry
        self._cells = cells

    def jobs(self, row: Row) -> Iterator[Wanted | Finding]:
        """What one row wants; or what is wrong with it, not yet blamed on a cell."""
        # A cell named batch is row.batch: the name itself is taken.
        names: dict[str, Json] = {**self._names, **row.cells, "row": row.cells, "batch": self.batch}
        return self._entry.jobs(self._cells, names, _Origin(self.source.file, row.line, row.number))


def _where(cell: Mapping[str, Scalar]) -> str:
    """For which values of its axes it is so."""
    return ", ".join(f"{name}={templates.scalar_text(cell[name])}" for name in sorted(cell))


def _merged(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Shallow, the later wins; null removes."""
    merged = {**defaults, **entry.get("input", _NO_INPUT)}
    if "prompt" in entry:
        merged["prompt"] = entry["prompt"]
    return {name: value for name, value in merged.items() if value is not None}


def _typed(fill: Callable[[templates.Names], Json], typed: Typed, names: templates.Names) -> Json:
    """A cell that is the whole value of a parameter, as that parameter wants it."""
    value = fill(names)
    return typed(value) if isinstance(value, str) else value


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
