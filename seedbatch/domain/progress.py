"""How far the work is, and what it has taught so far: what a display asks of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from seedbatch.domain.budget import Spent
from seedbatch.domain.records import Accounts
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName


@dataclass(frozen=True, slots=True)
class Expiring:
    """The result whose link dies next, and that is not on disk yet."""

    name: JobName
    at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """Of the jobs that somebody looks at: how many are in each state, and what concerns their speed and their end.

    `pending` are the models of the pending jobs that are next, each with its share of them (at most 1); `running` are
    some of the running tasks: the model, and when it was accepted. `submitted` counts the tasks that the whole ledger
    began within the last minute. `took` is what the latest tasks took, in seconds by model, the latest first.
    `accounts` name these batches alone; `own` is what this process submitted.
    """

    counts: Mapping[JobState, int]
    pending: Mapping[str, float] = field(default_factory=dict)
    running: Sequence[tuple[str, datetime]] = ()
    submitted: int = 0
    expiring: Expiring | None = None
    took: Mapping[str, Sequence[float]] = field(default_factory=dict)
    accounts: Accounts = field(default_factory=Accounts)
    own: Spent = field(default_factory=Spent)

    @property
    def total(self) -> int:
        """All jobs counted."""
        return sum(self.counts.values())

    @property
    def left(self) -> int:
        """How many have not come to an end by themselves."""
        return sum(self.counts.get(state, 0) for state in UNFINISHED)


UNFINISHED = (JobState.PENDING, JobState.SUBMITTING, JobState.RUNNING, JobState.SUCCEEDED)
