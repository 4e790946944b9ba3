from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.project import Forge, Project


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    with Forge() as opened:
        yield opened


@pytest.fixture
def project(tmp_path: Path, forge: Forge) -> Project:
    return Project(tmp_path, forge)
