from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from unit.sandbox.driving import Drive, driving
from unit.sandbox.receiving import Receiver, receiving


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "made" / "provider.db"


@pytest.fixture
async def drive(file: Path) -> AsyncIterator[Drive]:
    async with driving(file) as one:
        yield one


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one
