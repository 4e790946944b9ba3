from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from unit.sandbox.driving import INPUT, PRICE, Clock, Drive, driving, until
from unit.sandbox.receiving import Got, Receiver

from seedbatch.sandbox import read_calls, read_tasks


def calling(file: Path, *rules: dict[str, Any], **options: Any) -> Any:
    plan = {"rules": list(rules), **options.pop("plan", {})}
    return driving(file, internal_callbacks=True, plan=plan, **options)


def on_callback(do: object, **condition: Any) -> dict[str, Any]:
    return {"on": "callback", "do": do, **condition}


async def test_a_dropped_callback_never_comes(file: Path, receiver: Receiver) -> None:
    async with calling(file, on_callback("drop", at=[1])) as drive:
        dropped, other = await drive.submit_to(receiver.url), await drive.submit_to(receiver.url)
        drive.clock.pass_by(10)
        await until(drive.answers)
        assert (await drive.task(dropped))["status"] == "SUCCESS"
        told = [(task["callback_fault"], len(task["callbacks"])) for task in (await drive.told("tasks"))["tasks"]]
    assert told == [("drop", 0), (None, 1)]
    assert receiver.ids() == [other]


async def test_a_delayed_callback_is_late(file: Path, receiver: Receiver) -> None:
    async with calling(file, on_callback({"delay": 30}, at=[1]), speed=10) as drive:
        late, other = await drive.submit_to(receiver.url), await drive.submit_to(receiver.url)
        drive.clock.pass_by(29)
        await until(drive.answers)
        assert receiver.ids() == [other]
        drive.clock.pass_by(2)
        await until(lambda: late in drive.answers())
        assert receiver.got[1].data == await drive.task(late)  # `updated_at` is the end, and not the call
    assert receiver.ids() == [other, late]


async def test_a_duplicate_comes_three_times_at_once(file: Path, receiver: Receiver) -> None:
    async with calling(file, on_callback("duplicate")) as drive:
        task_id = await drive.submit_to(f"{receiver.url}after")
        drive.clock.pass_by(10)
        await until(lambda: len(receiver.got) == 3)
        assert drive.answers() == {}  # none was answered yet
        receiver.release.set()
        await until(lambda: drive.answers() == {task_id: ["200"] * 3})
    assert len({got.body for got in receiver.got}) == 1


@pytest.mark.parametrize(("prompt", "status"), [("a river", "SUCCESS"), ("[fail]", "FAILURE")])
async def test_an_early_callback_is_answered_before_the_submit(
    file: Path, receiver: Receiver, prompt: str, status: str
) -> None:
    async with calling(file, on_callback("early")) as drive:
        submitting = asyncio.create_task(drive.submit_to(f"{receiver.url}after", prompt))
        await until(lambda: receiver.got)
        (told,) = receiver.ids()
        assert (await drive.task(told))["status"] == receiver.got[0].data["status"] == status
        assert not submitting.done()
        receiver.release.set()
        assert await submitting == told
        assert drive.answers() == {told: ["200"]}
        assert drive.bill(told) == [("charge", PRICE), ("refund", -PRICE)][: 1 + (status == "FAILURE")]
        drive.clock.pass_by(10)
        other = await drive.submit_to(receiver.url)
    assert receiver.ids() == [told, other]


async def test_an_early_callback_may_time_out_before_the_submit_is_answered(file: Path, receiver: Receiver) -> None:
    async with calling(file, on_callback("early"), callback_timeout=0.3) as drive:
        started = time.monotonic()
        task_id = await drive.submit_to(f"{receiver.url}hang")
        assert time.monotonic() - started >= 0.3
        assert drive.answers() == {task_id: ["timeout"]}


async def test_an_early_callback_comes_though_the_answer_is_lost(file: Path, receiver: Receiver) -> None:
    rules = on_callback("early"), {"on": "submit", "do": "cut-after-accept"}
    async with calling(file, *rules) as drive:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await drive.submit_to(receiver.url)
        (row,) = read_tasks(file)
        assert drive.answers() == {row.task_id: ["200"]}


async def test_forged_callbacks_come_while_the_task_runs(file: Path, receiver: Receiver) -> None:
    async with calling(file, on_callback("forged")) as drive:
        seen: list[str] = []

        async def look(got: Got) -> None:
            seen.append((await drive.task(got.data["taskId"]))["status"] if got.data["taskId"] == task_id else "none")

        receiver.on_call = look
        task_id = await drive.submit_to(receiver.url, "[fail]")
        drive.clock.pass_by(0.9)
        await until(lambda: len(seen) == 2)
        drive.clock.pass_by(10)
        await until(lambda: len(receiver.got) == 3)
        told = (await drive.told("callbacks"))["callbacks"]
    assert set(seen[:2]) <= {"PROCESSING", "SUBMITTED", "none"}
    lies = {got.data["taskId"]: got.data for got in receiver.got[:2]}
    (strange,) = set(lies) - {task_id}
    assert strange == str(uuid.UUID(strange))
    for lie in lies.values():
        assert lie["status"] == "SUCCESS"
        assert lie["result"] == {"type": "video", "urls": ["https://forged.invalid/clip.mp4"]}
        assert set(lie) == set(receiver.got[2].data)
    assert receiver.got[2].data["taskId"] == task_id
    assert receiver.got[2].data["status"] == "FAILURE"
    assert [call["forged"] for call in told] == [task_id, strange, None]


async def test_tasks_with_a_url_are_counted_as_they_are_accepted(file: Path, receiver: Receiver) -> None:
    rules = on_callback("drop", at=[2, 3]), {"on": "submit", "do": 500, "at": [4]}
    async with calling(file, *rules, plan={"balance": 4 * PRICE}) as drive:
        await drive.submit_to(receiver.url)
        await drive.submit()
        body = {"model": "seedance-2.0", "input": {**INPUT, "duration": 15}, "callBackUrl": receiver.url}
        assert (await drive.post(body))[0] == 402
        assert (await drive.post({**body, "input": INPUT}))[0] == 500
        for _ in range(2):
            await drive.submit_to(receiver.url)
    assert [call.fault for call in read_calls(file)] == [None, "drop", "drop"]


async def test_what_will_go_wrong_survives_a_restart(file: Path, receiver: Receiver) -> None:
    clock = Clock()
    kinds = ["drop", {"delay": 30}, "duplicate", "forged"]
    rules = [on_callback(do, at=[place]) for place, do in enumerate(kinds, 1)]
    async with calling(file, *rules, clock=clock) as drive:
        ids = [await drive.submit_to(receiver.url) for _ in range(5)]
    clock.pass_by(10)
    async with calling(file, clock=clock) as drive:
        await until(lambda: len(receiver.got) == 3 + 3 + 1)
        clock.pass_by(30)
        await until(lambda: ids[1] in drive.answers())
    assert [len(drive.answers().get(task_id, [])) for task_id in ids] == [0, 1, 3, 3, 1]


async def test_faults_of_submits_and_queries_are_counted_apart(file: Path, receiver: Receiver) -> None:
    rules = on_callback("drop", first=1), {"on": "query", "do": 429, "first": 1}
    async with calling(file, *rules, {"on": "submit", "do": 500, "at": [3]}) as drive:
        dropped, called = [await drive.submit_to(receiver.url) for _ in range(2)]
        assert (await drive.post({}))[0] == 500
        drive.clock.pass_by(10)
        await until(drive.answers)
        assert await asked(drive, dropped) == [429, 200]
    assert receiver.ids() == [called]


async def asked(drive: Drive, task_id: str) -> list[int]:
    return [(await drive.get(task_id))[0] for _ in range(2)]
