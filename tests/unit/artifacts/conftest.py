from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

# Tests are no packages and are imported by their paths: what they share is found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from result_host import Host, listening


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with listening(Host()) as one:
        yield one


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "outputs"
