"""Which jobs of a plan are not sent: another job's request is the same, and was paid for, or goes before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from seedbatch.domain.jobs import BatchSpec, Wish
from seedbatch.engine.planned import SPENDING, Action, Planned
from seedbatch.ports import Records

_AT_ONCE: Final = 500


def sharing(planned: Iterable[Planned], batches: Sequence[BatchSpec], records: Records | None) -> Iterator[Planned]:
    """A plan in which each request is paid for once: by the ledger so far, or by the first job that makes it."""
    repeated = frozenset[int]().union(*(batch.repeated for batch in batches))
    first: dict[Wish, Planned] = {}
    source = iter(planned)
    while chunk := tuple(islice(source, _AT_ONCE)):
        wishes = [job.wish for job in chunk if job.action in SPENDING]
        paid = records.paid(wishes) if records is not None and wishes else {}
        for job in chunk:
            if job.action not in SPENDING:
                yield job
            elif found := paid.get(job.wish):
                yield _reused(job, f"the same request as {found}")
            elif hash(job.wish) in repeated and (earlier := first.setdefault(job.wish, job)) is not job:
                yield _reused(job, f"the same request as {earlier.batch}/{earlier.address}, which is sent once")
            else:
                yield job


def _reused(job: Planned, reason: str) -> Planned:
    return replace(job, action=Action.REUSE, reason=reason, price=None)
