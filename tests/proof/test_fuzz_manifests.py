"""Every manifest is a batch or problems: `proof.fuzz` says what it looks at. SEEDBATCH_MANIFESTS sets how many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MANIFESTS = int(os.environ.get("SEEDBATCH_MANIFESTS", "10000"))
CHUNKS = 4
TESTS = Path(__file__).parents[1]


def looked_at(first, count, folder, **environment):
    """What `proof.fuzz` prints of these manifests: findings, and a last line with how many were valid and a digest."""
    done = subprocess.run(
        [sys.executable, "-m", "proof.fuzz", str(first), str(count), str(folder)],
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.timeout(300 + MANIFESTS // 50)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_manifest_ends_in_anything_else(tmp_path, chunk):
    count = MANIFESTS // CHUNKS
    *findings, last = looked_at(chunk * count, count, tmp_path)
    assert findings == []
    # Manifests that are all refused at the first look show nothing.
    assert count // 10 < int(last.split()[0]) < count // 2


def test_neither_hashes_nor_locale_nor_clock_zone_change_what_is_said(tmp_path):
    worlds = ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "LC_ALL": "C", "TZ": "Asia/Tokyo"})
    told = []
    for world in worlds:
        (*findings, last) = looked_at(0, 600, tmp_path, **world)
        assert findings == []
        told.append(last)
    assert told[0] == told[1]
