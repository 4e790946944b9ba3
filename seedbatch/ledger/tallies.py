"""Counting jobs by state, the same for those who write and those who read."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from seedbatch.domain.records import BatchTally
from seedbatch.domain.states import JobState
from seedbatch.ledger.chosen import Among
from seedbatch.ports import Scope

_UNFINISHED: Final = "('submitting', 'in_doubt', 'running', 'succeeded')"
_KEPT: Final = (
    "SELECT b.name, k.state, k.count, iif(k.standing = 'orphan', k.count, 0) FROM batches b"  # noqa: S608
    f" LEFT JOIN counts k ON k.batch_id = b.id AND k.count > 0 AND (k.standing = 'current' OR k.state IN {_UNFINISHED})"
)
_OF_CHOSEN: Final = (
    "SELECT b.name, j.state, count(j.id), count(j.id) FILTER (WHERE j.standing = 'orphan') FROM batches b"  # noqa: S608
    " LEFT JOIN (temp.chosen c CROSS JOIN jobs j ON j.id = c.job_id)"
    f" ON c.batch_id = b.id AND (j.standing = 'current' OR j.state IN {_UNFINISHED})"
)


def tallies(connection: sqlite3.Connection, scope: Scope, among: Among = Among.ALL) -> list[BatchTally]:
    """Counts by state of each batch, batches by name.

    Wanted jobs count, and earlier revisions and orphans as long as something may still happen to them.
    """
    names = None if scope is None else json.dumps(sorted(scope))
    query, end = (_KEPT, "") if among is Among.ALL else (_OF_CHOSEN, "GROUP BY b.id, j.state")
    rows = connection.execute(
        f"{query} WHERE (? IS NULL OR b.name IN (SELECT value FROM json_each(?))) {end} ORDER BY b.name",  # noqa: S608
        (names, names),
    )
    counts: dict[str, dict[JobState, int]] = {}
    orphans: dict[str, int] = {}
    for name, state, count, adrift in rows:
        batch = counts.setdefault(name, {})
        if state is not None:
            batch[JobState(state)] = batch.get(JobState(state), 0) + count
        orphans[name] = orphans.get(name, 0) + adrift
    return [BatchTally(name, states, orphans[name]) for name, states in counts.items()]


def recount(connection: sqlite3.Connection) -> None:
    """Count all jobs anew."""
    connection.execute("DELETE FROM counts")
    connection.execute(f"INSERT INTO counts (batch_id, standing, state, count) {_ANEW}")


def wrong_counts(connection: sqlite3.Connection) -> list[str]:
    """What `counts` says and the jobs do not come to, or the reverse."""
    kept = "SELECT batch_id, standing, state, count FROM counts WHERE count > 0"
    query = f"SELECT * FROM ({kept} EXCEPT {_ANEW}) UNION SELECT * FROM ({_ANEW} EXCEPT {kept})"  # noqa: S608 - ours
    wrong = connection.execute(query)
    return sorted({f"batch {batch}, {standing}, {state}" for batch, standing, state, _ in wrong})


_ANEW: Final = "SELECT batch_id, standing, state, count(*) FROM jobs GROUP BY batch_id, standing, state"
