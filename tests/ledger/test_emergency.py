"""Disks that are really full and processes that really die, between the provider's word and the ledger's commit."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.jobs import Limits
from seedbatch.domain.states import JobState
from seedbatch.ledger.emergency import EmergencyRecord, Kept, emergency_path
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.sqlite import SqliteLedger

SIZE = 128 * 512
ONE = Kept(7, "0123456789abcdef", "t1", NOON, NOON + timedelta(seconds=30))

BEGIN = f"""
import asyncio, os, resource, signal, sqlite3, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from contextlib import closing
from pathlib import Path
from samples import NOON, batch, claim, spec
from seedbatch.domain.errors import LedgerError
from seedbatch.domain.jobs import Limits
from seedbatch.ledger.sqlite import SqliteLedger

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def opened():
    path = Path(sys.argv[1])
    return SqliteLedger(path, kind="real", folder=path.parent, now=NOON)

def fill(connection):
    '''From now on no page may be added, as on a full disk: SQLITE_FULL.'''
    ((pages,),) = connection.execute("PRAGMA page_count")
    connection.execute(f"PRAGMA max_page_count = {{pages}}")
    ((free,),) = connection.execute("PRAGMA freelist_count")
    assert free == 0

async def accept(ledger, submission, task_id="t1"):
    try:
        await ledger.accepted(submission.attempt_id, task_id, NOON, NOON)
    except LedgerError as error:
        print("refused:", error.message, flush=True)
"""


def run(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    whole = BEGIN + program + "\nasyncio.run(main())\n"
    return subprocess.run(
        [sys.executable, "-c", whole, str(path)], capture_output=True, text=True, check=False, timeout=60
    )


def reopened(path: Path) -> SqliteLedger:
    return SqliteLedger(path, kind="real", folder=path.parent, now=NOON)


def ask(path: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def kept(path: Path) -> list[str]:
    record = EmergencyRecord(emergency_path(path))
    found = [slot.kept.task_id for slot in record.slots()]
    record.close()
    return found


@pytest.fixture
def record(tmp_path: Path) -> EmergencyRecord:
    return EmergencyRecord(tmp_path / "ledger.db.emergency")


@pytest.fixture
async def declared(place: Path) -> Path:
    ledger = reopened(place)
    await ledger.declare(batch(*(spec(f"j{number}") for number in range(200))), NOON)
    await ledger.aclose()
    return place


# -- the file itself ------------------------------------------------------------------------------------------------


def test_it_is_private_and_has_its_blocks_before_they_are_needed(tmp_path):
    before = os.umask(0)
    try:
        EmergencyRecord(tmp_path / "e").close()
    finally:
        os.umask(before)
    status = (tmp_path / "e").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_size) == (0o600, SIZE)
    assert status.st_blocks * 512 >= SIZE


def test_what_is_kept_is_read_by_another_and_cleared(record):
    record.keep(ONE)
    record.keep(replace(ONE, task_id="t2"))
    another = EmergencyRecord(record.path)
    slots = another.slots()
    assert [slot.kept for slot in slots] == [ONE, replace(ONE, task_id="t2")]
    another.clear(slots[:1])
    assert [slot.kept.task_id for slot in record.slots()] == ["t2"]
    another.clear(slots)
    assert record.slots() == []
    assert record.path.stat().st_size == SIZE


def test_a_slot_that_was_used_anew_is_not_cleared(record):
    record.keep(ONE)
    old = record.slots()
    record.clear(old)
    record.keep(replace(ONE, task_id="t9"))
    record.clear(old)
    assert [slot.kept.task_id for slot in record.slots()] == ["t9"]


def test_a_full_record_says_so(record):
    for number in range(128):
        record.keep(replace(ONE, task_id=f"t{number}"))
    with pytest.raises(OSError, match="full"):
        record.keep(ONE)
    assert len(record.slots()) == 128


def test_a_task_id_that_no_slot_can_take_is_refused(record):
    with pytest.raises(OSError, match="too long"):
        record.keep(replace(ONE, task_id="t" * 600))
    record.keep(replace(ONE, task_id="ü" * 50))
    assert record.slots()[0].kept.task_id == "ü" * 50


def test_a_record_that_was_removed_takes_nothing(record):
    record.path.unlink()
    with pytest.raises(OSError, match="removed"):
        record.keep(ONE)


@pytest.mark.parametrize("junk", [b"{", b"\0" * 40, b'{"attempt": 1}', b"[]", b'{"sum": "x"}'])
def test_torn_and_foreign_slots_are_kept(record, junk):
    with record.path.open("r+b") as file:
        file.write(junk)
    record.keep(ONE)
    first, second = record.slots()
    assert (first.kept, second.kept) == (None, ONE)
    assert "slot 1 cannot be read" in str(first)


def test_a_task_id_of_which_one_letter_changed_is_not_believed(record):
    record.keep(ONE)
    content = record.path.read_bytes().replace(b'"t1"', b'"t7"')
    record.path.write_bytes(content)
    assert [slot.kept for slot in record.slots()] == [None]


def test_a_record_whose_maker_died_is_completed(tmp_path):
    (tmp_path / "e").write_bytes(b" " * 511 + b"\n" + b" " * 100)
    record = EmergencyRecord(tmp_path / "e")
    assert record.slots() == []
    assert record.path.stat().st_size == SIZE


def test_there_is_no_opening_without_room_for_it(tmp_path):
    done = run(
        "async def main():\n"
        "    opened_once = opened(); await opened_once.aclose()\n"
        "    Path(sys.argv[1] + '.emergency').unlink()\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, -1))\n"
        "    try: opened()\n"
        "    except LedgerError as error: print(error.message)\n",
        tmp_path / "ledger.db",
    )
    assert "cannot be written" in done.stdout, done.stderr


def test_eight_processes_share_it(tmp_path):
    program = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC;"
        "from seedbatch.ledger.emergency import EmergencyRecord, Kept;"
        "record = EmergencyRecord(Path(sys.argv[1])); now = datetime.now(UTC);"
        "[record.keep(Kept(n, 'o', sys.argv[2] + '-' + str(n), now, now)) for n in range(16)]"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "e"), str(number)]) for number in range(8)
    ]
    assert [process.wait() for process in running] == [0] * 8
    found = {slot.kept.task_id for slot in EmergencyRecord(tmp_path / "e").slots()}
    assert found == {f"{process}-{number}" for process in range(8) for number in range(16)}


# -- the ledger that cannot be written ------------------------------------------------------------------------------

FULL = """
async def main():
    ledger = opened()
    submissions, _ = await claim(ledger, None, Limits(), NOON, 100)
    await ledger._run(fill)
    for one in submissions:
        await accept(ledger, one, f"t{one.attempt_id}")
    await ledger.aclose()
"""
IO_ERROR = """
async def main():
    ledger = opened()
    (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
    size = Path(sys.argv[1] + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))
    await accept(ledger, submission)
    os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_on_a_full_disk_every_task_id_is_kept_and_taken_up_at_the_next_start(declared):
    done = run(FULL, declared)
    refused = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(refused) > 50
    assert "disk is full" in refused[0]
    assert f"is kept in {emergency_path(declared)}, which is read at the next start" in refused[0]
    waiting = kept(declared)
    assert len(waiting) == len(refused)
    assert all(f"the task id {task_id} is" in words for task_id, words in zip(waiting, refused, strict=True))
    ledger = reopened(declared)
    assert kept(declared) == []
    assert await ledger.rescue(NOON) == []
    await ledger.aclose()
    attempts = ask(declared, "SELECT id, task_id FROM attempts")
    assert len(attempts) == 100
    assert all(task_id == f"t{attempt_id}" for attempt_id, task_id in attempts)
    assert ask(declared, "SELECT DISTINCT state FROM jobs ORDER BY 1") == [("pending",), ("running",)]
    recovered = ask(declared, "SELECT json_extract(data, '$.task_id') FROM events WHERE type = 'recovered'")
    assert sorted(task_id for (task_id,) in recovered) == sorted(waiting)


async def test_an_input_output_error_is_no_different(declared):
    done = run(IO_ERROR, declared)
    assert "disk I/O error" in done.stdout, done.stderr
    assert "the task id t1 is kept" in done.stdout
    ledger = reopened(declared)
    assert await ledger.rescue(NOON) == []
    await ledger.aclose()
    assert ask(declared, "SELECT task_id, accepted_at, query_at FROM attempts") == [
        ("t1", "2026-11-23T12:00:00.000000Z", "2026-11-23T12:00:00.000000Z")
    ]


async def test_when_a_bug_has_ended_the_thread_that_writes_the_next_start_takes_it_up(declared, monkeypatch):
    ledger = reopened(declared)
    (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
    monkeypatch.setattr("seedbatch.ledger.writer._COMMITS_PER_CHECKPOINT", 0)  # it divides by that
    await ledger.tally(None)  # committed, and then the thread ends
    with pytest.raises(ZeroDivisionError):
        await ledger.accepted(submission.attempt_id, "t1", NOON, NOON)
    assert kept(declared) == ["t1"]
    with pytest.raises(ZeroDivisionError):
        await ledger.aclose()
    monkeypatch.undo()
    ledger = reopened(declared)
    assert await ledger.rescue(NOON) == []
    await ledger.aclose()
    assert ask(declared, "SELECT task_id FROM attempts") == [("t1",)]


async def test_a_neighbour_that_runs_on_takes_it_up_too(declared):
    neighbour = reopened(declared)
    assert await neighbour.rescue(NOON) == []
    run(IO_ERROR, declared)
    assert kept(declared) == ["t1"]
    assert await neighbour.rescue(NOON) == []
    assert kept(declared) == []
    (task,), _ = await neighbour.claim_queries(None, NOON, 5)
    assert task.task_id == "t1"
    await neighbour.aclose()


async def test_while_the_disk_stays_full_nothing_is_opened_and_nothing_lost(declared):
    run(IO_ERROR, declared)
    done = run(
        "async def main():\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, -1))\n"
        "    try: opened()\n"
        "    except LedgerError as error: print(error.message, error.hint)\n",
        declared,
    )
    assert "were paid for, and the ledger cannot take them" in done.stdout, done.stderr
    assert "free some space" in done.stdout
    assert kept(declared) == ["t1"]
    await reopened(declared).aclose()
    assert kept(declared) == []


async def test_when_the_record_is_full_as_well_the_error_says_both(declared):
    record = EmergencyRecord(emergency_path(declared))
    for number in range(128):
        record.keep(replace(ONE, task_id=f"x{number}"))
    done = run(IO_ERROR, declared)
    assert "disk I/O error" in done.stdout
    assert f"nor can {emergency_path(declared)} (it is full)" in done.stdout


async def test_a_cancelled_caller_does_not_take_the_task_id_with_it(declared):
    done = run(
        """
async def main():
    ledger = opened()
    (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
    size = Path(sys.argv[1] + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))
    caller = asyncio.create_task(accept(ledger, submission))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    assert caller.cancelled()
    await ledger.aclose()
""",
        declared,
    )
    assert done.returncode == 0, done.stderr
    assert kept(declared) == ["t1"]


# -- killed in between ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["recover", "take_up", "accepted", "move", "clear", "_write"])
async def test_killed_on_the_way_from_the_record_to_the_ledger(declared, moment):
    """Killed three times as it calls one of its functions: what stands in the record is read again."""
    run(IO_ERROR, declared)
    before = emergency_path(declared).read_bytes()
    killed = (
        "def watch(frame, event, _):\n"
        f"    if event == 'call' and frame.f_code.co_name == {moment!r}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "async def main():\n"
        "    sys.setprofile(watch)\n"
        "    opened()\n"
    )
    for _ in range(3):
        assert run(killed, declared).returncode == -signal.SIGKILL
        assert emergency_path(declared).read_bytes() == before
    await reopened(declared).aclose()
    assert kept(declared) == []
    assert ask(declared, "SELECT task_id FROM attempts") == [("t1",)]
    kinds = [kind for (kind,) in ask(declared, "SELECT type FROM events WHERE attempt_id IS NOT NULL ORDER BY seq")]
    assert kinds == ["intended", "accepted", "recovered"]


async def test_killed_at_any_moment_the_task_is_in_the_ledger_or_in_the_record(declared):
    """A child that keeps and takes up without end, killed at thirty moments of its life."""
    program = """
from seedbatch.ledger.emergency import EmergencyRecord, Kept, emergency_path
async def main():
    path = Path(sys.argv[1])
    while True:
        ledger = opened()
        (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
        kept = Kept(submission.attempt_id, ledger._owner.id, f"t{submission.attempt_id}", NOON, NOON)
        ledger._emergency.keep(kept)
        print(submission.attempt_id, flush=True)
        await ledger.aclose()
asyncio.run(main())
"""
    named: set[int] = set()
    for number in range(30):
        with subprocess.Popen(
            [sys.executable, "-c", BEGIN + program, str(declared)], stdout=subprocess.PIPE, text=True
        ) as process:
            named.add(int(process.stdout.readline()))
            await asyncio.sleep(number * 0.002)
            process.kill()
            named.update(int(line) for line in process.stdout)
    ledger = reopened(declared)
    await ledger.rescue(NOON)  # a child that died before it kept anything left a doubt, as ever
    await ledger.aclose()
    known = dict(ask(declared, "SELECT id, task_id FROM attempts"))
    assert {attempt_id: known[attempt_id] for attempt_id in named} == {one: f"t{one}" for one in named}
    assert kept(declared) == []
    assert ask(declared, "SELECT 1 FROM jobs WHERE state = 'submitting'") == []


# -- what is not ours -----------------------------------------------------------------------------------------------


async def test_a_task_of_an_attempt_that_this_ledger_does_not_hold_is_reported_and_kept(declared, caplog):
    ledger = reopened(declared)
    (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
    await ledger.aclose()
    record = EmergencyRecord(emergency_path(declared))
    record.keep(replace(ONE, attempt_id=submission.attempt_id))  # the number of another ledger's attempt
    record.keep(replace(ONE, attempt_id=999, task_id="t2"))
    ledger = reopened(declared)
    assert await ledger.rescue(NOON) != []
    await ledger.aclose()
    assert kept(declared) == ["t1", "t2"]
    assert ask(declared, "SELECT task_id FROM attempts") == [(None,)]
    words = [entry.getMessage() for entry in caplog.records]
    assert all(f"task {task_id} of" in text for task_id, text in zip(("t1", "t2"), words, strict=True))
    assert all(str(emergency_path(declared)) in text for text in words)


async def test_what_a_person_settled_meanwhile_is_written_down_all_the_same(declared):
    run(IO_ERROR, declared)
    whole = emergency_path(declared).read_bytes()
    emergency_path(declared).unlink()  # as if the record could not be read
    ledger = reopened(declared)
    assert len(await ledger.rescue(NOON)) == 1
    ((job_id,),) = ask(declared, "SELECT job_id FROM attempts")
    await ledger.given_up(job_id, "somebody", NOON)
    await ledger.aclose()
    emergency_path(declared).write_bytes(whole)
    await reopened(declared).aclose()
    assert ask(declared, "SELECT task_id, counted FROM attempts") == [("t1", 1)]
    assert [job.state for job in SqliteRecords(declared).jobs() if job.attempts] == [JobState.FAILED]
    assert kept(declared) == []


async def test_a_second_task_of_an_attempt_is_recorded_as_extra(declared):
    run(IO_ERROR, declared)
    await reopened(declared).aclose()
    ((attempt_id, owner),) = ask(declared, "SELECT id, owner FROM attempts")
    record = EmergencyRecord(emergency_path(declared))
    record.keep(Kept(attempt_id, owner, "t-other", NOON, NOON))
    await reopened(declared).aclose()
    assert kept(declared) == []
    assert ask(declared, "SELECT task_id FROM attempts") == [("t1",)]
    assert ask(declared, "SELECT task_id FROM extras") == [("t-other",)]
