"""Ledgers that earlier versions wrote: opened, read, brought up to date, and gone on with."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from samples import NOON, batch, spec
from sqlite_utils import Database

from seedbatch.domain.errors import LedgerDamaged, LedgerError
from seedbatch.domain.selection import choice
from seedbatch.domain.states import JobState
from seedbatch.ledger.care import examine
from seedbatch.ledger.checksums import SEALED
from seedbatch.ledger.migrations import migrations
from seedbatch.ledger.opening import bring_up_to_date
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.schema import MIGRATIONS
from seedbatch.ledger.sqlite import SqliteLedger

EARLIER = sorted((Path(__file__).parent / "earlier").glob("*.db"))
HELD = {"pending": "pending", "doubtful": "in_doubt", "running": "running", "done": "completed"}


@pytest.fixture(params=EARLIER, ids=lambda path: path.stem)
def old(request, tmp_path):
    path = tmp_path / "ledger.db"
    shutil.copy(request.param, path)
    return path


def ask(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def applied(path):
    return [name for (name,) in ask(path, "SELECT name FROM _sqlite_migrations ORDER BY id")]


def held(path):
    records = SqliteRecords(path)
    try:
        assert not records.older
        return {job.address: str(job.state) for job in records.jobs()}
    finally:
        records.close()


async def test_it_is_brought_up_to_date_when_it_is_opened(old, tmp_path):
    ledger = SqliteLedger(old, kind="real", folder=tmp_path / "outputs", now=NOON)
    (tally,) = await ledger.tally(None)
    assert tally.counts[JobState.IN_DOUBT] == 1
    await ledger.aclose()
    assert held(old) == HELD
    found = examine(old, files=False, accept_as=None, now=NOON)
    assert found.ledger == ()


def test_who_only_reads_brings_it_up_to_date_as_well(old):
    assert SqliteRecords(old).older
    bring_up_to_date(old)
    assert held(old) == HELD


def test_it_can_be_examined_as_it_is(old):
    before = old.read_bytes()
    assert examine(old, files=False, accept_as=None, now=NOON).ledger == ()
    assert old.read_bytes() == before


def test_a_persons_word_seals_it_as_it_is(old):
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE batches SET manifest = 'other.yaml'")
    connection.close()
    assert examine(old, files=False, accept_as=None, now=NOON).ledger != ()
    assert examine(old, files=False, accept_as="me", now=NOON).ledger == ()


def test_a_damaged_one_is_not_brought_up_to_date(old):
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE jobs SET price = 1, currency = 'USD' WHERE address = 'pending'")
    connection.close()
    before = applied(old)
    with pytest.raises(LedgerDamaged):
        bring_up_to_date(old)
    assert applied(old) == before


@pytest.mark.parametrize(
    "old", [path for path in EARLIER if path.stem < "0007"], indirect=True, ids=lambda path: path.stem
)
def test_a_view_of_somebodys_own_that_is_in_the_way_is_named(old):
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("CREATE VIEW clips AS SELECT 1")
    before = applied(old)
    with pytest.raises(LedgerError, match="view clips already exists") as refused:
        bring_up_to_date(old)
    assert "drop yours" in refused.value.hint
    assert applied(old) == before


def test_every_migration_but_the_latest_left_a_ledger():
    assert [path.stem for path in EARLIER] == [name.partition("_")[0] for name in MIGRATIONS[:-1]]
    assert [migration.name for migration in migrations.pending(Database(memory=True))] == list(MIGRATIONS)


def test_seals_stay_where_no_column_is_new(old):
    """So a row that was damaged unseen keeps the seal that says so."""
    tables = sorted({name for (name,) in ask(old, "SELECT name FROM sqlite_master")} & set(SEALED) - {"meta"})
    names = {table: columns(old, table) for table in tables}
    seals = {table: ask(old, f"SELECT rowid, checksum FROM {table}") for table in tables}  # noqa: S608
    before_vars = "0004_vars" not in applied(old)
    bring_up_to_date(old)
    same = [table for table in tables if columns(old, table) == names[table]]
    assert {"events", "artifacts"} <= set(same)
    assert ("jobs" not in same) is before_vars
    assert {table: ask(old, f"SELECT rowid, checksum FROM {table}") for table in same} == {  # noqa: S608
        table: seals[table] for table in same
    }
    assert examine(old, files=False, accept_as=None, now=NOON).ledger == ()


def columns(path, table):
    return ask(path, f"SELECT name FROM pragma_table_info('{table}')")  # noqa: S608


def test_its_jobs_can_be_selected(old):
    bring_up_to_date(old)
    with closing(SqliteRecords(old)) as records:
        assert [job.address for job in records.select(choice(["tag:one,duration=5,ratio=16:9"]))] == list(HELD)
    assert ask(old, "SELECT sources FROM batches") == [("[]",)]


async def test_its_jobs_have_the_vars_of_the_next_manifest(old, tmp_path):
    ledger = SqliteLedger(old, kind="real", folder=tmp_path / "outputs", now=NOON)
    assert ask(old, "SELECT DISTINCT vars FROM jobs") == [("{}",)]
    jobs = [replace(spec(key), vars={"style": "noir"}) for key in HELD]
    await ledger.declare(batch(*jobs), NOON)
    await ledger.aclose()
    with closing(SqliteRecords(old)) as records:
        assert [job.address for job in records.select(choice(["style=noir"]))] == list(HELD)
    assert held(old) == HELD
    assert examine(old, files=False, accept_as=None, now=NOON).ledger == ()
