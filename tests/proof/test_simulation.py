"""Histories on a virtual clock, each decided by one seed and judged by the checker.

SEEDBATCH_HISTORIES sets how many; a seed that fails is named, and replays.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from proof.simulation import simulate, template

HISTORIES = int(os.environ.get("SEEDBATCH_HISTORIES", "2000"))
CHUNKS = 8


@pytest.fixture
def place(tmp_path):
    """A folder in memory where there is one: what is simulated is not the disk, and its syncs take the time."""
    memory = Path("/dev/shm")  # noqa: S108 - a fresh folder in it
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def newborn(place):
    with template(place) as file:
        yield file


@pytest.mark.timeout(max(600, HISTORIES))
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_history_breaks_a_promise(place, newborn, chunk):
    crashes = doubts = bills = 0
    for seed in range(chunk, HISTORIES, CHUNKS):
        history = simulate(seed, place, newborn)
        assert history.violations == [], f"seed {seed}"
        crashes, doubts, bills = crashes + history.crashes, doubts + history.doubts, bills + history.bills
    assert min(crashes, doubts, bills) > HISTORIES // CHUNKS // 4  # histories in which nothing happens show nothing


def test_a_seed_tells_the_same_history_twice(place, newborn):
    told = []
    for name in ("one", "two"):
        (place / name).mkdir()
        told.append(simulate(7, place / name, newborn).log)
    assert told[0] == told[1]
    assert len(told[0]) > 10


ELSEWHERE = """
import hashlib, sys
from pathlib import Path
from proof.simulation import simulate, template
place = Path(sys.argv[1])
with template(place) as newborn:
    for seed in range(8):
        print(hashlib.sha256(repr(simulate(seed, place, newborn).log).encode()).hexdigest())
"""


def test_a_seed_tells_the_same_history_in_another_process(tmp_path):
    """Where neither the addresses in memory nor the hashes of texts are the same."""

    def digests(salt: int) -> list[str]:
        folder = tmp_path / str(salt)
        folder.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONHASHSEED": str(salt)}
        command = [sys.executable, "-c", ELSEWHERE, str(folder)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.splitlines()

    assert digests(1) == digests(2)


def test_the_histories_see_what_they_are_for(place, newborn):
    """It proves nothing by itself, but without it the silence of the others would not either."""
    histories = [simulate(seed, place, newborn) for seed in range(210)]
    types = {event[2] for history in histories for event in history.log if len(event) > 1}
    assert types >= {
        *("declared", "superseded", "orphaned", "restored", "intended", "accepted", "not_sent", "throttled"),
        *("turned_away", "refused", "doubted", "reported", "unanswered", "succeeded", "failed", "retried", "stored"),
        *("completed", "not_fetched", "renewed", "moved", "expired"),
        *("adopted", "given_up", "resubmitted", "abandoned", "surfaced", "miscalled"),
    }
    assert sum(history.crashes for history in histories) > 75
    assert sum(history.doubts for history in histories) > 75
    assert sum(history.bills for history in histories) > 500
    assert sum(history.adoptions for history in histories) > 5
