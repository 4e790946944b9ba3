"""Which jobs of a plan are not sent: another job's request is the same, and was paid for, or goes before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from seedbatch.domain.jobs import BatchSpec, Wish
from seedbatch.domain.locked import Found, Locks
from seedbatch.engine.planned import SPENDING, Action, Planned
from seedbatch.ports import Records

_AT_ONCE: Final = 500


def sharing(
    planned: Iterable[Planned], batches: Sequence[BatchSpec], records: Records | None, locks: Locks | None
) -> Iterator[Planned]:
    """A plan in which each request is paid for once: by this ledger, by others, or by the first job that makes it."""
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
            elif locks is not None and (held := locks.find(job.wish)):
                yield _paid_by_others(job, held, locks.name)
            elif hash(job.wish) in repeated and (earlier := first.setdefault(job.wish, job)) is not job:
                yield _reused(job, f"the same request as {earlier.batch}/{earlier.address}, which is sent once")
            else:
                yield job


def _paid_by_others(job: Planned, held: Found, name: str) -> Planned:
    reason = f"paid for already: task {held.task.task_id} of {name}"
    if held.files:
        return _reused(job, reason)
    return replace(job, action=Action.HELD, reason=f"{reason}, whose clip is not here", price=None)


def _reused(job: Planned, reason: str) -> Planned:
    return replace(job, action=Action.REUSE, reason=reason, price=None)
