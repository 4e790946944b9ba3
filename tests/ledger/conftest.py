"""The ledgers that the conformance suite runs on. The suite itself names none of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from samples import NOON

from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.sqlite import SqliteLedger
from seedbatch.ports import Ledger, Records


class Moments:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def after(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def clock() -> Moments:
    return Moments()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest_asyncio.fixture
async def another(place: Path, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Ledger]]]:
    """Open one more ledger of this place, as another process would."""
    opened: list[SqliteLedger] = []

    async def open_one() -> Ledger:
        ledger = SqliteLedger(place, kind="real", folder=tmp_path / "outputs", now=NOON)
        opened.append(ledger)
        return ledger

    yield open_one
    for ledger in opened:
        await ledger.aclose()


@pytest_asyncio.fixture
async def ledger(another: Callable[[], Awaitable[Ledger]]) -> Ledger:
    return await another()


@pytest.fixture
def records(ledger: Ledger, place: Path) -> Records:
    return SqliteRecords(place)
