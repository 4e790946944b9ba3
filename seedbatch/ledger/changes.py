"""What changed since somebody looked: asked often, so each question begins at an index and reads little of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import Final

from seedbatch.domain.moments import moment
from seedbatch.domain.records import Notable, Pulse
from seedbatch.ledger.rows import to_json
from seedbatch.ports import Scope

_NOTABLE: Final = (
    *("refused", "doubted", "adopted", "extra", "miscalled", "failed", "retried", "resubmitted", "given_up"),
    *("abandoned", "expired", "not_fetched", "throttled", "not_sent", "completed", "reused", "superseded", "surfaced"),
)
_LOOKED_AT: Final = 20_000  # events, however few of them are of the kind that is asked for
_IN_SCOPE: Final = (
    "(? IS NULL OR j.batch_id IN (SELECT id FROM batches WHERE name IN (SELECT value FROM json_each(?))))"
)
_ORDER: Final = "ORDER BY b.name, j.position, j.base, j.take, j.revision"


def pulse(connection: sqlite3.Connection) -> Pulse:
    """Whether something changed, and how far the events are."""
    ((commits,),) = connection.execute("PRAGMA data_version")
    ((last,),) = connection.execute("SELECT coalesce(max(seq), 0) FROM events")
    return Pulse(commits, last)


def present(connection: sqlite3.Connection, scope: Scope, most: int) -> list[int]:
    """The latest revisions of up to `most` jobs, in the manifest's order."""
    names = _names(scope)
    ((total,),) = connection.execute(
        f"SELECT coalesce(sum(count), 0) FROM counts j WHERE standing <> 'superseded' AND {_IN_SCOPE}",  # noqa: S608
        (names, names),
    )
    chosen = "" if total <= most else "j.id IN (SELECT value FROM json_each(?)) AND "
    values = () if total <= most else (to_json(_urgent_then_latest(connection, names, most)),)
    rows = connection.execute(
        f"SELECT j.id FROM jobs j JOIN batches b ON b.id = j.batch_id"  # noqa: S608 - our words
        f" WHERE {chosen}j.standing <> 'superseded' AND {_IN_SCOPE} {_ORDER} LIMIT ?",
        (*values, names, names, most),
    )
    return [job_id for (job_id,) in rows]


def _urgent_then_latest(connection: sqlite3.Connection, names: str | None, most: int) -> list[int]:
    urgent = "j.state IN ('in_doubt', 'succeeded') AND ? >= 0 ORDER BY j.state"
    recent = "SELECT job_id FROM events WHERE seq > (SELECT max(seq) FROM events) - 4 * ?"
    latest = f"j.id IN ({recent}) ORDER BY j.updated_at DESC"
    found: dict[int, None] = {}
    for which in (urgent, latest):
        rows = connection.execute(
            f"SELECT j.id FROM jobs j WHERE {_IN_SCOPE} AND j.standing <> 'superseded' AND {which} LIMIT ?",  # noqa: S608
            (names, names, most, most),
        )
        found.update(dict.fromkeys(job_id for (job_id,) in rows))
    return list(found)[:most]


def touched(connection: sqlite3.Connection, since: int, until: int, scope: Scope, most: int) -> list[int]:
    """Up to `most` revisions that the events behind `since`, up to `until`, tell of."""
    names = _names(scope)
    rows = connection.execute(
        "SELECT DISTINCT e.job_id FROM events e CROSS JOIN jobs j ON j.id = e.job_id"  # noqa: S608 - our words
        f" WHERE e.seq > ? AND e.seq <= ? AND {_IN_SCOPE} LIMIT ?",
        (since, until, names, names, most),
    )
    return [job_id for (job_id,) in rows]


def family(connection: sqlite3.Connection, job_ids: Iterable[int]) -> dict[int, int]:
    """All revisions of the jobs that these are revisions of, each with its place in the manifest."""
    rows = connection.execute(
        "SELECT o.id, o.position FROM json_each(?) c CROSS JOIN jobs j ON j.id = c.value"
        " CROSS JOIN jobs o ON o.batch_id = j.batch_id AND o.base = j.base AND o.take = j.take",
        (to_json(list(job_ids)),),
    )
    return dict(rows.fetchall())


def notable(connection: sqlite3.Connection, since: int, until: int, scope: Scope, most: int) -> list[Notable]:
    """The latest `most` notable events behind `since`, up to `until`, oldest first."""
    names = _names(scope)
    rows = connection.execute(
        "SELECT e.seq, e.at, e.type, e.job_id, b.name, j.address, e.data FROM events e"  # noqa: S608 - our words
        " CROSS JOIN jobs j ON j.id = e.job_id CROSS JOIN batches b ON b.id = j.batch_id"
        f" WHERE e.seq > ? AND e.seq <= ? AND e.type IN ({_listed(_NOTABLE)}) AND {_IN_SCOPE}"
        " ORDER BY e.seq DESC LIMIT ?",
        (max(since, until - _LOOKED_AT), until, names, names, most),
    )
    found = [
        Notable(seq, moment(at), kind, job_id, batch, address, json.loads(data))
        for seq, at, kind, job_id, batch, address, data in rows
    ]
    return found[::-1]


def _names(scope: Scope) -> str | None:
    return None if scope is None else json.dumps(sorted(scope))


def _listed(words: Collection[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
