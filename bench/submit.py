"""The submit path against a bare loop with the same connection policy.

Ours: the intent durable before the POST, the task id durable after it (synchronous=FULL). The loop keeps nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp
import server

from seedbatch.artifacts import ArtifactStore
from seedbatch.domain.brake import Brake
from seedbatch.domain.jobs import BatchSpec, JobSpec, Limits, Request
from seedbatch.domain.secret import Secret
from seedbatch.domain.states import JobState
from seedbatch.domain.work import Caps
from seedbatch.engine.run import Errand, Run, Until
from seedbatch.ledger.sqlite import SqliteLedger
from seedbatch.provider.http import MaxApi
from seedbatch.wiring import WallClock

KEY = "k" * 40


def request(number: int) -> Request:
    prompt = f"A river winding through a birch forest at dawn, aerial view, 35 mm film, soft light, shot {number}"
    values = {"prompt": prompt, "ratio": "16:9", "resolution": "480p", "duration": 5, "fallback": False}
    return Request("seedance-2.0-fast", values)


async def bare(base: str, submitting: int, count: int) -> float:
    """Submits a second of a loop that keeps nothing, on a fresh connection each."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    bodies = iter([_body(request(number)) for number in range(count)])

    async def work(session: aiohttp.ClientSession) -> None:
        for body in bodies:
            async with session.post(f"{base}/api/v1/task/submit", data=body, headers=headers) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(work(session) for _ in range(submitting)))
        return count / (time.perf_counter() - begun)


def _body(one: Request) -> bytes:
    return json.dumps({"model": one.model, "input": one.input, "user_id": "seedbatch-000000000000-1-1"}).encode()


async def ours(base: str, submitting: int, count: int, folder: Path) -> float:
    """Submits a second of the whole path, the ledger in `folder`."""
    clock = WallClock()
    ledger = SqliteLedger(folder / "ledger.db", kind="real", folder=folder, now=clock.now())
    await ledger.declare(BatchSpec("bench", tuple(_job(number) for number in range(count))), clock.now())
    caps = Caps(brake=Brake(allowed=10 * count))  # nobody finishes here, so all of them are in flight
    limits = Limits(submitting=submitting)
    errand = Errand(("bench",), limits, Until.SUBMITTED, collect=False, download=False, caps=caps)
    async with MaxApi(base, Secret(KEY)) as provider, ArtifactStore(folder / "outputs") as store:
        run = Run(ledger, provider, store, clock, errand, lambda _happening: None)
        begun = time.perf_counter()
        outcome = await run.go()
        taken = time.perf_counter() - begun
    await ledger.aclose()
    assert outcome.counts[JobState.RUNNING] == count, outcome
    return count / taken


def _job(number: int) -> JobSpec:
    key, one = f"job-{number}", request(number)
    return JobSpec(key, key, key, 1, {}, one, one.fingerprint, f"bench/{key}")


async def measure(submitting: int, count: int, rounds: int) -> tuple[float, float]:
    """The medians of the bare loop and of ours, taken in turns."""
    loops, paths = [], []
    with server.running() as base:
        for _ in range(rounds):
            loops.append(await bare(base, submitting, count))
            with tempfile.TemporaryDirectory() as folder:
                paths.append(await ours(base, submitting, count, Path(folder)))
    return statistics.median(loops), statistics.median(paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| submitting | bare loop, submits/s | seedbatch, submits/s | ratio |\n| --- | --- | --- | --- |")
    for submitting in (2, 8, 50, 200):
        loop, path = asyncio.run(measure(submitting, options.count, options.rounds))
        print(f"| {submitting} | {loop:,.0f} | {path:,.0f} | {path / loop:.0%} |", flush=True)


if __name__ == "__main__":
    main()
