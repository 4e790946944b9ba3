"""Runs over real parts that are called back: results arrive by themselves, and a body is never more than a hint."""

from __future__ import annotations

import asyncio
import json
import secrets

import aiohttp
import pytest
from engine.workshop import KEY, assert_invariants

from seedbatch.domain.errors import Exit
from seedbatch.domain.jobs import Limits
from seedbatch.domain.secret import Secret
from seedbatch.domain.tokens import TokenKey, minting
from seedbatch.engine.cadence import Cadence
from seedbatch.engine.happenings import Kind
from seedbatch.engine.run import Until

# Who asks only after an hour learns in time from callbacks alone.
PATIENT = Cadence(first=3_600, shortest=3_600, longest=3_600, probe=0.02)
TEN = tuple(f"clip {number}" for number in range(10))


async def started(shop, *prompts, rules=(), **faults):
    process = await shop.start(*prompts, rules=rules, **faults)
    process.leaps = False
    await process.listen()
    return process


async def apply(process, **errand):
    errand.setdefault("cadence", PATIENT)
    errand.setdefault("doubt_wait", 3_600)
    async with asyncio.timeout(30):
        return await process.apply(**errand)


async def until(fact):
    async with asyncio.timeout(20):
        while not fact():  # noqa: ASYNC110 - another process or thread brings it about
            await asyncio.sleep(0.01)


def overheard(process):
    """A mint whose callback URLs somebody else learns."""
    urls, mint = [], minting(process.public_url, TokenKey(Secret(KEY)), secrets.token_bytes)

    def watched():
        address = mint()
        urls.append(address.url.reveal())
        return address

    return watched, urls


async def call(url, body):
    async with aiohttp.ClientSession() as session, session.post(url, data=body) as response:
        return response.status


def said(task_id, status="SUCCESS", *urls):
    result = {"type": "video", "urls": list(urls)} if urls else None
    return json.dumps({"code": 0, "msg": "ok", "data": {"taskId": task_id, "status": status, "result": result}})


async def test_results_arrive_without_being_asked_for(shop):
    process = await started(shop, *TEN, "[fail] x", "[timeout] y", "[cancelled] z")
    assert (await apply(process)).exit is Exit.FAILED_JOBS
    assert shop.states() == {"completed": 10, "failed": 3}
    assert shop.ask("SELECT count(*) FROM callbacks WHERE verdict = 'heard'") == [(13,)]
    assert process.count(Kind.UNCALLED) == 0
    await process.aclose()
    assert_invariants(shop)


async def test_every_fifth_answer_is_lost_and_all_are_adopted(shop):
    process = await started(
        shop, *(f"clip {number}" for number in range(40)),
        rules=[{"on": "submit", "do": "cut-after-accept", "every": 5}],
    )  # fmt: skip
    outcome = await apply(process, limits=Limits(submitting=2))
    assert outcome.exit is Exit.OK
    assert process.count(Kind.ADOPTED) == process.count(Kind.IN_DOUBT) == 8
    assert (len(shop.tasks()), set(shop.charged().values())) == (40, {1})
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("fault", ["duplicate", "early", "forged", {"delay": 0.3}])
async def test_however_callbacks_come_the_ledger_is_the_same(shop, fault):
    process = await started(shop, *TEN, "[fail] x", rules=[{"on": "callback", "do": fault}])
    # What a forger said first holds up the true callback's query by half a minute; asking goes on beside it.
    cadence = Cadence(first=1, shortest=0.5, longest=1) if fault == "forged" else PATIENT
    assert (await apply(process, cadence=cadence)).exit is Exit.FAILED_JOBS
    assert shop.states() == {"completed": 10, "failed": 1}
    assert shop.ask("SELECT DISTINCT host FROM (SELECT substr(url, 1, 16) AS host FROM outputs)") == [
        ("http://127.0.0.1",)
    ]
    await process.aclose()
    assert_invariants(shop)


async def test_callbacks_that_never_come_are_found_by_asking_and_told_once(shop):
    process = await started(shop, *TEN, rules=[{"on": "callback", "do": "drop"}])
    outcome = await apply(process, cadence=Cadence(first=0.1, shortest=0.05, longest=0.2))
    assert (outcome.exit, outcome.without_webhook) == (Exit.OK, 10)
    assert process.count(Kind.UNCALLED) == 1
    await process.aclose()
    assert_invariants(shop)


async def test_one_submits_and_another_listens(shop):
    listener = await started(shop, *TEN, rules=[{"on": "submit", "do": "cut-after-accept", "at": [2]}])
    watching = listener.run(until=Until.INTERRUPTED, submit=False, cadence=PATIENT)
    listening = asyncio.create_task(watching.go())
    process = await shop.open()
    process.leaps, process.public_url = False, listener.public_url
    assert (await apply(process)).exit is Exit.OK
    watching.interrupt()
    assert (await listening).exit is Exit.INTERRUPTED
    assert shop.states() == {"completed": 10}
    await process.aclose()
    await listener.aclose()
    assert_invariants(shop)


async def test_what_was_acknowledged_before_the_listener_died_is_read_by_the_next_process(shop):
    process = await started(shop, "one", "two", rules=[{"on": "submit", "do": "cut-after-accept", "at": [1]}])
    outcome = await apply(process, until=Until.SUBMITTED, collect=False, download=False, limits=Limits(submitting=1))
    assert outcome.exit is Exit.IN_DOUBT
    await until(lambda: shop.ask("SELECT count(*) FROM callbacks") == [(2,)])
    await process.aclose()
    later = await shop.open()
    assert (await later.apply(until=Until.ROUND, submit=False, cadence=PATIENT)).exit is Exit.OK
    assert shop.states() == {"completed": 2}
    await later.aclose()
    assert_invariants(shop)


async def test_a_job_in_doubt_is_waited_for_so_long_and_no_longer(shop):
    rules = [{"on": "submit", "do": "cut-after-accept", "at": [1]}, {"on": "callback", "do": "drop"}]
    process = await started(shop, "one", rules=rules)
    waiting = asyncio.create_task(apply(process, doubt_wait=600))
    await until(lambda: process.count(Kind.AWAITED))
    await asyncio.sleep(0)
    assert not waiting.done()
    shop.clock.leap(601)
    process.latest.called()
    assert (await waiting).exit is Exit.IN_DOUBT
    assert shop.states() == {"in_doubt": 1}
    await process.aclose()
    assert_invariants(shop)


async def test_without_a_public_url_nobody_waits(shop):
    process = await shop.start("one", rules=[{"on": "submit", "do": "cut-after-accept", "at": [1]}])
    process.leaps = False
    assert (await apply(process, doubt_wait=10**6)).exit is Exit.IN_DOUBT
    await process.aclose()


async def test_a_forger_with_a_token_causes_one_query_in_half_a_minute_and_nothing_else(shop):
    process = await started(shop, "[slow] one", speed=10, rules=[{"on": "callback", "do": "drop"}])
    mint, urls = overheard(process)
    asked = []
    query = process.provider.query

    async def counted(task_id):
        asked.append(task_id)
        return await query(task_id)

    process.provider.query = counted
    running = asyncio.create_task(apply(process, mint=mint))
    await until(lambda: process.count(Kind.SUBMITTED))
    ((task_id,),) = shop.ask("SELECT task_id FROM attempts")
    for number in range(20):
        assert await call(urls[0], said(task_id, "SUCCESS", f"https://canary.invalid/{number}.mp4")) == 200
        assert await call(urls[0], said(f"made-up-{number}")) == 200
    await until(lambda: shop.ask("SELECT count(*) FROM callbacks WHERE verdict IS NOT NULL") != [(0,)])
    assert len(asked) <= 1
    assert shop.states() == {"running": 1}
    assert shop.ask("SELECT count(*) FROM outputs") == [(0,)]
    for _ in range(45):
        shop.clock.leap(31)
        process.latest.called()
        await asyncio.sleep(0.02)
    shop.clock.leap(4_000)
    process.latest.called()
    assert (await running).exit is Exit.OK
    assert shop.ask("SELECT task_id FROM attempts") == [(task_id,)]
    assert shop.ask("SELECT count(*) FROM extras") == [(0,)]
    await process.aclose()
    assert_invariants(shop)


async def test_a_second_task_at_one_token_is_extra_and_told(shop):
    """The provider's gateway sent one request on twice: both tasks have one callback URL."""
    process = await started(shop, "one", speed=1)
    mint, urls = overheard(process)
    # Of two callbacks at one token the second is read half a minute later: asking goes on beside them.
    running = asyncio.create_task(apply(process, mint=mint, cadence=Cadence(first=6, shortest=1, longest=1)))
    await until(lambda: process.count(Kind.SUBMITTED))
    headers = {"Authorization": f"Bearer {KEY}"}
    ((reference, model, values),) = shop.ask(
        "SELECT a.reference, j.model, j.input FROM attempts a JOIN jobs j ON j.id = a.job_id"
    )
    request = {"model": model, "input": json.loads(values), "user_id": reference, "callBackUrl": urls[0]}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{shop.address}/api/v1/task/submit", json=request) as response,
    ):
        second = (await response.json())["data"]["taskId"]
    outcome = await running
    assert outcome.exit is Exit.OK
    await until(lambda: shop.ask("SELECT count(*) FROM callbacks") == [(2,)])
    shop.clock.leap(31)
    await process.apply(until=Until.ROUND, submit=False, cadence=PATIENT)
    assert shop.ask("SELECT task_id FROM extras") == [(second,)]
    assert process.count(Kind.EXTRA) == 1
    await process.aclose()


async def test_a_stray_callback_is_kept_and_told(shop):
    process = await started(shop, "one")
    token = TokenKey(Secret(KEY)).token(b"x" * 16)
    assert await call(f"{process.public_url}/callbacks/{token}", said("t-lost")) == 200
    assert (await apply(process)).exit is Exit.OK
    assert shop.ask("SELECT verdict, task_id FROM callbacks WHERE verdict = 'unknown'") == [("unknown", "t-lost")]
    assert process.count(Kind.MISCALLED) == 1
    await process.aclose()


async def test_a_changed_key_locks_no_token_out(shop):
    """The listener was started with another key than the process that submits."""
    process = await shop.start("one", rules=[{"on": "submit", "do": "cut-after-accept"}], speed=0.5)
    await process.listen(key="another key")
    await apply(process, until=Until.SUBMITTED, collect=False, download=False)
    await process.reception.refresh()
    await until(lambda: shop.ask("SELECT count(*) FROM callbacks") == [(1,)])
    assert (await apply(process)).exit is Exit.OK
    await process.aclose()
    assert_invariants(shop)


async def test_a_provider_that_refuses_the_callback_url_stops_the_run_and_fails_no_job(shop):
    process = await shop.start(*TEN, internal=False)
    await process.listen()
    outcome = await apply(process)
    assert outcome.exit is Exit.PROVIDER
    assert "callback URL" in outcome.stops[0].reason
    assert shop.states() == {"pending": 10}
    assert shop.tasks() == []
    await process.aclose()
