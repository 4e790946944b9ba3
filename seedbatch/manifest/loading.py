"""Loading manifests: read, check, expand, and tell every problem of every file at once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.errors import Problem
from seedbatch.domain.jobs import BatchSpec, JobSpec, Limits
from seedbatch.manifest.expand import Finding, Leniency, expand
from seedbatch.manifest.outputs import meeting_point
from seedbatch.manifest.reader import Document, read, source_line
from seedbatch.models import Checker, catalogue, manifest_schema

_MOST_PROBLEMS: Final = 100
_MOST_LOCATED: Final = 200


@dataclass(frozen=True, slots=True)
class Loaded:
    """What manifests hold: batches, or else problems. `warnings` stop nothing."""

    batches: tuple[BatchSpec, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


@dataclass(slots=True)
class _Part:
    """One file's share of a batch."""

    document: Document
    jobs: list[JobSpec] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def load(paths: Sequence[Path], *, allow_unknown_model: bool = False, allow_large_matrix: bool = False) -> Loaded:
    """Everything that these manifests want, or everything that is wrong with them.

    Files that name one batch are one batch. Nothing is fetched and nothing outside the files is read.
    """
    leniency = Leniency(allow_unknown_model, allow_large_matrix)
    problems: list[Problem] = []
    parts: list[_Part] = []
    for path in dict.fromkeys(paths):
        document = read(path)
        if isinstance(document, Problem):
            problems.append(document)
            continue
        part = _part(document, leniency)
        parts.append(part)
        problems += part.problems
    if not problems:
        problems += _collisions(parts)
    if problems:
        return Loaded((), tuple(sorted(problems)[:_MOST_PROBLEMS]), ())
    warnings = [warning for part in parts for warning in part.warnings] + list(_repeated(parts))
    return Loaded(tuple(_batches(parts)), (), tuple(sorted(warnings)))


def _part(document: Document, leniency: Leniency) -> _Part:
    part = _Part(document)
    part.problems += _against_schema(document)
    if part.problems:
        return part
    findings: list[Finding] = []
    for one in expand(document.value, document.file, document.lines, catalogue(), leniency):
        if isinstance(one, JobSpec):
            part.jobs.append(one)
        else:
            findings.append(one)
    part.problems += _told(document, (one for one in findings if not one.warning))
    part.warnings += _told(document, (one for one in findings if one.warning))
    return part


def _against_schema(document: Document) -> list[Problem]:
    if not isinstance(document.value, dict):
        hint = "it begins with version: 1, batch: NAME and jobs:"
        return [document.problem((), "manifest/shape", "a manifest is a mapping of keys", hint)]
    checker = Checker(manifest_schema())
    return [
        document.problem(
            fault.path,
            fault.code,
            _placed(fault.path, fault.message, fault.code),
            fault.hint,
            at_key=fault.code == "schema/unknown-key",
        )
        for fault in checker.faults(document.value)
    ]


def _placed(path: tuple[str | int, ...], message: str, code: str) -> str:
    names = [str(part) for part in path if isinstance(part, str)]
    if not names or code in {"schema/unknown-key", "schema/required"}:
        return message
    return f"{names[-1]}: {message}"


def _told(document: Document, findings: Iterable[Finding]) -> Iterator[Problem]:
    """Each place once, however many combinations it concerns."""
    groups: defaultdict[tuple[Any, ...], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.pointer, finding.code, finding.message, finding.hint, finding.at_key].append(finding)
    for (pointer, code, message, hint, at_key), group in list(groups.items())[:_MOST_LOCATED]:
        where = [finding.axes for finding in group if finding.axes]
        if where:
            more = f" and {len(where) - 1:,} more" if len(where) > 1 else ""
            message = f"{message} (where {where[0]}{more})"  # noqa: PLW2901 - the words grow
        yield document.problem(pointer, code, message, hint, at_key=at_key)


def _collisions(parts: Sequence[_Part]) -> Iterator[Problem]:
    """Jobs of one batch with one address, and jobs of any batch with one file."""
    addresses: dict[tuple[str, str], tuple[Document, JobSpec]] = {}
    outputs: dict[str, tuple[Document, JobSpec]] = {}
    for part in parts:
        for job in part.jobs:
            name = (part.document.value["batch"], job.address)
            twin = addresses.setdefault(name, (part.document, job))
            if twin[1] is not job:
                yield _collision(part.document, job, twin, "job/duplicate", f"the job {job.address}")
                continue
            twin = outputs.setdefault(meeting_point(job.output), (part.document, job))
            if twin[1] is not job:
                yield _collision(part.document, job, twin, "job/output", f"the output {job.output}")


def _collision(document: Document, job: JobSpec, twin: tuple[Document, JobSpec], code: str, what: str) -> Problem:
    there = f"{twin[1].file}:{twin[1].line}" if twin[0] is not document else f"line {twin[1].line}"
    hint = "give them different keys" if code == "job/duplicate" else f"it is that of {twin[1].address} as well"
    if (twin[0] is document and twin[1].line == job.line) and code == "job/duplicate":
        hint = "name every axis in the key, or let it be no template"
    return Problem(
        document.file, job.line, 1, code, f"{what} is wanted twice, here and on {there}", hint, _line(document, job)
    )


def _line(document: Document, job: JobSpec) -> str:
    return source_line(document.text, job.line)


def _repeated(parts: Sequence[_Part]) -> Iterator[Problem]:
    """Two jobs with one request are two bills for what may be meant once."""
    for name, group in _grouped(parts).items():
        seen: dict[tuple[str, int], JobSpec] = {}
        for part in group:
            for job in part.jobs:
                first = seen.setdefault((job.fingerprint, job.take), job)
                if first is not job:
                    message = f"{job.address} asks for exactly what {first.address} asks for; both are generated"
                    yield Problem(
                        job.file,
                        job.line,
                        1,
                        "job/repeated",
                        message,
                        f"takes: 2 says so in {name}",
                        _line(part.document, job),
                    )


def _batches(parts: Sequence[_Part]) -> Iterator[BatchSpec]:
    for name, group in _grouped(parts).items():
        limits = Limits()
        for part in group:
            limits = limits.strictest(Limits(**part.document.value.get("limits", {})))
        digests = [part.document.digest for part in group]
        yield BatchSpec(
            name=name,
            jobs=tuple(job for part in group for job in part.jobs),
            limits=limits,
            attempts=min(part.document.value.get("retry", {}).get("attempts", 1) for part in group),
            manifest=",".join(part.document.file for part in group),
            digest=digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
        )


def _grouped(parts: Sequence[_Part]) -> dict[str, list[_Part]]:
    groups: defaultdict[str, list[_Part]] = defaultdict(list)
    for part in parts:
        groups[part.document.value["batch"]].append(part)
    return groups
