"""Histories on a virtual clock, each decided by one seed and judged by the checker.

SEEDBATCH_HISTORIES sets how many; a seed that fails is named, and replays.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from proof.simulation import open_real, simulate, template

from seedbatch.domain.states import JobState
from seedbatch.ledger import sqlite as adapter

HISTORIES = int(os.environ.get("SEEDBATCH_HISTORIES", "200"))
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


def test_an_orphan_that_is_sent_again_is_found_out(place, newborn, monkeypatch):
    """The rule that matters most, broken: a submission of a dead process goes back to pending."""

    def again(connection, job_id, state, at, kind, *, attempt_id=None, **more):
        if state is JobState.IN_DOUBT and kind == "doubted":
            connection.execute(
                "UPDATE attempts SET outcome = 'not_sent', ended_at = '', counted = 0, exposure = 0 WHERE id = ?",
                (attempt_id,),
            )
            state = JobState.PENDING
        return real(connection, job_id, state, at, kind, attempt_id=attempt_id, **more)

    real = adapter.move
    monkeypatch.setattr(adapter, "move", again)
    found = set()
    for seed in range(60):
        try:
            found |= {violation.rule for violation in simulate(seed, place, newborn, open_real).violations}
        except sqlite3.Error:
            continue
        if found:
            break
    assert found
