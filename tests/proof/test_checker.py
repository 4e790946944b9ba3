"""The checker finds each kind of violation, planted in a copy of a sound ledger, and none in the sound one."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine.workshop import LeapingClock, Workshop, clips
from proof.checker import check, read_bill

from seedbatch.domain.budget import Budget
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit

PROMPTS = ("a cat", "[two] birds", "[fail-once] a dog", "[moderation] a fox", "[reject] a wolf", "[no-output] a hen")
PRICE = Money(250_000, "USD")


@dataclass(frozen=True)
class Place:
    folder: Path

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def provider(self) -> Path:
        return self.folder / "provider.db"

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    def violations(self):
        return check(self.ledger, read_bill(self.provider), self.outputs)

    def artifact(self) -> Path:
        return min(self.outputs.rglob("*.mp4"))


def wanted() -> BatchSpec:
    prices = PriceTable({("seedance-2.0", None): PriceRow("seedance-2.0", None, Unit.CLIP, PRICE)})
    plain = clips(*PROMPTS, attempts=2)
    return BatchSpec(
        plain.name, plain.jobs, attempts=2, budget=Budget(10, Money(2_500_000, "USD")), prices=prices, digest="0" * 64
    )


async def work(folder: Path) -> None:
    """All ways of ending but one, and one doubt: submissions with an answer lost, a retry by policy and one by hand."""
    async with AsyncExitStack() as stack:
        shop = Workshop(folder, LeapingClock(), stack)
        await shop.start_sandbox({"on": "submit", "do": "cut-after-accept", "at": [1]})
        process = await shop.open()
        await process.ledger.declare(wanted(), shop.clock.now())
        await process.apply()
        ((rejected,),) = shop.ask(
            "SELECT id FROM jobs WHERE failure = 'moderation' AND model <> '' ORDER BY id LIMIT 1"
        )
        await process.ledger.retried(rejected, "a person", shop.clock.now())
        await process.apply()
        await process.ledger.declare(wanted(), shop.clock.now())
        states = set(shop.states())
        assert states == {"completed", "failed", "in_doubt"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("sound")
    asyncio.run(work(folder))
    return Place(folder)


@pytest.fixture
def copied(sound: Place, tmp_path: Path) -> Place:
    shutil.copytree(sound.folder, tmp_path / "copy")
    return Place(tmp_path / "copy")


def test_a_sound_ledger_has_no_violation(sound):
    assert sound.violations() == []


def change(file: Path, *statements: str) -> int:
    """Carry out statements on a database whose guards are taken away; returns how many rows they changed."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("PRAGMA foreign_keys=OFF")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        return sum(max(0, connection.execute(spelt(statement)).rowcount) for statement in statements)


def spelt(statement: str) -> str:
    for mark, query in MARKS.items():
        statement = statement.replace(mark, query)
    return statement


def in_ledger(*statements: str) -> Callable[[Place], int]:
    return lambda place: change(place.ledger, *statements)


def on_the_bill(*statements: str) -> Callable[[Place], int]:
    return lambda place: change(place.provider, *statements)


def on_disk(damage: Callable[[Path], object]) -> Callable[[Place], int]:
    def plant(place: Place) -> int:
        damage(place.artifact())
        return 1

    return plant


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


MARKS = {
    "$done": "(SELECT min(id) FROM attempts WHERE outcome = 'succeeded')",
    "$doubted": "(SELECT id FROM attempts WHERE outcome IS NULL)",
    "$charged": "(SELECT min(task_id) FROM tasks WHERE outcome = 'success' AND task_id <> 'second')",
}
TWIN = (
    """INSERT INTO tasks SELECT 'second', model, kind, input, user_id, callback_url, outcome, outputs, units, created,
         ends, visible_from, refund_due FROM tasks WHERE task_id = $charged""",
    """INSERT INTO bill (at, task_id, model, kind, units, user_id)
         SELECT at, 'second', model, kind, units, user_id FROM bill WHERE kind = 'charge' AND task_id = $charged""",
)


@pytest.mark.parametrize(
    ("rule", "plant"),
    [
        pytest.param("billed twice", on_the_bill(*TWIN), id="one attempt made two tasks"),
        pytest.param(
            "billed twice",
            in_ledger("UPDATE events SET type = 'described', data = '{}' WHERE data LIKE '%a person%'"),
            id="sent again without a word",
        ),
        pytest.param(
            "paid twice",
            in_ledger(
                "UPDATE jobs SET fingerprint = (SELECT fingerprint FROM jobs WHERE state = 'completed' ORDER BY id)"
                " WHERE id = (SELECT max(id) FROM jobs WHERE state = 'completed')"
            ),
            id="two jobs with one request",
        ),
        pytest.param(
            "retry", in_ledger("UPDATE batches SET tries = 1"), id="retried by policy more often than the policy says"
        ),
        pytest.param(
            "retry",
            on_the_bill("UPDATE tasks SET outcome = 'moderation' WHERE outcome = 'fail'"),
            id="retried by policy what may not be retried",
        ),
        pytest.param(
            "lost task",
            in_ledger("UPDATE attempts SET task_id = NULL, accepted_at = NULL WHERE id = $done"),
            id="a task id forgotten",
        ),
        pytest.param(
            "lost task",
            in_ledger("UPDATE attempts SET outcome = 'not_sent', ended_at = intended_at WHERE id = $doubted"),
            id="a doubt taken for not sent",
        ),
        pytest.param(
            "unknown task",
            on_the_bill("UPDATE tasks SET user_id = 'somebody' WHERE task_id = (SELECT min(task_id) FROM tasks)"),
            id="billed for nobody's attempt",
        ),
        pytest.param(
            "foreign task",
            in_ledger(
                "UPDATE attempts SET task_id = 'x' WHERE id = $done",
                "UPDATE attempts SET task_id = (SELECT data ->> 'task_id' FROM events"
                " WHERE type = 'accepted' AND attempt_id = $done), accepted_at = intended_at WHERE id = $doubted",
            ),
            id="another attempt's task",
        ),
        pytest.param(
            "unbilled task",
            in_ledger("UPDATE attempts SET task_id = 'nobody-billed-this' WHERE id = $done"),
            id="a task that the provider does not know",
        ),
        pytest.param(
            "untrue end",
            on_the_bill("UPDATE tasks SET outcome = 'fail' WHERE outcome = 'success'"),
            id="a success that was none",
        ),
        pytest.param(
            "open attempts",
            in_ledger(
                "DROP INDEX attempts_open",
                "INSERT INTO attempts (job_id, number, owner, reference, intended_at)"
                " SELECT job_id, number + 1, owner, 'again', intended_at FROM attempts WHERE id = $doubted",
            ),
            id="two open attempts",
        ),
        pytest.param(
            "open attempts",
            in_ledger("UPDATE attempts SET outcome = NULL, ended_at = NULL WHERE id = $done"),
            id="an open attempt of a job that is completed",
        ),
        pytest.param(
            "stuck", in_ledger("UPDATE jobs SET state = 'submitting' WHERE state = 'in_doubt'"), id="nobody submits it"
        ),
        pytest.param(
            "events",
            in_ledger("DELETE FROM events WHERE type = 'succeeded' AND attempt_id = $done"),
            id="an event that led from state to state is gone",
        ),
        pytest.param(
            "events",
            in_ledger(
                "DELETE FROM events WHERE to_state IS NULL AND seq = (SELECT min(seq) FROM events WHERE type"
                " IN ('reported', 'stored'))"
            ),
            id="an event that led nowhere is gone",
        ),
        pytest.param(
            "events",
            in_ledger("UPDATE jobs SET state = 'expired' WHERE state = 'completed'"),
            id="a state that no event tells of",
        ),
        pytest.param(
            "transition",
            in_ledger("UPDATE events SET to_state = 'completed' WHERE type = 'succeeded'"),
            id="a step that is not allowed",
        ),
        pytest.param(
            "attempts",
            in_ledger("UPDATE attempts SET outcome = 'abandoned' WHERE id = $done"),
            id="an end that no event tells of",
        ),
        pytest.param(
            "attempts",
            in_ledger("UPDATE events SET type = 'described' WHERE type = 'intended' AND attempt_id = 1"),
            id="an attempt without an intent",
        ),
        pytest.param("budget", in_ledger("UPDATE batches SET max_cost = 1000000"), id="more money than the budget has"),
        pytest.param("budget", in_ledger("UPDATE batches SET max_jobs = 5"), id="more submissions than the budget has"),
        pytest.param(
            "budget",
            in_ledger("UPDATE attempts SET price = NULL, currency = NULL WHERE id = $done"),
            id="a submission without a price under a budget of money",
        ),
        pytest.param(
            "exposure", in_ledger("UPDATE attempts SET exposure = 0 WHERE id = $doubted"), id="a doubt that is free"
        ),
        pytest.param(
            "exposure",
            in_ledger("UPDATE attempts SET counted = 1, exposure = price WHERE outcome = 'refused'"),
            id="a refusal that costs",
        ),
        pytest.param(
            "totals", in_ledger("UPDATE totals SET exposure = exposure + 1 WHERE scope = 'batch 1'"), id="a wrong sum"
        ),
        pytest.param(
            "totals", in_ledger("UPDATE totals SET count = count - 1 WHERE scope = 'rejected'"), id="a wrong count"
        ),
        pytest.param("totals", in_ledger("DELETE FROM totals WHERE scope LIKE 'owner %'"), id="a total that is gone"),
        pytest.param(
            "moderation",
            in_ledger("UPDATE attempts SET violated_on = '2026-11-23' WHERE id = $done"),
            id="a violation that moderation knows nothing of",
        ),
        pytest.param(
            "moderation", in_ledger("UPDATE attempts SET violated_on = NULL"), id="a violation that nobody counted"
        ),
        pytest.param("file", on_disk(lambda path: path.write_bytes(path.read_bytes()[:-1])), id="a truncated file"),
        pytest.param("file", on_disk(flipped), id="a changed bit"),
        pytest.param("file", on_disk(lambda path: path.unlink()), id="a missing file"),
        pytest.param(
            "unknown file",
            on_disk(lambda path: path.with_name("stranger.mp4").write_bytes(b"x")),
            id="a file that no task made",
        ),
        pytest.param(
            "unknown file",
            in_ledger(
                "DELETE FROM artifacts WHERE attempt_id = $done",
                "UPDATE attempts SET task_id = 'x' WHERE id = $done",
            ),
            id="a file of a task that was forgotten",
        ),
        pytest.param("completed", in_ledger("DELETE FROM artifacts WHERE position = 2"), id="an output not stored"),
        pytest.param(
            "completed",
            in_ledger("DELETE FROM artifacts WHERE position = 1", "DELETE FROM outputs WHERE attempt_id = $done"),
            id="completed with nothing",
        ),
    ],
)
def test_each_planted_violation_is_found(copied, rule, plant):
    assert plant(copied) > 0
    assert rule in {violation.rule for violation in copied.violations()}


def test_damage_to_the_file_itself_is_found(copied):
    with closing(sqlite3.connect(copied.ledger, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'attempts_due'")
        ((size,),) = connection.execute("PRAGMA page_size")
    with copied.ledger.open("r+b") as file:
        file.seek((page - 1) * size + 3)
        file.write(b"\xff\xff")
    with pytest.raises(sqlite3.DatabaseError):
        assert copied.violations() == []
