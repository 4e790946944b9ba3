from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.errors import UsageError
from seedbatch.domain.locked import Found, Locked, LockedFile, Locks
from seedbatch.manifest.lockfile import lock_name, lock_text, read_lock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HEXES = st.text("0123456789abcdef", min_size=64, max_size=64)
FILES = st.builds(LockedFile, HEXES, st.integers(1, 2**40), st.sampled_from(["video/mp4", "image/png"]))
TASKS = st.builds(
    *(Locked, HEXES, st.integers(1, 9), st.text(min_size=1, max_size=9).filter(str.strip)),
    *(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC))),
    st.lists(FILES, min_size=1, max_size=3).map(tuple),
)


def task(letter: str, *, take: int = 1, task_id: str = "t1") -> Locked:
    return Locked(letter * 64, take, task_id, NOON, NOON, (LockedFile(letter * 64, 10, "video/mp4"),))


@given(st.lists(TASKS, max_size=5), st.randoms())
def test_what_is_written_is_read_in_one_order(tmp_path_factory, tasks, random):
    path = tmp_path_factory.mktemp("lock") / "seedbatch.lock"
    path.write_bytes(lock_text(tasks).encode())
    assert read_lock(path) == sorted(set(tasks))
    random.shuffle(tasks)
    assert lock_text([*tasks, *tasks]) == path.read_bytes().decode()


def test_lines_of_two_branches_are_kept(tmp_path):
    path = tmp_path / "seedbatch.lock"
    path.write_text(lock_text([task("b")]) + lock_text([task("a"), task("b")]).partition("\n")[2])
    assert lock_text(read_lock(path)) == lock_text([task("a"), task("b")])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("<<<<<<< HEAD", "2: a merge was left unfinished here"),
        (">>>>>>> main", "2: a merge was left unfinished here"),
        ("# seedbatch.lock 2: of tomorrow", "2: a newer seedbatch wrote it"),
        ("{", "2: that is no line of a lock file"),
        ("[1]", "2: that is no line of a lock file"),
        ('{"fingerprint": "a"}', "2: that is no line of a lock file"),
        (lock_text([task("a")]).splitlines()[1].replace('"take":1', '"take":0'), "2: that is no line"),
        (lock_text([task("a")]).splitlines()[1].replace("video/mp4", "text/html"), "2: that is no line"),
        ("[" * 100_000, "2: that is no line"),
    ],
)
def test_what_is_no_lock_file(tmp_path, line, said):
    path = tmp_path / "seedbatch.lock"
    path.write_text(f"# seedbatch.lock 1: x\n{line}\n")
    with pytest.raises(UsageError) as caught:
        read_lock(path)
    assert f"seedbatch.lock:{said}" in caught.value.message


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "seedbatch.lock"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        read_lock(path)


def test_the_sandbox_has_its_own():
    assert lock_name(sandbox=True) != lock_name(sandbox=False) == "seedbatch.lock"


def test_of_two_tasks_the_one_whose_files_are_here_is_used():
    one, two = task("a", task_id="t1"), task("a", task_id="t2")
    here = LockedFile("b" * 64, 10, "video/mp4")
    two = Locked(two.fingerprint, 1, "t2", NOON, NOON, (here,))
    locks = Locks("x", {one.wish: (one, two)}, lambda file: "/b.mp4" if file == here else None)
    found = locks.find(one.wish)
    assert (found.task, [file.path for file in found.files]) == (two, ["/b.mp4"])
    assert locks.find(("c" * 64, 1)) is None
    assert list(locks.all(looking=False)) == [Found(one, ())]


def test_a_task_is_here_when_all_its_files_are():
    files = (LockedFile("a" * 64, 1, "video/mp4"), LockedFile("b" * 64, 1, "video/mp4"))
    one = Locked("c" * 64, 1, "t", NOON, NOON, files)
    locks = Locks("x", {one.wish: (one,)}, lambda file: "/a.mp4" if file is files[0] else None)
    assert locks.find(one.wish).files == ()
