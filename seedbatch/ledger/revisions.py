"""The recorded revisions of a batch's jobs, as the difference wants them; for those who read as well."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from typing import Any, Final

from seedbatch.domain.difference import Known, Name
from seedbatch.domain.records import Standing
from seedbatch.domain.states import JobState
from seedbatch.ledger.rows import to_json

_KNOWN: Final = (
    "jobs.id, base, take, revision, standing, state, fingerprint,"
    " EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id), output"
)
_DESCRIBED_FROM: Final = 9
_LAST: Final = 2**63 - 1
# What a manifest says of a job beside its request: it may change at no cost.
DESCRIPTION: Final = "address, position, output, axes, vars, tags, file, line, price, currency"


# Looking a word up is quicker than asking the enum for it, a million times.
_STANDINGS: Final = {str(standing): standing for standing in Standing}
_STATES: Final = {str(state): state for state in JobState}


def known_jobs(
    connection: sqlite3.Connection, batch_id: int, besides: Container[int], last: int = _LAST
) -> Iterator[Known]:
    """The recorded revisions of a batch up to the row `last`, without the current ones in `besides`."""
    current = connection.execute(
        "SELECT id FROM jobs WHERE batch_id = ? AND standing = 'current' AND id <= ?", (batch_id, last)
    )
    others = [job_id for (job_id,) in current if job_id not in besides]
    rows = connection.execute(
        f"SELECT {_KNOWN} FROM jobs WHERE batch_id = ? AND id <= ?"  # noqa: S608 - ours
        " AND (standing <> 'current' OR id IN (SELECT value FROM json_each(?)))",
        (batch_id, last, to_json(others)),
    )
    return map(_known, rows)


def revisions(connection: sqlite3.Connection, batch_id: int, names: Iterable[Name]) -> list[Known]:
    """All recorded revisions of the jobs with these bases and takes."""
    return [_known(row) for row in _revisions(connection, batch_id, names)]


def described_revisions(
    connection: sqlite3.Connection, batch_id: int, names: Iterable[Name]
) -> Iterator[tuple[Known, tuple[Any, ...]]]:
    """The same, each with the values of `DESCRIPTION`."""
    for row in _revisions(connection, batch_id, names, f"{_KNOWN}, {DESCRIPTION}"):
        yield _known(row[:_DESCRIBED_FROM]), row[_DESCRIBED_FROM:]


def _revisions(
    connection: sqlite3.Connection, batch_id: int, names: Iterable[Name], columns: str = _KNOWN
) -> Iterator[tuple[Any, ...]]:
    # Nearly all have the same take, and names that are nothing but text are found in half the time.
    by_take: defaultdict[int, list[str]] = defaultdict(list)
    for base, take in names:
        by_take[take].append(base)
    for take, bases in by_take.items():
        yield from connection.execute(
            f"SELECT {columns} FROM json_each(?) AS name"  # noqa: S608 - ours
            " CROSS JOIN jobs ON batch_id = ? AND base = name.value AND take = ?",
            (to_json(bases), batch_id, take),
        )


def _known(row: tuple[Any, ...]) -> Known:
    job_id, base, take, revision, standing, state, fingerprint, tried, output = row
    stands, at = _STANDINGS[standing], _STATES[state]
    return Known(job_id, base, take, revision, stands, at, fingerprint, bool(tried), output)
