"""Copies that are made while others write, and that are whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.errors import Exit, LedgerDamaged, LedgerError, UsageError
from seedbatch.domain.jobs import Limits
from seedbatch.ledger.backup import backup
from seedbatch.ledger.care import examine
from seedbatch.ledger.sqlite import SqliteLedger


def opened(path: Path) -> SqliteLedger:
    return SqliteLedger(path, kind="real", folder=path.parent, now=NOON)


@pytest.fixture
async def filled(place: Path) -> Path:
    ledger = opened(place)
    await ledger.declare(batch(*(spec(f"j{number}") for number in range(300))), NOON)
    await ledger.aclose()
    return place


def ask(path: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_copy_is_private_whole_and_can_be_put_back(filled, tmp_path):
    before = os.umask(0)
    try:
        size = backup(filled, tmp_path / "copy.db")
    finally:
        os.umask(before)
    copy = tmp_path / "copy.db"
    assert (copy.stat().st_size, stat.S_IMODE(copy.stat().st_mode)) == (size, 0o600)
    assert names(tmp_path) == ["copy.db", "state"]
    assert examine(copy, files=False, accept_as=None, now=NOON).ledger == ()
    assert ask(copy, "SELECT * FROM jobs") == ask(filled, "SELECT * FROM jobs")
    shutil.copy(copy, filled)
    ledger = opened(filled)
    assert len((await claim(ledger, None, Limits(), NOON, 5))[0]) == 5
    await ledger.aclose()


async def test_what_is_only_in_the_log_is_copied_too(filled, tmp_path):
    ledger = opened(filled)
    await ledger.declare(batch(spec("new"), name="another"), NOON)
    assert filled.with_name("ledger.db-wal").stat().st_size > 0
    backup(filled, tmp_path / "copy.db")
    assert ("new",) in ask(tmp_path / "copy.db", "SELECT base FROM jobs")
    await ledger.aclose()


WRITER = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from samples import NOON, batch, spec
from seedbatch.ledger.sqlite import SqliteLedger

async def main():
    path = Path(sys.argv[1])
    ledger = SqliteLedger(path, kind="real", folder=path.parent, now=NOON)
    number = 0
    while True:
        number += 1
        await ledger.declare(batch(*(spec(f"a{{n}}") for n in range(40)), name=f"n{{number}}"), NOON)
        print(number, flush=True)

asyncio.run(main())
"""


def test_while_another_process_writes_each_copy_is_one_moment(filled, tmp_path):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(filled)], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        for number in range(8):
            known = int(process.stdout.readline())
            backup(filled, tmp_path / f"{number}.db")
            counts = ask(tmp_path / f"{number}.db", "SELECT count(*) FROM jobs GROUP BY batch_id ORDER BY batch_id")
            assert counts[0] == (300,)
            assert set(counts[1:]) == {(40,)}  # whole transactions
            assert len(counts) > known  # and everything that was durable when it began
        process.kill()


def test_killed_at_any_moment_there_is_a_whole_copy_or_none(filled, tmp_path):
    program = (
        "import os, signal, sys, threading; from pathlib import Path; from seedbatch.ledger.backup import backup\n"
        "threading.Timer(float(sys.argv[3]), lambda: os.kill(os.getpid(), signal.SIGKILL)).start()\n"
        "while True:\n"
        "    backup(Path(sys.argv[1]), Path(sys.argv[2])); Path(sys.argv[2]).unlink()\n"
    )
    target = tmp_path / "copy.db"
    for number in range(12):
        delay = str(0.01 + number * 0.003)
        done = subprocess.run([sys.executable, "-c", program, str(filled), str(target), delay], check=False)
        assert done.returncode == -signal.SIGKILL
        if target.exists():
            assert ask(target, "PRAGMA integrity_check") == [("ok",)]
            target.unlink()
    backup(filled, target)


def test_nothing_is_ever_overwritten(filled, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    for target in (mine, tmp_path / "dangling", filled, tmp_path):
        with pytest.raises(UsageError, match="is there already") as caught:
            backup(filled, target)
        assert caught.value.exit is Exit.USAGE
    assert mine.read_text() == "mine"
    assert names(tmp_path) == ["dangling", "mine", "state"]


def test_two_at_once_make_one(filled, tmp_path):
    program = (
        "import sys; from pathlib import Path; from seedbatch.ledger.backup import backup\n"
        "from seedbatch.domain.errors import UsageError\n"
        "try: backup(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except UsageError: sys.exit(2)\n"
    )
    arguments = [sys.executable, "-c", program, str(filled), str(tmp_path / "copy.db")]
    running = [subprocess.Popen(arguments) for _ in range(4)]
    assert sorted(process.wait() for process in running) == [0, 2, 2, 2]
    assert names(tmp_path) == ["copy.db", "state"]


def test_a_folder_that_is_not_there_is_not_made(filled, tmp_path):
    with pytest.raises(UsageError, match="no file can be made"):
        backup(filled, tmp_path / "no" / "copy.db")
    assert names(tmp_path) == ["state"]


def test_a_damaged_ledger_gives_no_copy(filled, tmp_path):
    with filled.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    with pytest.raises(LedgerDamaged):
        backup(filled, tmp_path / "copy.db")
    (tmp_path / "words").write_text("no database at all" * 100)
    with pytest.raises(LedgerDamaged):
        backup(tmp_path / "words", tmp_path / "copy.db")
    assert names(tmp_path) == ["state", "words"]


def test_a_disk_without_room_gives_no_copy(filled, tmp_path):
    program = (
        "import resource, signal, sys; from pathlib import Path; from seedbatch.ledger.backup import backup\n"
        "from seedbatch.domain.errors import LedgerError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, -1))\n"
        "try: backup(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except LedgerError as error: print(error.message, error.hint)\n"
    )
    arguments = [sys.executable, "-c", program, str(filled), str(tmp_path / "copy.db")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert "cannot be copied" in done.stdout, done.stderr
    assert "room" in done.stdout
    assert names(tmp_path) == ["state"]


def test_a_ledger_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(LedgerError, match="there is no ledger"):
        backup(tmp_path / "none.db", tmp_path / "copy.db")
    assert names(tmp_path) == []


def test_the_command_copies_once(filled, tmp_path):
    command = [str(Path(sys.executable).with_name("seedbatch")), "ledger", "backup", "copy.db", "--ledger", str(filled)]
    options = {"cwd": tmp_path, "capture_output": True, "text": True}
    done = subprocess.run(command, check=False, **options)
    size = (tmp_path / "copy.db").stat().st_size
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'copy.db'}: {size:,} bytes\n")
    again = subprocess.run(command, check=False, **options)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    command[3] = "second.db"
    done = subprocess.run([*command, "--json"], check=False, **options)
    assert json.loads(done.stdout) == {"version": 1, "path": str(tmp_path / "second.db"), "bytes": size}
    command[-1] = str(tmp_path / "none.db")
    assert subprocess.run(command, check=False, **options).returncode == 8
