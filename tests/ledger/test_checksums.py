"""Every row that the ledger writes carries its checksum, and no row that was changed by other means gets a new one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import Evidence
from seedbatch.domain.errors import LedgerDamaged, StaleCaller
from seedbatch.domain.jobs import Limits
from seedbatch.ledger.care import examine
from seedbatch.ledger.checksums import SEALED, checksum, register, unsealed
from seedbatch.ledger.sqlite import SqliteLedger


def open_at(path: Path) -> SqliteLedger:
    return SqliteLedger(path, kind="real", folder=path.parent / "outputs", now=NOON)


def wrong_rows(path: Path) -> dict[str, list[int]]:
    with closing(sqlite3.connect(path)) as connection:
        register(connection)
        return {table: found for table in SEALED if (found := list(unsealed(connection, table)))}


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("meta", 1, "kind", "real"), "cfc575bb55aba4d03c113e33cfaa4b36"),
        (("jobs", 1, None, 0, 2**62, -1, "Ōsaka 🌊\x00\n"), "1e1f4d940420a0c6e5ff1b7af6039bfc"),
    ],
)
def test_a_checksum_is_the_same_everywhere_and_for_ever(values, expected):
    assert checksum(*values).hex() == expected


def test_what_differs_differs():
    rows = [("t", 1, "a", "b"), ("t", 1, "ab", ""), ("t", 1, "a", None), ("t", 1, "a", b"b"), ("t", 1, "a", "62")]
    rows += [("t", 1, 1, ""), ("t", 1, "1", ""), ("t", 1, 1.0, ""), ("t", 11, "", ""), ("u", 1, "a", "b")]
    assert len({checksum(*row) for row in rows}) == len(rows)


async def test_sql_and_python_say_the_same_of_any_text(place):
    ledger = open_at(place)
    odd = "NUL \x00, quotes ' \" \\, Ōsaka 🌊, \u2028 \ufeff\ufffd"
    await ledger.declare(batch(spec("a", prompt=odd)), NOON)
    (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
    await ledger.not_sent(submission.attempt_id, odd, NOON, NOON)
    await ledger.aclose()
    assert wrong_rows(place) == {}
    with closing(sqlite3.connect(place)) as connection:
        for row in connection.execute("SELECT rowid, * FROM events"):
            assert checksum("events", *row[:-1]) == row[-1]


async def test_a_refused_verb_among_others_leaves_every_row_sealed(place):
    ledger = open_at(place)
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    one, two = (await claim(ledger, None, Limits(), NOON, 2))[0]
    first = ledger.accepted(one.attempt_id, "t1", NOON, NOON)
    again = ledger.not_sent(one.attempt_id, "it was", NOON, NOON)
    other = ledger.accepted(two.attempt_id, "t2", NOON, NOON)
    await first
    with pytest.raises(StaleCaller):
        await again
    await other
    await ledger.aclose()
    assert wrong_rows(place) == {}


async def test_a_job_that_is_edited_while_the_program_runs_is_not_submitted(place):
    ledger = open_at(place)
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    edit(place, "UPDATE jobs SET model = 'a-dearer-one' WHERE address = 'a'")
    with pytest.raises(LedgerDamaged, match="edited meanwhile"):
        await claim(ledger, None, Limits(), NOON, 1)
    await ledger.aclose()
    assert wrong_rows(place) == {"jobs": [1]}  # and no new seal hides it


async def test_a_row_may_change_twice_in_one_transaction(place):
    ledger = open_at(place)
    await ledger.declare(batch(spec("a"), attempts=2), NOON)
    (submission,), _ = await claim(ledger, None, Limits(), NOON, 1)
    await ledger.doubted(submission.attempt_id, "no answer", Evidence(), NOON)
    await ledger.resubmitted(submission.job_id, "somebody", NOON)
    await ledger.aclose()
    assert wrong_rows(place) == {}


async def test_examining_beside_somebody_who_writes_finds_nothing(place):
    ledger = open_at(place)
    await ledger.declare(batch(*(spec(f"j{number}") for number in range(150))), NOON)
    found, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            found.append(examine(place, files=False, accept_as=None, now=NOON).ledger)

    looking = threading.Thread(target=look)
    looking.start()
    for number in range(15):
        for one in (await claim(ledger, None, Limits(), NOON, 1))[0]:
            await ledger.accepted(one.attempt_id, f"t{number}", NOON, NOON)
    done.set()
    looking.join()
    await ledger.aclose()
    assert len(found) > 1
    assert set(found) == {()}


MIGRATING = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from samples import NOON
from seedbatch.ledger import schema
from seedbatch.ledger.care import examine
from seedbatch.ledger.migrations import migrations
from seedbatch.ledger.sqlite import SqliteLedger

schema.MIGRATIONS += ("9999_colour",)

@migrations(name="9999_colour")
def colour(db):
    db.conn.execute("ALTER TABLE jobs ADD COLUMN colour TEXT")

path = Path(sys.argv[1])
ledger = SqliteLedger(path, kind="real", folder=path.parent, now=NOON)
asyncio.run(ledger.aclose())
assert examine(path, files=False, accept_as=None, now=NOON).ledger == ()
print("migrated")
"""


@pytest.mark.parametrize("sound", [True, False])
async def test_a_migration_seals_what_it_changed_and_no_damage(place, sound):
    ledger = open_at(place)
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    await ledger.aclose()
    if not sound:
        edit(place, "UPDATE jobs SET misses = 1 WHERE id = 2")
    program = [sys.executable, "-c", MIGRATING, str(place), str(Path(__file__).parent.parent)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if sound:
        assert done.stdout == "migrated\n", done.stderr
    else:
        assert "LedgerDamaged" in done.stderr
        assert "jobs 2 (b/b): was changed by other means" in done.stderr
