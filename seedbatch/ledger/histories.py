"""What became of each attempt, and when, for those who only read."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from seedbatch.domain.moments import moment
from seedbatch.domain.money import Money
from seedbatch.domain.records import History, RecordedAttempt
from seedbatch.ledger.rows import to_json

_AT_ONCE: Final = 500
_CHOSEN: Final = "(SELECT value FROM json_each(?))"
_JOBS: Final = (
    "SELECT j.id, j.axes, (SELECT max(stored_at) FROM artifacts WHERE job_id = j.id)"  # noqa: S608 - our words
    f" FROM jobs j WHERE j.id IN {_CHOSEN}"
)
# The provider's own moments stand in the event of a task's end.
_ATTEMPTS: Final = (
    "SELECT a.job_id, a.number, a.task_id, a.outcome, a.intended_at, a.accepted_at, a.ended_at, a.took, a.price,"  # noqa: S608
    " a.exposure, a.currency, json_extract(e.data, '$.created_at'), json_extract(e.data, '$.updated_at')"
    " FROM attempts a LEFT JOIN events e ON e.seq = (SELECT max(seq) FROM events"
    "  WHERE job_id = a.job_id AND attempt_id = a.id AND type IN ('succeeded', 'failed'))"
    f" WHERE a.job_id IN {_CHOSEN} ORDER BY a.job_id, a.number"
)


def histories(connection: sqlite3.Connection, job_ids: Sequence[int]) -> dict[int, History]:
    """Axes, attempts and moments of these revisions, by their row's number."""
    found: dict[int, History] = {}
    for start in range(0, len(job_ids), _AT_ONCE):
        found.update(_of(connection, to_json(job_ids[start : start + _AT_ONCE])))
    return found


def _of(connection: sqlite3.Connection, chosen: str) -> Iterator[tuple[int, History]]:
    attempts: defaultdict[int, list[RecordedAttempt]] = defaultdict(list)
    for job_id, *columns in connection.execute(_ATTEMPTS, (chosen,)):
        attempts[job_id].append(_attempt(*columns))
    for job_id, axes, stored_at in connection.execute(_JOBS, (chosen,)):
        yield job_id, History(json.loads(axes), tuple(attempts[job_id]), stored_at and moment(stored_at))


def _attempt(
    number: int,
    task_id: str | None,
    outcome: str | None,
    intended_at: str,
    accepted_at: str | None,
    ended_at: str | None,
    took: float | None,
    price: int | None,
    exposure: int,
    currency: str | None,
    *provider: Any,
) -> RecordedAttempt:
    began_at, finished_at = (text and moment(text) for text in provider)
    return RecordedAttempt(
        number=number,
        task_id=task_id,
        outcome=outcome,
        intended_at=moment(intended_at),
        accepted_at=moment(accepted_at) if accepted_at else None,
        ended_at=moment(ended_at) if ended_at else None,
        began_at=began_at,
        finished_at=finished_at,
        took=took,
        cost=None if price is None or currency is None else Money(exposure, currency),
    )
