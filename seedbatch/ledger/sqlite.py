"""The ledger in one SQLite file: every verb of the port is one transaction, bearing its SQL."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from seedbatch.domain.answers import Evidence, MediaKind, StoredFile, TaskReport
from seedbatch.domain.calls import Binding, Bound, Call, Verdict
from seedbatch.domain.errors import LedgerError, StaleCaller
from seedbatch.domain.jobs import BatchSpec, Limits
from seedbatch.domain.locked import Found
from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.progress import Progress
from seedbatch.domain.records import BatchTally
from seedbatch.domain.runs import Beginning, Bill
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.tokens import Mint
from seedbatch.domain.work import (
    Caps,
    Claim,
    Delivery,
    Failure,
    JobName,
    Occupant,
    Output,
    Relocation,
    RunningTask,
    Share,
)
from seedbatch.ledger import locked, runs, words
from seedbatch.ledger.artifacts import WHERE_IT_BELONGS, keep, lies_at, moved, occupant
from seedbatch.ledger.attempts import accepted, doubt, doubts_in_a_row, end, fail, open_attempt, seen, times, violated
from seedbatch.ledger.callbacks import UNCALLED, claim_calls, heard, named, read, read_later, receive
from seedbatch.ledger.chosen import Among, choose, only
from seedbatch.ledger.claims import claim
from seedbatch.ledger.declaration import declare
from seedbatch.ledger.emergency import EmergencyRecord, Kept, emergency_path, recover, take_up, warn_of
from seedbatch.ledger.locks import Owner, Turn, WriteLock, is_dead
from seedbatch.ledger.mark import Mark, MarkFile, mark_path, raise_generation
from seedbatch.ledger.opening import Kind, connect_sealing, prepare
from seedbatch.ledger.progress import progress
from seedbatch.ledger.queries import claim_queries, durations
from seedbatch.ledger.relocations import are_due, relocated, relocations, stays, waypoint
from seedbatch.ledger.rows import move, note, scope_names, to_json
from seedbatch.ledger.sharing import find_shares, linked, shares, waiting
from seedbatch.ledger.sidecars import SIDECAR, sidecar
from seedbatch.ledger.tallies import tallies
from seedbatch.ledger.writer import Verb, Writer
from seedbatch.ports import Scope

T = TypeVar("T")

_DIED = "the process that was submitting it ended before the answer was recorded"


class SqliteLedger:
    """The durable record of batches, jobs, attempts, artifacts and events.

    `path` is the ledger's file, made with its folder when it is not there; `folder` is the output folder, to which
    the paths of artifacts are relative; `kind` says whose tasks it may hold.

    Raises:
        LedgerError: it cannot be used; see `opening.prepare`.
    """

    def __init__(self, path: Path, *, kind: Kind, folder: Path, now: datetime) -> None:
        self._path = path = path.absolute()
        self._closed = False
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._owners = path.parent / "owners"
            self._lock = WriteLock(path.with_name(f"{path.name}.lock"))
            self._owner = Owner(self._owners)
        except OSError as error:
            raise LedgerError(f"the ledger's folder {path.parent} cannot be used: {error.strerror or error}") from error
        try:
            self._open(path, kind, now)
        except BaseException:
            self._owner.close()
            self._lock.close()
            raise
        self._keeping: set[asyncio.Task[Binding]] = set()
        # Relative to the ledger, so that a project folder may be moved as a whole.
        self._folder = os.path.relpath(folder.absolute(), path.parent)
        self._among = Among.ALL
        self._moving = Turn(self._owners)
        self._locked = False  # whether a lock file was read
        self._before = 0  # the last attempt before this process began its work
        self._writer = Writer(lambda: connect_sealing(path), self._lock)

    def _open(self, path: Path, kind: Kind, now: datetime) -> None:
        self.id = prepare(path, kind, secrets.token_hex(6), self._lock, now)
        try:
            self._mark = MarkFile(mark_path(path))
            self._emergency = EmergencyRecord(emergency_path(path))
        except OSError as error:
            raise LedgerError(f"the files beside {path} cannot be written: {error.strerror or error}") from error
        # Now, and not only when a run begins: a person's word on a job must not come before what is known of it.
        warn_of(self._emergency, recover(path, self._lock, self._emergency, now))

    async def aclose(self) -> None:
        """Write what was asked for, and give up all claims; may be repeated."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*self._keeping, return_exceptions=True)
        await self._writer.aclose()
        self._moving.close()
        self._owner.close()
        self._mark.close()
        self._emergency.close()
        self._lock.close()

    async def _run(self, verb: Verb[T]) -> T:
        return await self._writer.run(verb)

    # -- the batch ------------------------------------------------------------------------------------------------

    async def declare(self, batch: BatchSpec, now: datetime) -> None:
        """Record what a manifest wants: new jobs pending, changed ones as the next revision, vanished ones orphans."""
        await self._run(lambda connection: declare(connection, batch, now))

    async def begin(self, plan: str, generation: int) -> None:
        """Remember that a plan file, given as its digest, is carried out from this generation on."""

        def verb(connection: sqlite3.Connection) -> None:
            meta = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('generation', 'plan')"))
            if meta.get("plan") == plan:
                return
            if int(meta.get("generation", 0)) != generation:
                raise StaleCaller("submissions were claimed since the plan was read")
            connection.execute(
                "INSERT INTO meta (key, value) VALUES ('plan', ?)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (plan,),
            )

        await self._run(verb)

    async def tally(self, scope: Scope) -> Sequence[BatchTally]:
        """Counts by state."""
        return await self._run(lambda connection: tallies(connection, scope, self._among))

    async def progress(self, scope: Scope, now: datetime) -> Progress:
        """How far these batches are, and how fast it goes."""
        return await self._run(
            lambda connection: progress(connection, now, scope, among=self._among, owner=self._owner.id)
        )

    async def choose(self, jobs: Collection[JobName]) -> None:
        """Be about these jobs only, of what a scope names: submit, download and count no others from now on."""
        self._among = await self._run(lambda connection: choose(connection, jobs))

    async def rescue(self, now: datetime) -> list[JobName]:
        """Take over what dead processes left: their submissions are in doubt now, their queries and downloads free.

        Before that, what the emergency record holds: those submissions were answered.
        """
        await self._take_up_what_was_kept(now)

        def verb(connection: sqlite3.Connection) -> list[JobName]:
            owners = connection.execute(
                "SELECT a.owner FROM jobs j JOIN attempts a ON a.job_id = j.id AND a.outcome IS NULL"
                " WHERE j.state = 'submitting'"
                " UNION SELECT downloader FROM jobs WHERE state = 'succeeded' AND downloader IS NOT NULL"
                " UNION SELECT asker FROM attempts INDEXED BY attempts_due"
                " WHERE outcome IS NULL AND task_id IS NOT NULL AND asker IS NOT NULL"
                " UNION SELECT reader FROM callbacks WHERE verdict IS NULL AND reader IS NOT NULL"
            ).fetchall()
            dead = to_json([owner for (owner,) in owners if owner != self._owner.id and is_dead(self._owners, owner)])
            orphans = connection.execute(
                "SELECT a.id, j.id, b.name, j.address FROM jobs j JOIN batches b ON b.id = j.batch_id"
                " JOIN attempts a ON a.job_id = j.id AND a.outcome IS NULL"
                " WHERE j.state = 'submitting' AND a.owner IN (SELECT value FROM json_each(?))",
                (dead,),
            ).fetchall()
            for attempt_id, job_id, *_ in orphans:
                connection.execute("UPDATE attempts SET doubt = ? WHERE id = ?", (_DIED, attempt_id))
                move(
                    connection, job_id, JobState.IN_DOUBT, now, "doubted", attempt_id=attempt_id, data={"cause": _DIED}
                )
            connection.execute(
                "UPDATE jobs SET downloader = NULL WHERE state = 'succeeded'"
                " AND downloader IN (SELECT value FROM json_each(?))",
                (dead,),
            )
            connection.execute(
                "UPDATE attempts INDEXED BY attempts_due SET asker = NULL WHERE outcome IS NULL AND task_id IS NOT NULL"
                " AND asker IN (SELECT value FROM json_each(?))",
                (dead,),
            )
            connection.execute(
                "UPDATE callbacks SET reader = NULL WHERE verdict IS NULL"
                " AND reader IN (SELECT value FROM json_each(?))",
                (dead,),
            )
            return [JobName(batch, address) for _, _, batch, address in orphans]

        return await self._run(verb)

    async def _take_up_what_was_kept(self, now: datetime) -> None:
        with suppress(OSError):  # what is not read or cleared now is so half a minute later
            for slot in self._emergency.slots():
                kept = slot.kept
                if kept is not None and await self._run(partial(take_up, kept=kept, now=now)):
                    self._emergency.clear([slot])

    async def began(self, beginning: Beginning, now: datetime) -> None:
        """This process begins its work: what it submits from now on is told of it."""
        self._before = await self._run(lambda connection: runs.begin(connection, self._owner.id, beginning, now))

    async def ended(self, code: int, did: Mapping[str, int], now: datetime) -> None:
        """It has done its work; without this word it was killed."""
        await self._run(lambda connection: runs.finish(connection, self._owner.id, code, did, now))

    async def bill(self) -> Bill:
        """What this process sent since it began its work, estimate beside actual."""
        return await self._run(lambda connection: runs.bill(connection, self._owner.id, self._before))

    # -- submit ---------------------------------------------------------------------------------------------------

    async def doubts_in_a_row(self) -> int:
        """How many of the latest answers to submissions, of all processes, were doubtful ones without any other."""
        return await self._run(doubts_in_a_row)

    async def claim_submissions(
        self, scope: Scope, limits: Limits, caps: Caps, now: datetime, most: int, mint: Mint | None = None
    ) -> Claim:
        """Move up to `most` pending jobs to submitting, each with a new attempt and its price reserved."""

        def verb(connection: sqlite3.Connection) -> tuple[Claim, int]:
            found = claim(
                connection,
                self._owner.id,
                self.id,
                scope=scope,
                limits=limits,
                caps=caps,
                mint=mint,
                now=now,
                most=most,
                among=self._among,
                locked=self._locked,
            )
            return found, raise_generation(connection, len(found.submissions)) if found.submissions else 0

        found, generation = await self._run(verb)
        if generation:  # before the first of them is sent: a copy from before this commit is known by it
            self._mark.raise_to(Mark(self.id, generation))
        return found

    async def accepted(self, attempt_id: int, task_id: str, now: datetime, query_at: datetime) -> Binding:
        """The provider's answer named the task: running. Also for an attempt that fell in doubt meanwhile.

        In doubt it is, and stays, if another attempt already holds that task. If a person settled the attempt before
        this answer came, the task is written down, its price counts again, and the job stays where it is. If a
        callback named this task before, nothing changes; if it named another, this one is extra.
        """
        # A task of its own: if the caller is cancelled meanwhile, the task id is kept all the same.
        keeping = asyncio.ensure_future(self._accept_or_keep(attempt_id, task_id, now, query_at))
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)
        return await asyncio.shield(keeping)

    async def _accept_or_keep(self, attempt_id: int, task_id: str, now: datetime, query_at: datetime) -> Binding:
        def verb(connection: sqlite3.Connection) -> Binding:
            return accepted(connection, attempt_id, task_id, now, query_at)

        try:
            with suppress(LedgerError):
                return await self._run(verb)
            return await self._run(verb)
        except Exception as error:
            if not (self._writer.is_broken or isinstance(error, LedgerError)):
                raise
            try:
                # Here, in the loop's thread: no thread and no queue stands between a paid task and the disk.
                self._emergency.keep(Kept(attempt_id, self._owner.id, task_id, now, query_at))
            except OSError as another:
                if not isinstance(error, LedgerError):
                    raise error from another
                raise LedgerError(
                    f"{error.message}; nor can {self._emergency.path} ({another.strerror or another})", hint=error.hint
                ) from error
            if not isinstance(error, LedgerError):
                raise
            raise LedgerError(
                f"{error.message}; the task id {task_id} is kept in {self._emergency.path}, which is read at the next"
                " start",
                hint=error.hint,
            ) from error

    async def not_sent(self, attempt_id: int, cause: str, now: datetime, not_before: datetime) -> None:
        """Nothing left: pending again, not before a moment. The attempt does not count as a try."""
        await self._hand_back(attempt_id, "not_sent", cause, now, not_before)

    async def throttled(self, attempt_id: int, cause: str, now: datetime, not_before: datetime) -> None:
        """Explicitly not accepted for now: pending again. The attempt does not count as a try."""
        await self._hand_back(attempt_id, "throttled", cause, now, not_before)

    async def turned_away(self, attempt_id: int, cause: str, now: datetime) -> None:
        """Refused for the account's sake (key, credits, address): pending again, untouched."""
        await self._hand_back(attempt_id, "turned_away", cause, now, None)

    async def _hand_back(
        self, attempt_id: int, outcome: str, cause: str, now: datetime, not_before: datetime | None
    ) -> None:
        def verb(connection: sqlite3.Connection) -> None:
            job_id = open_attempt(connection, attempt_id, "task_id IS NULL")
            end(connection, attempt_id, outcome, now)
            later = {"not_before": None if not_before is None else stamp(not_before)}
            data = {"cause": cause}
            move(connection, job_id, JobState.PENDING, now, outcome, attempt_id=attempt_id, data=data, columns=later)

        await self._run(verb)

    async def refused(self, attempt_id: int, failure: Failure, evidence: Evidence, now: datetime) -> None:
        """Refused for the request's sake: failed, nothing was charged."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = open_attempt(connection, attempt_id, "task_id IS NULL")
            end(connection, attempt_id, "refused", now)
            fail(connection, job_id, attempt_id, event="refused", failure=failure, data=seen(evidence), now=now)

        await self._run(verb)

    async def doubted(self, attempt_id: int, cause: str, evidence: Evidence, now: datetime) -> None:
        """May have been accepted: in doubt."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = open_attempt(connection, attempt_id, "task_id IS NULL")
            doubt(connection, job_id, attempt_id, cause, data=seen(evidence), now=now)

        await self._run(verb)

    # -- collect --------------------------------------------------------------------------------------------------

    async def claim_queries(self, scope: Scope, now: datetime, most: int) -> tuple[list[RunningTask], datetime | None]:
        """Up to `most` running tasks whose query is due and about which nobody is asking.

        Also returns when the next one is due.
        """
        return await self._run(lambda connection: claim_queries(connection, self._owner.id, scope, now, most))

    async def durations(self, most: int) -> Mapping[str, Sequence[float]]:
        """How many seconds the latest `most` tasks took, by model, the latest first."""
        return await self._run(lambda connection: durations(connection, most))

    async def still_running(self, attempt_id: int, status: str, now: datetime, query_at: datetime) -> None:
        """Not terminal: ask again at `query_at`."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = open_attempt(connection, attempt_id, "task_id IS NOT NULL")
            ((before,),) = connection.execute("SELECT status FROM attempts WHERE id = ?", (attempt_id,))
            connection.execute(
                "UPDATE attempts SET status = ?, misses = 0, query_at = ?, asker = NULL WHERE id = ?",
                (status, stamp(query_at), attempt_id),
            )
            if status != before:  # a word that repeats is no news
                note(connection, now, "reported", job_id, attempt_id=attempt_id, data={"status": status})

        await self._run(verb)

    async def unanswered(self, attempt_id: int, cause: str, now: datetime, query_at: datetime) -> None:
        """No usable answer: one more miss, ask again at `query_at`."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = open_attempt(connection, attempt_id, "task_id IS NOT NULL")
            connection.execute(
                "UPDATE attempts SET misses = misses + 1, query_at = ?, asker = NULL WHERE id = ?",
                (stamp(query_at), attempt_id),
            )
            note(connection, now, "unanswered", job_id, attempt_id=attempt_id, data={"cause": cause})

        await self._run(verb)

    async def empty(self, attempt_id: int, status: str, now: datetime, query_at: datetime) -> None:
        """Success, but no output is offered yet: ask again at `query_at`."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = open_attempt(connection, attempt_id, "task_id IS NOT NULL")
            connection.execute(
                "UPDATE attempts SET status = ?, misses = 0, empties = empties + 1, query_at = ?, asker = NULL"
                " WHERE id = ?",
                (status, stamp(query_at), attempt_id),
            )
            note(connection, now, "reported", job_id, attempt_id=attempt_id, data={"status": status, "outputs": 0})

        await self._run(verb)

    async def succeeded(self, attempt_id: int, report: TaskReport, now: datetime, expires_at: datetime) -> None:
        """Terminal success with outputs: succeeded."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = open_attempt(connection, attempt_id, "task_id IS NOT NULL")
            kind = report.kind or MediaKind.VIDEO
            connection.execute(
                "UPDATE attempts SET kind = ?, status = ?, took = ? WHERE id = ?",
                (kind, report.status, report.took, attempt_id),
            )
            end(connection, attempt_id, "succeeded", now)
            connection.executemany(
                "INSERT INTO outputs (attempt_id, position, url) VALUES (?, ?, ?)",
                [(attempt_id, position, url) for position, url in enumerate(report.urls, start=1)],
            )
            columns = {"expires_at": stamp(expires_at), "not_before": None, "misses": 0, "gone": 0}
            data = {**times(report), "outputs": len(report.urls)}
            move(
                connection, job_id, JobState.SUCCEEDED, now, "succeeded",
                attempt_id=attempt_id, data=data, columns=columns,
            )  # fmt: skip

        await self._run(verb)

    async def task_failed(
        self, attempt_id: int, failure: Failure, report: TaskReport, now: datetime, retry_at: datetime | None
    ) -> None:
        """Terminal failure: failed, and with `retry_at` pending again from then on, if the job is still wanted."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = open_attempt(connection, attempt_id, "task_id IS NOT NULL")
            connection.execute("UPDATE attempts SET took = ? WHERE id = ?", (report.took, attempt_id))
            end(connection, attempt_id, "failed", now)
            if failure.cls is FailureClass.MODERATION:
                violated(connection, attempt_id, report.updated_at or now)
            fail(connection, job_id, attempt_id, event="failed", failure=failure, data=times(report), now=now)
            ((standing,),) = connection.execute("SELECT standing FROM jobs WHERE id = ?", (job_id,))
            if retry_at is not None and standing == "current":
                later = {"not_before": stamp(retry_at)}
                move(connection, job_id, JobState.PENDING, now, "retried", columns=later, data={"by": "manifest"})

        await self._run(verb)

    # -- callbacks ------------------------------------------------------------------------------------------------

    async def receive(self, token: str, body: bytes, now: datetime) -> None:
        """Keep what came at a token, given as its digest. The same body again is kept already."""
        await self._run(lambda connection: receive(connection, token, body, now))

    async def open_tokens(self) -> frozenset[str]:
        """The digests of the tokens of all unfinished attempts."""

        def verb(connection: sqlite3.Connection) -> frozenset[str]:
            rows = connection.execute("SELECT token FROM attempts WHERE outcome IS NULL AND token IS NOT NULL")
            return frozenset(token for (token,) in rows)

        return await self._run(verb)

    async def uncalled(self, attempt_ids: Collection[int]) -> int:
        """At how many of these attempts' tokens nothing came."""

        def verb(connection: sqlite3.Connection) -> int:
            ((count,),) = connection.execute(
                f"SELECT count(*) FROM attempts a WHERE {UNCALLED} AND a.id IN (SELECT value FROM json_each(?))",  # noqa: S608 - our words
                (to_json(sorted(attempt_ids)),),
            )
            return int(count)

        return await self._run(verb) if attempt_ids else 0

    async def claim_calls(self, now: datetime, most: int, gap: timedelta) -> tuple[list[Call], datetime | None]:
        """Up to `most` callbacks that nobody has read, of each token one in `gap`; and when the next is due."""
        return await self._run(lambda connection: claim_calls(connection, self._owner.id, gap, now, most))

    async def read(self, call: Call, verdict: Verdict, task_id: str | None, reason: str, now: datetime) -> None:
        """A callback has been read, and changes nothing."""
        await self._run(lambda connection: read(connection, call, verdict, task_id, reason, now))

    async def read_later(self, call: Call, task_id: str, cause: str, at: datetime) -> None:
        """The query about what a callback says had no usable answer: one more miss, read again at a moment."""
        await self._run(lambda connection: read_later(connection, call, task_id, cause, at))

    async def heard(self, call: Call, now: datetime) -> None:
        """A callback says that the task of an attempt has ended: it is asked about now."""
        await self._run(lambda connection: heard(connection, call, now))

    async def named(self, call: Call, task_id: str, now: datetime) -> Bound:
        """A query confirmed the task that a callback names for its attempt: it is written down where it belongs."""
        return await self._run(lambda connection: named(connection, self._owner.id, call, task_id, now))

    async def awaited(self, scope: Scope, since: datetime) -> int:
        """How many jobs are in doubt whose callback may still come: submitted after `since`, with a token."""

        def verb(connection: sqlite3.Connection) -> int:
            ((count,),) = connection.execute(
                "SELECT count(*) FROM jobs j JOIN batches b ON b.id = j.batch_id"  # noqa: S608 - our words
                " JOIN attempts a ON a.job_id = j.id AND a.outcome IS NULL"
                " WHERE j.state = 'in_doubt' AND a.token IS NOT NULL AND a.intended_at > ?"
                f" AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?))){self._only}",
                (stamp(since), *scope_names(scope)),
            )
            return int(count)

        return await self._run(verb)

    # -- download -------------------------------------------------------------------------------------------------

    async def claim_deliveries(self, scope: Scope, now: datetime, most: int) -> tuple[list[Delivery], datetime | None]:
        """Up to `most` succeeded jobs that nobody is downloading, earliest expiry first; and when the next is due."""

        def verb(connection: sqlite3.Connection) -> tuple[list[Delivery], datetime | None]:
            cursor = connection.cursor()
            cursor.row_factory = sqlite3.Row
            rows = cursor.execute(
                f"SELECT {SIDECAR}, j.id AS job_id, a.id AS attempt_id, a.kind, {WHERE_IT_BELONGS} AS output,"  # noqa: S608
                " j.expires_at, j.misses, j.gone, a.renewals FROM jobs j JOIN batches b ON b.id = j.batch_id"
                " JOIN attempts a ON a.job_id = j.id AND a.outcome = 'succeeded'"
                " WHERE j.state = 'succeeded' AND j.downloader IS NULL AND (j.not_before IS NULL OR j.not_before <= ?)"
                f" AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?))){self._only}"
                " AND a.id = (SELECT max(id) FROM attempts WHERE job_id = j.id)"
                " ORDER BY j.expires_at LIMIT ?",
                (self._folder, stamp(now), *scope_names(scope), most),
            ).fetchall()
            connection.executemany(
                "UPDATE jobs SET downloader = ? WHERE id = ?", [(self._owner.id, row["job_id"]) for row in rows]
            )
            deliveries = [_delivery(row, _outputs_left(connection, row["attempt_id"])) for row in rows]
            ((due,),) = connection.execute(
                "SELECT min(coalesce(j.not_before, '')) FROM jobs j JOIN batches b ON b.id = j.batch_id"  # noqa: S608
                " WHERE j.state = 'succeeded' AND j.downloader IS NULL"
                f" AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?))){self._only}",
                scope_names(scope),
            )
            return deliveries, None if due is None else moment(due) if due else now

        return await self._run(verb)

    async def stored(self, attempt_id: int, position: int, file: StoredFile, now: datetime) -> bool:
        """One file is on disk. Returns True if it was the last one: completed."""

        def verb(connection: sqlite3.Connection) -> bool:
            job_id = self._downloading(connection, attempt_id)
            keep(connection, job_id, attempt_id, position, self._folder, file, now)
            lies_at(connection, job_id, position, file.path)
            data = {"position": position, "path": file.path, "bytes": file.bytes, "sha256": file.sha256}
            note(connection, now, "stored", job_id, attempt_id=attempt_id, data=data)
            if _outputs_left(connection, attempt_id):
                return False
            move(connection, job_id, JobState.COMPLETED, now, "completed", attempt_id=attempt_id)
            return True

        return await self._run(verb)

    async def fetch_later(
        self, attempt_id: int, cause: str, now: datetime, not_before: datetime, *, gone: bool = False
    ) -> None:
        """Not this time: still succeeded, one more miss."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = self._downloading(connection, attempt_id)
            connection.execute(
                "UPDATE jobs SET downloader = NULL, misses = misses + 1, gone = gone + ?, not_before = ?, reason = ?,"
                " updated_at = ? WHERE id = ?",
                (gone, stamp(not_before), cause, stamp(now), job_id),
            )
            note(connection, now, "not_fetched", job_id, attempt_id=attempt_id, data={"cause": cause})

        await self._run(verb)

    async def renewed(self, attempt_id: int, report: TaskReport, now: datetime) -> None:
        """A new query offers the outputs at new URLs; the caller keeps its claim on the job."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = self._downloading(connection, attempt_id)
            connection.executemany(
                "INSERT INTO outputs (attempt_id, position, url) VALUES (?, ?, ?)"
                " ON CONFLICT (attempt_id, position) DO UPDATE SET url = excluded.url",
                [(attempt_id, position, url) for position, url in enumerate(report.urls, start=1)],
            )
            connection.execute("UPDATE attempts SET renewals = renewals + 1 WHERE id = ?", (attempt_id,))
            note(connection, now, "renewed", job_id, attempt_id=attempt_id, data=times(report))

        await self._run(verb)

    async def expired(self, attempt_id: int, cause: str, now: datetime) -> None:
        """The outputs are gone."""

        def verb(connection: sqlite3.Connection) -> None:
            job_id = self._downloading(connection, attempt_id)
            columns = {"reason": cause}
            data = {"cause": cause}
            move(
                connection, job_id, JobState.EXPIRED, now, "expired",
                attempt_id=attempt_id, data=data, columns=columns,
            )  # fmt: skip

        await self._run(verb)

    async def occupant(self, job_id: int, stem: str) -> Occupant | None:
        """The file that stands at the path `stem` plus an extension, and makes way for one of this job's."""
        return await self._run(lambda connection: occupant(connection, job_id, self._folder, stem))

    async def moved(self, artifact_id: int, path: str, now: datetime) -> None:
        """A file has a new name."""
        await self._run(lambda connection: moved(connection, artifact_id, path, now))

    # -- reuse ----------------------------------------------------------------------------------------------------

    async def find_shares(self, scope: Scope, now: datetime) -> None:
        """Let every pending job share a task that was paid for, if there is one."""
        await self._run(lambda connection: find_shares(connection, scope, self._among, now))
        if self._locked:
            await self._run(lambda connection: locked.seek(connection, scope, self._among))

    async def claim_shares(
        self, scope: Scope, now: datetime, most: int, besides: Collection[int]
    ) -> tuple[list[Share], int]:
        """Up to `most` jobs whose source is completed; and how many are free to be sent, for theirs came to nothing."""
        folder = self._path.parent
        found, freed = await self._run(
            lambda connection: shares(connection, folder, scope, self._among, most, besides, now)
        )
        if self._locked and len(found) < most:
            found += await self._run(lambda connection: locked.found(connection, most - len(found), besides))
        return found, freed

    async def waiting(self, scope: Scope) -> int:
        """How many pending jobs share a task that is not completed, or whose files could not be linked."""
        count = await self._run(lambda connection: waiting(connection, scope, self._among))
        if self._locked:
            count += await self._run(lambda connection: locked.waiting(connection, scope, self._among))
        return count

    async def lock_in(self, tasks: Sequence[Found]) -> None:
        """These requests were paid for by others: they are not sent, and completed with the files that are given."""
        await self._run(lambda connection: locked.lock_in(connection, tasks))
        self._locked = True

    async def held(self, scope: Scope) -> int:
        """How many pending jobs are not sent because others paid for their request, and have no files here."""
        if not self._locked:
            return 0
        return await self._run(lambda connection: locked.held(connection, scope, self._among))

    async def linked(self, share: Share, files: Sequence[StoredFile], now: datetime) -> bool:
        """The files of the source lie at the job's own paths as well: completed. False if those paths are its own."""
        if not share.source_id:
            return await self._run(lambda connection: locked.adopt(connection, share, files, self._folder, now))
        return await self._run(lambda connection: linked(connection, share, files, self._folder, now))

    # -- relocate -------------------------------------------------------------------------------------------------

    async def claim_relocations(self, most: int) -> tuple[list[Relocation], int]:
        """Up to `most` files whose new path nobody has; and how many wait for other files to go first."""
        if not await self._run(are_due):
            self._moving.close()
        elif self._moving.take():
            return await self._run(lambda connection: relocations(connection, self._path.parent, self._among, most))
        return [], 0

    async def claim_waypoint(self) -> Relocation | None:
        """One of the files that wait for one another in a circle, on a path that nobody wants; None if none waits."""
        return await self._run(lambda connection: waypoint(connection, self._path.parent, self._among))

    async def relocated(self, one: Relocation, now: datetime) -> None:
        """It lies at its new path."""
        await self._run(lambda connection: relocated(connection, one, now))

    async def stays(self, one: Relocation) -> None:
        """It cannot be moved in this run."""
        await self._run(lambda connection: stays(connection, one))

    # -- a person's word ------------------------------------------------------------------------------------------

    async def adopted(self, job_id: int, task_id: str, by: str, now: datetime) -> None:
        """The task of an in-doubt attempt is this one: running."""
        await self._run(lambda connection: words.adopted(connection, job_id, task_id, by, now))

    async def given_up(self, job_id: int, by: str, now: datetime) -> None:
        """An in-doubt attempt made no task: failed as lost, and its money is free."""
        await self._run(lambda connection: words.given_up(connection, job_id, by, now))

    async def resubmitted(self, job_id: int, by: str, now: datetime) -> None:
        """An in-doubt job may be sent again, and may be billed twice: pending, its earlier price stays reserved."""
        await self._run(lambda connection: words.resubmitted(connection, job_id, by, now))

    async def retried(self, job_id: int, by: str, now: datetime) -> None:
        """A failed, expired or abandoned job is wanted again: pending."""
        await self._run(lambda connection: words.retried(connection, job_id, by, now))

    async def abandoned(self, job_id: int, by: str, now: datetime) -> None:
        """An unfinished job is no longer wanted: nobody asks about it; what it may cost stays counted."""
        await self._run(lambda connection: words.abandoned(connection, job_id, by, now))

    @property
    def _only(self) -> str:
        return only(self._among)

    def _downloading(self, connection: sqlite3.Connection, attempt_id: int) -> int:
        """The job whose outputs of this attempt this process downloads.

        The attempt, not the job: where a person gave a job up and wanted it again, the slow download of the earlier try
        must not count as the later one's, which the same process may be downloading beside it.
        """
        row = connection.execute(
            "SELECT j.id FROM attempts a JOIN jobs j ON j.id = a.job_id"
            " WHERE a.id = ? AND j.state = 'succeeded' AND j.downloader = ?"
            " AND a.id = (SELECT max(id) FROM attempts WHERE job_id = j.id)",
            (attempt_id, self._owner.id),
        ).fetchone()
        if row is None:
            raise StaleCaller(f"attempt {attempt_id} is not being downloaded by this process")
        return int(row[0])


def _outputs_left(connection: sqlite3.Connection, attempt_id: int) -> tuple[Output, ...]:
    rows = connection.execute(
        "SELECT o.position, o.url FROM outputs o JOIN attempts a ON a.id = o.attempt_id LEFT JOIN artifacts f"
        " ON f.job_id = a.job_id AND f.attempt_id = o.attempt_id AND f.position = o.position"
        " WHERE o.attempt_id = ? AND f.id IS NULL ORDER BY o.position",
        (attempt_id,),
    )
    return tuple(Output(position, url) for position, url in rows)


def _delivery(row: sqlite3.Row, outputs: tuple[Output, ...]) -> Delivery:
    return Delivery(
        job_id=row["job_id"],
        attempt_id=row["attempt_id"],
        name=JobName(row["batch"], row["address"]),
        task_id=row["task_id"],
        kind=MediaKind(row["kind"]),
        outputs=outputs,
        output=row["output"],
        revision=row["revision"],
        expires_at=moment(row["expires_at"]),
        misses=row["misses"],
        gone=row["gone"],
        renewals=row["renewals"],
        sidecar=sidecar(row),
        offered=row["offered"],
    )
