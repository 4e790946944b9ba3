"""A ledger that went back in time is refused: copies that are put back, ledgers that are lost or exchanged."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.errors import Exit, LedgerError
from seedbatch.domain.jobs import Limits
from seedbatch.ledger.mark import Mark, MarkFile, mark_path, read_mark
from seedbatch.ledger.sqlite import SqliteLedger


def opened(path: Path, kind: str = "real") -> SqliteLedger:
    return SqliteLedger(path, kind=kind, folder=path.parent, now=NOON)


def inside(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        ((value,),) = connection.execute("SELECT value FROM meta WHERE key = 'generation'")
    return int(value)


async def claimed(path: Path, most: int) -> int:
    """Claim some, as one run does; returns how many."""
    ledger = opened(path)
    found, _ = await claim(ledger, None, Limits(), NOON, most)
    await ledger.aclose()
    return len(found)


@pytest.fixture
async def declared(place: Path) -> Path:
    ledger = opened(place)
    await ledger.declare(batch(*(spec(f"j{number}") for number in range(60))), NOON)
    await ledger.aclose()
    return place


async def test_it_counts_claimed_submissions_inside_and_outside(declared):
    assert read_mark(declared).generation == inside(declared) == 0
    assert await claimed(declared, 3) == 3
    assert read_mark(declared).generation == inside(declared) == 3
    await claimed(declared, 1)
    ledger = opened(declared)
    await claim(ledger, {"no such batch"}, Limits(), NOON, 5)
    assert read_mark(declared) == Mark(ledger.id, 4)
    await ledger.aclose()
    assert inside(declared) == 4


async def test_it_is_raised_before_the_claim_is_known_to_anybody(declared):
    ledger = opened(declared)
    await claim(ledger, None, Limits(), NOON, 2)
    assert read_mark(declared).generation == 2  # while it is open, and before any request can have left
    await ledger.aclose()


async def test_it_is_a_private_line_of_json_of_fixed_width(declared):
    before = os.umask(0)
    try:
        mark_path(declared).unlink()
        await opened(declared).aclose()
    finally:
        os.umask(before)
    content = mark_path(declared).read_bytes()
    assert (len(content), content[-1:]) == (80, b"\n")
    assert json.loads(content)["generation"] == 0
    assert stat.S_IMODE(mark_path(declared).stat().st_mode) == 0o600


async def test_an_older_copy_is_refused_and_left_alone(declared, tmp_path):
    shutil.copy(declared, tmp_path / "copy.db")
    await claimed(declared, 5)
    shutil.copy(tmp_path / "copy.db", declared)
    before = declared.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerError, match="older copy: it does not know the latest 5 submissions") as caught:
            opened(declared)
    assert caught.value.exit is Exit.LEDGER
    assert "seedbatch ledger rebuild" in caught.value.hint
    assert declared.read_bytes() == before
    assert read_mark(declared).generation == 5


async def test_a_copy_since_which_nothing_was_submitted_is_as_good_as_the_ledger(declared, tmp_path):
    await claimed(declared, 5)
    shutil.copy(declared, tmp_path / "copy.db")
    ledger = opened(declared)
    await ledger.rescue(NOON)
    await ledger.aclose()
    shutil.copy(tmp_path / "copy.db", declared)
    assert await claimed(declared, 5) == 5


async def test_another_ledger_is_refused(declared, tmp_path):
    other = tmp_path / "other" / "ledger.db"
    await opened(other).aclose()
    shutil.copy(other, declared)
    with pytest.raises(LedgerError, match=r"another ledger stood at .*ledger\.db before") as caught:
        opened(declared)
    assert "rebuild" in caught.value.hint


@pytest.mark.parametrize(("kind", "command"), [("real", "rebuild, or"), ("sandbox", "rebuild --sandbox, or")])
async def test_a_lost_ledger_is_not_made_anew_in_silence(place, kind, command):
    await opened(place, kind).aclose()
    place.unlink()
    with pytest.raises(LedgerError, match="there was a ledger at") as caught:
        opened(place, kind)
    assert not place.exists()
    assert command in caught.value.hint
    assert str(mark_path(place)) in caught.value.hint
    mark_path(place).unlink()  # a person's word
    await opened(place, kind).aclose()


async def test_a_mark_that_is_missing_is_made_anew(declared):
    await claimed(declared, 5)
    for content in (None, b""):
        mark_path(declared).unlink() if content is None else mark_path(declared).write_bytes(content)
        await opened(declared).aclose()
        assert read_mark(declared).generation == 5


@pytest.mark.parametrize(
    "content", [b"x", b"[]", b'{"ledger": "a"}', b"\0" * 80, b'{"ledger": "a", "generation": "x"}']
)
async def test_a_mark_that_cannot_be_read_is_refused(declared, content):
    mark_path(declared).write_bytes(content)
    with pytest.raises(LedgerError, match="is damaged"):
        opened(declared)
    assert mark_path(declared).read_bytes() == content


async def test_a_mark_that_lags_behind_is_no_alarm_and_catches_up(declared):
    """As after a power failure, or a kill between the commit and the mark."""
    await claimed(declared, 5)
    identity = read_mark(declared).ledger
    file = MarkFile(mark_path(declared))
    file.exchange(Mark(identity, 1))
    file.close()
    await opened(declared).aclose()
    assert read_mark(declared) == Mark(identity, 5)


def test_it_never_goes_down(tmp_path):
    one, two = MarkFile(tmp_path / "m"), MarkFile(tmp_path / "m")
    one.raise_to(Mark("a", 7))
    two.raise_to(Mark("a", 5))
    assert json.loads((tmp_path / "m").read_text()) == {"ledger": "a", "generation": 7, "since": 0}
    with pytest.raises(LedgerError, match="another ledger"):
        two.raise_to(Mark("b", 9))


async def test_a_ledger_that_was_exchanged_under_a_running_process_gets_no_claim(declared):
    ledger = opened(declared)
    file = MarkFile(mark_path(declared))
    file.exchange(Mark("another", 0))
    with pytest.raises(LedgerError, match="another ledger"):
        await claim(ledger, None, Limits(), NOON, 1)
    assert read_mark(declared) == Mark("another", 0)
    await ledger.aclose()


CLAIMER = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from samples import NOON, claim
from seedbatch.domain.jobs import Limits
from seedbatch.ledger.sqlite import SqliteLedger

async def main():
    path = Path(sys.argv[1])
    ledger = SqliteLedger(path, kind="real", folder=path.parent, now=NOON)
    print("open", flush=True)
    while (await claim(ledger, None, Limits(), NOON, 2))[0]:
        print("claimed", flush=True)
    await ledger.aclose()

asyncio.run(main())
"""


async def test_processes_raise_it_together(declared):
    running = [subprocess.Popen([sys.executable, "-c", CLAIMER, str(declared)], stdout=-1, text=True) for _ in range(4)]
    counts = [process.communicate()[0].count("claimed") for process in running]
    assert sum(counts) == 30
    assert read_mark(declared).generation == inside(declared) == 60


async def test_killed_anywhere_the_mark_is_never_ahead_and_at_most_one_claim_behind(declared):
    for number in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(declared)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "open\n"
            await asyncio.sleep(number * 0.001)
            process.kill()
        known = inside(declared)
        assert known - 2 <= read_mark(declared).generation <= known
        await opened(declared).aclose()
        assert read_mark(declared).generation == known


def test_eight_processes_make_one_ledger_and_one_mark(place):
    running = [
        subprocess.Popen([sys.executable, "-c", CLAIMER, str(place)], stdout=subprocess.DEVNULL) for _ in range(8)
    ]
    assert [process.wait() for process in running] == [0] * 8
    assert read_mark(place).generation == 0
