"""What the SQLite ledger does beyond the port: its file, its guards, and what it refuses to open."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import MediaKind, StoredFile, TaskReport
from seedbatch.domain.errors import LedgerDamaged, LedgerError, LedgerNewer
from seedbatch.domain.jobs import Limits
from seedbatch.domain.states import LIVE, TRANSITIONS, FailureClass, JobState
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.sqlite import SqliteLedger


def open_at(path: Path, kind: str = "real") -> SqliteLedger:
    return SqliteLedger(path, kind=kind, folder=path.parent / "outputs", now=NOON)


def sql(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


@pytest.fixture
async def filled(place):
    """A ledger with one running and one pending job, closed."""
    ledger = open_at(place)
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
    await ledger.accepted(submission.attempt_id, "t1", NOON, NOON)
    await ledger.aclose()
    return place


async def test_the_file_is_private(place):
    before = os.umask(0)
    try:
        await open_at(place).aclose()
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


async def test_it_is_in_wal_mode_and_leaves_no_other_name(place):
    ledger = open_at(place)
    await ledger.tally(None)
    assert sql(place).execute("PRAGMA journal_mode").fetchone() == ("wal",)
    await ledger.aclose()
    assert sorted(path.name for path in place.parent.iterdir() if not path.name.startswith("ledger.db-")) == [
        "ledger.db", "ledger.db.emergency", "ledger.db.generation", "ledger.db.lock", "owners",
    ]  # fmt: skip
    assert list((place.parent / "owners").iterdir()) == []


def test_eight_processes_may_create_it_at_once(place):
    program = (
        "import asyncio, sys; from pathlib import Path; from datetime import UTC, datetime;"
        "from seedbatch.ledger.sqlite import SqliteLedger;"
        "now = datetime.now(UTC); path = Path(sys.argv[1]);"
        "ledger = SqliteLedger(path, kind='real', folder=path.parent, now=now);"
        "print(ledger.id); asyncio.run(ledger.aclose())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(place)], stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    ids = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 8
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE jobs SET state = 'succeeded' WHERE id = 2", "cannot go"),
        ("UPDATE jobs SET state = 'completed' WHERE id = 2", "only files that it shares"),
        ("UPDATE jobs SET state = 'expired' WHERE id = 2", "cannot go"),
        ("UPDATE jobs SET state = 'submitting' WHERE id = 2", "live states"),
        ("UPDATE jobs SET state = 'failed' WHERE id = 1", "live states"),
        ("UPDATE jobs SET state = 'lost' WHERE id = 2", "CHECK|cannot go"),
        ("UPDATE jobs SET failure = 'timeout' WHERE id = 2", "CHECK"),
        ("UPDATE jobs SET downloader = 'x' WHERE id = 2", "CHECK"),
        ("UPDATE jobs SET fingerprint = 'x' WHERE id = 2", "CHECK"),
        ("UPDATE jobs SET take = 'one' WHERE id = 2", "cannot store TEXT"),
        ("DELETE FROM jobs WHERE id = 2", "forgets nothing"),
        ("DELETE FROM attempts", "forgets nothing"),
        ("UPDATE attempts SET task_id = 't2'", "never replaced"),
        ("UPDATE attempts SET task_id = NULL", "never replaced"),
        ("UPDATE attempts SET outcome = 'refused', ended_at = 'x'", "CHECK"),
        ("UPDATE attempts SET outcome = 'succeeded'", "CHECK"),
        ("UPDATE events SET type = 'x'", "only added"),
        ("DELETE FROM events", "only added"),
        (
            "INSERT INTO attempts (job_id, number, owner, reference, intended_at) VALUES (1, 2, 'o', 'r', 'now')",
            "UNIQUE",
        ),
        (
            (
                "INSERT INTO attempts (job_id, number, owner, reference, intended_at, task_id, accepted_at)"
                " VALUES (2, 1, 'o', 'r', 'now', 't1', 'now')"
            ),
            "UNIQUE",
        ),
        (
            "INSERT INTO attempts (job_id, number, owner, reference, intended_at) VALUES (9, 1, 'o', 'r', 'now')",
            "FOREIGN",
        ),
        (
            (
                "INSERT INTO jobs SELECT 9, batch_id, base, take, 2, address, standing, position, state, failure,"
                " reason, model, input, substr(fingerprint, 2) || 'x', price, currency, output, axes, tags, file,"
                " line, not_before, misses, gone, downloader, expires_at, created_at, updated_at, checksum, vars"
                " FROM jobs WHERE id = 2"
            ),
            "UNIQUE",
        ),
    ],
)
async def test_the_file_itself_refuses_impossible_rows(filled, statement, words):
    with pytest.raises(sqlite3.IntegrityError, match=words):
        sql(filled).execute(statement)


async def test_drawing_table_and_checks_say_the_same(filled):
    drawn = set(
        re.findall(r"^\s*(\w+) --> (\w+)", Path("docs/lifecycle.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    table = {(str(before), str(after)) for before, targets in TRANSITIONS.items() for after in targets}
    schema = dict(sql(filled).execute("SELECT name, sql FROM sqlite_master").fetchall())
    trigger = set(re.findall(r"'(\w+)>(\w+)'", schema["jobs_transition"]))
    assert drawn == table == trigger
    check = re.search(r"CHECK \(state IN \(([^)]*)\)\)", schema["jobs"]).group(1)
    assert set(re.findall(r"'(\w+)'", check)) == {str(state) for state in JobState}
    failures = re.search(r"CHECK \(failure IN \(([^)]*)\)\)", schema["jobs"]).group(1)
    assert set(re.findall(r"'(\w+)'", failures)) == {str(cls) for cls in FailureClass}
    live = re.search(r"NEW.state IN \(([^)]*)\)", schema["jobs_live"]).group(1)
    assert set(re.findall(r"'(\w+)'", live)) == {str(state) for state in LIVE}


async def test_every_table_and_column_is_described(filled):
    described = Path("docs/ledger.md").read_text(encoding="utf-8")
    connection = sql(filled)
    for (table,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlite%'"
    ):
        section = re.search(rf"^## `{table}`\n(.*?)(?=^## |\Z)", described, flags=re.MULTILINE | re.DOTALL)
        assert section, table
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        assert [name for name in columns if f"| `{name}` |" not in section.group(1)] == [], table


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, just words\n" * 50, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_what_is_no_ledger_is_refused_and_left_alone(place, content):
    place.parent.mkdir()
    place.write_bytes(content)
    with pytest.raises(LedgerDamaged):
        open_at(place)
    assert place.read_bytes() == content


def test_somebody_elses_database_is_refused_and_left_alone(place):
    place.parent.mkdir()
    sql(place).execute("CREATE TABLE mine (x)")
    before = place.read_bytes()
    with pytest.raises(LedgerDamaged, match="not a ledger of seedbatch"):
        open_at(place)
    with pytest.raises(LedgerDamaged, match="not a ledger of seedbatch"):
        SqliteRecords(place)
    assert place.read_bytes() == before


def test_a_folder_is_no_ledger(place):
    place.mkdir(parents=True)
    with pytest.raises(LedgerError):
        open_at(place)


async def test_a_truncated_ledger_is_refused(filled):
    with filled.open("r+b") as file:
        file.truncate(filled.stat().st_size // 2)
    with pytest.raises(LedgerDamaged):
        open_at(filled)


async def test_a_newer_ledger_is_refused(filled):
    sql(filled).execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('seedbatch', '0099_later', 'now')"
    )
    for opening in (open_at, SqliteRecords):
        with pytest.raises(LedgerNewer, match="0099_later"):
            opening(filled)


async def test_a_sandboxs_ledger_is_never_used_with_the_real_provider(place):
    await open_at(place, "sandbox").aclose()
    with pytest.raises(LedgerError, match="sandbox"):
        open_at(place)


def test_a_ledger_where_nobody_may_write_is_refused():
    with pytest.raises(LedgerError, match="cannot be used"):
        open_at(Path("/proc/1/seedbatch/ledger.db"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_ledger_that_cannot_be_written_is_refused_but_readable(filled):
    filled.chmod(0o400)
    with pytest.raises(LedgerError):
        open_at(filled)
    assert len(list(SqliteRecords(filled).jobs())) == 2


async def test_readers_and_the_writer_do_not_meet(filled):
    ledger = open_at(filled)
    records = SqliteRecords(filled)
    reading = records.jobs()
    next(reading)  # a snapshot is open now
    await ledger.declare(batch(spec("a"), spec("b"), spec("c")), NOON)
    assert len(list(reading)) == 1
    assert len(list(records.jobs())) == 3
    await ledger.aclose()


async def test_a_project_folder_may_be_moved_as_a_whole(filled, tmp_path):
    ledger = open_at(filled)
    (task,), _ = await ledger.claim_queries(None, NOON, 1)
    await ledger.succeeded(task.attempt_id, TaskReport("t1", "SUCCESS", MediaKind.VIDEO, ("https://x/1",)), NOON, NOON)
    (delivery,), _ = await ledger.claim_deliveries(None, NOON, 1)
    await ledger.stored(delivery.attempt_id, 1, StoredFile("b/a.mp4", 1, "a" * 64, "video/mp4"), NOON)
    await ledger.aclose()
    moved = tmp_path / "elsewhere"
    shutil.move(filled.parent, moved)
    (artifact,) = next(iter(SqliteRecords(moved / "ledger.db").jobs())).artifacts
    assert artifact.path == str(moved / "outputs/b/a.mp4")


CLAIMER = """
import asyncio, os, sys
from datetime import UTC, datetime
from pathlib import Path
from seedbatch.domain.jobs import Limits
from seedbatch.domain.work import Caps
from seedbatch.ledger.sqlite import SqliteLedger

async def main():
    path = Path(sys.argv[1])
    now = datetime.now(UTC)
    ledger = SqliteLedger(path, kind="real", folder=path.parent, now=now)
    claim = await ledger.claim_submissions(None, Limits(), Caps(), now, 1)
    print(claim.submissions[0].attempt_id, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_death_is_decided_by_the_kernel(filled):
    with subprocess.Popen([sys.executable, "-c", CLAIMER, str(filled)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"2"
        ledger = open_at(filled)
        process.send_signal(signal.SIGSTOP)
        assert await ledger.rescue(NOON) == []  # stopped is not dead
        process.kill()
        process.wait()
        assert [name.address for name in await ledger.rescue(NOON)] == ["b"]
        assert await ledger.rescue(NOON) == []
        await ledger.aclose()


async def test_a_full_disk_fails_the_verb_and_loses_nothing(filled):
    ledger = open_at(filled)
    await ledger.tally(None)
    wal = filled.with_name("ledger.db-wal")
    limit = f"import resource, os; resource.setrlimit(resource.RLIMIT_FSIZE, ({wal.stat().st_size + 4096}, -1))"
    await ledger.aclose()
    program = f"""
import asyncio, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from samples import NOON, batch, claim, spec
from seedbatch.domain.errors import LedgerError
from seedbatch.ledger.sqlite import SqliteLedger
async def main():
    path = Path(sys.argv[1])
    ledger = SqliteLedger(path, kind="real", folder=path.parent, now=NOON)
    await ledger.tally(None)
    {limit}
    try:
        await ledger.declare(batch(*(spec(f"j{{n}}") for n in range(2000))), NOON)
    except LedgerError as error:
        print("refused:", error.message)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program, str(filled)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("refused: the ledger cannot be written"), done.stderr
    assert [job.address for job in SqliteRecords(filled).jobs()] == ["a", "b"]


async def test_many_verbs_share_one_commit(place):
    ledger = open_at(place)
    await ledger.declare(batch(*(spec(f"j{number}") for number in range(200))), NOON)
    submissions, _ = await claim(ledger, None, Limits(), NOON, 200)
    before = _commits(place)
    await asyncio.gather(*(ledger.accepted(one.attempt_id, f"t{one.attempt_id}", NOON, NOON) for one in submissions))
    assert _commits(place) - before <= 4
    await ledger.aclose()


def _commits(path: Path) -> int:
    """Commit frames in the write-ahead log: those whose header names the size of the database."""
    log = path.with_name(path.name + "-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    frames = range(32, len(log) - 23, page + 24)
    return sum(1 for start in frames if int.from_bytes(log[start + 4 : start + 8], "big"))


async def test_a_job_that_is_named_twice_is_no_edit_of_itself(ledger, clock, records):
    """However far apart: taken for an edit it would be submitted, and paid for, again and again."""
    between = [spec(f"j{number:04d}") for number in range(600)]
    twice = batch(spec("river", prompt="one"), *between, spec("river", prompt="two"))
    with pytest.raises(sqlite3.IntegrityError):
        await ledger.declare(twice, NOON)
    assert list(records.jobs()) == []
