"""Loading manifests: read, check, expand, and tell every problem of every file at once."""

from __future__ import annotations

import gc
import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.budget import Budget
from seedbatch.domain.errors import Problem
from seedbatch.domain.jobs import BatchSpec, Limits, SourceFile
from seedbatch.domain.money import Money, micros
from seedbatch.manifest import collisions, sources
from seedbatch.manifest.ahead import Ahead
from seedbatch.manifest.checks import Shape, shape
from seedbatch.manifest.expand import Expansion, Finding, Leniency, Wanted
from seedbatch.manifest.many import Block, jobs_of_entries, jobs_of_result, jobs_of_rows
from seedbatch.manifest.outputs import meeting_point
from seedbatch.manifest.places import Pointer
from seedbatch.manifest.reader import Document, Remark, read
from seedbatch.manifest.renames import renames_of, wrong_renames
from seedbatch.manifest.telling import MORE, Findings, Told, in_order, told, with_more
from seedbatch.manifest.wanted import Jobs, characters, new_spool
from seedbatch.models import catalogue
from seedbatch.spool import Spool

# Of each file. A few lines can stand for any number of jobs, each of them long: aliases times matrix times templates.
_MOST_JOBS: Final = 1_000_000
_MOST_TEXT: Final = 256 * 1024 * 1024
# Of a batch: so many may be a tuple, which is quicker to read again.
_FEW: Final = 10_000
# Of `jobs`, and of one source. What is wrong with very many is wrong with one template or column, and words take time.
_MOST_WRONG: Final = 2_000
# Of the rows of one source: they lie on disk, not in memory.
_MOST_OF_ROWS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What manifests hold: batches, or else problems. `warnings` stop nothing."""

    batches: tuple[BatchSpec, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


@dataclass(slots=True)
class _Part:
    """One file's share of a batch; what is wrong with it and with its sources, and what is worth knowing."""

    document: Document
    wanted: Spool[Wanted] = field(default_factory=new_spool)
    wrong: list[Remark] = field(default_factory=list)
    worth: list[Remark] = field(default_factory=list)
    sources: dict[int, sources.Source] = field(default_factory=dict)
    rows: defaultdict[str, Told] = field(default_factory=lambda: defaultdict(Told))

    @property
    def is_sound(self) -> bool:
        """Whether nothing stops it."""
        return not self.wrong and not self.rows


def load(paths: Sequence[Path], *, allow_unknown_model: bool = False, allow_large_matrix: bool = False) -> Loaded:
    """Everything that these manifests want, or everything that is wrong with them.

    Files that name one batch are one batch. Nothing is fetched, nothing outside the files and their sources is read,
    and whatever is wrong with a file is a `Problem`, never an exception.

    Raises:
        UsageError: there is no room on disk for the jobs of a large source.
    """
    leniency = Leniency(allow_unknown_model, allow_large_matrix)
    with _collector_resting():
        return _load(paths, leniency)


def _load(paths: Sequence[Path], leniency: Leniency) -> Loaded:
    problems: list[Problem] = []
    parts: list[_Part] = []
    seen = collisions.Seen()
    for path in dict.fromkeys(paths):
        with closing(Ahead(str(path), leniency)) as ahead:
            document = read(path, ahead.follow)
            if isinstance(document, Problem):
                problems.append(document)
            else:
                parts.append(_part(path, document, leniency, seen, ahead.results(document)))
    sound = [part for part in parts if isinstance(part.document.value, dict) and part.wanted]
    _find_budgets(sound)
    _find_twins(sound, seen, also_repetitions=not problems)
    _find_wrong_renames(sound)
    for part in parts:
        problems += told(part.document, part.wrong)
        for found in part.rows.values():
            problems += with_more(_with_texts(part, found.problems), found.more)
    warnings = [warning for part in parts for warning in told(part.document, part.worth)]
    batches = () if problems else tuple(_batches(sound, seen.repeated_wishes()))
    return Loaded(batches, in_order(problems), in_order(warnings))


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


def _part(
    path: Path, document: Document, leniency: Leniency, seen: collisions.Seen, results: Sequence[bytes] | None
) -> _Part:
    """What a document wants; `results` are those of its entries, if all of it is known to be sound already."""
    part = _Part(document)
    checked = shape(document.value) if results is None else Shape()
    part.wrong += checked.wrong
    if not checked.can_expand:
        return part
    expansion = Expansion(document.value, document.file, catalogue(), leniency)
    findings = Findings()
    spool = part.wanted
    text = 0
    entries = document.value.get("jobs", ())
    jobs = (
        jobs_of_entries(expansion, entries, document.lines, checked.bad_entries)
        if results is None
        else chain.from_iterable(map(jobs_of_result, results))
    )
    for one in jobs:
        text += _keep(one, expansion.batch, spool, seen, findings)
        if text > _MOST_TEXT:
            part.wrong.append(_too_large(("jobs",), f"{_MOST_TEXT // 1024**2} MB of text"))
            break
        if len(spool) + findings.count > _MOST_JOBS and not leniency.large_matrix:
            part.wrong.append(_too_large(("jobs",), f"{_MOST_JOBS:,} jobs"))
            break
        if findings.wrong > _MOST_WRONG:
            part.wrong.append(_too_wrong(("jobs",), "these jobs"))
            break
    if "sources" in document.value:
        _read_sources(part, path, expansion, spool, checked.bad_sources, findings, seen)
    part.wrong += findings.remarks(warnings=False)
    part.worth += findings.remarks(warnings=True)
    return part


def _keep(
    one: Wanted | Block | Finding, batch: str, spool: Spool[Wanted], seen: collisions.Seen, findings: Findings
) -> int:
    """Put aside what an expansion gave; the characters of its text, if it is a job of `jobs`."""
    match one:
        case Wanted():
            spool.add(one)
            seen.add(batch, one.job)
            return 0 if one.row else characters(one.job)
        case Block():
            spool.add_block(one.packed, one.count)
            seen.add_all(one.hashes)
            return one.characters
        case Finding():
            findings.add(one)
            return 0


def _read_sources(
    part: _Part,
    path: Path,
    expansion: Expansion,
    spool: Spool[Wanted],
    skip: Collection[int],
    findings: Findings,
    seen: collisions.Seen,
) -> None:
    """The jobs of every row, after those of `jobs`."""
    for index, entry in enumerate(part.document.value["sources"]):
        if index in skip:
            continue
        kind = "csv" if "csv" in entry else "jsonl"
        at: Pointer = ("sources", index, kind)
        try:
            file = sources.locate(path, entry[kind])
        except sources.Unusable as error:
            part.wrong.append(Remark(at, error.code, error.message, error.hint))
            continue
        name = os.path.normpath(path.parent / entry[kind])
        source = sources.Source(file, name, entry.get("delimiter", ",") if kind == "csv" else None)
        part.sources[index] = source
        before, wrong_before = len(spool), findings.wrong
        for found_there in jobs_of_rows(expansion, index, entry, source):
            if isinstance(found_there, Problem):
                part.rows[found_there.file].add(found_there)
            else:
                _keep(found_there, expansion.batch, spool, seen, findings)
            if len(spool) - before > _MOST_OF_ROWS:
                part.wrong.append(_too_large(at, f"{_MOST_OF_ROWS:,} jobs"))
                break
            if findings.wrong - wrong_before + (part.rows[name].count if name in part.rows else 0) > _MOST_WRONG:
                part.wrong.append(_too_wrong(at, entry[kind]))
                break
        if len(spool) == before and name not in part.rows and not findings.count:
            message = f"{entry[kind]} holds no rows, so nothing is wanted of it"
            part.wrong.append(Remark(at, "source/empty", message, "add rows, or remove the source"))


def _too_large(at: Pointer, what: str) -> Remark:
    message = f"the jobs of this file come to more than {what}"
    return Remark(at, "manifest/size", message, "split it; files that name one batch are one batch", at_key=True)


def _too_wrong(at: Pointer, where: str) -> Remark:
    message = f"more than {_MOST_WRONG:,} problems in {where}: what follows was not looked at"
    return Remark(at, MORE, message, "mend the first ones, and validate again", at_key=True)


def _with_texts(part: _Part, found: Sequence[Problem]) -> list[Problem]:
    """Problems that were found when the row was gone get its line from the file."""
    missing = {problem.line for problem in found if problem.line and not problem.source}
    source = next((one for one in part.sources.values() if found and one.file == found[0].file), None)
    if not missing or source is None:
        return [*found]
    texts = source.texts(missing)
    return [replace(one, source=one.source or texts.get(one.line, "")) if one.column == 1 else one for one in found]


def _find_twins(parts: Sequence[_Part], seen: collisions.Seen, *, also_repetitions: bool) -> None:
    """Jobs of one batch with one address, jobs of any batch with one file, and requests that are made twice."""
    shares = [collisions.Share(part.document.file, part.document.value["batch"], part.wanted) for part in parts]
    addresses, files, requests = seen.twins(shares)
    for twin in addresses:
        part = parts[twin.share]
        _wrong_job(part, twin.one, ("key",), *_duplicate(part, twin, parts[twin.first_share]))
    for twin in files:
        part, first = parts[twin.share], parts[twin.first_share]
        job, other = twin.one.job, twin.first.job
        batches = [shares[index].batch for index in (twin.share, twin.first_share)]
        if (batches[0], job.base, job.take) == (batches[1], other.base, other.take):
            continue  # told above
        output, hint = job.output, "upper and lower case, and characters that become -, make no difference"
        if job.files > 1 or other.files > 1:
            output = next(name for name in job.outputs if meeting_point(name) == twin.name)
            hint = "the further files of a task get -2, -3 after its name; name another output for one of them"
        elif part is first and twin.first.at == twin.one.at and twin.first.row == twin.one.row:
            hint = "put {{ key }} into the output: it differs for every take and combination"
        where = _place(part, twin, first)
        message = f"{job.address} would write to {output}, and so would {other.address} ({where})"
        _wrong_job(part, twin.one, ("output",), "job/output-taken", message, hint)
    if not also_repetitions or not all(part.is_sound for part in parts):
        return
    for twin in requests:
        if shares[twin.share].batch != shares[twin.first_share].batch:
            continue  # campaigns have clips in common
        message = f"{twin.one.job.address} asks for exactly what {twin.first.job.address} asks for"
        hint = "it is paid for once, and both get the clip; if two are wanted, say takes: 2 on one job"
        if twin.one.row:
            message = f"{message} (row {twin.one.row:,})"
        parts[twin.share].worth.append(Remark((*twin.one.at, "key"), "job/repeated", message, hint))


def _wrong_job(part: _Part, one: Wanted, at: Pointer, code: str, message: str, hint: str) -> None:
    """A problem of one job: in the manifest, or at its row."""
    if not one.row:
        part.wrong.append(Remark((*one.at, *at), code, message, hint))
        return
    told = f"{message} (row {one.row:,})"
    part.rows[one.job.file].add(Problem(one.job.file, one.job.line, 1, code, told, hint))


def _duplicate(part: _Part, twin: collisions.Twin, first: _Part) -> tuple[str, str, str]:
    address, other = twin.one.job.address, twin.first.job.address
    if first is part and twin.first.at == twin.one.at and twin.first.row == twin.one.row:
        message = f"this key and its matrix give {address} more than once"
        return "job/duplicate", message, "name every axis in the key, each value once"
    place = _place(part, twin, first)
    message = f"the job {address} is wanted twice, here and {place}"
    if address != other:
        message = f"{address} is the same job as {other}, which is wanted {place}"
    hint = (
        "let the key name a column that differs in every row"
        if twin.one.row
        else "give them different keys, or say takes: 2"
    )
    return "job/duplicate", message, hint


def _place(part: _Part, twin: collisions.Twin, first: _Part) -> str:
    job = twin.first.job
    here = first is part and job.file == twin.one.job.file
    return f"on line {job.line}" if here else f"in {job.file}:{job.line}"


def _find_wrong_renames(parts: Sequence[_Part]) -> None:
    """Entries of `moved` whose names do not fit the jobs of their batch."""
    for group in _by_batch(parts).values():
        named = [renames_of(part.document.value) for part in group]
        every = [rename for own in named for rename in own]
        for part, own in zip(group, named, strict=True):
            if not any(remark.pointer[:1] == ("moved",) for remark in part.wrong):  # else the schema has said so
                part.wrong += wrong_renames(own, every, (one for other in group for one in other.wanted))


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


def _batches(parts: Sequence[_Part], repeated: frozenset[int]) -> Iterator[BatchSpec]:
    for name, group in _by_batch(parts).items():
        limits = Limits()
        for part in group:
            limits = limits.strictest(_limits(part.document.value.get("limits", {})))
        digests = [part.document.digest for part in group]
        jobs = Jobs(tuple(part.wanted for part in group))
        yield BatchSpec(
            name=name,
            jobs=tuple(jobs) if len(jobs) < _FEW else jobs,
            jobs_digest=jobs.digest(),
            limits=limits,
            budget=_budget(group),
            # A retry costs money: a file that does not ask for it is taken at its word.
            attempts=min(int(part.document.value.get("retry", {}).get("attempts", 1)) for part in group),
            manifest=",".join(part.document.file for part in group),
            digest=digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
            renames=tuple(rename for part in group for rename in renames_of(part.document.value)),
            repeated=repeated,
            files=tuple(SourceFile(part.document.file, part.document.digest) for part in group),
            sources=tuple(SourceFile(one.file, one.digest) for part in group for one in part.sources.values()),
        )


def _by_batch(parts: Sequence[_Part]) -> dict[str, list[_Part]]:
    groups: defaultdict[str, list[_Part]] = defaultdict(list)
    for part in parts:
        groups[part.document.value["batch"]].append(part)
    return groups


def _limits(named: dict[str, Any]) -> Limits:
    """JSON Schema takes 2.0 for an integer; a count of requests is one."""
    counts = {name: int(named[name]) for name in ("submitting", "in_flight") if name in named}
    return Limits(**counts, submits_per_minute=named.get("submits_per_minute"))
