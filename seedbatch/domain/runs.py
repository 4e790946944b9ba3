"""Runs: each time that a command opened the ledger for work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from seedbatch.domain.budget import Spent
from seedbatch.domain.money import Money
from seedbatch.domain.records import RecordedJob


@dataclass(frozen=True, slots=True)
class Declared:
    """One batch as a run declared it: the manifest's path as given, its digest, and the commit it belonged to.

    `commit` is empty outside a repository; `dirty`: the manifest differed from it. `jobs` is how many it asks for.
    """

    batch: str
    manifest: str
    digest: str
    commit: str
    dirty: bool
    jobs: int


@dataclass(frozen=True, slots=True)
class Beginning:
    """Who does what: `command` is the verb, `arguments` what was typed after it, `who` is `name@host`.

    `batches` are those that it declared: none where it declares nothing.
    """

    command: str
    arguments: tuple[str, ...]
    who: str
    version: str
    batches: tuple[Declared, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run as the ledger tells it. `event` is the last event of the ledger when it began, once it had declared.

    `ended_at`, `exit` and `did` are None while it runs, and for ever if it was killed; `lives` tells which. `did`
    counts what became of jobs in its hands, whoever submitted them: `completed`, `reused`, `failed`, `expired`.
    `submitted` counts requests of its own that made a task or may have made one, `unpriced` those of unknown price,
    `in_doubt` those that still wait for a person; `cost` is what may be owed for them now, by currency.
    """

    number: int
    beginning: Beginning
    event: int
    began_at: datetime
    ended_at: datetime | None
    exit: int | None
    did: Mapping[str, int] | None
    lives: bool
    submitted: int
    unpriced: int
    in_doubt: int
    cost: tuple[Money, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Bill:
    """What one run sent, estimate beside actual. Amounts by currency; without those whose price nobody knows.

    `jobs` it sent for, in so many `submissions`, `unpriced` of the jobs without a known price. `estimate` is what a
    plan says of these jobs, `worst` with every retry. `spent` is what may be owed for attempts that have ended,
    `running` and `in_doubt` what is reserved for those that have not.
    """

    jobs: int = 0
    submissions: int = 0
    unpriced: int = 0
    estimate: tuple[Money, ...] = ()
    worst: tuple[Money, ...] = ()
    spent: tuple[Money, ...] = ()
    running: Spent = field(default_factory=Spent)
    in_doubt: Spent = field(default_factory=Spent)


@dataclass(frozen=True, slots=True)
class Move:
    """What became of one wanted job between two runs: its row then and later, None where it was not wanted.

    `amended`: both are the same row, whose request was rewritten before anything was sent.
    """

    before: RecordedJob | None
    after: RecordedJob | None
    amended: bool = False
