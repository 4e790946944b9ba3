"""The runs table: a row when a command begins its work, closed when it ends; a kill leaves it open."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.money import Money
from seedbatch.domain.runs import Beginning, Declared, RecordedRun
from seedbatch.ledger.locks import lives
from seedbatch.ledger.rows import to_json
from seedbatch.ledger.spending import of_owner, spent

_COLUMNS: Final = (
    "id, owner, command, arguments, who, version, batches, event, began_at, ended_at, exit, did,"
    # Of open attempts there are few, and an index of them: what a run submitted is not read anew.
    " (SELECT count(*) FROM attempts a INDEXED BY attempts_open WHERE a.outcome IS NULL AND a.owner = runs.owner"
    " AND a.task_id IS NULL AND a.doubt IS NOT NULL)"
)


def begin(connection: sqlite3.Connection, owner: str, beginning: Beginning, now: datetime) -> None:
    """A process begins its work."""
    connection.execute(
        "INSERT INTO runs (owner, command, arguments, who, version, batches, event, began_at)"
        " VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(seq), 0) FROM events), ?)",
        (
            *(owner, beginning.command, to_json(beginning.arguments), beginning.who, beginning.version),
            *(to_json([asdict(batch) for batch in beginning.batches]), stamp(now)),
        ),
    )


def finish(connection: sqlite3.Connection, owner: str, code: int, did: Mapping[str, int], now: datetime) -> None:
    """A process has done its work, and says how it ended."""
    connection.execute(
        "UPDATE runs SET ended_at = ?, exit = ?, did = ? WHERE owner = ?", (stamp(now), code, to_json(did), owner)
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
