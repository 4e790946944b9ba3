"""How soon the command answers, beside importing click alone; and how long a large manifest takes to check."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

COMMAND = str(Path(sys.executable).with_name("seedbatch"))
HEAD = """\
version: 1
batch: bench
defaults: {model: seedance-2.0-fast, input: {resolution: 480p}}
jobs:
"""
JOB = """\
  - key: job-{number}
    prompt: "A river winding through a birch forest at dawn, aerial view, 35 mm film, soft light, shot {number}"
    input: {{ratio: 16:9, duration: {seconds}}}
    tags: [river, forest]
"""


def median(arguments: list[str], environment: dict[str, str]) -> float:
    taken = []
    for _ in range(15):
        begun = time.perf_counter()
        subprocess.run(arguments, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=False)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def events(path: Path) -> float:
    """The seconds that it takes to read a file's events, and do nothing with them."""
    begun = time.perf_counter()
    with path.open("rb") as file:
        for _ in yaml.parse(file, Loader=yaml.CSafeLoader):
            pass
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    options = parser.parse_args()
    complete = {"_SEEDBATCH_COMPLETE": "bash_complete", "COMP_WORDS": "seedbatch st", "COMP_CWORD": "1"}
    alone = median([sys.executable, "-c", "import click"], {})
    print("| command | ms | of importing click |\n| --- | --- | --- |")
    print(f"| `python -c 'import click'` | {alone * 1000:.0f} | 1.0 |")
    for name, arguments, environment in (
        ("seedbatch --help", ["--help"], {}),
        ("seedbatch --version", ["--version"], {}),
        ("completion", [], complete),
    ):
        taken = median([COMMAND, *arguments], environment)
        print(f"| `{name}` | {taken * 1000:.0f} | {taken / alone:.1f} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.yaml")
        jobs = (JOB.format(number=number, seconds=4 + number % 10) for number in range(options.jobs))
        path.write_text(HEAD + "".join(jobs))
        size = path.stat().st_size / 1e6
        bare = events(path)
        begun = time.perf_counter()
        process = subprocess.Popen([COMMAND, "validate", str(path)], stdout=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        taken = time.perf_counter() - begun
        bare = (bare + events(path)) / 2
    print(f"\n`validate` of {options.jobs:,} jobs ({size:.0f} MB): {taken:.1f} s, {usage.ru_maxrss / 1024:.0f} MB;")
    print(f"the events of PyYAML's C parser alone, before and after it: {bare:.1f} s, so {taken / bare:.1f} of that")


if __name__ == "__main__":
    main()
