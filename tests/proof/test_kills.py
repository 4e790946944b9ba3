"""Kill -9 at random moments of `apply`, judged by the checker: nothing is billed twice, nothing paid is forgotten.

The provider loses one answer in fifty on the way. SEEDBATCH_KILLS sets how often each storm kills.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from proof.checker import check, read_bill

COMMAND = str(Path(sys.executable).with_name("seedbatch"))
KILLS = int(os.environ.get("SEEDBATCH_KILLS", "50"))
STORMS = 6
CLIPS = 6
MANIFEST = """\
version: 1
batch: b{number}
defaults:
  model: seedance-2.0-fast
  input: {{resolution: 480p, ratio: 16:9, duration: 5}}
jobs:
"""
LOST_ANSWERS = "seed: {seed}\nrules: [{{on: submit, do: cut-after-accept, chance: 0.02}}]\n"


def environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(folder), "TERM": "dumb"}


def start(folder: Path, *manifests: str) -> subprocess.Popen:
    return subprocess.Popen(
        [COMMAND, "apply", *manifests, "--sandbox", "--yes", "--json", "--sandbox-speed=8", "--submitting=3",
         "--allow-violations=1000", "--sandbox-faults=faults.yaml"],
        cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.timeout(max(600, 4 * KILLS))
@pytest.mark.parametrize("storm", range(STORMS))
def test_whatever_moment_it_is_killed_at_each_clip_is_paid_for_once(tmp_path, storm):
    dice = random.Random(storm)
    (tmp_path / "faults.yaml").write_text(LOST_ANSWERS.format(seed=storm))
    manifests = []
    for number in range(KILLS):
        manifests.append(f"b{number}.yaml")
        jobs = "".join(f'  - {{key: j{take}, prompt: "clip {number} {take}"}}\n' for take in range(CLIPS))
        (tmp_path / manifests[-1]).write_text(MANIFEST.format(number=number) + jobs)
        process = start(tmp_path, manifests[-1])
        time.sleep(0.35 + dice.random() * 1.4)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for _ in range(2):
        process = start(tmp_path, *manifests)
        _, words = process.communicate()
        assert process.returncode in {0, 7, 9}, words
    ledger, bill = tmp_path / ".seedbatch/sandbox.db", read_bill(tmp_path / ".seedbatch/sandbox-provider.db")
    assert check(ledger, bill, tmp_path / "outputs/sandbox") == []
    assert len(bill) > KILLS * CLIPS // 2
