"""What was declared is not declared again, and whatever changes it is noticed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NOON, batch, claim, jobs_digest, spec

from seedbatch.domain.answers import MediaKind, StoredFile, TaskReport
from seedbatch.domain.jobs import Limits
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.ledger.care import examine
from seedbatch.ledger.sqlite import SqliteLedger

# What becomes of a job, and is not declared.
BECOMES = {
    *("state", "failure", "reason", "not_before", "misses", "gone", "downloader", "expires_at"),
    *("created_at", "updated_at", "checksum"),
}
COLUMNS = (
    *("id", "batch_id", "base", "take", "revision", "address", "standing", "position", "state", "failure", "reason"),
    *("model", "input", "fingerprint", "price", "currency", "output", "axes", "tags", "file", "line", "not_before"),
    *("misses", "gone", "downloader", "expires_at", "created_at", "updated_at", "checksum", "vars"),
)


class Unread(Collection):
    """Jobs that nobody may look at."""

    def __len__(self) -> int:
        raise AssertionError

    __iter__ = __contains__ = __len__


def unread(wanted):
    return replace(wanted, jobs=Unread())


def ask(place, question, *values):
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        return connection.execute(question, values).fetchall()


async def complete(ledger, task):
    """Complete the first job that is pending; whether there is one."""
    submissions, _ = await claim(ledger, None, Limits(), NOON, 1)
    for one in submissions:
        await ledger.accepted(one.attempt_id, task, NOON, NOON)
        report = TaskReport(task, "SUCCESS", MediaKind.VIDEO, ("https://x.example/y.mp4",))
        await ledger.succeeded(one.attempt_id, report, NOON, NOON + timedelta(days=7))
        ((delivery,), _) = await ledger.claim_deliveries(None, NOON, 1)
        await ledger.stored(one.attempt_id, 1, StoredFile(f"{delivery.output}.mp4", 3, "0" * 64, "video/mp4"), NOON)
    return bool(submissions)


async def test_what_was_declared_is_not_looked_at_again(ledger, another):
    wanted = batch(spec("a"), spec("b"))
    await ledger.declare(wanted, NOON)
    await ledger.declare(unread(wanted), NOON)
    await (await another()).declare(unread(wanted), NOON)


async def test_what_becomes_of_jobs_is_not_declared(ledger):
    wanted = batch(spec("a"), spec("b"))
    await ledger.declare(wanted, NOON)
    assert await complete(ledger, "t")
    await ledger.declare(unread(wanted), NOON)


async def test_the_row_of_the_batch_is_written_all_the_same(ledger, place):
    wanted = batch(spec("a"))
    await ledger.declare(wanted, NOON)
    await ledger.declare(replace(unread(wanted), attempts=3, digest="1" * 64), NOON)
    assert ask(place, "SELECT tries, digest FROM batches") == [(3, "1" * 64)]


def test_every_column_is_thought_of(ledger, place):
    assert {name for _, name, *_ in ask(place, "PRAGMA table_info(jobs)")} == {*COLUMNS}


@pytest.mark.parametrize("column", COLUMNS)
async def test_whoever_writes_what_was_declared_is_noticed(ledger, place, column):
    await ledger.declare(batch(spec("a")), NOON)
    ask(place, f"UPDATE jobs SET {column} = {column}")  # noqa: S608 - our words
    kept = ask(place, "SELECT batch_id FROM declared")
    assert kept == ([(1,)] if column in BECOMES else [])


@pytest.mark.parametrize(
    "other",
    [
        batch(spec("a", prompt="another"), spec("b")),
        batch(spec("b"), spec("a")),
        batch(spec("a")),
        batch(spec("a"), spec("b"), spec("c")),
        batch(spec("a", output="elsewhere"), spec("b")),
        replace(batch(spec("a"), spec("b")), prices=PriceTable({("seedance-2.0", None): PriceRow(
            "seedance-2.0", None, Unit.CLIP, Money(5, "USD"))})),
    ],
    ids=["request", "order", "fewer", "more", "output", "prices"],
)  # fmt: skip
async def test_what_differs_is_declared(ledger, other):
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    with pytest.raises(AssertionError):
        await ledger.declare(unread(other), NOON)


async def test_batches_do_not_speak_for_each_other(ledger):
    await ledger.declare(batch(spec("a")), NOON)
    with pytest.raises(AssertionError):
        await ledger.declare(unread(batch(spec("a"), name="c")), NOON)


async def test_jobs_that_nobody_reckoned_are_looked_at(ledger, place):
    wanted = replace(batch(spec("a")), jobs_digest="")
    await ledger.declare(wanted, NOON)
    assert ask(place, "SELECT * FROM declared") == []
    with pytest.raises(AssertionError):
        await ledger.declare(unread(wanted), NOON)


async def test_what_a_person_accepts_is_looked_at_again(ledger, place):
    """No trigger sees damage, nor who takes them away for a while."""
    wanted = batch(spec("a"))
    await ledger.declare(wanted, NOON)
    await ledger.aclose()
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        ((trigger,),) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'jobs_altered'").fetchall()
        connection.execute("DROP TRIGGER jobs_altered")
        connection.execute("UPDATE jobs SET output = 'elsewhere'")
        connection.execute(trigger)
    assert ask(place, "SELECT batch_id FROM declared") == [(1,)]
    assert examine(place, files=False, accept_as="me", now=NOON).ledger == ()
    another = SqliteLedger(place, kind="real", folder=place.parent / "outputs", now=NOON)
    await another.declare(wanted, NOON)
    await another.aclose()
    assert ask(place, "SELECT output FROM jobs") == [(wanted.jobs[0].output,)]


async def test_files_that_are_to_move_are_wished_for_by_each_process_until_they_are_there(ledger, another):
    before, wanted = batch(spec("a")), batch(spec("a", output="elsewhere"))
    await ledger.declare(before, NOON)
    assert await complete(ledger, "t")
    await ledger.declare(wanted, NOON)
    with pytest.raises(AssertionError):
        await ledger.declare(unread(wanted), NOON)
    await ledger.declare(unread(before), NOON)  # what the rows say still
    await ledger.declare(wanted, NOON)
    (one,), _ = await ledger.claim_relocations(1)
    await ledger.relocated(one, NOON)
    await ledger.declare(wanted, NOON)
    await (await another()).declare(unread(wanted), NOON)


JOBS = st.builds(
    lambda key, prompt, output, line: replace(
        spec(key, prompt=f"{key} {prompt}", output=f"b/{key}-{output}" if output else ""), line=line
    ),
    st.sampled_from("abcd"),
    st.sampled_from(("one", "two")),
    st.sampled_from(("", "x")),
    st.sampled_from((3, 4)),
)
BATCHES = st.lists(JOBS, max_size=4, unique_by=lambda job: job.key).map(lambda jobs: batch(*jobs))


@given(st.lists(st.tuples(BATCHES, st.integers(1, 3), st.booleans()), min_size=1, max_size=4))
def test_a_ledger_says_the_same_with_and_without_digests(edits):
    """Each manifest is declared once or several times, and sometimes a job is completed after it."""

    async def rows(place: Path, *, with_digest: bool):
        ledger = SqliteLedger(place, kind="real", folder=place.parent / "outputs", now=NOON)
        for number, (wanted, times, completes) in enumerate(edits):
            for _ in range(times):
                digest = jobs_digest(wanted.jobs) if with_digest else ""
                await ledger.declare(replace(wanted, jobs_digest=digest), NOON)
            if completes:
                await complete(ledger, f"t{number}")
        await ledger.aclose()
        return ask(place, "SELECT * FROM jobs ORDER BY id"), ask(place, "SELECT type, job_id, data FROM events")

    with TemporaryDirectory() as folder:
        with_digest = asyncio.run(rows(Path(folder, "one", "ledger.db"), with_digest=True))
        assert with_digest == asyncio.run(rows(Path(folder, "two", "ledger.db"), with_digest=False))
