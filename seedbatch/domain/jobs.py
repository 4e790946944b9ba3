"""What a manifest wants: jobs with their addresses, requests, limits and retry policy."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from seedbatch.domain.budget import Budget
from seedbatch.domain.fingerprint import Json, fingerprint
from seedbatch.domain.prices import PriceTable
from seedbatch.domain.renames import Rename

KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Wish = tuple[str, int]  # fingerprint and take: jobs for which both are equal could share a task
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent for a job, after templates: the provider's `model` and `input`."""

    model: str
    input: Mapping[str, Json]

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits: equal exactly for equal requests."""
        return fingerprint(self.model, self.input)

    @property
    def prompt(self) -> str:
        """The prompt's text, or nothing."""
        prompt = self.input.get("prompt")
        return prompt if isinstance(prompt, str) else ""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One wanted generation.

    `address` names it in its batch (`river[ratio=16:9,season=spring]#2`); `base` is the address without the take,
    and base and take are its identity, so that `river` stays the same job when it becomes `river#1` of three.
    `output` is its relative POSIX path without extension; `file` and `line` (1-based) say where the manifest asks
    for it. `files` is how many its task is known to give: the first has that name, the others `-2`, `-3` after it.
    `vars` are the manifest's, as far as they are one value and no axis or column took their name.
    """

    address: str
    base: str
    key: str
    take: int
    axes: Mapping[str, Scalar]
    request: Request
    fingerprint: str
    output: str
    tags: tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    files: int = 1
    vars: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all those files, without extension."""
        return further_names(self.output, self.files)


def further_names(output: str, files: int) -> tuple[str, ...]:
    """What the files of one task are called, without extension: the first as it is, `-2`, `-3` after the others."""
    return (output, *(f"{output}-{number}" for number in range(2, files + 1)))


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings of a run. None: not named here, so the next layer or the built-in default holds."""

    submitting: int | None = None
    in_flight: int | None = None
    submits_per_minute: float | None = None

    def strictest(self, other: Limits) -> Limits:
        """The lower of each pair, a named ceiling beating none."""
        return Limits(
            submitting=_lower(self.submitting, other.submitting),
            in_flight=_lower(self.in_flight, other.in_flight),
            submits_per_minute=_lower(self.submits_per_minute, other.submits_per_minute),
        )

    def or_else(self, defaults: Limits) -> Limits:
        """These ceilings, with `defaults` where none is named."""
        return Limits(
            submitting=defaults.submitting if self.submitting is None else self.submitting,
            in_flight=defaults.in_flight if self.in_flight is None else self.in_flight,
            submits_per_minute=(
                defaults.submits_per_minute if self.submits_per_minute is None else self.submits_per_minute
            ),
        )


DEFAULT_LIMITS: Final = Limits(submitting=2, in_flight=100, submits_per_minute=60)
# The sandbox costs nothing, so nothing paces it.
SANDBOX_LIMITS: Final = Limits(submitting=2, in_flight=100, submits_per_minute=None)


N = TypeVar("N", int, float)


def _lower(one: N | None, two: N | None) -> N | None:
    if one is None or two is None:
        return two if one is None else one
    return min(one, two)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A manifest, or a file of rows that it names: its path as given, and the SHA-256 of the bytes that were read."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """The jobs of one manifest (or of several that name one batch), as wanted; they can be read any number of times.

    `attempts` is `retry.attempts`: the tries in all that a failure documented as retryable may use.
    `budget` caps the batch for ever; `prices` tell what its jobs cost.
    `manifest` is the path as given, `digest` the SHA-256 of the bytes that were read (of several `files`, of their
    digests), `commit` the git commit that they belong to (empty outside a repository) and `dirty` whether the file
    differed from it.
    `renames` are its entries of `moved`, in their order.
    `jobs_digest` is equal for two batches only if their jobs are, in the same order; empty where nobody reckoned it.
    `repeated` are the hashes of wishes that more than one job has, of all manifests that were read together.
    """

    name: str
    jobs: Collection[JobSpec]
    limits: Limits = field(default_factory=Limits)
    attempts: int = 1
    budget: Budget = field(default_factory=Budget)
    prices: PriceTable = field(default_factory=PriceTable)
    manifest: str = ""
    digest: str = ""
    jobs_digest: str = field(default="", repr=False, compare=False)
    repeated: frozenset[int] = field(default=frozenset(), repr=False, compare=False)  # other hashes in each process
    renames: tuple[Rename, ...] = ()
    files: tuple[SourceFile, ...] = ()
    sources: tuple[SourceFile, ...] = ()
    commit: str = ""
    dirty: bool = False


def address(key: str, axes: Mapping[str, Scalar], take: int, takes: int, *, bare: bool = False) -> str:
    """The address of a job: its key, its axes sorted by name unless `bare`, and `#take` when `takes` > 1.

    `bare` is for keys that are themselves templates over their axes.
    """
    if not axes:
        return f"{key}#{take}" if takes > 1 else key
    axis = ",".join(f"{name}={_axis_text(axes[name])}" for name in sorted(axes))
    brackets = "" if bare else f"[{axis}]"
    return f"{key}{brackets}{f'#{take}' if takes > 1 else ''}"


def _axis_text(value: Scalar) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
