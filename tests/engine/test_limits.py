"""Limits are ceilings, as the provider sees them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest
from engine.workshop import assert_invariants, clips

from seedbatch.domain.errors import Exit
from seedbatch.domain.jobs import Limits
from seedbatch.domain.moments import moment
from seedbatch.engine.run import Until

TWELVE = tuple(f"clip {number}" for number in range(12))
SUBMIT = b"POST /api/v1/task/submit"


class CountingProxy:
    """Passes bytes on to the sandbox and counts the submissions that are open at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.open = self.most = self.posts = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1 << 16)
        submits = first.startswith(SUBMIT)
        self.posts += submits
        self.open += submits
        self.most = max(self.most, self.open)
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._port)
        behind_writer.write(first)
        try:
            await asyncio.gather(_pour(reader, behind_writer), _pour(behind_reader, writer))
        finally:
            self.open -= submits
            behind_writer.close()
            writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    with suppress(ConnectionError, RuntimeError, OSError):
        writer.close()


@pytest.fixture
async def proxied(shop):
    address = await shop.start_sandbox({"on": "submit", "do": {"delay": 0.03}})
    proxy = CountingProxy(int(address.rpartition(":")[2]))
    shop.address = await proxy.start()
    yield proxy
    await shop.stack.aclose()
    proxy.stop()


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("submitting", [1, 2, 3])
async def test_submissions_at_once(shop, proxied, submitting, processes):
    crew = [await shop.open() for _ in range(processes)]
    await crew[0].ledger.declare(clips(*TWELVE), shop.clock.now())
    limits = Limits(submitting=submitting)
    outcomes = await asyncio.gather(*(one.apply(limits=limits) for one in crew))
    assert [outcome.exit for outcome in outcomes] == [Exit.OK] * processes
    assert (proxied.most, proxied.posts) == (submitting, 12)
    for one in crew:
        await one.aclose()
    assert_invariants(shop)


def most_at_once(shop):
    """The most jobs that were submitting or running at one moment, by the ledger's events."""
    here = most = 0
    for before, after in shop.ask("SELECT from_state, to_state FROM events WHERE to_state IS NOT NULL ORDER BY seq"):
        here += (after in {"submitting", "running"}) - (before in {"submitting", "running"})
        most = max(most, here)
    return most


def most_alive(shop):
    """The most tasks that were alive at the provider at one moment."""
    changes = sorted([(task.created, 1) for task in shop.tasks()] + [(task.ends, -1) for task in shop.tasks()])
    here = most = 0
    for _, change in changes:
        here += change
        most = max(most, here)
    return most


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("in_flight", [1, 2, 5])
async def test_tasks_in_flight(shop, in_flight, processes):
    await shop.start_sandbox()
    crew = [await shop.open() for _ in range(processes)]
    await crew[0].ledger.declare(clips(*TWELVE), shop.clock.now())
    limits = Limits(submitting=4, in_flight=in_flight)
    outcomes = await asyncio.gather(*(one.apply(limits=limits) for one in crew))
    assert [outcome.exit for outcome in outcomes] == [Exit.OK] * processes
    assert most_at_once(shop) == in_flight
    assert 1 <= most_alive(shop) <= in_flight
    for one in crew:
        await one.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("processes", [1, 2])
async def test_submissions_a_minute(shop, processes):
    await shop.start_sandbox()
    crew = [await shop.open() for _ in range(processes)]
    await crew[0].ledger.declare(clips(*TWELVE), shop.clock.now())
    limits = Limits(submitting=4, submits_per_minute=1_200)
    await asyncio.gather(*(one.apply(limits=limits) for one in crew))
    moments = sorted(moment(text) for (text,) in shop.ask("SELECT intended_at FROM attempts"))
    assert len(moments) == 12
    assert min((later - earlier).total_seconds() for earlier, later in pairwise(moments)) >= 0.05
    for one in crew:
        await one.aclose()
    assert_invariants(shop)


async def test_another_batch_counts_for_the_ceilings(shop):
    await shop.start_sandbox(speed=0.01)
    process = await shop.open()
    for name in ("one", "two"):
        await process.ledger.declare(clips(*TWELVE, name=name), shop.clock.now())
    errand = {"until": Until.SUBMITTED, "collect": False, "download": False}
    await process.apply(scope={"one"}, limits=Limits(submitting=2, in_flight=7), **errand)
    await process.apply(scope={"two"}, limits=Limits(submitting=2, in_flight=9), **errand)
    rows = shop.ask(
        "SELECT b.name, count(*) FROM jobs j JOIN batches b ON b.id = j.batch_id WHERE j.state = 'running' GROUP BY 1"
    )
    assert dict(rows) == {"one": 7, "two": 2}
