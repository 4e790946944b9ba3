from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from unit.sandbox.driving import PRICE, Clock, Drive, driving

from seedbatch.sandbox.prices import surcharge

DAY = 86_400
REFUNDED = [("charge", PRICE), ("refund", -PRICE)]


@pytest.mark.parametrize(
    ("marker", "status", "reason", "bill"),
    [
        ("[fail]", "FAILURE", None, REFUNDED),
        ("[moderation]", "FAILURE", "CONTENT_MODERATION", [*REFUNDED, ("surcharge", PRICE // 100)]),
        ("[invalid]", "FAILURE", "INVALID_PARAMETERS", REFUNDED),
        ("[points]", "FAILURE", "INSUFFICIENT_POINTS", REFUNDED),
        ("[timeout]", "TIMEOUT", None, REFUNDED),
        ("[cancelled]", "CANCELLED", None, REFUNDED),
    ],
)
async def test_a_marker_makes_a_task_end_badly_and_the_money_come_back(
    drive: Drive, marker: str, status: str, reason: str | None, bill: list[tuple[str, int]]
) -> None:
    task = await drive.finished(f"a river {marker} at dawn")
    assert (task["status"], task["failure_reason"], task["result"]) == (status, reason, None)
    assert drive.bill(task["taskId"]) == bill


@pytest.mark.parametrize("marker", ["[invalid]", "[points]"])
async def test_what_is_found_early_fails_straight_from_pending(drive: Drive, marker: str) -> None:
    task_id, seen = await drive.submit(marker), []
    for _ in range(110):
        seen.append((await drive.task(task_id))["status"])
        drive.clock.pass_by(0.01)
    assert list(dict.fromkeys(seen)) == ["PENDING", "FAILURE"]


@pytest.mark.parametrize(("marker", "outputs"), [("[no-output]", 0), ("[two]", 2)])
async def test_a_marker_decides_how_many_links_there_are(drive: Drive, marker: str, outputs: int) -> None:
    task = await drive.finished(marker)
    names = [f"{drive.url}/files/{task['taskId']}-{position}.mp4" for position in range(1, outputs + 1)]
    assert (task["status"], task["result"]) == ("SUCCESS", {"type": "video", "urls": names})
    assert drive.bill(task["taskId"]) == [("charge", PRICE)]


async def test_slow_takes_twenty_times_as_long_and_goes_with_another_marker(drive: Drive) -> None:
    slow, both = await drive.submit("[slow]"), await drive.submit("[slow] [fail]")
    drive.clock.pass_by(39)
    assert [(await drive.task(each))["status"] for each in (slow, both)] == ["SUBMITTED", "SUBMITTED"]
    drive.clock.pass_by(62)
    assert [(await drive.task(each))["status"] for each in (slow, both)] == ["SUCCESS", "FAILURE"]


async def test_fail_once_fails_the_first_time_only_and_prompt_by_prompt(file: Path) -> None:
    async with driving(file) as drive:
        assert (await drive.finished("one [fail-once]"))["status"] == "FAILURE"
    async with driving(file) as drive:  # the memory is in the file
        assert (await drive.finished("one [fail-once]"))["status"] == "SUCCESS"
        assert (await drive.finished("one [fail-once]"))["status"] == "SUCCESS"
        assert (await drive.finished("two [fail-once]"))["status"] == "FAILURE"


@pytest.mark.parametrize(
    ("marker", "more", "status"),
    [
        ("[fail]", {}, "SUCCESS"),
        ("[timeout]", {}, "SUCCESS"),
        ("[moderation]", {}, "FAILURE"),
        ("[fail]", {"duration": 7}, "FAILURE"),
        ("[fail]", {"mediaUrls": ["https://example.net/a.mp4"]}, "FAILURE"),
    ],
)
async def test_fallback_saves_what_the_older_model_can_make(
    drive: Drive, marker: str, more: dict[str, Any], status: str
) -> None:
    assert (await drive.finished(marker, fallback=True, **more))["status"] == status


async def test_the_surcharge_rises_with_the_twentieth_and_the_hundred_and_first_violation_of_a_day(file: Path) -> None:
    noon = datetime.now(UTC).replace(hour=12, minute=0) + timedelta(days=1)
    async with driving(file, clock=Clock(noon.timestamp())) as drive:
        for _ in range(101):
            await drive.submit("[moderation]")
        drive.clock.pass_by(10)
        await drive.finished("a river")
        async with drive.http.get(f"{drive.url}/_sandbox/bill") as answer:
            assert answer.status == 200
        fees = [line.units for line in drive.lines() if line.kind == "surcharge"]
        assert fees == [PRICE // 100] * 19 + [PRICE // 20] * 81 + [PRICE // 10]
        assert sum(line.units for line in drive.lines()) == PRICE + sum(fees)


async def test_the_counter_begins_anew_at_midnight_utc(file: Path) -> None:
    late = datetime.now(UTC).replace(hour=23, minute=59, second=30, microsecond=0) + timedelta(days=1)
    async with driving(file, clock=Clock(late.timestamp())) as drive:
        for _ in range(20):
            await drive.submit("[moderation]")
        drive.clock.pass_by(29)
        await drive.finished("[moderation]")  # ends after midnight
        fees = [(line.units, line.at.date() > late.date()) for line in drive.lines() if line.kind == "surcharge"]
        assert fees == [(PRICE // 100, False)] * 19 + [(PRICE // 20, False), (PRICE // 100, True)]


@pytest.mark.parametrize(("violations", "fee"), [(1, 1), (19, 1), (20, 5), (100, 5), (101, 10)])
def test_tiers(violations: int, fee: int) -> None:
    assert surcharge(100, violations) == fee


@pytest.mark.parametrize(
    ("model", "more", "units"),
    [
        ("seedance-2.0", {}, 10_000),
        ("seedance-2.0", {"duration": 15, "resolution": "1080p"}, 75_000),
        ("seedance-2.0-fast", {"resolution": "480p"}, 4_000),
        ("seedance-1.5-pro", {"duration": 10}, 10_000),
        ("seedream-4.5", {"resolution": "2k", "n": 3}, 12_000),
    ],
)
async def test_the_price_follows_model_resolution_and_length(
    drive: Drive, model: str, more: dict[str, Any], units: int
) -> None:
    await drive.submit(model=model, **more)
    assert [(line.model, line.units) for line in drive.lines()] == [(model, units)]


async def test_a_spent_balance_refuses_and_a_refund_fills_it_again(file: Path) -> None:
    async with driving(file, plan={"balance": 2 * PRICE}) as drive:
        await drive.submit()
        failing = await drive.submit("[fail]")
        body = {"model": "seedance-2.0", "input": {"prompt": "a third"}}
        assert await drive.post(body) == (402, {"code": 402, "msg": "insufficient credits"})
        assert len(drive.lines()) == 2
        drive.clock.pass_by(10)
        assert (await drive.task(failing))["status"] == "FAILURE"
        assert (await drive.post(body))[0] == 200
