"""The inbox: bodies that came at tokens, and what became of each."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from datetime import datetime, timedelta
from typing import Any, Final

from seedbatch.domain.calls import Binding, Bound, Call, Called, Verdict
from seedbatch.domain.errors import InboxFull
from seedbatch.domain.jobs import Request
from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName
from seedbatch.ledger.attempts import TaskTaken, bind
from seedbatch.ledger.queries import claim_task
from seedbatch.ledger.rows import note

# A body that is not the same as one before may follow for as long as this; whoever learned a token fills no disk.
_MOST_OF_A_TOKEN: Final = 100

# Of an attempt `a`: nothing came at its token, read or unread.
UNCALLED: Final = (
    "a.token IS NOT NULL AND a.called_at IS NULL AND NOT EXISTS (SELECT 1 FROM callbacks c WHERE c.token = a.token)"
)


def receive(connection: sqlite3.Connection, token: str, body: bytes, now: datetime) -> None:
    """Keep what came at a token, given as its digest. The same body again is kept already.

    Raises:
        InboxFull: a hundred different bodies came at this token, and this is another one.
    """
    digest = hashlib.sha256(body).hexdigest()
    at = stamp(now)
    added = connection.execute(
        "INSERT INTO callbacks (token, body, digest, received_at, read_at) SELECT ?1, ?2, ?3, ?4, ?4"
        " WHERE (SELECT count(*) FROM callbacks WHERE token = ?1) < ?5 ON CONFLICT (token, digest) DO NOTHING",
        (token, _readable(body), digest, at, _MOST_OF_A_TOKEN),
    ).rowcount
    if (
        not added
        and connection.execute("SELECT 1 FROM callbacks WHERE token = ? AND digest = ?", (token, digest)).fetchone()
        is None
    ):
        raise InboxFull(token)


def claim_calls(
    connection: sqlite3.Connection, reader: str, gap: timedelta, now: datetime, most: int
) -> tuple[list[Call], datetime | None]:
    """Up to `most` callbacks that nobody has read, one for each token, and when the next is due.

    Of one token one in `gap`: each may cost a query.
    """
    rows = connection.execute(
        "SELECT c.id, c.body, c.misses, a.id, a.job_id, b.name, j.address, j.model, j.input, a.task_id, a.outcome"
        " FROM callbacks c LEFT JOIN attempts a ON a.token = c.token"
        " LEFT JOIN jobs j ON j.id = a.job_id LEFT JOIN batches b ON b.id = j.batch_id"
        " WHERE c.verdict IS NULL AND c.reader IS NULL AND c.read_at <= ?1"
        " AND (a.called_at IS NULL OR a.called_at <= ?2)"
        " AND NOT EXISTS (SELECT 1 FROM callbacks o WHERE o.token = c.token AND o.verdict IS NULL"
        "  AND (o.reader IS NOT NULL OR (o.read_at, o.id) < (c.read_at, c.id)))"
        " ORDER BY c.id LIMIT ?3",
        (stamp(now), stamp(now - gap), most),
    ).fetchall()
    calls = [_call(row) for row in rows]
    connection.executemany("UPDATE callbacks SET reader = ? WHERE id = ?", [(reader, call.call_id) for call in calls])
    connection.executemany(
        "UPDATE attempts SET called_at = ? WHERE id = ?",
        [(stamp(now), call.attempt.attempt_id) for call in calls if call.attempt is not None],
    )
    ((due,),) = connection.execute("SELECT min(read_at) FROM callbacks WHERE verdict IS NULL AND reader IS NULL")
    if due is None:
        return calls, None
    return calls, now if len(calls) == most else max(moment(due), now + gap)


def _call(row: tuple[Any, ...]) -> Call:
    call_id, body, misses, attempt_id, job_id, batch, address, model, params, task_id, outcome = row
    content = body if isinstance(body, bytes) else body.encode("utf-8")
    if attempt_id is None:
        return Call(call_id, content, misses, None)
    request = Request(model, json.loads(params))
    attempt = Called(job_id, attempt_id, JobName(batch, address), request, task_id, open=outcome is None)
    return Call(call_id, content, misses, attempt)


def read(
    connection: sqlite3.Connection, call: Call, verdict: Verdict, task_id: str | None, reason: str, now: datetime
) -> None:
    """A callback has been read: what became of it. One that is not believed stands in its job's story."""
    connection.execute(
        "UPDATE callbacks SET verdict = ?, task_id = ?, reason = ?, reader = NULL WHERE id = ?",
        (verdict, task_id, reason, call.call_id),
    )
    if verdict is Verdict.REFUSED and call.attempt is not None:
        note(
            connection, now, "miscalled", call.attempt.job_id,
            attempt_id=call.attempt.attempt_id, data={"task_id": task_id, "cause": reason},
        )  # fmt: skip


def read_later(connection: sqlite3.Connection, call: Call, task_id: str, cause: str, at: datetime) -> None:
    """Nothing could be learned of what it says: it is read again."""
    connection.execute(
        "UPDATE callbacks SET misses = misses + 1, task_id = ?, reason = ?, read_at = ?, reader = NULL WHERE id = ?",
        (task_id, cause, stamp(at), call.call_id),
    )


def heard(connection: sqlite3.Connection, call: Call, now: datetime) -> None:
    """A callback says that the task of an attempt has ended: it is asked about now, and not when its turn comes."""
    assert call.attempt is not None
    _ask_now(connection, call.attempt.attempt_id, now)
    read(connection, call, Verdict.HEARD, call.attempt.task_id, "", now)


def named(connection: sqlite3.Connection, reader: str, call: Call, task_id: str, now: datetime) -> Bound:
    """A query confirmed the task that a callback names for its attempt: it is written down where it belongs."""
    assert call.attempt is not None
    attempt_id, job_id = call.attempt.attempt_id, call.attempt.job_id
    reason, task = "", None
    try:
        binding = bind(connection, attempt_id, task_id, now, now, event="adopted", data={"by": "callback"})
    except TaskTaken as error:
        verdict, reason = Verdict.REFUSED, error.message
    else:
        verdict = _VERDICTS[binding]
        if binding is Binding.RUNNING:
            task = claim_task(connection, attempt_id, reader)
        elif binding is Binding.KNOWN:  # the answer to the submission came meanwhile
            _ask_now(connection, attempt_id, now)
    read(connection, call, verdict, task_id, reason, now)
    ((state,),) = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,))
    return Bound(verdict, JobState(state), task)


def _ask_now(connection: sqlite3.Connection, attempt_id: int, now: datetime) -> None:
    connection.execute(
        "UPDATE attempts SET query_at = ?1 WHERE id = ?2 AND outcome IS NULL AND task_id IS NOT NULL AND query_at > ?1",
        (stamp(now), attempt_id),
    )


_VERDICTS: Final = {
    Binding.RUNNING: Verdict.ADOPTED,
    Binding.SURFACED: Verdict.SURFACED,
    Binding.EXTRA: Verdict.EXTRA,
    Binding.KNOWN: Verdict.KNOWN,
}


def _readable(body: bytes) -> str | bytes:
    """Text where it is text, so that it reads well in a database browser."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return body
    return body if "\0" in text else text
