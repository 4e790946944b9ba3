from __future__ import annotations

import os
import subprocess
import sys

import pytest

from seedbatch.spool import Spool, kept

MANY = 50_000


def spool(count):
    made = Spool(lambda value: value, lambda value: value)
    for number in range(count):
        made.add((number, f"text {number}"))
    return made


@pytest.mark.parametrize("count", [0, 1, 19_999, 20_000, 20_001, 20_500, MANY])
def test_values_come_back_in_order_as_often_as_they_are_asked_for(count):
    made = spool(count)
    assert len(made) == count
    for _ in range(2):
        assert list(made) == [(number, f"text {number}") for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 19_999, 20_000, 20_500, MANY])
def test_spools_with_one_digest_hold_the_same(count):
    assert spool(count).digest() == spool(count).digest() != spool(count + 1).digest()
    one, two = spool(count), spool(count)
    one.add("this")
    two.add("that")
    assert one.digest() != two.digest()


def test_two_readers_do_not_disturb_each_other_nor_a_writer():
    made = spool(MANY)
    one, two = iter(made), iter(made)
    for number in range(30_000):
        assert next(one)[0] == number
    assert next(two)[0] == 0
    made.add((MANY, "late"))
    assert sum(1 for _ in one) == MANY - 30_000
    assert sum(1 for _ in made) == MANY + 1


def test_few_values_are_a_tuple_and_no_file():
    few = kept(iter("abc"), str, str)
    assert few == ("a", "b", "c")
    many = kept(iter(range(MANY)), int, int)
    assert isinstance(many, Spool)
    assert len(many) == MANY
    assert 7 in many
    assert -1 not in many


FULL = """
import resource, sys
from seedbatch.domain.errors import UsageError
from seedbatch.spool import Spool
made = Spool(str, str)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    for number in range(100_000):
        made.add(str(number))
except UsageError as error:
    print(error.message, error.hint)
"""


def test_no_room_is_told_in_words(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"so many jobs need room in {tmp_path}, and it cannot be written: File too large")
    assert "TMPDIR" in done.stdout
    assert list(tmp_path.iterdir()) == []
