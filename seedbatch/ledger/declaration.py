"""Recording what a manifest wants."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime

from seedbatch.domain.difference import Change, Known, Step, difference
from seedbatch.domain.jobs import BatchSpec, JobSpec
from seedbatch.domain.moments import stamp
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceTable
from seedbatch.domain.records import Standing
from seedbatch.domain.states import JobState
from seedbatch.ledger.attempts import reduce_to_surcharge
from seedbatch.ledger.rows import note, to_json


def declare(connection: sqlite3.Connection, batch: BatchSpec, now: datetime) -> None:
    """Bring the rows of one batch to what its manifest says."""
    batch_id = _batch_row(connection, batch, now)
    found = difference(batch.jobs, known_jobs(connection, batch_id))
    # Standings leave before they come: a name has at most one current revision, at every statement.
    for known in found.vanished:
        _stand(connection, known, Standing.ORPHAN, "orphaned", now)
    for step in found.steps:
        if step.before is not None and step.before.standing is Standing.CURRENT:
            _stand(connection, step.before, Standing.SUPERSEDED, "superseded", now)
    for position, step in enumerate(found.steps, start=1):
        _apply(connection, batch_id, position, step, batch.prices, now)
    if batch.prices.rows:
        _price_the_unpriced(connection, batch_id, batch.prices)


def known_jobs(connection: sqlite3.Connection, batch_id: int) -> Iterator[Known]:
    """All recorded revisions of a batch."""
    rows = connection.execute(
        "SELECT id, base, take, revision, standing, state, fingerprint,"
        " EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id) FROM jobs WHERE batch_id = ?",
        (batch_id,),
    )
    for job_id, base, take, revision, standing, state, fingerprint, tried in rows:
        yield Known(job_id, base, take, revision, Standing(standing), JobState(state), fingerprint, tried=bool(tried))


def _batch_row(connection: sqlite3.Connection, batch: BatchSpec, now: datetime) -> int:
    ((batch_id,),) = connection.execute(
        'INSERT INTO batches (name, manifest, digest, "commit", dirty, tries, max_jobs, max_cost, currency,'
        " declared_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET manifest = excluded.manifest,"
        ' digest = excluded.digest, "commit" = excluded."commit", dirty = excluded.dirty,'
        " tries = excluded.tries, max_jobs = excluded.max_jobs, max_cost = excluded.max_cost,"
        " currency = excluded.currency, declared_at = excluded.declared_at RETURNING id",
        (
            *(batch.name, batch.manifest, batch.digest, batch.commit, batch.dirty, batch.attempts),
            *(batch.budget.max_jobs, *_columns(batch.budget.max_cost), stamp(now)),
        ),
    ).fetchall()
    return int(batch_id)


def _stand(connection: sqlite3.Connection, known: Known, standing: Standing, event: str, now: datetime) -> None:
    connection.execute(
        "UPDATE jobs SET standing = ?, updated_at = ? WHERE id = ?", (standing, stamp(now), known.job_id)
    )
    note(connection, now, event, known.job_id)


def _apply(
    connection: sqlite3.Connection, batch_id: int, position: int, step: Step, prices: PriceTable, now: datetime
) -> None:
    match step.change:
        case Change.ADD | Change.REVISE:
            _insert(connection, batch_id, position, step, prices, now)
        case Change.AMEND:
            assert step.target is not None
            _describe(connection, position, step, step.target, prices)
            _request(connection, step, step.target)
            note(connection, now, "amended", step.target.job_id, data={"fingerprint": step.spec.fingerprint})
            _revive(connection, step.target, now)
        case Change.KEEP | Change.RESTORE:
            assert step.target is not None
            _describe(connection, position, step, step.target, prices)
            _revive(connection, step.target, now)


def _insert(
    connection: sqlite3.Connection, batch_id: int, position: int, step: Step, prices: PriceTable, now: datetime
) -> None:
    spec = step.spec
    ((job_id,),) = connection.execute(
        "INSERT INTO jobs (batch_id, base, take, revision, address, standing, position, state, model, input,"
        " fingerprint, price, currency, output, axes, tags, file, line, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, 'current', ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            *(batch_id, spec.base, spec.take, step.revision, spec.address, position),
            *(spec.request.model, to_json(spec.request.input), spec.fingerprint, *_price(prices, spec)),
            *(spec.output, to_json(spec.axes), to_json(spec.tags), spec.file, spec.line, stamp(now), stamp(now)),
        ),
    ).fetchall()
    data = {"file": spec.file, "line": spec.line, "revision": step.revision}
    note(connection, now, "declared", job_id, states=(None, JobState.PENDING), data=data)


def _describe(connection: sqlite3.Connection, position: int, step: Step, target: Known, prices: PriceTable) -> None:
    spec = step.spec
    connection.execute(
        "UPDATE jobs SET address = ?, position = ?, output = ?, axes = ?, tags = ?, file = ?, line = ?,"
        " price = ?, currency = ? WHERE id = ?",
        (
            *(spec.address, position, spec.output, to_json(spec.axes), to_json(spec.tags)),
            *(spec.file, spec.line, *_price(prices, spec), target.job_id),
        ),
    )


def _request(connection: sqlite3.Connection, step: Step, target: Known) -> None:
    request = step.spec.request
    connection.execute(
        "UPDATE jobs SET model = ?, input = ?, fingerprint = ? WHERE id = ?",
        (request.model, to_json(request.input), step.spec.fingerprint, target.job_id),
    )


def _revive(connection: sqlite3.Connection, target: Known, now: datetime) -> None:
    if target.standing is not Standing.CURRENT:
        _stand(connection, target, Standing.CURRENT, "restored", now)


def _price_the_unpriced(connection: sqlite3.Connection, batch_id: int, prices: PriceTable) -> None:
    """Attempts from a time when nobody named a price count with today's; a price that was reserved stays."""
    rows = connection.execute(
        "SELECT a.id, j.model, j.input, a.violated_on FROM jobs j JOIN attempts a ON a.job_id = j.id"
        " WHERE j.batch_id = ? AND a.counted = 1 AND a.price IS NULL",
        (batch_id,),
    ).fetchall()
    for attempt_id, model, params, violated_on in rows:
        if cost := prices.price(model, json.loads(params)):
            connection.execute(
                "UPDATE attempts SET price = ?, currency = ?, exposure = ? WHERE id = ?",
                (cost.micros, cost.currency, cost.micros, attempt_id),
            )
            if violated_on is not None:
                reduce_to_surcharge(connection, attempt_id)


def _price(prices: PriceTable, spec: JobSpec) -> tuple[int | None, str | None]:
    return _columns(prices.price(spec.request.model, spec.request.input))


def _columns(money: Money | None) -> tuple[int | None, str | None]:
    return (None, None) if money is None else (money.micros, money.currency)
