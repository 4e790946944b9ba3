"""Locks are facts of the kernel, so these tests ask the kernel: with real processes that are stopped and killed."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seedbatch.ledger.locks import Owner, Turn, WriteLock, is_dead, lives

OWNER = """
import signal, sys
from pathlib import Path
from seedbatch.ledger.locks import Owner

owner = Owner(Path(sys.argv[1]))
print(owner.id, flush=True)
"""
WRITER = """
import signal, sys
from pathlib import Path
from seedbatch.ledger.locks import WriteLock

lock = WriteLock(Path(sys.argv[1]))
with lock.held():
    print("held", flush=True)
    signal.pause()
"""
TURN = """
import signal, sys
from pathlib import Path
from seedbatch.ledger.locks import Turn

turn = Turn(Path(sys.argv[1]))
print(turn.take(), turn.take(), flush=True)
"""
WAIT = "signal.pause()"
CHILD = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "input()"], close_fds=False, stderr=subprocess.DEVNULL)
print(child.pid, flush=True)
"""


@contextmanager
def running(program: str, *arguments: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def answer(program: str, *arguments: Path) -> list[str]:
    """What a program prints that runs to its end."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def stop(process: subprocess.Popen[str]) -> None:
    """Stop it as a debugger or a sleeping laptop does, and see the kernel's word for it."""
    process.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def is_locked(path: Path) -> bool:
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def open_handles() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def owners(tmp_path: Path) -> Path:
    return tmp_path / "state" / "owners"


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db.lock"


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Permissions that hold by themselves, whatever the person's umask."""
    before = os.umask(0)
    yield
    os.umask(before)


# -- Owner and is_dead ------------------------------------------------------------------------------------------


def test_a_process_is_alive_while_it_runs_and_while_it_is_stopped_and_dead_once_it_is_killed(owners):
    with running(OWNER + WAIT, owners) as process:
        owner = line(process)
        assert not is_dead(owners, owner)
        stop(process)
        assert not is_dead(owners, owner)
        process.kill()
        process.wait()
        assert is_dead(owners, owner)


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(1)", "import os; os.abort()", "owner.close()"])
def test_however_a_process_ends_it_is_dead(owners, end):
    with running(OWNER + end, owners) as process:
        owner = line(process)
        process.wait()
        assert is_dead(owners, owner)


def test_what_the_dead_left_is_removed_and_it_stays_dead(owners):
    with running(OWNER, owners) as process:
        owner = line(process)
        process.wait()
    assert [path.name for path in owners.iterdir()] == [owner]
    assert is_dead(owners, owner)
    assert list(owners.iterdir()) == []
    assert is_dead(owners, owner)


def test_asking_leaves_the_living_as_they_are(owners):
    owner = Owner(owners)
    for _ in range(3):
        assert not is_dead(owners, owner.id)
    assert [path.name for path in owners.iterdir()] == [owner.id]
    assert is_locked(owners / owner.id)
    owner.close()


def test_nobody_has_to_have_heard_of_the_dead(tmp_path, owners):
    assert is_dead(owners, "0123456789abcdef")
    assert is_dead(tmp_path, "0123456789abcdef")


def test_a_child_that_outlives_its_parent_does_not_keep_it_alive(owners):
    with running(OWNER + CHILD + WAIT, owners) as process:
        owner, child = line(process), int(line(process))
        process.kill()
        process.wait()
        os.kill(child, 0)
        assert is_dead(owners, owner)


def test_a_mark_is_locked_before_it_has_its_name(owners):
    program = """
import fcntl, os, sys

def watch(event, arguments):
    if event == "os.rename":
        print(*(name for name in os.listdir(sys.argv[1]) if not name.startswith(".")), end=";")
        try:
            fcntl.flock(os.open(arguments[0], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("locked")

sys.addaudithook(watch)
"""
    before, owner = answer(program + OWNER, owners)
    assert before == ";locked"
    assert [path.name for path in owners.iterdir()] == [owner]


def test_a_mark_that_somebody_else_just_removed_is_of_the_dead_too(owners):
    with running(OWNER, owners) as process:
        owner = line(process)
    program = """
import sys
from pathlib import Path
from seedbatch.ledger.locks import is_dead

folder, owner = Path(sys.argv[1]), sys.argv[2]
sys.addaudithook(lambda event, _: (folder / owner).unlink() if event == "fcntl.flock" else None)
print(is_dead(folder, owner))
"""
    assert answer(program, owners, Path(owner)) == ["True"]
    assert is_dead(owners, owner)


@pytest.mark.parametrize("alive", [True, False])
def test_who_has_no_handle_left_calls_nobody_dead(owners, alive):
    program = """
import resource, sys
from pathlib import Path
from seedbatch.ledger.locks import is_dead

resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    print(is_dead(Path(sys.argv[1]), sys.argv[2]))
except OSError as error:
    print(error.strerror)
"""
    with running(OWNER + (WAIT if alive else ""), owners) as process:
        owner = line(process)
        if not alive:
            process.wait()
        assert answer(program, owners, Path(owner)) == ["Too many open files"]
        assert is_dead(owners, owner) is not alive


def test_who_is_interrupted_while_asking_gets_no_answer(owners):
    with running(OWNER, owners) as process:
        owner = line(process)
    program = """
import sys
from pathlib import Path
from seedbatch.ledger.locks import is_dead

def interrupt(event, _):
    if event == "fcntl.flock":
        raise KeyboardInterrupt

sys.addaudithook(interrupt)
try:
    print(is_dead(Path(sys.argv[1]), sys.argv[2]))
except KeyboardInterrupt:
    print("interrupted")
"""
    assert answer(program, owners, Path(owner)) == ["interrupted"]
    assert is_dead(owners, owner)


def test_who_gives_up_leaves_nothing_behind(owners):
    handles = open_handles()
    owner = Owner(owners)
    owner.close()
    assert list(owners.iterdir()) == []
    assert open_handles() == handles


def test_who_gives_up_need_not_find_the_mark(owners):
    owner = Owner(owners)
    (owners / owner.id).unlink()
    owner.close()
    assert is_dead(owners, owner.id)


def test_who_gives_up_and_cannot_remove_the_mark_is_dead_all_the_same(owners):
    handles = open_handles()
    owner = Owner(owners)
    moved = owners.rename(owners.with_name("elsewhere"))
    owners.touch()  # no folder any more
    owner.close()
    assert open_handles() == handles
    assert is_dead(moved, owner.id)


def test_nobody_takes_over_what_another_began_to_mark(owners, monkeypatch):
    owners.mkdir(parents=True)
    (owners / ".0123456789abcdef").touch()
    monkeypatch.setattr("secrets.token_hex", lambda _: "0123456789abcdef")
    with pytest.raises(FileExistsError):
        Owner(owners)


@pytest.mark.parametrize("alive", [True, False])
def test_asking_leaves_no_handle_open(owners, alive):
    with running(OWNER + (WAIT if alive else ""), owners) as process:
        owner = line(process)
        if not alive:
            process.wait()
        handles = open_handles()
        assert lives(owners, owner) is alive
        assert is_dead(owners, owner) is not alive
        assert open_handles() == handles


def test_who_only_reads_sees_who_lives_and_removes_nothing(owners):
    with running(OWNER + WAIT, owners) as process:
        owner = line(process)
        stop(process)
        assert lives(owners, owner)
        assert lives(owners, owner)
        process.kill()
        process.wait()
    assert not lives(owners, owner)
    assert not lives(owners, owner)
    assert [path.name for path in owners.iterdir()] == [owner]
    assert not lives(owners, "0123456789abcdef")


def test_two_readers_do_not_take_each_other_for_who_they_ask_about(owners):
    with running(OWNER, owners) as process:
        owner = line(process)
        process.wait()
    other = os.open(owners / owner, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_SH)
    assert not lives(owners, owner)
    os.close(other)


def test_a_mark_need_not_be_writable_to_be_read(owners):
    owner = Owner(owners)
    (owners / owner.id).chmod(0o400)
    assert lives(owners, owner.id)
    owner.close()
    assert not lives(owners, owner.id)


def test_a_turn_is_one_processs_until_it_ends_or_gives_it_back(tmp_path):
    mine = Turn(tmp_path)
    handles = open_handles()
    with running(TURN + WAIT, tmp_path) as process:
        assert line(process) == "True True"  # what is taken stays taken
        during = open_handles()
        assert not mine.take()
        assert open_handles() == during
        mine.close()  # nothing of theirs
        assert not mine.take()
        process.kill()
        process.wait()
    assert mine.take()
    assert mine.take()
    assert open_handles() == handles + 1
    with running(TURN, tmp_path) as process:
        assert line(process) == "False False"
    mine.close()
    mine.close()
    assert open_handles() == handles
    with running(TURN, tmp_path) as process:
        assert line(process) == "True True"


def test_a_child_that_outlives_its_parent_does_not_keep_the_turn(tmp_path):
    mine = Turn(tmp_path)
    with running(TURN + CHILD + WAIT, tmp_path) as process:
        assert line(process) == "True True"
        child = int(line(process))
        process.kill()
        process.wait()
        os.kill(child, 0)
        assert mine.take()
        os.kill(child, signal.SIGKILL)
    mine.close()


def test_the_first_handle_of_a_process_may_be_a_turn(tmp_path):
    """Handle 0 is one like any other, where the standard input was closed."""
    turn = Turn(tmp_path)
    handles = open_handles()
    aside = os.dup(0)
    os.close(0)
    try:
        assert turn.take()
        assert turn.take()
        assert os.path.samestat(os.fstat(0), tmp_path.stat())
        assert open_handles() == handles + 1
        turn.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
    finally:
        os.dup2(aside, 0)
        os.close(aside)


def test_owners_share_a_folder_and_no_name(owners):
    several = [Owner(owners) for _ in range(8)]
    names = {owner.id for owner in several}
    assert {path.name for path in owners.iterdir()} == names
    assert len(names) == 8
    # 64 bits of chance, in letters that are safe in a path and in the ledger.
    assert all(re.fullmatch(r"[0-9a-f]{16,}", name) for name in names)
    several[0].close()
    assert [is_dead(owners, owner.id) for owner in several] == [True] + [False] * 7
    for owner in several[1:]:
        owner.close()


@pytest.mark.usefixtures("no_umask")
def test_marks_are_private(owners):
    owner = Owner(owners)
    assert mode(owners) == 0o700
    assert mode(owners / owner.id) == 0o600
    owner.close()


# -- WriteLock --------------------------------------------------------------------------------------------------


def test_the_write_lock_is_held_inside_and_free_outside(lock_file):
    lock = WriteLock(lock_file)
    for _ in range(2):
        assert not is_locked(lock_file)
        with lock.held():
            assert is_locked(lock_file)
    assert not is_locked(lock_file)
    lock.close()


def test_an_error_inside_gives_the_lock_back(lock_file):
    lock = WriteLock(lock_file)
    with pytest.raises(ZeroDivisionError), lock.held():
        _ = 1 / 0
    assert not is_locked(lock_file)
    lock.close()


def test_a_second_writer_waits_its_turn(lock_file):
    first, second = WriteLock(lock_file), WriteLock(lock_file)
    order: list[str] = []
    about_to_ask = threading.Event()

    def write() -> None:
        about_to_ask.set()
        with second.held():
            order.append("second")

    thread = threading.Thread(target=write)
    with first.held():
        thread.start()
        about_to_ask.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    first.close()
    second.close()


def test_a_stopped_writer_keeps_the_lock_and_a_killed_one_does_not(lock_file):
    with running(WRITER, lock_file) as process:
        assert line(process) == "held"
        stop(process)
        assert is_locked(lock_file)
        process.kill()
        process.wait()
        lock = WriteLock(lock_file)
        with lock.held():
            assert is_locked(lock_file)
        lock.close()


def test_a_child_that_outlives_a_killed_writer_does_not_keep_the_lock(lock_file):
    with running(WRITER.replace(WAIT, CHILD.strip().replace("\n", "\n    ") + "\n    " + WAIT), lock_file) as process:
        assert line(process) == "held"
        child = int(line(process))
        process.kill()
        process.wait()
        os.kill(child, 0)
        assert not is_locked(lock_file)


def test_writers_in_many_processes_are_never_inside_together(lock_file, tmp_path):
    program = """
import os, sys
from pathlib import Path
from seedbatch.ledger.locks import WriteLock

lock = WriteLock(Path(sys.argv[1]))
for _ in range(200):
    with lock.held():
        os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
        os.unlink(sys.argv[2])
"""
    command = [sys.executable, "-c", program, str(lock_file), str(tmp_path / "inside")]
    writers = [subprocess.Popen(command) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4


def test_closing_the_write_lock_leaves_its_file_and_no_handle(lock_file):
    handles = open_handles()
    WriteLock(lock_file).close()
    assert open_handles() == handles
    # Never removed: two processes could then each hold a lock on a file of this name.
    assert lock_file.exists()


def test_every_lock_is_asked_for_by_a_handle_that_may_write(owners, lock_file, monkeypatch):
    # NFS gives an exclusive lock to no other.
    flock, modes = fcntl.flock, []

    def watch(handle: int, operation: int) -> None:
        modes.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", watch)
    owner, lock = Owner(owners), WriteLock(lock_file)
    assert not is_dead(owners, owner.id)
    with lock.held():
        pass
    assert modes == [os.O_RDWR] * 4
    owner.close()
    lock.close()


@pytest.mark.usefixtures("no_umask")
def test_the_write_locks_file_is_private(lock_file):
    WriteLock(lock_file).close()
    assert mode(lock_file) == 0o600
