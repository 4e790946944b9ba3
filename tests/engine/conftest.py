from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from engine.workshop import LeapingClock, Workshop


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    async with AsyncExitStack() as stack:
        yield Workshop(tmp_path, LeapingClock(), stack)
