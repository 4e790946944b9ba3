"""What the totals say: what may be owed, and what moderation has taken."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from seedbatch.domain.brake import Moderation
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.moments import stamp
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts
from seedbatch.ports import Scope

DAY = slice(0, 10)  # of a moment's text: 2026-11-24


def of_batch(batch_id: int) -> str:
    """The scope of a batch's total."""
    return f"batch {batch_id}"


def of_day(now: datetime) -> str:
    """The scope of a UTC day's total."""
    return f"day {stamp(now)[DAY]}"


def of_owner(owner: str) -> str:
    """The scope of what one process submitted."""
    return f"owner {owner}"


def accounts(connection: sqlite3.Connection, now: datetime, scope: Scope = None) -> Accounts:
    """What may be owed for these batches and on this day, and what moderation has taken."""
    names = None if scope is None else json.dumps(sorted(scope))
    rows = connection.execute(
        "SELECT id, name, max_jobs, max_cost, currency FROM batches"
        " WHERE ? IS NULL OR name IN (SELECT value FROM json_each(?))",
        (names, names),
    ).fetchall()
    by_batch = spent_by_batch(connection)
    return Accounts(
        batches={name: by_batch.get(batch_id, Spent()) for batch_id, name, *_ in rows},
        budgets={name: budget(*columns) for _, name, *columns in rows},
        day=spent(connection, of_day(now)),
        moderation=moderation(connection, now),
        running=_by_name(rows, unfinished(connection, doubtful=False)),
        in_doubt=_by_name(rows, unfinished(connection, doubtful=True)),
    )


def _by_name(rows: Sequence[tuple[Any, ...]], found: Mapping[int, Spent]) -> dict[str, Spent]:
    return {name: found[batch_id] for batch_id, name, *_ in rows if batch_id in found}


def spent(connection: sqlite3.Connection, scope: str) -> Spent:
    """What counts against a cap on this scope."""
    return spent_of(
        connection.execute("SELECT currency, count, exposure FROM totals WHERE scope = ?", (scope,)).fetchall()
    )


def spent_of(rows: Iterable[tuple[str, int, int]]) -> Spent:
    """Rows of a currency (nothing for no known price), a count and an exposure, together."""
    rows = list(rows)
    return Spent(
        submissions=sum(count for _, count, _ in rows),
        exposure={currency: exposure for currency, _, exposure in rows if currency},
        unpriced=sum(count for currency, count, _ in rows if not currency),
    )


def spent_by_batch(connection: sqlite3.Connection) -> dict[int, Spent]:
    """What may be owed for each batch that submitted anything."""
    scopes = connection.execute("SELECT DISTINCT scope FROM totals WHERE scope >= 'batch ' AND scope < 'batch!'")
    return {int(scope.removeprefix("batch ")): spent(connection, scope) for (scope,) in scopes.fetchall()}


def unfinished(connection: sqlite3.Connection, *, doubtful: bool) -> dict[int, Spent]:
    """What of each batch is in doubt, or else on the wire or running."""
    rows = connection.execute(
        # Of open attempts there are few, and an index of them.
        "SELECT j.batch_id, coalesce(a.currency, ''), count(*), sum(a.exposure)"
        " FROM attempts a INDEXED BY attempts_open JOIN jobs j ON j.id = a.job_id"
        " WHERE a.outcome IS NULL AND (j.state = 'in_doubt') = ? GROUP BY 1, 2",
        (doubtful,),
    )
    found: defaultdict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for batch_id, currency, count, exposure in rows:
        found[batch_id].append((currency, count, exposure))
    return {batch_id: spent_of(sums) for batch_id, sums in found.items()}


def budget(max_jobs: int | None, max_cost: int | None, currency: str | None) -> Budget:
    """A batch's budget from its columns."""
    return Budget(max_jobs, None if max_cost is None or currency is None else Money(max_cost, currency))


def moderation(connection: sqlite3.Connection, now: datetime) -> Moderation:
    """What moderation has taken so far.

    A violation that the provider dates on our tomorrow counts as today's: our clock may be late.
    """
    totals: defaultdict[str, int] = defaultdict(int)
    days = (f"violations {stamp(now)[DAY]}", f"violations {stamp(now + timedelta(days=1))[DAY]}")
    for scope, count in connection.execute(
        "SELECT scope, count FROM totals WHERE scope IN ('finished', 'rejected', ?, ?)", days
    ):
        totals[scope if scope in {"finished", "rejected"} else "violations"] += count
    ((in_flight,),) = connection.execute("SELECT count(*) FROM jobs WHERE state IN ('submitting', 'running')")
    return Moderation(totals["violations"], in_flight, totals["finished"], totals["rejected"])
