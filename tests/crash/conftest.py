from __future__ import annotations

from pathlib import Path

import pytest
from crash.project import Project
from forge import Forge


@pytest.fixture
def project(tmp_path: Path, forge: Forge) -> Project:
    return Project(tmp_path, forge)
