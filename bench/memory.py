"""`apply` of many jobs against the sandbox in the same process: time, peak memory, and `status` beside it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("seedbatch"))
HEAD = """\
version: 1
batch: bench
defaults: {model: seedance-2.0-fast, input: {resolution: 480p, ratio: 16:9, duration: 4}}
limits: {in_flight: 100, submitting: 8}
jobs:
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        jobs = "".join(f'  - {{key: job-{number}, prompt: "A river, {number}"}}\n' for number in range(options.jobs))
        Path(folder, "m.yaml").write_text(HEAD + jobs)
        begun = time.perf_counter()
        arguments = [COMMAND, "apply", "m.yaml", "--sandbox", "--yes", "--quiet", "--sandbox-speed", "20"]
        process = subprocess.Popen(arguments, cwd=folder, stderr=subprocess.DEVNULL)
        waits: list[float] = []
        over = threading.Event()
        asker = threading.Thread(target=_ask, args=(folder, over, waits))
        asker.start()
        _, status, usage = os.wait4(process.pid, 0)
        over.set()
        asker.join()
        taken = time.perf_counter() - begun
    print("| jobs | exit | time | peak memory | slowest `status` beside it |\n| --- | --- | --- | --- | --- |")
    peak = usage.ru_maxrss / 1024
    code = os.waitstatus_to_exitcode(status)
    print(f"| {options.jobs:,} | {code} | {taken:.0f} s | {peak:.0f} MB | {max(waits, default=0):.2f} s |")


def _ask(folder: str, over: threading.Event, waits: list[float]) -> None:
    while not over.wait(1.0):
        begun = time.perf_counter()
        subprocess.run([COMMAND, "status", "--sandbox"], cwd=folder, capture_output=True, check=True)
        waits.append(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
