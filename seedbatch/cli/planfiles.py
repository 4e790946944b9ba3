"""Plan files on disk: written by `plan --out`, carried out by `apply`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from seedbatch.domain.errors import UsageError
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.records import Identity
from seedbatch.engine.planfile import BEGINNING, Binding, Terms, binding, departure, moved, read, requests, write
from seedbatch.engine.planned import Plan


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan file that is whole."""

    path: Path
    binding: Binding
    digest: str

    def terms(self, flags: Terms, *, sandbox: bool) -> Terms:
        """How it was asked for.

        Raises:
            UsageError: flags ask for it in another way, or mean the other provider.
        """
        if flags != Terms(flags.paths):
            raise UsageError(
                f"{self.path} is a plan: which jobs it is about was said when it was made",
                hint="leave out --select, --exclude, --picks, --retry-failed, --no-reuse and --allow-…",
            )
        if sandbox != self._for_sandbox:
            whom, flag = ("the sandbox", "add") if self._for_sandbox else ("the real provider", "leave out")
            raise UsageError(f"{self.path} is a plan for {whom}", hint=f"{flag} --sandbox")
        return self.binding.terms

    def check(self, plan: Plan, batches: Sequence[BatchSpec], ledger: Identity) -> None:
        """Compare what was approved with what applying would do now.

        Raises:
            UsageError: anything that it was made of is another, or something else would be submitted.
        """
        begun = ledger.begun == self.digest
        reasons = moved(self.binding, binding(self.binding.terms, batches, ledger), begun=begun)
        if not reasons:
            with _opened(self.path) as file:
                reasons = departure(requests(file), plan, begun=begun)
        if reasons:
            raise self.stale("; ".join(reasons))

    def stale(self, reason: str) -> UsageError:
        """What to say when something is no longer as it was, and what to type next."""
        terms = self.binding.terms
        words = [*terms.paths]
        for flag, values in (("--select", terms.selects), ("--exclude", terms.excludes)):
            words += [word for value in values for word in (flag, value)]
        words += ["--picks", terms.picks] if terms.picks else []
        words += ["--allow-unknown-model"] * terms.allow_unknown_model
        words += ["--allow-large-matrix"] * terms.allow_large_matrix
        words += ["--retry-failed"] * terms.retry_failed
        words += ["--no-reuse"] * (not terms.reuse)
        words += ["--sandbox"] * self._for_sandbox
        again = shlex.join(["seedbatch", "plan", *words, "--out", str(self.path)])
        return UsageError(f"{self.path} is stale: {reason}", hint=f"{again}, and look at it; nothing was submitted")

    @property
    def _for_sandbox(self) -> bool:
        return self.binding.ledger.kind == "sandbox"


def plan_file_among(paths: Sequence[Path]) -> PlanFile | None:
    """The plan file, if that is what was given.

    Raises:
        UsageError: it is one among others, or it is not as it was written.
    """
    found = [path for path in paths if _begins_as_one(path)]
    if not found:
        return None
    if len(paths) > 1:
        raise UsageError(f"{found[0]} is a plan: it is applied alone", hint=f"seedbatch apply {found[0]}")
    path = found[0]
    with _opened(path) as file:
        return PlanFile(path, *read(file, str(path)))


def refuse_plan_files(paths: Sequence[Path]) -> None:
    """Where manifests are wanted.

    Raises:
        UsageError: one of the paths is a plan.
    """
    for path in paths:
        if _begins_as_one(path):
            raise UsageError(f"{path} is a plan, no manifest", hint=f"carry it out with seedbatch apply {path}")


def write_plan_file(path: Path, plan: Plan, terms: Terms, batches: Sequence[BatchSpec], ledger: Identity) -> str:
    """Write a plan file, whole or not at all, in place of an earlier one; returns its digest.

    Raises:
        UsageError: it cannot be written, or what lies there is no plan.
    """
    if path.exists() and not (path.is_file() and (_begins_as_one(path) or not path.stat().st_size)):
        raise UsageError(f"{path} is there already, and no plan", hint="name another file with --out")
    part = path.with_name(f".{path.name}.{token_hex(4)}.part")
    try:
        with part.open("x", encoding="utf-8") as file:
            digest = write(plan, binding(terms, batches, ledger), file.write)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror or error}", hint="name another file") from error
    return digest


def _begins_as_one(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:  # whoever wants to read it whole says so
        return False


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
