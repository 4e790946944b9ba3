"""A sandbox on loopback under a clock that the test moves, and a plain HTTP client for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from seedbatch.sandbox import BillLine, FaultPlan, Sandbox, read_bill, read_calls

INPUT = {"prompt": "a river", "ratio": "16:9", "resolution": "720p", "duration": 5}
PRICE = 10_000  # of INPUT


@dataclass
class Clock:
    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Drive:
    path: Path
    clock: Clock
    url: str
    http: aiohttp.ClientSession

    async def post(self, body: Any, **options: Any) -> tuple[int, Any]:
        async with self.http.post(f"{self.url}/api/v1/task/submit", json=body, **options) as answer:
            return answer.status, await answer.json()

    async def submit(self, prompt: str = "a river", *, model: str = "seedance-2.0", **more: Any) -> str:
        status, body = await self.post({"model": model, "input": {**INPUT, "prompt": prompt, **more}})
        assert (status, body["code"], body["msg"]) == (200, 0, "ok")
        return str(body["data"]["taskId"])

    async def submit_to(self, callback: str, prompt: str = "a river", **more: Any) -> str:
        """Submit with a `callBackUrl`."""
        body = {"model": "seedance-2.0", "input": {**INPUT, "prompt": prompt, **more}, "callBackUrl": callback}
        status, answer = await self.post(body)
        assert (status, answer["code"]) == (200, 0)
        return str(answer["data"]["taskId"])

    async def told(self, what: str) -> dict[str, Any]:
        """What the sandbox tells about itself: `bill`, `tasks` or `callbacks`."""
        async with self.http.get(f"{self.url}/_sandbox/{what}") as answer:
            return dict(await answer.json())

    async def get(self, task_id: str) -> tuple[int, Any]:
        async with self.http.get(f"{self.url}/api/v1/task/{task_id}") as answer:
            return answer.status, await answer.json()

    async def task(self, task_id: str) -> dict[str, Any]:
        status, body = await self.get(task_id)
        assert (status, body["code"], body["msg"]) == (200, 0, "ok")
        return dict(body["data"])

    async def finished(self, prompt: str, **more: Any) -> dict[str, Any]:
        """The task of a new prompt, ten seconds later."""
        task_id = await self.submit(prompt, **more)
        self.clock.pass_by(10)
        return await self.task(task_id)

    async def fetch(self, url: str, **options: Any) -> tuple[int, Mapping[str, str], bytes]:
        async with aiohttp.ClientSession() as bare, bare.get(url, **options) as answer:  # no Authorization header
            return answer.status, answer.headers, await answer.read()

    def bill(self, task_id: str) -> list[tuple[str, int]]:
        return [(line.kind, line.units) for line in self.lines() if line.task_id == task_id]

    def lines(self) -> list[BillLine]:
        return read_bill(self.path)

    def answers(self) -> dict[str, list[str]]:
        """What came back, for each task that was called and answered."""
        found: dict[str, list[str]] = {}
        for call in read_calls(self.path):
            if call.answer is not None:
                found.setdefault(call.task_id, []).append(call.answer)
        return found


async def until(happened: Callable[[], object]) -> None:
    """Another thread's or process's work: nothing here could set an event."""
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def driving(
    path: Path,
    *,
    speed: float = 1.0,
    plan: object = None,
    api_key: str | None = None,
    clock: Clock | None = None,
    **options: Any,
) -> AsyncIterator[Drive]:
    clock = clock or Clock()
    faults = None if plan is None else FaultPlan.from_data(plan)
    sandbox = Sandbox(path, speed=speed, faults=faults, api_key=api_key, clock=clock, **options)
    url = await sandbox.start()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {api_key or 'any'}"}) as http:
        try:
            yield Drive(path, clock, url, http)
        finally:
            await sandbox.stop()
