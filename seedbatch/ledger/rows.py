"""What the verbs share: moving a job, noting an event, and the JSON of a column."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from seedbatch.domain.errors import StaleCaller
from seedbatch.domain.moments import stamp
from seedbatch.domain.states import JobState, sources
from seedbatch.ports import Scope

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # made once: a third of its cost


def to_json(value: object) -> str:
    """Compact JSON that reads well in a database browser."""
    return _ENCODE(value)


def scope_names(scope: Scope) -> tuple[str | None, str | None]:
    """The two values of `(? IS NULL OR name IN (SELECT value FROM json_each(?)))`."""
    names = None if scope is None else to_json(sorted(scope))
    return names, names


def note(
    connection: sqlite3.Connection,
    at: datetime,
    kind: str,
    job_id: int,
    *,
    attempt_id: int | None = None,
    states: tuple[JobState | None, JobState | None] = (None, None),
    data: Mapping[str, object] | None = None,
) -> None:
    """Add an event; `states` are from and to."""
    connection.execute(
        "INSERT INTO events (at, type, job_id, attempt_id, from_state, to_state, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (stamp(at), kind, job_id, attempt_id, *states, to_json(data or {})),
    )


def move(
    connection: sqlite3.Connection,
    job_id: int,
    to: JobState,
    at: datetime,
    kind: str,
    *,
    attempt_id: int | None = None,
    data: Mapping[str, object] | None = None,
    columns: Mapping[str, Any] | None = None,
) -> None:
    """Take a job from wherever the transition table allows to the state `to`, and note the event `kind`.

    `columns` are further columns of the job; `failure`, `reason` and `downloader` are cleared unless among them.

    Raises:
        StaleCaller: the job is in no state from which it may go there.
    """
    (state,) = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
    before = JobState(state)
    if before not in sources(to):
        raise StaleCaller(f"job {job_id} is {before}: it cannot become {to}")
    values = {
        "failure": None,
        "reason": "",
        "downloader": None,
        **(columns or {}),
        "state": to,
        "updated_at": stamp(at),
    }
    settings = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"UPDATE jobs SET {settings} WHERE id = ?", (*values.values(), job_id))  # noqa: S608 - our names
    note(connection, at, kind, job_id, attempt_id=attempt_id, states=(before, to), data=data)
