"""A ledger that was damaged or edited is found out, and submits nothing."""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import Evidence, MediaKind, StoredFile, TaskReport
from seedbatch.domain.errors import LedgerDamaged, LedgerError
from seedbatch.domain.jobs import Limits
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.domain.states import FailureClass
from seedbatch.domain.work import Failure
from seedbatch.ledger import opening
from seedbatch.ledger.care import examine
from seedbatch.ledger.sqlite import SqliteLedger

FLIPS = 2_000
CHUNKS = 8
REJECTED = Failure(FailureClass.MODERATION, "CONTENT_MODERATION")


def open_at(path: Path) -> SqliteLedger:
    return SqliteLedger(path, kind="real", folder=path.parent / "outputs", now=NOON)


async def lived(path: Path) -> Path:
    """A ledger with jobs in every state, two batches, files, and a person's word."""
    ledger = open_at(path)
    await ledger.declare(batch(*(spec(f"j{number}") for number in range(12))), NOON)
    await ledger.declare(batch(*(spec(f"k{number}", output=f"c/k{number}") for number in range(4)), name="c"), NOON)
    submissions, _ = await claim(ledger, {"b"}, Limits(), NOON, 10)
    for number, one in enumerate(submissions[:7]):
        await ledger.accepted(one.attempt_id, f"task-{number}", NOON, NOON)
    await ledger.doubted(submissions[7].attempt_id, "no answer", Evidence(502, None, "bad gateway"), NOON)
    await ledger.refused(submissions[8].attempt_id, Failure(FailureClass.INVALID, "no"), Evidence(400), NOON)
    await ledger.throttled(submissions[9].attempt_id, "later", NOON, NOON + timedelta(hours=1))
    tasks, _ = await ledger.claim_queries(None, NOON, 5)
    for task in tasks[:3]:
        report = TaskReport(task.task_id, "SUCCESS", MediaKind.VIDEO, (f"https://x.example/{task.task_id}.mp4",))
        await ledger.succeeded(task.attempt_id, report, NOON, NOON + timedelta(days=7))
    await ledger.task_failed(tasks[3].attempt_id, REJECTED, TaskReport(tasks[3].task_id, "FAILURE"), NOON, None)
    deliveries, _ = await ledger.claim_deliveries(None, NOON, 2)
    for one in deliveries:
        name = f"{one.output}.mp4"
        await ledger.stored(one.attempt_id, 1, StoredFile(name, 4, "a" * 64, "video/mp4"), NOON)
    await ledger.abandoned(tasks[4].job_id, "somebody", NOON)
    await ledger.aclose()
    return path


def everything(path: Path) -> object:
    """All values of all tables, by other means than seedbatch; or that they cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            schema = connection.execute("SELECT * FROM sqlite_master ORDER BY 1, 2").fetchall()
            rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}  # noqa: S608
            return schema, {name: sorted(map(repr, found)) for name, found in rows.items()}
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return type(error)


def reported(path: Path) -> bool:
    try:
        return bool(examine(path, files=False, accept_as=None, now=NOON).ledger)
    except LedgerError:
        return True


def copied(path: Path, folder: Path, content: bytes) -> Path:
    """The ledger at `path`, with this content and everything that lies beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(path.parent, folder)
    (folder / path.name).write_bytes(content)
    return folder / path.name


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_every_bit_that_changes_a_value_is_reported_and_nothing_is_submitted(tmp_path, chunk):
    path = await lived(tmp_path / "sound" / "ledger.db")
    content = path.read_bytes()
    sound = everything(path)
    assert not reported(path)
    dice = random.Random(chunk)
    changed = 0
    for _ in range(FLIPS // CHUNKS):
        place, bit = dice.randrange(len(content)), dice.randrange(8)
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        copy = copied(path, tmp_path / "copy", bytes(damaged))
        if everything(copy) == sound:
            continue  # a free page, or room between cells
        changed += 1
        assert reported(copy), f"byte {place}, bit {bit}"
        with pytest.raises(LedgerError):
            open_at(copy)
    assert changed > FLIPS // CHUNKS // 10


async def test_a_file_that_ends_too_early_is_refused_at_every_page(tmp_path):
    path = await lived(tmp_path / "sound" / "ledger.db")
    content = path.read_bytes()
    for size in range(0, len(content), 4096):
        copy = copied(path, tmp_path / "copy", content[:size])
        assert reported(copy)
        with pytest.raises(LedgerError):
            open_at(copy)


async def test_a_log_that_was_removed_is_noticed(tmp_path):
    path = await lived(tmp_path / "sound" / "ledger.db")
    ledger = open_at(path)
    (submission,), _ = await claim(ledger, {"c"}, Limits(), NOON, 1)
    await ledger.accepted(submission.attempt_id, "task-late", NOON, NOON)
    copy = copied(path, tmp_path / "copy", path.read_bytes())
    assert copy.with_name("ledger.db-wal").stat().st_size > 0
    copy.with_name("ledger.db-wal").unlink()
    copy.with_name("ledger.db-shm").unlink()
    with pytest.raises(LedgerError, match="older copy"):
        open_at(copy)
    await ledger.aclose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET model = 'seedance-2.0-fast' WHERE id = 1",
        "UPDATE jobs SET state = 'abandoned' WHERE state = 'pending'",
        "UPDATE attempts SET misses = 3 WHERE id = 1",
        "UPDATE attempts SET renewals = 2 WHERE outcome IS NULL",
        "UPDATE batches SET max_jobs = 1000",
        "UPDATE meta SET value = '2026-01-01' WHERE key = 'created_at'",
        "UPDATE totals SET exposure = exposure + 1, count = 0",
        "UPDATE outputs SET url = 'https://elsewhere.example/1.mp4'",
        "INSERT INTO events (at, type, job_id, data) VALUES ('now', 'note', 1, '{}')",
        "DROP TRIGGER attempts_kept",
    ],
)
async def test_an_edit_by_hand_is_refused_until_somebody_answers_for_it(tmp_path, statement):
    path = await lived(tmp_path / "ledger.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    assert reported(path)
    with pytest.raises(LedgerError):
        open_at(path)
    if statement.startswith("DROP"):
        with pytest.raises(LedgerDamaged, match="cannot be accepted"):
            examine(path, files=False, accept_as="me", now=NOON)
        return
    assert examine(path, files=False, accept_as="me", now=NOON).ledger == ()
    await open_at(path).aclose()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM artifacts WHERE id = 1", "artifacts: has 1 rows"),
        ("DELETE FROM meta WHERE key = 'kind'", "does not tell kind"),
        ("UPDATE jobs SET reason = CAST(x'ff41' AS TEXT) WHERE id = 3", r"jobs 3 \(b/j2\): .*no UTF-8"),
        (
            "CREATE TRIGGER theirs AFTER UPDATE ON jobs BEGIN UPDATE batches SET tries = 9; END",
            "none of seedbatch's",
        ),
        (
            "UPDATE attempts SET outcome = 'abandoned', ended_at = 'x', query_at = NULL, asker = NULL WHERE id = 6",
            "is running, and has no open attempt",
        ),
    ],
)
async def test_what_nobody_can_answer_for_is_not_accepted_and_stays_as_it_is(tmp_path, statement, words):
    path = await lived(tmp_path / "ledger.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    edited = everything(path)
    told = examine(path, files=False, accept_as=None, now=NOON).ledger
    assert any(re.search(words, str(one)) for one in told), told
    with pytest.raises(LedgerDamaged):
        examine(path, files=False, accept_as="me", now=NOON)
    assert everything(path) == edited
    with pytest.raises(LedgerError):
        open_at(path)


async def test_an_empty_total_is_examined_as_well(tmp_path):
    path = tmp_path / "ledger.db"
    ledger = open_at(path)
    await ledger.declare(batch(spec("a")), NOON)
    (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
    await ledger.throttled(submission.attempt_id, "later", NOON, NOON)
    await ledger.aclose()
    assert not reported(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE totals SET scope = 'batch 7' WHERE scope = 'batch 1'")
    assert reported(path)


async def test_attempts_that_were_priced_later_leave_nothing_to_report(tmp_path):
    path = await lived(tmp_path / "ledger.db")
    ledger = open_at(path)
    row = PriceRow("seedance-2.0", None, Unit.CLIP, Money(100_000, "USD"))
    await ledger.declare(replace(batch(spec("j0"), spec("j1")), prices=PriceTable({(row.model, None): row})), NOON)
    await ledger.aclose()
    assert examine(path, files=False, accept_as=None, now=NOON).ledger == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET model = 'seedance-2.0-fast' WHERE state = 'pending'",
        "UPDATE jobs SET state = 'pending', failure = NULL WHERE state = 'failed'",
        "UPDATE jobs SET price = 1, currency = 'USD' WHERE state = 'in_doubt'",
        "UPDATE attempts SET doubt = 'none' WHERE outcome IS NULL",
        "UPDATE attempts SET outcome = 'abandoned', ended_at = 'x', query_at = NULL, asker = NULL WHERE id = 6",
        "UPDATE attempts SET number = 7 WHERE outcome = 'throttled'",
        "UPDATE batches SET max_jobs = 1000",
        "UPDATE meta SET value = 'sandbox' WHERE key = 'kind'",
        "UPDATE totals SET exposure = 0, count = 0",
        "DELETE FROM totals",
        "DROP TRIGGER attempts_reserved",
        "DROP INDEX attempts_open",
        "UPDATE _sqlite_migrations SET applied_at = 'x'",
    ],
)
async def test_of_a_large_ledger_what_may_cost_money_is_examined(tmp_path, monkeypatch, statement):
    monkeypatch.setattr(opening, "_CHECKED_BYTES", 0)
    path = await lived(tmp_path / "ledger.db")
    await open_at(path).aclose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    with pytest.raises(LedgerError):
        open_at(path)


async def test_what_was_not_examined_is_examined_before_it_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "_CHECKED_BYTES", 0)
    path = await lived(tmp_path / "ledger.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE jobs SET model = 'a-dearer-one' WHERE state = 'failed'")
        ((job_id,),) = connection.execute("SELECT min(id) FROM jobs WHERE state = 'failed'")
    ledger = open_at(path)
    with pytest.raises(LedgerDamaged, match="other means"):
        await ledger.retried(job_id, "somebody", NOON)
    await ledger.aclose()


async def test_what_people_put_beside_the_tables_is_theirs(tmp_path):
    path = await lived(tmp_path / "ledger.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE VIEW mine AS SELECT * FROM jobs")
        connection.execute("CREATE INDEX also_mine ON jobs (model)")
    assert not reported(path)
    await open_at(path).aclose()


async def test_clips_that_are_not_as_they_were_stored_are_told(tmp_path):
    path = await lived(tmp_path / "ledger.db")
    found = examine(path, files=True, accept_as=None, now=NOON)
    assert found.ledger == ()
    assert [one.what.split()[1:] for one in found.files] == [["is", "gone"], ["is", "gone"]]
    for number, content in enumerate([b"1234", b"12345"]):
        file = tmp_path / "outputs" / found.files[number].what.split()[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    told = [one.what for one in examine(path, files=True, accept_as=None, now=NOON).files]
    assert "other content" in told[0]
    assert "5 bytes, and was stored with 4" in told[1]
    file.unlink()
    os.mkfifo(file)  # reading it would wait for ever
    assert "no file any more" in examine(path, files=True, accept_as=None, now=NOON).files[1].what
