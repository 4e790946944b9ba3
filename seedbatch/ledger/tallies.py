"""Counting jobs by state, the same for those who write and those who read."""

from __future__ import annotations

import json
import sqlite3

from seedbatch.domain.records import BatchTally
from seedbatch.domain.states import JobState
from seedbatch.ports import Scope


def tallies(connection: sqlite3.Connection, scope: Scope) -> list[BatchTally]:
    """Counts by state of each batch, batches by name.

    Wanted jobs count, and earlier revisions and orphans as long as something may still happen to them.
    """
    names = None if scope is None else json.dumps(sorted(scope))
    rows = connection.execute(
        "SELECT b.name, j.state, count(j.id), count(j.id) FILTER (WHERE j.standing = 'orphan')"
        " FROM batches b LEFT JOIN jobs j ON j.batch_id = b.id"
        " AND (j.standing = 'current' OR j.state IN ('submitting', 'in_doubt', 'running', 'succeeded'))"
        " WHERE (? IS NULL OR b.name IN (SELECT value FROM json_each(?))) GROUP BY b.name, j.state ORDER BY b.name",
        (names, names),
    )
    counts: dict[str, dict[JobState, int]] = {}
    orphans: dict[str, int] = {}
    for name, state, count, adrift in rows:
        batch = counts.setdefault(name, {})
        if state is not None:
            batch[JobState(state)] = count
        orphans[name] = orphans.get(name, 0) + adrift
    return [BatchTally(name, states, orphans[name]) for name, states in counts.items()]
