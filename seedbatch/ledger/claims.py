"""Claiming pending jobs for submission: limits, pace, budgets and brake in the transaction that records the intents."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from seedbatch.domain.brake import Brake, Moderation, room
from seedbatch.domain.budget import Budget, Obstacle, Spent, obstacle
from seedbatch.domain.jobs import Limits, Request
from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.money import Money
from seedbatch.domain.prices import row_to_add
from seedbatch.domain.tokens import Mint
from seedbatch.domain.work import Bar, Barrier, Caps, Claim, JobName, Submission
from seedbatch.ledger.chosen import CHOSEN, Among, only
from seedbatch.ledger.locked import LOCKED
from seedbatch.ledger.rows import scope_names
from seedbatch.ledger.sharing import SHARES, share, source_of, unshare
from seedbatch.ledger.spending import budget, moderation, of_batch, of_day, of_owner, spent
from seedbatch.ports import Scope

_CANDIDATES: Final = (
    "SELECT j.id, b.name, j.address, j.model, j.input, j.price, j.currency, j.fingerprint, j.take,"
    " (SELECT count(*) FROM attempts WHERE job_id = j.id),"
    " (SELECT count(*) FROM attempts WHERE job_id = j.id"
    "  AND outcome NOT IN ('not_sent', 'throttled', 'turned_away'))"
    " FROM batches b "
)
_DUE: Final = (
    f" AND j.standing = 'current' AND (j.not_before IS NULL OR j.not_before <= :now) AND NOT (:reuse AND {SHARES})"
)
_QUEUE: Final = (
    f"{_CANDIDATES} CROSS JOIN jobs j INDEXED BY jobs_queue"
    f" WHERE b.id = :batch AND j.state = 'pending' AND j.batch_id = b.id{_DUE}"
)
_PENDING: Final = {
    Among.ALL: _QUEUE,
    Among.MANY: f"{_QUEUE}{CHOSEN}",
    Among.FEW: (
        f"{_CANDIDATES} CROSS JOIN temp.chosen c CROSS JOIN jobs j ON j.id = c.job_id"
        f" WHERE b.id = :batch AND c.batch_id = b.id AND j.state = 'pending'{_DUE}"
    ),
}
_IN_ORDER: Final = {Among.ALL: "j.position", Among.MANY: "j.position", Among.FEW: "c.position"}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A pending job that is due."""

    job_id: int
    name: JobName
    request: Request
    price: Money | None
    attempts: int
    tries: int
    wish: tuple[str, int]  # fingerprint and take: equal for jobs that would share a task


@dataclass(slots=True)
class _Cap:
    """A budget with what counts against it, whose it is, and what a person can do when it is used up."""

    whose: str
    hint: str
    budget: Budget
    spent: Spent


def claim(
    connection: sqlite3.Connection,
    owner: str,
    ledger_id: str,
    *,
    scope: Scope,
    limits: Limits,
    caps: Caps,
    mint: Mint | None,
    now: datetime,
    most: int,
    among: Among,
    locked: bool,
) -> Claim:
    """Move up to `most` pending jobs to submitting, each with a new attempt and its price reserved.

    `locked`: a lock file was read, and what others paid for is passed over.
    """
    unpaid = f" AND NOT {LOCKED}" if locked and caps.reuse else ""
    seen = moderation(connection, now)
    free = _free(connection, limits, seen.in_flight, most)
    if free <= 0:
        return Claim(in_flight=seen.in_flight)
    if limits.submits_per_minute is not None:
        free_at = _pace(connection, timedelta(minutes=1) / limits.submits_per_minute, now)
        if free_at > now:
            return Claim(due=free_at, in_flight=seen.in_flight)
        free = 1
    allowed = room(caps.brake, seen)
    if allowed is not None and allowed <= 0:
        bars = (_braked(caps.brake, seen),) if _any_pending(connection, scope, among, unpaid) else ()
        return Claim(bars=bars, in_flight=seen.in_flight)
    free = free if allowed is None else min(free, allowed)
    chosen, kept = _affordable(connection, scope, among, caps, owner, now, free, unpaid)
    if not caps.reuse:
        for one in chosen:
            unshare(connection, one.job_id)
    submissions = _intend(connection, owner, ledger_id, chosen, mint, now)
    due = None if submissions else _next_pending(connection, scope, among, now, unpaid)
    return Claim(submissions, due, tuple(kept.values()), seen.in_flight)


def _free(connection: sqlite3.Connection, limits: Limits, in_flight: int, most: int) -> int:
    if limits.submitting is not None:
        ((submitting,),) = connection.execute("SELECT count(*) FROM jobs WHERE state = 'submitting'")
        most = min(most, limits.submitting - submitting)
    if limits.in_flight is not None:
        most = min(most, limits.in_flight - in_flight)
    return most


def _pace(connection: sqlite3.Connection, gap: timedelta, now: datetime) -> datetime:
    ((last,),) = connection.execute("SELECT max(intended_at) FROM attempts")
    if last is None:
        return now
    # A clock that was set back must not stop submissions until it has caught up.
    return min(moment(last), now) + gap


def _braked(brake: Brake, seen: Moderation) -> Bar:
    how = "each counted as one" if brake.strict else f"of which {100 * float(seen.rate):.0f} % are taken to be rejected"
    reason = (
        f"moderation: {seen.violations:,} violations today (UTC) and {seen.in_flight:,} tasks in flight, {how};"
        " one more could reach a dearer surcharge"
    )
    return Bar(Barrier.MODERATION, reason, "apply again after midnight UTC, or allow more with --allow-violations N")


def _any_pending(connection: sqlite3.Connection, scope: Scope, among: Among, unpaid: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM jobs j JOIN batches b ON b.id = j.batch_id WHERE j.state = 'pending' AND j.standing = 'current'"  # noqa: S608
        f" AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?))) AND NOT {SHARES}{unpaid}{only(among)} LIMIT 1",
        scope_names(scope),
    ).fetchone()
    return row is not None


def _affordable(
    connection: sqlite3.Connection,
    scope: Scope,
    among: Among,
    caps: Caps,
    owner: str,
    now: datetime,
    most: int,
    unpaid: str,
) -> tuple[list[_Candidate], dict[Barrier, Bar]]:
    """The next jobs that every cap has room for, batch by batch in the manifest's order; and why others wait."""
    common = [
        _Cap(whose, hint, named, spent(connection, total))
        for whose, hint, named, total in (
            ("this run's cap", "apply again, with a higher --max-jobs or --max-cost", caps.run, of_owner(owner)),
            ("today's budget", "apply again after midnight UTC, or raise [budget]", caps.day, of_day(now)),
        )
        if named
    ]
    chosen: list[_Candidate] = []
    bars: dict[Barrier, Bar] = {}
    queue = _Queue(connection, among, now, unpaid, reuse=caps.reuse)
    for batch_id, name, *columns in connection.execute(
        "SELECT id, name, max_jobs, max_cost, currency FROM batches"
        " WHERE (? IS NULL OR name IN (SELECT value FROM json_each(?))) ORDER BY id",
        scope_names(scope),
    ).fetchall():
        if len(chosen) >= most:
            break
        own = budget(*columns)
        hint = "raise budget in its manifest, then apply again"
        batch_caps = [_Cap(f"the budget of {name}", hint, own, spent(connection, of_batch(batch_id)))] if own else []
        chosen += _of_batch(queue, batch_id, most - len(chosen), [*batch_caps, *common], bars)
    queue.close()
    return chosen, bars


class _Queue:
    """The pending jobs of a batch that are due, in the manifest's order, without those that share a paid task.

    Of several that make one request the first is met; the others find it paid for at the next claim.
    """

    def __init__(
        self, connection: sqlite3.Connection, among: Among, now: datetime, unpaid: str, *, reuse: bool
    ) -> None:
        self._connection = connection
        self._pending, self._order = f"{_PENDING[among]}{unpaid}", _IN_ORDER[among]
        self._now = now
        self._reuse = reuse
        self._sharing: list[tuple[int, int]] = []
        self._wishes: set[tuple[str, int]] = set()

    def of(self, batch_id: int, condition: str = "", currency: str | None = None) -> Iterator[_Candidate]:
        """Those of one batch."""
        rows = self._connection.execute(
            f"{self._pending}{condition} ORDER BY {self._order}",
            {"batch": batch_id, "now": stamp(self._now), "currency": currency, "reuse": self._reuse},
        )
        for candidate in map(_candidate, rows):
            if not self._reuse:
                yield candidate
            elif source := source_of(self._connection, candidate.job_id):
                self._sharing.append((candidate.job_id, source))
            elif candidate.wish not in self._wishes:
                self._wishes.add(candidate.wish)
                yield candidate

    def close(self) -> None:
        """Write down which of those it met share a task."""
        share(self._connection, self._sharing, self._now)


def _of_batch(queue: _Queue, batch_id: int, most: int, caps: list[_Cap], bars: dict[Barrier, Bar]) -> list[_Candidate]:
    currencies = {cap.budget.max_cost.currency for cap in caps if cap.budget.max_cost is not None}
    if not currencies:
        return _fitting(islice(queue.of(batch_id), most), caps, bars)
    # Jobs without a usable price are passed over, so that they keep nobody else from being submitted.
    currency = currencies.pop()
    usable = queue.of(batch_id, " AND j.currency IS :currency", currency)
    chosen = _fitting(islice(usable, most), caps, bars)
    if len(chosen) < most:
        others = queue.of(batch_id, " AND j.currency IS NOT :currency", currency)
        _fitting(islice(others, 1), caps, bars)
    return chosen


def _fitting(candidates: Iterable[_Candidate], caps: list[_Cap], bars: dict[Barrier, Bar]) -> list[_Candidate]:
    """Those up to the first that does not fit: a cheaper one behind it does not overtake."""
    chosen: list[_Candidate] = []
    for candidate in candidates:
        for cap in caps:
            found = obstacle(cap.budget, cap.spent, candidate.price)
            if found is not None:
                bar = _bar(cap, found, candidate)
                bars.setdefault(bar.barrier, bar)
                return chosen
        for cap in caps:
            cap.spent = cap.spent.plus(candidate.price)
        chosen.append(candidate)
    return chosen


def _bar(cap: _Cap, found: Obstacle, candidate: _Candidate) -> Bar:
    reason = f"{cap.whose} keeps {candidate.name} back: {found.reason}"
    if not found.unpriced or cap.budget.max_cost is None:
        return Bar(Barrier.BUDGET, reason, cap.hint)
    row = row_to_add(candidate.request.model, candidate.request.input, cap.budget.max_cost.currency)
    return Bar(Barrier.UNPRICED, reason, f"add its price to seedbatch.toml:\n{row}")


def _intend(
    connection: sqlite3.Connection,
    owner: str,
    ledger_id: str,
    chosen: list[_Candidate],
    mint: Mint | None,
    now: datetime,
) -> tuple[Submission, ...]:
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM attempts")
    addresses = [None if mint is None else mint() for _ in chosen]
    claimed = tuple(
        Submission(
            job_id=one.job_id,
            attempt_id=attempt_id,
            name=one.name,
            request=one.request,
            tries=one.tries + 1,
            reference=f"seedbatch-{ledger_id}-{one.job_id}-{one.attempts + 1}",
            callback_url=None if address is None else address.url,
        )
        for attempt_id, (one, address) in enumerate(zip(chosen, addresses, strict=True), start=last + 1)
    )
    at = stamp(now)
    connection.executemany(
        "INSERT INTO attempts (id, job_id, number, owner, reference, token, price, currency, exposure, intended_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(new.attempt_id, one.job_id, one.attempts + 1, owner, new.reference),
                *(None if address is None else address.digest, *_reserved(one.price), at),
            )
            for new, one, address in zip(claimed, chosen, addresses, strict=True)
        ],
    )
    connection.executemany(
        "UPDATE jobs SET state = 'submitting', reason = '', updated_at = ? WHERE id = ?",
        [(at, one.job_id) for one in chosen],
    )
    connection.executemany(
        "INSERT INTO events (at, type, job_id, attempt_id, from_state, to_state, data)"
        " VALUES (?, 'intended', ?, ?, 'pending', 'submitting', '{}')",
        [(at, one.job_id, one.attempt_id) for one in claimed],
    )
    return claimed


def _reserved(price: Money | None) -> tuple[int | None, str | None, int]:
    return (None, None, 0) if price is None else (price.micros, price.currency, price.micros)


def _candidate(row: tuple[Any, ...]) -> _Candidate:
    job_id, batch, address, model, params, price, currency, fingerprint, take, attempts, tries = row
    cost = None if price is None else Money(price, currency)
    request = Request(model, json.loads(params))
    return _Candidate(job_id, JobName(batch, address), request, cost, attempts, tries, (fingerprint, take))


def _next_pending(
    connection: sqlite3.Connection, scope: Scope, among: Among, now: datetime, unpaid: str
) -> datetime | None:
    """When the next pending job may be claimed that nothing but its own moment keeps back."""
    ((due,),) = connection.execute(
        "SELECT min(j.not_before) FROM jobs j INDEXED BY jobs_later JOIN batches b ON b.id = j.batch_id"  # noqa: S608
        " WHERE j.state = 'pending' AND j.standing = 'current' AND j.not_before > ?"
        f" AND (? IS NULL OR b.name IN (SELECT value FROM json_each(?))) AND NOT {SHARES}{unpaid}{only(among)}",
        (stamp(now), *scope_names(scope)),
    )
    return due and moment(due)
