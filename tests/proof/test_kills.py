"""Kill -9 at random moments of `apply`, judged by the checker: nothing is billed twice, nothing paid is forgotten.

The provider loses one answer in fifty on the way. SEEDBATCH_KILLS sets how often each storm kills.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from forge import Forge
from proof.checker import check, read_bill

KILLS = int(os.environ.get("SEEDBATCH_KILLS", "50"))
STORMS = 6
CLIPS = 6
ALONE = 8  # one run in so many
MANIFEST = """\
version: 1
batch: b{number}
defaults:
  model: seedance-2.0-fast
  input: {{resolution: 480p, ratio: 16:9, duration: 5}}
jobs:
"""
LOST_ANSWERS = "seed: {seed}\nrules: [{{on: submit, do: cut-after-accept, chance: 0.02}}]\n"


@dataclass
class Ground:
    """A folder on which one batch after the other is applied."""

    folder: Path
    forge: Forge
    manifests: list[str] = field(default_factory=list)

    def write(self) -> str:
        number = len(self.manifests)
        jobs = "".join(f'  - {{key: j{take}, prompt: "clip {number} {take}"}}\n' for take in range(CLIPS))
        self.manifests.append(f"b{number}.yaml")
        (self.folder / self.manifests[-1]).write_text(MANIFEST.format(number=number) + jobs)
        return self.manifests[-1]

    def apply(self, *manifests: str, killed_after: float | None = None) -> int:
        arguments = ["apply", *manifests, "--sandbox", "--yes", "--json", "--sandbox-speed=40", "--submitting=3"]
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        quick = {"SEEDBATCH_RECONCILE_FIRST": "0.05", "SEEDBATCH_RECONCILE_EVERY": "0.02"}
        return self.forge.run(
            {
                "module": "program",
                "folder": str(self.folder),
                "words": str(self.words),
                "environment": {**kept, **quick, "HOME": str(self.folder), "TERM": "dumb"},
                "arguments": [*arguments, "--allow-violations=1000", "--sandbox-faults=faults.yaml"],
                "killed_after": killed_after,
            }
        )

    @property
    def words(self) -> Path:
        return self.folder / "words"


@pytest.mark.timeout(max(600, 4 * KILLS))
@pytest.mark.parametrize("storm", range(STORMS))
def test_whatever_moment_it_is_killed_at_each_clip_is_paid_for_once(tmp_path, forge, storm):
    dice = random.Random(storm)
    (tmp_path / "faults.yaml").write_text(LOST_ANSWERS.format(seed=storm))
    ground = Ground(tmp_path, forge)
    kills = 0
    lasts = 0.0
    while kills < KILLS:
        alone = len(ground.manifests) % ALONE == 0
        # At any moment but the first, when it only reads. How long a run lasts here and now, those left alone tell.
        moment = None if alone else dice.uniform(0.2, 1) * lasts
        begun = time.monotonic()
        code = ground.apply(ground.write(), killed_after=moment)
        if code == -signal.SIGKILL:
            kills += 1
        else:
            assert code in {0, 7, 9}, ground.words.read_text()
            lasts = time.monotonic() - begun
    for _ in range(2):
        assert ground.apply(*ground.manifests) in {0, 7, 9}, ground.words.read_text()
    ledger, bill = tmp_path / ".seedbatch/sandbox.db", read_bill(tmp_path / ".seedbatch/sandbox-provider.db")
    assert check(ledger, bill, tmp_path / "outputs/sandbox") == []
    assert len(bill) > KILLS * CLIPS // 2
