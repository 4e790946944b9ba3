"""Recording what a manifest wants."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from seedbatch import __version__
from seedbatch.domain.difference import Change, Difference, Known, Name, Step
from seedbatch.domain.errors import LedgerDamaged
from seedbatch.domain.jobs import BatchSpec, JobSpec, Scalar
from seedbatch.domain.moments import stamp
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceTable
from seedbatch.domain.records import Standing
from seedbatch.domain.states import JobState
from seedbatch.ledger.attempts import reduce_to_surcharge
from seedbatch.ledger.check import wrong_totals_of_batch
from seedbatch.ledger.relocations import forget_wishes, lies_there, wanted_at
from seedbatch.ledger.revisions import DESCRIPTION, described_revisions, known_jobs
from seedbatch.ledger.rows import note, to_json
from seedbatch.ledger.sharing import unshare


def declare(connection: sqlite3.Connection, batch: BatchSpec, now: datetime) -> None:
    """Bring the rows of one batch to what its manifest says."""
    batch_id = _batch_row(connection, batch, now)
    forget_wishes(connection, batch_id)
    if batch.budget:
        _check_totals(connection, batch_id)
    # A million rows are not looked at, where nothing of them has changed since the same was declared.
    digest = _digest(batch)
    if not (digest and _is_declared(connection, batch_id, digest)):
        all_as_wanted = _record_jobs(connection, batch_id, batch, now)
        if digest and all_as_wanted:  # after the rows, since whatever changes one of them takes it away
            connection.execute("REPLACE INTO declared (batch_id, digest) VALUES (?, ?)", (batch_id, digest))
    if batch.prices.rows:
        _price_the_unpriced(connection, batch_id, batch.prices)


def _digest(batch: BatchSpec) -> str:
    """Equal only for what would make the same rows of a batch; empty where nobody knows."""
    if not batch.jobs_digest:
        return ""
    prices = [(*key, str(row.unit), row.price.micros, row.price.currency) for key, row in batch.prices.rows.items()]
    return hashlib.sha256(to_json([__version__, batch.name, batch.jobs_digest, prices]).encode()).hexdigest()


def _is_declared(connection: sqlite3.Connection, batch_id: int, digest: str) -> bool:
    found = connection.execute("SELECT 1 FROM declared WHERE batch_id = ? AND digest = ?", (batch_id, digest))
    return found.fetchone() is not None


def _record_jobs(connection: sqlite3.Connection, batch_id: int, batch: BatchSpec, now: datetime) -> bool:
    """Bring the rows of its jobs to what the manifest says; whether they say all of it from now on.

    They do not while a file lies where an earlier manifest wanted it.
    """
    all_as_wanted = True
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM jobs")
    described: dict[int, tuple[Any, ...]] = {}

    def look(names: Sequence[Name]) -> list[Known]:
        described.clear()
        known: list[Known] = []
        for one, description in described_revisions(connection, batch_id, names):
            # What was there before: a job that were named twice would otherwise be taken for an edit of itself.
            if one.job_id <= last:
                known.append(one)
                described[one.job_id] = description
        return known

    found = Difference(batch.jobs, look, batch.renames)
    for position, step in enumerate(found.steps(), start=1):
        if step.renamed:
            _rename(connection, step, now)
        # Standings leave before they come: a name has at most one current revision, at every statement.
        if step.before is not None and step.before.standing is Standing.CURRENT:
            _stand(connection, step.before, Standing.SUPERSEDED, "superseded", now)
        output = step.spec.output
        if step.target is not None and output != step.target.output and lies_there(connection, step.target):
            wanted_at(connection, step.target.job_id, output)
            all_as_wanted = False
            output = step.target.output
        description = (
            *(step.spec.address, position, output, _named(step.spec.axes), _named(step.spec.vars)),
            _tags(step.spec.tags),
            *(step.spec.file, step.spec.line, *_price(batch.prices, step.spec)),
        )
        if step.target is None:
            _insert(connection, batch_id, step, description, now)
            continue
        # Of a million rows that nobody edited none is written.
        if described[step.target.job_id] != description:
            _describe(connection, step.target, description)
        if step.change is Change.AMEND:
            _amend(connection, step, step.target, now)
        if step.target.standing is not Standing.CURRENT:
            _stand(connection, step.target, Standing.CURRENT, "restored", now)
    before = known_jobs(connection, batch_id, found.kept, last)
    for known in [one for one in before if found.vanished(one)]:
        _stand(connection, known, Standing.ORPHAN, "orphaned", now)
    return all_as_wanted


def _check_totals(connection: sqlite3.Connection, batch_id: int) -> None:
    """By them the budget is kept, and opening a large ledger looks at none of a batch.

    Raises:
        LedgerDamaged: they are not what the attempts come to.
    """
    for finding in wrong_totals_of_batch(connection, batch_id):
        raise LedgerDamaged(
            f"the ledger is damaged, or was edited by other means: {finding}",
            hint="nothing was submitted; seedbatch ledger check tells everything that is wrong with it",
        )


def _batch_row(connection: sqlite3.Connection, batch: BatchSpec, now: datetime) -> int:
    ((batch_id,),) = connection.execute(
        'INSERT INTO batches (name, manifest, digest, "commit", dirty, tries, max_jobs, max_cost, currency,'
        " declared_at, sources) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET manifest = excluded.manifest,"
        ' digest = excluded.digest, "commit" = excluded."commit", dirty = excluded.dirty,'
        " tries = excluded.tries, max_jobs = excluded.max_jobs, max_cost = excluded.max_cost,"
        " currency = excluded.currency, declared_at = excluded.declared_at, sources = excluded.sources RETURNING id",
        (
            *(batch.name, batch.manifest, batch.digest, batch.commit, batch.dirty, batch.attempts),
            *(batch.budget.max_jobs, *_columns(batch.budget.max_cost), stamp(now)),
            to_json([{"path": source.path, "sha256": source.digest} for source in batch.sources]),
        ),
    ).fetchall()
    return int(batch_id)


def _rename(connection: sqlite3.Connection, step: Step, now: datetime) -> None:
    """All revisions of a job have its new name from now on."""
    connection.executemany(
        "UPDATE jobs SET base = ?, address = ?, updated_at = ? WHERE id = ?",
        [(step.spec.base, step.spec.address, stamp(now), known.job_id) for known in step.renamed],
    )
    for known in step.renamed:
        note(connection, now, "renamed", known.job_id, data={"from": known.base, "to": step.spec.base})


def _stand(connection: sqlite3.Connection, known: Known, standing: Standing, event: str, now: datetime) -> None:
    connection.execute(
        "UPDATE jobs SET standing = ?, updated_at = ? WHERE id = ?", (standing, stamp(now), known.job_id)
    )
    note(connection, now, event, known.job_id)


def _insert(
    connection: sqlite3.Connection, batch_id: int, step: Step, description: tuple[Any, ...], now: datetime
) -> None:
    spec = step.spec
    ((job_id,),) = connection.execute(
        f"INSERT INTO jobs (batch_id, base, take, revision, {DESCRIPTION}, standing, state, model, input,"  # noqa: S608
        " fingerprint, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'current', 'pending', ?, ?, ?, ?, ?) RETURNING id",
        (
            *(batch_id, spec.base, spec.take, step.revision, *description),
            *(spec.request.model, to_json(spec.request.input), spec.fingerprint, stamp(now), stamp(now)),
        ),
    ).fetchall()
    data = {"file": spec.file, "line": spec.line, "revision": step.revision}
    note(connection, now, "declared", job_id, states=(None, JobState.PENDING), data=data)


def _describe(connection: sqlite3.Connection, target: Known, description: tuple[Any, ...]) -> None:
    connection.execute(
        "UPDATE jobs SET address = ?, position = ?, output = ?, axes = ?, vars = ?, tags = ?, file = ?, line = ?,"
        " price = ?, currency = ? WHERE id = ?",
        (*description, target.job_id),
    )


def _amend(connection: sqlite3.Connection, step: Step, target: Known, now: datetime) -> None:
    request = step.spec.request
    unshare(connection, target.job_id)
    connection.execute(
        "UPDATE jobs SET model = ?, input = ?, fingerprint = ? WHERE id = ?",
        (request.model, to_json(request.input), step.spec.fingerprint, target.job_id),
    )
    note(connection, now, "amended", target.job_id, data={"fingerprint": step.spec.fingerprint})


def _named(values: Mapping[str, Scalar]) -> str:
    return to_json(values) if values else "{}"


@lru_cache(maxsize=1024)
def _tags(tags: tuple[str, ...]) -> str:
    return to_json(tags)


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
    if not prices.rows:
        return None, None
    return _columns(prices.price(spec.request.model, spec.request.input))


def _columns(money: Money | None) -> tuple[int | None, str | None]:
    return (None, None) if money is None else (money.micros, money.currency)
