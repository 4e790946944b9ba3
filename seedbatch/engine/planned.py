"""What a plan is: each job with what becomes of it and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from seedbatch.domain.difference import Known
from seedbatch.domain.fingerprint import Json
from seedbatch.domain.jobs import Wish
from seedbatch.domain.money import Money
from seedbatch.domain.records import Standing
from seedbatch.domain.states import JobState
from seedbatch.spool import kept


class Action(StrEnum):
    """What applying does with a job."""

    CREATE = "create"
    REGENERATE = "regenerate"
    REUSE = "reuse"
    COLLECT = "collect"
    DOWNLOAD = "download"
    RETRY = "retry"
    MOVE = "move"  # its files, to where the manifest wants them now
    UNCHANGED = "unchanged"
    HELD = "held"
    ORPHAN = "orphan"


SPENDING: Final = frozenset({Action.CREATE, Action.REGENERATE, Action.RETRY})


@dataclass(frozen=True, slots=True)
class Planned:
    """One job of a plan. `output` is its relative path without extension; `known` its row, if there is one.

    `files` is how many its task is known to give.

    `price` is what its submission costs: None where nothing is submitted, or where the price table does not tell;
    `labels` are what that is counted under.
    """

    batch: str
    address: str
    revision: int
    action: Action
    reason: str
    model: str
    output: str
    fingerprint: str = ""
    take: int = 1
    known: Known | None = None
    price: Money | None = None
    files: int = 1
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def wish(self) -> Wish:
        """What jobs have in common that could share a task."""
        return self.fingerprint, self.take

    def as_json(self) -> dict[str, Json]:
        """What plan files and `plan --format json` say of it."""
        price: Json = None
        if self.price is not None:
            price = {"micros": self.price.micros, "currency": self.price.currency}
        return {
            "batch": self.batch,
            "key": self.address,
            "revision": self.revision,
            "action": str(self.action),
            "reason": self.reason,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "price": price,
        }


class Plan:
    """What applying would do, batches and jobs in the manifest's order.

    `jobs` can be read any number of times; `by_batch` counts them by action. `rows_to_add` are by model the rows of a
    price table that would price a request without a price; they may come while the jobs do.
    """

    def __init__(self, jobs: Iterable[Planned], rows_to_add: Mapping[str, str] | None = None) -> None:
        self.rows_to_add = {} if rows_to_add is None else rows_to_add
        self.by_batch: dict[str, Counter[Action]] = {}
        self.jobs = kept(self._counted(jobs), _packed, _unpacked)

    def _counted(self, jobs: Iterable[Planned]) -> Iterator[Planned]:
        for job in jobs:
            self.by_batch.setdefault(job.batch, Counter())[job.action] += 1
            yield job

    @property
    def counts(self) -> Counter[Action]:
        """Jobs by action."""
        return sum(self.by_batch.values(), Counter())

    @property
    def submissions(self) -> int:
        """How many requests applying would send, retries aside."""
        return sum(count for action, count in self.counts.items() if action in SPENDING)

    @property
    def changes(self) -> bool:
        """Whether applying would do anything at all."""
        return bool(self.counts.keys() - {Action.UNCHANGED, Action.HELD, Action.ORPHAN})

    def of(self, *actions: Action) -> Iterator[Planned]:
        """The jobs with which one of these things is done."""
        counts = self.counts
        left = sum(counts[action] for action in actions)
        for job in self.jobs if left else ():
            if job.action in actions:
                yield job
                left -= 1
            if not left:
                return


def _packed(job: Planned) -> tuple[Any, ...]:
    known = job.known and (
        *(job.known.job_id, job.known.base, job.known.take, job.known.revision, str(job.known.standing)),
        *(str(job.known.state), job.known.fingerprint, job.known.tried, job.known.output),
    )
    price = job.price and (job.price.micros, job.price.currency)
    return (
        *(job.batch, job.address, job.revision, str(job.action), job.reason, job.model, job.output),
        *(job.fingerprint, job.take, known, price, job.files, job.labels),
    )


def _unpacked(packed: tuple[Any, ...]) -> Planned:
    batch, address, revision, action, reason, model, output, fingerprint, wanted, known, price, files, labels = packed
    if known is not None:
        job_id, base, take, number, standing, state, recorded, tried, place = known
        known = Known(job_id, base, take, number, Standing(standing), JobState(state), recorded, tried, place)
    cost = None if price is None else Money(*price)
    return Planned(
        *(batch, address, revision, Action(action), reason, model, output),
        *(fingerprint, wanted, known, cost, files, labels),
    )
