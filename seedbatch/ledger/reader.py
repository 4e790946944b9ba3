"""The ledger for those who only read: a connection of its own that blocks nobody and is blocked by nobody."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Container, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from seedbatch.domain.attempts import Origin, RecordedAttempt
from seedbatch.domain.difference import Known, Name
from seedbatch.domain.errors import LedgerDamaged, LedgerError
from seedbatch.domain.jobs import Request, Wish
from seedbatch.domain.locked import Locked
from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.money import Money
from seedbatch.domain.progress import Progress
from seedbatch.domain.records import (
    Accounts,
    Artifact,
    BatchTally,
    ExtraTask,
    History,
    Identity,
    Notable,
    Occurrence,
    Paid,
    Pulse,
    RecordedJob,
    Sharer,
    Standing,
    Standings,
    StrayCall,
)
from seedbatch.domain.runs import Move, RecordedRun
from seedbatch.domain.selection import Choice
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.ledger import biography, changes, runs
from seedbatch.ledger.histories import histories
from seedbatch.ledger.locked import delivered
from seedbatch.ledger.moves import moves
from seedbatch.ledger.progress import progress
from seedbatch.ledger.revisions import known_jobs, revisions
from seedbatch.ledger.rows import to_json
from seedbatch.ledger.schema import check_schema, is_older
from seedbatch.ledger.selecting import selected
from seedbatch.ledger.sharing import paid, stuck
from seedbatch.ledger.spending import accounts
from seedbatch.ledger.tallies import tallies
from seedbatch.ports import Scope

_JOBS = """
SELECT j.id AS job_id, b.name AS batch, j.address, j.base, j.take, j.revision, j.standing, j.state, j.failure, j.reason,
       j.model, j.input, j.fingerprint, j.output, j.tags, j.axes, j.file, j.line, j.expires_at, j.created_at,
       j.updated_at, j.price, j.currency,
       a.doubt, a.intended_at, a.accepted_at, a.called_at, a.ended_at, a.took,
       coalesce(a.task_id, (SELECT t.task_id FROM artifacts f JOIN attempts t ON t.id = f.attempt_id
                            WHERE f.job_id = j.id LIMIT 1)) AS task_id,
       (SELECT count(*) FROM attempts WHERE job_id = j.id) AS attempts,
       (SELECT sum(exposure) FROM (
          SELECT exposure FROM attempts WHERE job_id = j.id AND price IS NOT NULL
          UNION ALL SELECT x.exposure FROM extras x JOIN attempts t ON t.id = x.attempt_id
          WHERE t.job_id = j.id AND x.price IS NOT NULL)) AS cost,
       (SELECT max(currency) FROM attempts WHERE job_id = j.id AND price IS NOT NULL) AS cost_currency
FROM jobs j JOIN batches b ON b.id = j.batch_id
LEFT JOIN attempts a ON a.id = (SELECT max(id) FROM attempts WHERE job_id = j.id)
"""

_AT_ONCE = 500
_ORDER = "ORDER BY b.name, j.position, j.base, j.take, j.revision"


class SqliteRecords:
    """Reads the ledger at `path`. One that is `older` lacks tables: it is brought up to date first.

    Raises:
        LedgerDamaged: the file is no ledger.
        LedgerNewer: a newer seedbatch wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        try:
            self._connection = _connect(self._path)
            check_schema(self._connection, path)
            self.older = is_older(self._connection)
        except sqlite3.OperationalError as error:
            raise LedgerError(f"the ledger {path} cannot be read: {error}") from error
        except sqlite3.DatabaseError as error:
            raise LedgerDamaged(
                f"{path} is not a ledger, or it is damaged: {error}", hint="name another file with --ledger"
            ) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def identity(self) -> Identity:
        """Which ledger it is, whose tasks it holds, and how far it went."""
        meta = dict(self._connection.execute("SELECT key, value FROM meta"))
        return Identity(meta["kind"], meta["ledger_id"], int(meta.get("generation", 0)), meta.get("plan", ""))

    def manifests(self) -> dict[str, str]:
        """Where each batch was declared when it was last applied: paths as they were given, joined by commas."""
        return dict(self._connection.execute("SELECT name, manifest FROM batches ORDER BY name"))

    def known(self, batch: str, besides: Container[int]) -> Iterator[Known]:
        """The recorded revisions of a batch, without the current ones in `besides`."""
        row = self._connection.execute("SELECT id FROM batches WHERE name = ?", (batch,)).fetchone()
        return iter(()) if row is None else known_jobs(self._connection, row[0], besides)

    def revisions(self, batch: str, names: Iterable[Name]) -> list[Known]:
        """All recorded revisions of the jobs of a batch with these names."""
        row = self._connection.execute("SELECT id FROM batches WHERE name = ?", (batch,)).fetchone()
        return [] if row is None else revisions(self._connection, row[0], names)

    def paid(self, wishes: Collection[Wish]) -> dict[Wish, Paid]:
        """For each of these wishes whose request was paid for, the job whose task would be shared."""
        return paid(self._connection, wishes)

    def delivered(self, batch: str) -> Iterator[Locked]:
        """What this ledger has on disk for a batch, all revisions: the lines of its lock file."""
        return delivered(self._connection, batch)

    def stuck(self, scope: Scope, most: int) -> list[Sharer]:
        """Up to `most` pending jobs that share a task which a run over `scope` does not bring to an end."""
        return stuck(self._connection, scope, most)

    def details(self, job_ids: Iterable[int]) -> dict[int, RecordedJob]:
        """These revisions, by their row's number."""
        chosen = "WHERE j.id IN (SELECT value FROM json_each(?))"
        return {job.job_id: job for job in self._select(chosen, (to_json(list(job_ids)),))}

    def jobs(self, scope: Scope = None) -> Iterator[RecordedJob]:
        """Every revision of every job, in the manifest's order."""
        yield from self.select(Choice(), scope)

    def select(self, choice: Choice, scope: Scope = None, states: Collection[JobState] = ()) -> Iterator[RecordedJob]:
        """Every revision that is chosen, of these batches and in one of these states (if any), in the manifest's order.

        Raises:
            UsageError: no job has an axis, a var or a parameter that the choice names.
        """
        where = selected(self._connection, choice, scope=scope, states=states)
        return self._select(f"WHERE {where.sql} {_ORDER}", where.values)

    def find(self, name: str) -> list[RecordedJob]:
        """The revisions of the jobs that `name` means: an address, or `batch/address`; latest revision last."""
        batch, slash, address = name.partition("/")
        where = "WHERE j.address = ?"
        values: tuple[str, ...] = (name,)
        if slash:
            where, values = "WHERE (b.name = ? AND j.address = ?) OR j.address = ?", (batch, address, name)
        return list(self._select(f"{where} ORDER BY b.name, j.base, j.take, j.revision", values))

    def histories(self, job_ids: Iterable[int]) -> dict[int, History]:
        """Axes, attempts and moments of these revisions, by their row's number."""
        return histories(self._connection, list(job_ids))

    def standings(self, now: datetime, risk: float) -> Standings:
        """Counts, in-doubt jobs, and results whose link dies within `risk` seconds."""
        until = stamp(now + timedelta(seconds=risk))
        called, uncalled = self._results()
        return Standings(
            batches=tuple(tallies(self._connection, None)),
            at_risk=tuple(
                self._select("WHERE j.state = 'succeeded' AND j.expires_at <= ? ORDER BY j.expires_at", (until,))
            ),
            in_doubt=tuple(self._select("WHERE j.state = 'in_doubt' ORDER BY b.name, j.position", ())),
            extras=tuple(self.extras()),
            strays=tuple(self._strays()),
            with_webhook=called,
            without_webhook=uncalled,
            accounts=self.accounts(now),
            meta=dict(self._connection.execute("SELECT key, value FROM meta")),
        )

    def extras(self) -> list[ExtraTask]:
        """All tasks beyond those of their submissions, as they were found."""
        return list(self._extras())

    def _extras(self) -> Iterator[ExtraTask]:
        for task_id, batch, address, found_at, price, currency, exposure in self._connection.execute(
            "SELECT x.task_id, b.name, j.address, x.found_at, x.price, x.currency, x.exposure FROM extras x"
            " JOIN attempts a ON a.id = x.attempt_id JOIN jobs j ON j.id = a.job_id JOIN batches b ON b.id = j.batch_id"
            " ORDER BY x.id"
        ):
            cost = None if price is None else Money(exposure, currency)
            yield ExtraTask(task_id, batch, address, moment(found_at), cost)

    def _strays(self) -> Iterator[StrayCall]:
        for received_at, task_id, body in self._connection.execute(
            "SELECT received_at, task_id, body FROM callbacks WHERE verdict = 'unknown' ORDER BY id"
        ):
            text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
            yield StrayCall(moment(received_at), task_id, text)

    def _results(self) -> tuple[int, int]:
        """How many results a callback was asked for: with one, and without. What nobody has read yet came as well."""
        totals = dict(
            self._connection.execute("SELECT scope, count FROM totals WHERE scope IN ('awaited', 'called')").fetchall()
        )
        ((unread,),) = self._connection.execute(
            "SELECT count(DISTINCT a.id) FROM callbacks c INDEXED BY callbacks_waiting"
            " CROSS JOIN attempts a INDEXED BY attempts_token ON a.token = c.token"
            " WHERE c.verdict IS NULL AND a.called_at IS NULL AND a.outcome IN ('failed', 'succeeded')"
        )
        called = totals.get("called", 0) + unread
        return called, totals.get("awaited", 0) - called

    def accounts(self, now: datetime) -> Accounts:
        """What may be owed, and what moderation has taken."""
        return accounts(self._connection, now)

    def progress(self, now: datetime, scope: Scope = None) -> Progress:
        """How far these batches are, and how fast it goes."""
        return progress(self._connection, now, scope)

    def version(self) -> int:
        """A number that is another one once somebody wrote since it was last asked for."""
        ((number,),) = self._connection.execute("PRAGMA data_version")
        return int(number)

    def story(self, job_id: int) -> list[Occurrence]:
        """All events of a job, oldest first."""
        rows = self._connection.execute(
            "SELECT e.seq, e.at, e.type, e.from_state, e.to_state, a.number, e.data FROM events e"
            " LEFT JOIN attempts a ON a.id = e.attempt_id WHERE e.job_id = ? ORDER BY e.seq",
            (job_id,),
        )
        return [
            Occurrence(
                seq, moment(at), kind, before and JobState(before), after and JobState(after), attempt, json.loads(data)
            )
            for seq, at, kind, before, after, attempt, data in rows
        ]

    def origin(self, job_id: int) -> Origin:
        """Where a revision is wanted, and since when."""
        return biography.origin(self._connection, job_id)

    def attempts(self, job_id: int) -> list[RecordedAttempt]:
        """Every try at a revision, the first one first."""
        return biography.attempts(self._connection, job_id)

    def runs(self, most: int) -> list[RecordedRun]:
        """The latest `most` runs, newest first."""
        return list(runs.latest(self._connection, self._path.parent / "owners", most))

    def run(self, number: int) -> RecordedRun | None:
        """One run by its number; None if there is none."""
        return runs.numbered(self._connection, self._path.parent / "owners", number)

    def moves(self, one: int, two: int, scope: Scope) -> Iterator[Move]:
        """Which jobs of some batches were wanted at one event of the ledger and not at the other, or in another way."""
        found = moves(self._connection, one, two, scope)
        while chunk := list(islice(found, _AT_ONCE)):
            ids = {job_id for before, after, _ in chunk for job_id in (before, after) if job_id is not None}
            jobs = self.details(ids)
            for before, after, amended in chunk:
                then, later = (None if job_id is None else jobs[job_id] for job_id in (before, after))
                yield Move(then, later, amended)

    # -- for those who look on ------------------------------------------------------------------------------------

    def pulse(self) -> Pulse:
        """Whether something changed, and how far the events are."""
        return changes.pulse(self._connection)

    def tally(self, scope: Scope) -> list[BatchTally]:
        """Counts by state of each batch, batches by name."""
        return tallies(self._connection, scope)

    def present(self, scope: Scope, most: int) -> list[int]:
        """The latest revisions of up to `most` jobs, in the manifest's order."""
        return changes.present(self._connection, scope, most)

    def touched(self, since: int, until: int, scope: Scope, most: int) -> list[int]:
        """Up to `most` revisions that the events behind `since`, up to `until`, tell of."""
        return changes.touched(self._connection, since, until, scope, most)

    def family(self, job_ids: Iterable[int]) -> dict[int, int]:
        """All revisions of the jobs that these are revisions of, each with its place in the manifest."""
        return changes.family(self._connection, job_ids)

    def notable(self, since: int, until: int, scope: Scope, most: int) -> list[Notable]:
        """The latest `most` notable events behind `since`, up to `until`, oldest first."""
        return changes.notable(self._connection, since, until, scope, most)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _select(self, clause: str, values: tuple[Any, ...]) -> Iterator[RecordedJob]:
        cursor = self._connection.cursor()
        cursor.row_factory = sqlite3.Row
        cursor.execute(f"{_JOBS} {clause}", values)
        while block := cursor.fetchmany(500):
            artifacts = self._artifacts([row["job_id"] for row in block])
            for row in block:
                yield _recorded(row, artifacts.get(row["job_id"], ()))

    def _artifacts(self, job_ids: list[int]) -> dict[int, tuple[Artifact, ...]]:
        rows = self._connection.execute(
            "SELECT job_id, folder, path, bytes, sha256, content_type FROM artifacts"
            " WHERE job_id IN (SELECT value FROM json_each(?)) ORDER BY job_id, position",
            (to_json(job_ids),),
        )
        return {job_id: tuple(map(self._artifact, group)) for job_id, group in groupby(rows, key=lambda row: row[0])}

    def _artifact(self, row: tuple[Any, ...]) -> Artifact:
        _, folder, path, size, sha256, content_type = row
        whole = os.path.normpath(self._path.parent / folder / path)
        return Artifact(whole, size, sha256, content_type)


def _connect(path: Path) -> sqlite3.Connection:
    # A folder that cannot be written has no room for the shared-memory file; then nobody writes either.
    mode = "mode=ro" if os.access(path.parent, os.W_OK) else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _recorded(row: sqlite3.Row, artifacts: tuple[Artifact, ...]) -> RecordedJob:
    state = JobState(row["state"])
    return RecordedJob(
        job_id=row["job_id"],
        batch=row["batch"],
        address=row["address"],
        base=row["base"],
        take=row["take"],
        revision=row["revision"],
        standing=Standing(row["standing"]),
        state=state,
        failure=row["failure"] and FailureClass(row["failure"]),
        reason=row["doubt"] or "" if state is JobState.IN_DOUBT else row["reason"],
        request=Request(row["model"], json.loads(row["input"])),
        fingerprint=row["fingerprint"],
        output=row["output"],
        tags=tuple(json.loads(row["tags"])),
        attempts=row["attempts"],
        task_id=row["task_id"],
        expires_at=row["expires_at"] and moment(row["expires_at"]),
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        intended_at=row["intended_at"] and moment(row["intended_at"]),
        accepted_at=row["accepted_at"] and moment(row["accepted_at"]),
        called_at=row["called_at"] and moment(row["called_at"]),
        ended_at=row["ended_at"] and moment(row["ended_at"]),
        took=row["took"],
        axes=json.loads(row["axes"]),
        file=row["file"],
        line=row["line"],
        price=None if row["price"] is None else Money(row["price"], row["currency"]),
        cost=None if row["cost"] is None else Money(row["cost"], row["cost_currency"]),
        artifacts=artifacts,
    )
