"""All benchmarks, one after the other; each also runs by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent

BENCHMARKS = (
    ("Submitting", "submit.py"),
    ("Callbacks", "callbacks.py"),
    ("Downloading", "downloads.py"),
    ("Ten thousand jobs", "memory.py"),
    ("Starting, and a large manifest", "startup.py"),
)


def main() -> None:
    for title, script in BENCHMARKS:
        print(f"\n## {title}\n", flush=True)
        subprocess.run([sys.executable, str(FOLDER / script)], check=True)


if __name__ == "__main__":
    main()
