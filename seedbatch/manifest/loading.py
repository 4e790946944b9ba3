"""Loading manifests: read, check, expand, and tell every problem of every file at once."""

from __future__ import annotations

import gc
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.budget import Budget
from seedbatch.domain.errors import Problem
from seedbatch.domain.jobs import BatchSpec, JobSpec, Limits
from seedbatch.domain.money import Money, micros
from seedbatch.manifest.checks import shape
from seedbatch.manifest.expand import Finding, Leniency, Wanted, expand
from seedbatch.manifest.outputs import meeting_point
from seedbatch.manifest.reader import Document, Remark, read
from seedbatch.models import catalogue

# Of each file; beyond that nobody reads on, and one mistake in a template is many problems.
_MOST_TOLD: Final = 100
_MORE: Final = "problems/more"
# Of each file. A few lines can stand for any number of jobs, each of them long: aliases times matrix times templates.
_MOST_JOBS: Final = 1_000_000
_MOST_TEXT: Final = 256 * 1024 * 1024
_LONGEST_AXES: Final = 200


@dataclass(frozen=True, slots=True)
class Loaded:
    """What manifests hold: batches, or else problems. `warnings` stop nothing."""

    batches: tuple[BatchSpec, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


@dataclass(slots=True)
class _Part:
    """One file's share of a batch; what is wrong with it, and what is worth knowing."""

    document: Document
    wanted: list[Wanted] = field(default_factory=list)
    wrong: list[Remark] = field(default_factory=list)
    worth: list[Remark] = field(default_factory=list)


def load(paths: Sequence[Path], *, allow_unknown_model: bool = False, allow_large_matrix: bool = False) -> Loaded:
    """Everything that these manifests want, or everything that is wrong with them.

    Files that name one batch are one batch. Nothing is fetched, nothing outside the files is read, and whatever is
    wrong with a file is a `Problem`, never an exception.
    """
    leniency = Leniency(allow_unknown_model, allow_large_matrix)
    with _collector_resting():
        return _load(paths, leniency)


def _load(paths: Sequence[Path], leniency: Leniency) -> Loaded:
    problems: list[Problem] = []
    parts: list[_Part] = []
    for path in dict.fromkeys(paths):
        document = read(path)
        if isinstance(document, Problem):
            problems.append(document)
        else:
            parts.append(_part(document, leniency))
    sound = [part for part in parts if isinstance(part.document.value, dict) and part.wanted]
    _find_collisions(sound)
    _find_budgets(sound)
    if not problems and not any(part.wrong for part in parts):
        _find_repetitions(sound)
    for part in parts:
        problems += _told(part.document, part.wrong)
    warnings = [warning for part in parts for warning in _told(part.document, part.worth)]
    batches = () if problems else tuple(_batches(sound))
    return Loaded(batches, _sorted(problems), _sorted(warnings))


@contextmanager
def _collector_resting() -> Iterator[None]:
    """Nothing for the cycle collector: it would visit a million values again and again, and all of them stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _part(document: Document, leniency: Leniency) -> _Part:
    part = _Part(document)
    checked = shape(document.value)
    part.wrong += checked.wrong
    if not checked.can_expand:
        return part
    findings: list[Finding] = []
    text = 0
    wanted = expand(document.value, document.file, document.lines, catalogue(), leniency, skip=checked.bad_entries)
    for one in wanted:
        if isinstance(one, Wanted):
            part.wanted.append(one)
            text += len(one.job.address) + len(one.job.output) + _length(one.job.request.input)
        else:
            findings.append(one)
        if text > _MOST_TEXT:
            part.wrong.append(_too_large(f"{_MOST_TEXT // 1024**2} MB of text"))
            break
        if len(part.wanted) + len(findings) > _MOST_JOBS and not leniency.large_matrix:
            part.wrong.append(_too_large(f"{_MOST_JOBS:,} jobs"))
            break
    part.wrong += _gathered(one for one in findings if not one.warning)
    part.worth += _gathered(one for one in findings if one.warning)
    return part


def _length(value: Any) -> int:
    """The characters of all text in a value."""
    match value:
        case str():
            return len(value)
        case dict():
            return sum(map(_length, value.values()))
        case list():
            return sum(map(_length, value))
        case _:
            return 0


def _too_large(what: str) -> Remark:
    message = f"the jobs of this file come to more than {what}"
    return Remark(("jobs",), "manifest/size", message, "split it; files that name one batch are one batch", at_key=True)


def _gathered(findings: Iterable[Finding]) -> Iterator[Remark]:
    """Each place once, however many combinations it concerns."""
    groups: defaultdict[Remark, list[str]] = defaultdict(list)
    for one in findings:
        groups[Remark(one.pointer, one.code, one.message, one.hint, one.at_key)].append(one.axes)
    for remark, axes in groups.items():
        where = [text for text in dict.fromkeys(axes) if text]
        if not where:
            yield remark
            continue
        more = f" and {len(where) - 1:,} more" if len(where) > 1 else ""
        axes_text = where[0] if len(where[0]) <= _LONGEST_AXES else f"{where[0][:_LONGEST_AXES]}…"
        yield replace(remark, message=f"{remark.message} (where {axes_text}{more})")


def _told(document: Document, remarks: Sequence[Remark]) -> list[Problem]:
    """The remarks with their places, the last of very many standing for the rest."""
    told = document.problems(remarks[:_MOST_TOLD])
    rest = len(remarks) - _MOST_TOLD
    if rest > 0:
        last = told[-1]
        more = f"and {rest:,} more in this file"
        told.append(Problem(document.file, last.line, last.column, _MORE, more, "mend these first"))
    return told


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By file and place, what stands for the rest of a file at its end."""
    return tuple(sorted(problems, key=lambda problem: (problem.file, problem.code == _MORE, problem)))


def _find_collisions(parts: Sequence[_Part]) -> None:
    """Jobs of one batch with one address, and jobs of any batch with one file."""
    addresses: dict[tuple[str, str], tuple[_Part, Wanted]] = {}
    outputs: dict[str, tuple[_Part, Wanted]] = {}
    for part in parts:
        batch = part.document.value["batch"]
        for one in part.wanted:
            twin = addresses.setdefault((batch, one.job.address), (part, one))
            if twin[1] is not one:
                part.wrong.append(_duplicate(part, one, twin))
                continue
            twin = outputs.setdefault(meeting_point(one.job.output), (part, one))
            if twin[1] is not one:
                message = f"{one.job.address} would write to {one.job.output}, and so would {twin[1].job.address}"
                hint = "upper and lower case, and characters that become -, make no difference"
                if twin[0] is part and twin[1].index == one.index:
                    hint = "put {{ key }} into the output: it differs for every take and combination"
                where = f" ({_place(part, twin)})"
                part.wrong.append(Remark(("jobs", one.index, "output"), "job/output-taken", message + where, hint))


def _duplicate(part: _Part, one: Wanted, twin: tuple[_Part, Wanted]) -> Remark:
    at = ("jobs", one.index, "key")
    if twin[0] is part and twin[1].index == one.index:
        message = f"this key and its matrix give {one.job.address} more than once"
        return Remark(at, "job/duplicate", message, "name every axis in the key, each value once")
    message = f"the job {one.job.address} is wanted twice, here and {_place(part, twin)}"
    return Remark(at, "job/duplicate", message, "give them different keys, or say takes: 2")


def _place(part: _Part, twin: tuple[_Part, Wanted]) -> str:
    line = twin[1].job.line
    return f"on line {line}" if twin[0] is part else f"in {twin[0].document.file}:{line}"


def _find_repetitions(parts: Sequence[_Part]) -> None:
    """Two jobs with one request are two bills for what may be meant once."""
    seen: dict[tuple[str, str, int], JobSpec] = {}
    for part in parts:
        batch = part.document.value["batch"]
        for index, job in ((one.index, one.job) for one in part.wanted):
            first = seen.setdefault((batch, job.fingerprint, job.take), job)
            if first is not job:
                message = f"{job.address} asks for exactly what {first.address} asks for"
                hint = "if two are wanted, say takes: 2 on one job; otherwise remove one"
                part.worth.append(Remark(("jobs", index, "key"), "job/repeated", message, hint))


def _find_budgets(parts: Sequence[_Part]) -> None:
    """Amounts that are no whole number of micro-units, and two currencies in one batch."""
    currencies: dict[str, tuple[_Part, str]] = {}
    for part in parts:
        named = part.document.value.get("budget", {})
        if not isinstance(named, dict) or "max_cost" not in named or not isinstance(named.get("currency"), str):
            continue
        if any(remark.pointer[:1] == ("budget",) for remark in part.wrong):
            continue  # the schema has said so
        try:
            micros(named["max_cost"])
        except ValueError as error:
            part.wrong.append(Remark(("budget", "max_cost"), "budget/amount", f"max_cost: {error}", "write 12.50"))
        first, currency = currencies.setdefault(part.document.value["batch"], (part, named["currency"]))
        if currency != named["currency"]:
            message = f"this batch has a budget in {currency} as well, in {first.document.file}"
            part.wrong.append(Remark(("budget", "currency"), "budget/currencies", message, "a batch has one currency"))


def _budget(parts: Sequence[_Part]) -> Budget:
    """The strictest caps of a batch's files."""
    named = [part.document.value.get("budget", {}) for part in parts]
    jobs = [int(one["max_jobs"]) for one in named if "max_jobs" in one]
    costs = [Money(micros(one["max_cost"]), one["currency"]) for one in named if "max_cost" in one]
    return Budget(min(jobs, default=None), min(costs, key=lambda cost: cost.micros, default=None))


def _batches(parts: Sequence[_Part]) -> Iterator[BatchSpec]:
    groups: defaultdict[str, list[_Part]] = defaultdict(list)
    for part in parts:
        groups[part.document.value["batch"]].append(part)
    for name, group in groups.items():
        limits = Limits()
        for part in group:
            limits = limits.strictest(_limits(part.document.value.get("limits", {})))
        digests = [part.document.digest for part in group]
        yield BatchSpec(
            name=name,
            jobs=tuple(one.job for part in group for one in part.wanted),
            limits=limits,
            budget=_budget(group),
            # A retry costs money: a file that does not ask for it is taken at its word.
            attempts=min(int(part.document.value.get("retry", {}).get("attempts", 1)) for part in group),
            manifest=",".join(part.document.file for part in group),
            digest=digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
        )


def _limits(named: dict[str, Any]) -> Limits:
    """JSON Schema takes 2.0 for an integer; a count of requests is one."""
    counts = {name: int(named[name]) for name in ("submitting", "in_flight") if name in named}
    return Limits(**counts, submits_per_minute=named.get("submits_per_minute"))
