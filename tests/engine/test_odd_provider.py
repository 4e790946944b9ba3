"""A provider that says what the sandbox never would."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from engine.workshop import clips

from seedbatch.domain.errors import Exit
from seedbatch.domain.jobs import Limits
from seedbatch.engine.happenings import Kind


class OddProvider:
    """Answers submissions and queries with what it was told; keeps what came."""

    def __init__(self, names, reports) -> None:
        self.names, self.reports = list(names), list(reports)
        self.submitted: list[dict] = []
        self.queries = 0
        self.asked = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        app = web.Application()
        app.router.add_post("/api/v1/task/submit", self._submit)
        app.router.add_get("/api/v1/task/{task_id}", self._query)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _submit(self, request: web.Request) -> web.Response:
        self.submitted.append(json.loads(await request.read()))
        return web.json_response({"code": 0, "msg": "ok", "data": {"taskId": self.names.pop(0)}})

    async def _query(self, request: web.Request) -> web.Response:
        self.queries += 1
        if self.queries == 4:
            self.asked.set()
        report = self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]
        data = {"taskId": request.match_info["task_id"], "input": {}, **report}
        return web.json_response({"code": 0, "msg": "ok", "data": data})


@pytest.fixture
async def odd(shop):
    opened: list[OddProvider] = []

    async def start(names, *reports):
        provider = OddProvider(names, reports)
        opened.append(provider)
        return provider, await shop.open(await provider.start())

    yield start
    await shop.stack.aclose()
    for provider in opened:
        await provider.stop()


FAILED = {"status": "FAILURE", "failure_reason": "INVALID_PARAMETERS"}


async def test_a_task_that_is_named_twice_belongs_to_the_first(shop, odd):
    provider, process = await odd(["t1", "t1", "t2"], FAILED)
    await process.ledger.declare(clips("a", "b", "c"), shop.clock.now())
    outcome = await process.apply(limits=Limits(submitting=1))
    assert (outcome.exit, shop.states()) == (Exit.IN_DOUBT, {"failed": 2, "in_doubt": 1})
    assert shop.ask("SELECT task_id FROM attempts ORDER BY id") == [("t1",), (None,), ("t2",)]
    assert len({one["user_id"] for one in provider.submitted}) == 3


async def test_words_nobody_documented_are_waited_out(shop, odd):
    words = ["QUEUED", "done", "ERROR", "REJECTED", "expired", "Completed?"]
    provider, process = await odd(["t1"], *({"status": word} for word in words), FAILED)
    await process.ledger.declare(clips("a"), shop.clock.now())
    assert (await process.apply()).exit is Exit.FAILED_JOBS
    assert provider.queries == len(words) + 1
    told = shop.ask("SELECT json_extract(data, '$.status') FROM events WHERE type = 'reported' ORDER BY seq")
    assert [word for (word,) in told] == words


@pytest.mark.parametrize("lagging", [1, 3])
async def test_a_success_whose_outputs_lag_is_looked_at_again(shop, odd, lagging):
    empty = {"status": "SUCCESS", "result": {"type": "video", "urls": []}}
    # an address that must not be asked: whatever comes of it, the job is no failure
    whole = {"status": "SUCCESS", "result": {"type": "video", "urls": ["http://10.0.0.1/x.mp4"]}}
    _, process = await odd(["t1"], *[empty] * lagging, whole)
    await process.ledger.declare(clips("a"), shop.clock.now())
    outcome = await process.apply()
    assert (outcome.exit, shop.states()) == (Exit.PROVIDER, {"succeeded": 1})
    assert process.count(Kind.UNANSWERED) == lagging


async def test_an_answer_about_another_task_is_no_answer(shop, odd):
    other = {"taskId": "t9", "status": "FAILURE"}
    _, process = await odd(["t1"], other, other, FAILED)
    await process.ledger.declare(clips("a"), shop.clock.now())
    assert (await process.apply()).exit is Exit.FAILED_JOBS
    assert process.count(Kind.UNANSWERED) == 2
    assert shop.ask("SELECT failure FROM jobs") == [("invalid",)]


async def test_a_provider_that_goes_away_in_the_middle_loses_nothing(shop, odd):
    provider, process = await odd(["t1", "t2"], {"status": "PROCESSING"})
    await process.ledger.declare(clips("a", "b"), shop.clock.now())
    unheard = asyncio.Event()

    def tell(happening):
        if happening.kind is Kind.UNANSWERED:
            unheard.set()

    run = process.run(tell=tell)
    going = asyncio.create_task(run.go())
    await provider.asked.wait()
    await provider.stop()
    await unheard.wait()
    run.interrupt()
    assert (await going).exit is Exit.INTERRUPTED
    assert shop.states() == {"running": 2}
