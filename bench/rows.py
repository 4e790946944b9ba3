"""Jobs from a spreadsheet, by the hundred thousand: validate, plan and apply them, each as the installed command.

The ledger that is full is the one that `apply` declared, with every job finished as the program would have left it. A
loop of the same interpreter beside each figure tells how fast the machine is at that moment.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from seedbatch.ledger.checksums import register, seal_all
from seedbatch.ledger.opening import connect

COMMAND: Final = str(Path(sys.executable).with_name("seedbatch"))
WORDS: Final = ("river", "forest", "dawn", "market", "lantern", "snow", "harbour", "glass", "train", "bridge", "amber")
MANIFEST: Final = """\
version: 1
batch: rows
defaults: {model: seedance-2.0, input: {resolution: 480p}}
sources:
  - csv: rows.csv
    key: "{{ shot_id }}"
    prompt: "{{ text }}, 35 mm film"
    input: {duration: "{{ seconds }}", ratio: "{{ ratio }}"}
    tags: ["{{ scene }}"]
"""
AT: Final = "'2026-11-20T12:00:00.000000Z'"
FINISH: Final = f"""
INSERT INTO attempts (job_id, number, owner, reference, task_id, outcome, status, kind, took, intended_at, accepted_at,
    ended_at)
  SELECT id, 1, 'bench', printf('bench-%d', id), printf('task-%d', id), 'succeeded', 'SUCCESS', 'video', 130.0, {AT},
    {AT}, {AT} FROM jobs;
INSERT INTO outputs (attempt_id, position, url) SELECT id, 1, printf('https://x.example/%d.mp4', id) FROM attempts;
INSERT INTO artifacts (job_id, attempt_id, position, folder, path, bytes, sha256, content_type, stored_at)
  SELECT j.id, a.id, 1, '../outputs/sandbox', j.output || '.mp4', 1000000, j.fingerprint, 'video/mp4', {AT}
  FROM jobs j JOIN attempts a ON a.job_id = j.id;
CREATE TEMP TABLE steps (number, type, before, after);
INSERT INTO steps VALUES (1, 'intended', 'pending', 'submitting'), (2, 'accepted', 'submitting', 'running'),
  (3, 'succeeded', 'running', 'succeeded'), (4, 'completed', 'succeeded', 'completed');
INSERT INTO events (at, type, job_id, attempt_id, from_state, to_state, data)
  SELECT {AT}, s.type, a.job_id, a.id, s.before, s.after, '{{}}' FROM attempts a JOIN steps s ORDER BY a.id, s.number;
UPDATE jobs SET state = 'completed', expires_at = '2026-11-27T12:00:00.000000Z';
INSERT INTO totals (scope, currency, count, exposure) SELECT 'finished', '', count(*), 0 FROM attempts WHERE true
  ON CONFLICT (scope, currency) DO UPDATE SET count = excluded.count;
"""  # noqa: S608 - our words


def write_rows(path: Path, count: int) -> None:
    dice = random.Random(1)  # noqa: S311 - the same rows each time
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["shot_id", "text", "ratio", "seconds", "scene"])
        for number in range(count):
            text = " ".join(dice.choices(WORDS, k=14))
            ratio, seconds = dice.choice(["16:9", "9:16", "1:1"]), dice.randint(4, 15)
            writer.writerow([f"shot-{number:07d}", text, ratio, seconds, f"scene-{number // 1000}"])


def finish(ledger: Path) -> None:
    """Every job that was declared is done."""
    connection = connect(ledger)
    register(connection)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    # Step by step it would take an hour: the guards of single steps are put back when all is done.
    guards = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%RAISE%'"
    ).fetchall()
    for name, _ in guards:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in FINISH.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    for _, guard in guards:
        connection.execute(guard)
    seal_all(connection)
    connection.execute("COMMIT")
    connection.close()


def loop() -> float:
    begun = time.perf_counter()
    total = 0
    for number in range(20_000_000):
        total += number
    return time.perf_counter() - begun


def measure(what: str, folder: Path, *arguments: str, code: int = 0) -> None:
    beside = loop()
    begun = time.perf_counter()
    process = subprocess.Popen([COMMAND, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - begun
    assert os.waitstatus_to_exitcode(status) == code, os.waitstatus_to_exitcode(status)
    beside = (beside + loop()) / 2
    print(f"| {what} | {taken:.0f} s | {usage.ru_maxrss / 1024:.0f} MB | {beside:.2f} s |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "m.yaml").write_text(MANIFEST)
        write_rows(folder / "rows.csv", options.rows)
        print(f"{options.rows:,} rows, {(folder / 'rows.csv').stat().st_size / 1e6:.0f} MB\n")
        print("| command | taken | memory | a loop of 20 million, beside it |\n| --- | --- | --- | --- |")
        measure("`validate`", folder, "validate", "m.yaml")
        measure("`plan`, no ledger", folder, "plan", "m.yaml", "--sandbox")
        apply = ("apply", "m.yaml", "--sandbox", "--yes")
        measure("`apply --max-jobs 0`: all of them declared", folder, *apply, "--max-jobs", "0", code=5)
        finish(folder / ".seedbatch" / "sandbox.db")
        measure("`plan`, a full ledger", folder, "plan", "m.yaml", "--sandbox")
        measure("`apply`, nothing to do", folder, *apply)


if __name__ == "__main__":
    main()
