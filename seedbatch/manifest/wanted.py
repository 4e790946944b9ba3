"""The jobs that manifests want, where there may be a million of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from seedbatch.domain.jobs import JobSpec, Request
from seedbatch.manifest.expand import Wanted
from seedbatch.spool import Spool


class Jobs(Collection[JobSpec]):
    """The jobs of several files, one after the other."""

    def __init__(self, parts: Sequence[Spool[Wanted]]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[JobSpec]:
        for part in self._parts:
            for one in part:
                yield one.job

    def __contains__(self, job: object) -> bool:
        return any(one == job for one in self)

    def digest(self) -> str:
        """Equal only for equal jobs in the same order."""
        return hashlib.sha256("".join(part.digest() for part in self._parts).encode()).hexdigest()


def new_spool() -> Spool[Wanted]:
    """Room for any number of jobs."""
    return Spool(packed, _unpacked)


def characters(job: JobSpec) -> int:
    """How much text a job holds, for the caps on what few lines can stand for."""
    return len(job.address) + len(job.output) + _length(job.request.input)


def _length(value: Any) -> int:
    if value.__class__ is str:
        return len(value)
    if isinstance(value, dict):
        return sum(map(_length, value.values()))
    return sum(map(_length, value)) if isinstance(value, list) else 0


def packed(one: Wanted) -> tuple[Any, ...]:
    """As the spool keeps it."""
    job = one.job
    return (
        *(one.at, one.row, job.address, job.base, job.key, job.take, dict(job.axes), job.request.model),
        *(dict(job.request.input), job.fingerprint, job.output, job.tags, job.file, job.line, job.files),
        dict(job.vars),
    )


def _unpacked(parts: tuple[Any, ...]) -> Wanted:
    at, row, address, base, key, take, axes, model, params, fingerprint, *described = parts
    return Wanted(at, JobSpec(address, base, key, take, axes, Request(model, params), fingerprint, *described), row)
