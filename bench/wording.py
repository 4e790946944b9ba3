"""What word differences and prices add to a plan: every prompt of a finished batch changed by a word."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rows import COMMAND, MANIFEST, finish, loop, write_rows

PRICES: Final = """\
[[prices]]
model = "seedance-2.0"
unit = "second"
price = "0.05"
currency = "USD"
date = 2026-11-01
"""
PLAN: Final = """\
import sys
import seedbatch.engine.plan
from seedbatch.cli import main
if sys.argv.pop(1) == "without":
    seedbatch.engine.plan.word_difference = lambda before, after: "changed"
sys.argv[0] = "seedbatch"
main()
"""


def measure(folder: Path, how: str) -> float:
    """Seconds of processor time, helpers included."""
    arguments = [sys.executable, "-c", PLAN, how, "plan", "m.yaml", "--sandbox"]
    process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "m.yaml").write_text(MANIFEST)
        rows = folder / "rows.csv"
        write_rows(rows, options.rows)
        declare = ("apply", "m.yaml", "--sandbox", "--yes", "--max-jobs", "0")
        subprocess.run([COMMAND, *declare], cwd=folder, capture_output=True, check=False)
        finish(folder / ".seedbatch" / "sandbox.db")
        rows.write_text(re.sub(r"^(shot-\d+,\w+) \w+", r"\1 cathedral", rows.read_text(), flags=re.MULTILINE))
        print(f"{options.rows:,} jobs whose prompt changed by a word\n")
        print("| words and prices | without | more by | a loop of 20 million |\n| --- | --- | --- | --- |")
        best = {"with": float("inf"), "without": float("inf")}
        for _ in range(options.rounds):
            (folder / "seedbatch.toml").write_text(PRICES)
            both = measure(folder, "with")
            (folder / "seedbatch.toml").unlink()
            neither = measure(folder, "without")
            best = {"with": min(best["with"], both), "without": min(best["without"], neither)}
            more = 100 * (both / neither - 1)
            print(f"| {both:.1f} s | {neither:.1f} s | {more:.0f} % | {loop():.2f} s |", flush=True)
        more = 100 * (best["with"] / best["without"] - 1)
        print(f"\nthe least of each: {best['with']:.1f} s and {best['without']:.1f} s, {more:.0f} % more")


if __name__ == "__main__":
    main()
