from __future__ import annotations

from pathlib import Path

import pytest

from seedbatch.manifest import load

HEAD = """version: 1
batch: b
defaults:
  model: seedance-2.0
  input: {resolution: 480p, ratio: 16:9, duration: 5}
"""


class Desk:
    """Writes manifests and loads them."""

    head = HEAD

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, text: str | bytes, name: str = "m.yaml") -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return path

    def load(self, text: str | bytes, **lenient):
        return load([self.write(text)], **lenient)

    def jobs(self, text: str, *, head: str = HEAD, **lenient):
        loaded = self.load(head + text, **lenient)
        assert loaded.problems == ()
        return [job for batch in loaded.batches for job in batch.jobs]

    def codes(self, text: str | bytes, **lenient):
        return [problem.code for problem in self.load(text, **lenient).problems]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
