"""The runs table: a row when a command begins its work, closed when it ends; a kill leaves it open."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.money import Money
from seedbatch.domain.runs import Beginning, Bill, Declared, RecordedRun
from seedbatch.ledger.locks import lives
from seedbatch.ledger.rows import to_json
from seedbatch.ledger.spending import of_owner, spent, spent_of

_COLUMNS: Final = (
    "id, owner, command, arguments, who, version, batches, event, began_at, ended_at, exit, did,"
    # Of open attempts there are few, and an index of them: what a run submitted is not read anew.
    " (SELECT count(*) FROM attempts a INDEXED BY attempts_open WHERE a.outcome IS NULL AND a.owner = runs.owner"
    " AND a.task_id IS NULL AND a.doubt IS NOT NULL)"
)

# By currency, nothing for none: jobs, attempts, the price of the jobs, with every try, what may be owed for ended
# attempts, and the count and exposure of those that run, and of those in doubt.
_SENT: Final = """
WITH sent AS (
  SELECT coalesce(a.currency, '') AS currency, coalesce(a.price, 0) AS price, a.exposure, b.tries, a.outcome, j.state,
    row_number() OVER (PARTITION BY a.job_id ORDER BY a.number) = 1 AS first
  FROM attempts a JOIN jobs j ON j.id = a.job_id JOIN batches b ON b.id = j.batch_id
  WHERE a.id > :after AND a.owner = :owner
    AND (a.outcome IS NULL OR a.outcome NOT IN ('not_sent', 'throttled', 'turned_away'))
)
SELECT currency, sum(first), count(*), sum(first * price), sum(first * price * tries),
  sum(iif(outcome IS NULL, 0, exposure)),
  sum(outcome IS NULL AND state <> 'in_doubt'), sum(iif(outcome IS NULL AND state <> 'in_doubt', exposure, 0)),
  sum(outcome IS NULL AND state = 'in_doubt'), sum(iif(outcome IS NULL AND state = 'in_doubt', exposure, 0))
FROM sent GROUP BY currency ORDER BY currency
"""


def begin(connection: sqlite3.Connection, owner: str, beginning: Beginning, now: datetime) -> int:
    """A process begins its work: the number of the last attempt before it."""
    connection.execute(
        "INSERT INTO runs (owner, command, arguments, who, version, batches, event, began_at)"
        " VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(seq), 0) FROM events), ?)",
        (
            *(owner, beginning.command, to_json(beginning.arguments), beginning.who, beginning.version),
            *(to_json([asdict(batch) for batch in beginning.batches]), stamp(now)),
        ),
    )
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM attempts")
    return int(last)


def finish(connection: sqlite3.Connection, owner: str, code: int, did: Mapping[str, int], now: datetime) -> None:
    """A process has done its work, and says how it ended."""
    connection.execute(
        "UPDATE runs SET ended_at = ?, exit = ?, did = ? WHERE owner = ?", (stamp(now), code, to_json(did), owner)
    )


def bill(connection: sqlite3.Connection, owner: str, after: int) -> Bill:
    """What a process submitted, in attempts beyond number `after`: those of its run are among few others."""
    rows = connection.execute(_SENT, {"owner": owner, "after": after}).fetchall()
    extras = connection.execute(
        "SELECT e.currency, sum(e.exposure) FROM extras e JOIN attempts a ON a.id = e.attempt_id"
        " WHERE a.id > ? AND a.owner = ? AND e.currency IS NOT NULL GROUP BY 1",
        (after, owner),
    )
    priced = [row for row in rows if row[0]]
    spent = Counter({currency: spent for currency, _, _, _, _, spent, *_ in priced})
    spent.update(dict(extras.fetchall()))
    return Bill(
        jobs=sum(jobs for _, jobs, *_ in rows),
        submissions=sum(sent for _, _, sent, *_ in rows),
        unpriced=sum(jobs for currency, jobs, *_ in rows if not currency),
        estimate=tuple(Money(price, currency) for currency, _, _, price, *_ in priced),
        worst=tuple(Money(worst, currency) for currency, _, _, _, worst, *_ in priced),
        spent=tuple(Money(amount, currency) for currency, amount in sorted(spent.items())),
        running=spent_of([(currency, *reserved[:2]) for currency, _, _, _, _, _, *reserved in rows]),
        in_doubt=spent_of([(currency, *reserved[2:]) for currency, _, _, _, _, _, *reserved in rows]),
    )


def latest(connection: sqlite3.Connection, owners: Path, most: int) -> Iterator[RecordedRun]:
    """The latest `most` runs, newest first; `owners` is the folder of the processes' locks."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY id DESC LIMIT ?", (most,)).fetchall()  # noqa: S608
    return (_recorded(connection, owners, row) for row in rows)


def numbered(connection: sqlite3.Connection, owners: Path, number: int) -> RecordedRun | None:
    """One run by its number."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM runs WHERE id = ?", (number,)).fetchone()  # noqa: S608 - ours
    return None if row is None else _recorded(connection, owners, row)


def _recorded(connection: sqlite3.Connection, owners: Path, row: tuple[Any, ...]) -> RecordedRun:
    number, owner, command, arguments, who, version, batches, event, began, ended, code, did, doubtful = row
    own = spent(connection, of_owner(owner))
    return RecordedRun(
        number=number,
        beginning=Beginning(
            command,
            tuple(json.loads(arguments)),
            who,
            version,
            tuple(Declared(**facts) for facts in json.loads(batches)),
        ),
        event=event,
        began_at=moment(began),
        ended_at=None if ended is None else moment(ended),
        exit=code,
        did=None if did is None else json.loads(did),
        lives=ended is None and lives(owners, owner),
        submitted=own.submissions,
        unpriced=own.unpriced,
        in_doubt=doubtful,
        cost=tuple(Money(amount, currency) for currency, amount in sorted(own.exposure.items()) if amount),
    )
