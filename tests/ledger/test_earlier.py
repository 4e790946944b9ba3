"""Ledgers that earlier versions wrote: opened, read, brought up to date, and gone on with."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from samples import NOON

from seedbatch.domain.errors import LedgerDamaged
from seedbatch.domain.states import JobState
from seedbatch.ledger.care import examine
from seedbatch.ledger.opening import bring_up_to_date
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.sqlite import SqliteLedger

EARLIER = sorted((Path(__file__).parent / "earlier").glob("*.db"))
HELD = {"pending": "pending", "doubtful": "in_doubt", "running": "running", "done": "completed"}


@pytest.fixture(params=EARLIER, ids=lambda path: path.stem)
def old(request, tmp_path):
    path = tmp_path / "ledger.db"
    shutil.copy(request.param, path)
    return path


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
    with pytest.raises(LedgerDamaged):
        bring_up_to_date(old)
    with sqlite3.connect(old) as connection:
        assert connection.execute("SELECT name FROM _sqlite_migrations").fetchall() == [("0001_first_tables",)]
    connection.close()
