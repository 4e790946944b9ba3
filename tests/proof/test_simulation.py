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
from proof.simulation import History, simulate, template

HISTORIES = int(os.environ.get("SEEDBATCH_HISTORIES", "2000"))
CHUNKS = 8
FIRST = 400  # of them, in which everything is to be seen


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
    for seed in range(FIRST + chunk, HISTORIES, CHUNKS):
        history = judged(seed, place, newborn)
        crashes, doubts, bills = crashes + history.crashes, doubts + history.doubts, bills + history.bills
    # Histories in which nothing happens show nothing.
    assert min(crashes, doubts, bills) > (HISTORIES - FIRST) // CHUNKS // 4


def judged(seed: int, place: Path, newborn: Path) -> History:
    history = simulate(seed, place, newborn)
    assert history.violations == [], f"seed {seed}"
    return history


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


@pytest.mark.timeout(600)
def test_the_first_histories_see_what_they_are_for(place, newborn):
    """Else the silence of the others would prove nothing. The rarest comes late: while it is missing, more are told."""
    unseen = {
        *("declared", "superseded", "orphaned", "restored", "intended", "accepted", "not_sent", "throttled"),
        *("turned_away", "refused", "doubted", "reported", "unanswered", "succeeded", "failed", "retried", "stored"),
        *("completed", "not_fetched", "renewed", "moved", "expired", "shared", "reused", "locked"),
        *("adopted", "given_up", "resubmitted", "abandoned", "miscalled"),
    }
    crashes = doubts = bills = adoptions = seed = 0
    while seed < FIRST or (unseen and seed < 3 * FIRST):
        history = judged(seed, place, newborn)
        unseen -= {event[2] for event in history.log if len(event) > 1}
        crashes, doubts, bills = crashes + history.crashes, doubts + history.doubts, bills + history.bills
        adoptions += history.adoptions
        seed += 1
    assert unseen == set()
    assert min(crashes, doubts) > FIRST // 2
    assert bills > 3 * FIRST
    assert adoptions > FIRST // 40
