"""A ledger looked at from outside: everything is told, and nothing is made or changed."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import TaskReport
from seedbatch.domain.calls import Verdict
from seedbatch.domain.jobs import Limits
from seedbatch.domain.secret import Secret
from seedbatch.domain.states import FailureClass
from seedbatch.domain.tokens import CallbackAddress
from seedbatch.domain.work import Caps, Failure
from seedbatch.ledger.emergency import EmergencyRecord, Kept, emergency_path
from seedbatch.ledger.inspection import inspect, received
from seedbatch.ledger.mark import mark_path
from seedbatch.ledger.sqlite import SqliteLedger

EARLIER = Path(__file__).parent / "earlier/0001.db"
# What SQLite puts beside a ledger for every reader.
READERS = {"ledger.db-shm", "ledger.db-wal"}


def opened(path, kind="real"):
    return SqliteLedger(path, kind=kind, folder=path.parent, now=NOON)


@pytest.fixture
async def settled(place):
    ledger = opened(place)
    await ledger.declare(batch(spec("a"), spec("b"), spec("c")), NOON)
    await ledger.aclose()
    return place


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in READERS
    }


@pytest.fixture
def untouched(place):
    """Whatever a test inspects is the same afterwards."""
    place.parent.mkdir(parents=True, exist_ok=True)
    before = []
    yield lambda: before.append(contents(place.parent))
    assert contents(place.parent) == before[-1]


def test_none_is_made_where_there_is_none(place, untouched):
    untouched()
    state = inspect(place, "real")
    assert (state.there, state.trouble, state.calm) == (False, "", False)
    assert list(place.parent.iterdir()) == []


def test_a_sound_one(settled, untouched):
    untouched()
    state = inspect(settled, "real")
    assert (state.trouble, state.older, state.kept, state.held) == ("", False, 0, False)
    assert (state.called, state.uncalled) == (0, 0)
    assert state.calm


def test_one_of_the_other_provider(settled, untouched):
    untouched()
    state = inspect(settled, "sandbox")
    assert "is a ledger of the real provider" in state.trouble
    assert "--sandbox" in state.hint


def test_one_of_an_older_version_is_left_as_it_is(place, untouched):
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(EARLIER, place)
    untouched()
    state = inspect(place, "real")
    assert (state.trouble, state.older, state.called, state.calm) == ("", True, None, False)


def test_one_of_a_newer_version(settled, untouched):
    with closing(sqlite3.connect(settled)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('seedbatch', '9999_later', 'x')"
        )
    untouched()
    assert "was written by a newer seedbatch (9999_later)" in inspect(settled, "real").trouble


def test_rows_that_were_edited(settled, untouched):
    with closing(sqlite3.connect(settled)) as connection, connection:
        connection.execute("UPDATE jobs SET output = 'elsewhere' WHERE address = 'b'")
    untouched()
    state = inspect(settled, "real")
    assert "edited by other means" in state.trouble
    assert "seedbatch ledger check" in state.hint


def test_of_a_large_one_only_what_costs_money_is_looked_at(settled, monkeypatch):
    monkeypatch.setattr("seedbatch.ledger.inspection._CHECKED_BYTES", 0)
    with closing(sqlite3.connect(settled)) as connection, connection:
        connection.execute("UPDATE events SET checksum = x'00' WHERE seq = 1")
    assert inspect(settled, "real").trouble == ""
    with closing(sqlite3.connect(settled)) as connection, connection:
        connection.execute("UPDATE jobs SET output = 'elsewhere' WHERE address = 'b'")
    assert "edited by other means" in inspect(settled, "real").trouble


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: no ledger"),
        (b"not a database at all" * 99, "is not a ledger, or it is damaged"),
    ],
)
def test_files_that_are_no_ledger(place, untouched, content, words):
    place.write_bytes(content)
    untouched()
    state = inspect(place, "real")
    assert words in state.trouble
    assert state.hint


def test_another_programs_database(place, untouched):
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
    untouched()
    assert "not a ledger of seedbatch" in inspect(place, "real").trouble


def test_a_folder_and_a_path_that_cannot_be(place, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "is a folder" in inspect(tmp_path, "real").trouble
    assert "cannot be opened" in inspect(tmp_path / "file" / "ledger.db", "real").trouble
    assert received(place, "0" * 64) is None


def test_one_that_is_lost(settled, untouched):
    settled.unlink()
    untouched()
    assert "it is gone" in inspect(settled, "real").trouble


async def test_an_older_copy(settled, untouched, tmp_path):
    shutil.copy(settled, tmp_path / "copy.db")
    ledger = opened(settled)
    await claim(ledger, None, Limits(), NOON, 2)
    await ledger.aclose()
    shutil.copy(tmp_path / "copy.db", settled)
    untouched()
    assert "does not know the latest 2 submissions" in inspect(settled, "real").trouble


async def test_one_that_stands_where_another_stood(settled, untouched, tmp_path):
    await opened(tmp_path / "other.db").aclose()
    shutil.copy(mark_path(tmp_path / "other.db"), mark_path(settled))
    untouched()
    assert "another ledger stood" in inspect(settled, "real").trouble


def test_a_damaged_mark(settled, untouched):
    mark_path(settled).write_bytes(b"what")
    untouched()
    assert "is damaged" in inspect(settled, "real").trouble


async def test_task_ids_that_wait_beside_it(settled, untouched):
    record = EmergencyRecord(emergency_path(settled))
    record.keep(Kept(1, "owner", "task-1", NOON, NOON))
    record.close()
    untouched()
    state = inspect(settled, "real")
    assert (state.trouble, state.kept, state.calm) == ("", 1, False)


def test_a_write_lock_that_nobody_gives_back(settled, untouched, monkeypatch):
    monkeypatch.setattr("seedbatch.ledger.inspection._PATIENCE", 0.05)
    untouched()
    handle = os.open(settled.with_name("ledger.db.lock"), os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert inspect(settled, "real").held
    os.close(handle)
    assert not inspect(settled, "real").held


async def test_it_is_told_beside_a_run(settled):
    ledger = opened(settled)
    await claim(ledger, None, Limits(), NOON, 1)
    state = inspect(settled, "real")
    assert state.calm
    await ledger.receive("f" * 64, b'{"a": 1}', NOON)
    assert received(settled, "f" * 64) == b'{"a": 1}'
    assert received(settled, "e" * 64) is None
    await ledger.receive("d" * 64, b"\xff\x00", NOON)
    assert received(settled, "d" * 64) == b"\xff\x00"
    await ledger.aclose()


async def test_results_with_and_without_their_callback(settled):
    digests = ["a" * 64, "b" * 64]
    waiting = iter(digests)
    ledger = opened(settled)
    found = await ledger.claim_submissions(
        None, Limits(), Caps(), NOON, 3, lambda: CallbackAddress(Secret("https://x.example"), next(waiting, "c" * 64))
    )
    for submission in found.submissions[:2]:
        await ledger.accepted(submission.attempt_id, f"t{submission.attempt_id}", NOON, NOON)
        (task,) = (await ledger.claim_queries(None, NOON, 1))[0]
        from_provider = Failure(FailureClass.PROVIDER, "it failed")
        await ledger.task_failed(task.attempt_id, from_provider, TaskReport(task.task_id, "FAILURE"), NOON, None)
    await ledger.receive(digests[0], b"{}", NOON)
    (call,), _ = await ledger.claim_calls(NOON, 5, timedelta(seconds=30))
    await ledger.read(call, Verdict.KNOWN, None, "", NOON)
    await ledger.aclose()
    state = inspect(settled, "real")
    assert (state.called, state.uncalled) == (1, 1)  # the third is in doubt: no result
