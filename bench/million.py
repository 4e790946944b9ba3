"""A ledger of a million jobs: how soon reading commands answer beside a running apply, and when apply submits.

The ledger is made once (some minutes, some GB) and used again while `--folder` is kept. Every measurement is the
installed command in a new process.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from seedbatch.ledger.checksums import register, seal_all
from seedbatch.ledger.opening import connect, create

COMMAND: Final = str(Path(sys.executable).with_name("seedbatch"))
BATCHES: Final = 10
ROUNDS: Final = 7
AT: Final = "'2026-11-20T12:00:00.000000Z'"
# A hundred days of work.
DAY: Final = "strftime('%Y-%m-%dT12:00:00.000000Z', '2026-08-01', '+' || (id * 100 / :jobs) || ' days')"
MANIFEST_HEAD: Final = """\
version: 1
batch: fresh-{moment}
defaults: {{model: seedance-2.0-fast, input: {{resolution: 480p, duration: 5, ratio: 16:9}}}}
jobs:
"""
MANIFEST_JOB: Final = '  - {{key: new-{number}, prompt: "A river through a birch forest at dawn, shot {number}"}}\n'

# All of them finished but for 100 that failed; 100 others have the tag `hero`.
FILL: Final = f"""
CREATE TEMP TABLE numbers AS WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < :jobs)
  SELECT id, 1 + id % {BATCHES} AS batch, id % (:jobs / 100) = 1 AS failed, id % (:jobs / 100) = 2 AS hero FROM n;
INSERT INTO batches (id, name, manifest, digest, "commit", dirty, tries, declared_at)
  SELECT DISTINCT batch, printf('old-%02d', batch), 'old.yaml', printf('%064x', batch), '', 0, 1, {AT} FROM numbers;
INSERT INTO jobs (id, batch_id, base, take, revision, address, standing, position, state, failure, reason, model, input,
    fingerprint, output, axes, tags, file, line, expires_at, created_at, updated_at)
  SELECT id, batch, printf('shot-%08d', id), 1, 1, printf('shot-%08d', id), 'current', id,
    iif(failed, 'failed', 'completed'), iif(failed, 'provider', NULL), iif(failed, 'gave no reason', ''),
    'seedance-2.0-fast', printf('{{"prompt":"A river winding through a birch forest at dawn, aerial view, shot %d",'
      || '"resolution":"480p","duration":%d,"ratio":"%s"}}', id, 4 + id % 9, iif(id % 2, '16:9', '9:16')),
    printf('%064x', id), printf('old/shot-%08d', id), '{{}}', iif(hero, '["river","hero"]', '["river"]'),
    'old.yaml', id, '2026-11-27T12:00:00.000000Z', {AT}, {AT} FROM numbers;
INSERT INTO attempts (id, job_id, number, owner, reference, task_id, token, called_at, outcome, status, kind, took,
    intended_at, accepted_at, ended_at)
  SELECT id, id, 1, 'bench', printf('seedbatch-bench-%d-1', id), printf('task-%d', id), printf('%064x', id),
    iif(id % 2, {AT}, NULL), iif(failed, 'failed', 'succeeded'), iif(failed, 'FAILURE', 'SUCCESS'), 'video', 130.0,
    {DAY}, {DAY}, {DAY} FROM numbers;
INSERT INTO outputs (attempt_id, position, url)
  SELECT id, 1, printf('https://results.example/%d.mp4', id) FROM numbers WHERE NOT failed;
INSERT INTO artifacts (job_id, attempt_id, position, folder, path, bytes, sha256, content_type, stored_at)
  SELECT id, id, 1, '../outputs/sandbox', printf('old/shot-%08d.mp4', id), 1000000, printf('%064x', id), 'video/mp4',
    {AT} FROM numbers WHERE NOT failed;
CREATE TEMP TABLE steps (number, type, before, after);
INSERT INTO steps VALUES (1, 'declared', NULL, 'pending'), (2, 'intended', 'pending', 'submitting'),
  (3, 'accepted', 'submitting', 'running'), (4, 'succeeded', 'running', 'succeeded'),
  (5, 'completed', 'succeeded', 'completed');
INSERT INTO events (at, type, job_id, attempt_id, from_state, to_state, data)
  SELECT {AT}, iif(failed AND number = 4, 'failed', type), id, iif(number > 1, id, NULL), before,
    iif(failed AND number = 4, 'failed', after), '{{"by":"bench"}}'
  FROM numbers JOIN steps WHERE NOT (failed AND number = 5) ORDER BY id, number;
INSERT INTO totals (scope, currency, count, exposure)
  SELECT 'finished', '', count(*), 0 FROM attempts WHERE true
  ON CONFLICT (scope, currency) DO UPDATE SET count = excluded.count;
"""  # noqa: S608 - our words


def make(path: Path, jobs: int) -> None:
    """Fill a new ledger as the program would have left it, seals and totals included."""
    path.parent.mkdir(parents=True)
    create(path, "sandbox", "0123456789ab", datetime.now(UTC))
    connection = connect(path)
    register(connection)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for statement in FILL.split(";\n"):
        if statement.strip():
            connection.execute(statement, {"jobs": jobs} if ":jobs" in statement else {})
    seal_all(connection)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def timed(folder: Path, *arguments: str) -> tuple[float, int]:
    """The median of some runs in seconds, and how many lines came."""
    taken, lines = [], 0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        done = subprocess.run(
            [COMMAND, *arguments, "--sandbox"], cwd=folder, capture_output=True, text=True, check=True
        )
        taken.append(time.perf_counter() - begun)
        lines = len(done.stdout.splitlines())
    return statistics.median(taken), lines


def tell(what: str, seconds: float, more: str = "") -> None:
    print(f"| {what} | {seconds:.2f} s | {more} |", flush=True)


@contextmanager
def applying(folder: Path, jobs: int) -> Iterator[float]:
    """An apply of new jobs that goes on meanwhile; gives the seconds until its first submission was answered."""
    path = folder / "fresh.yaml"
    path.write_text(
        MANIFEST_HEAD.format(moment=time.time_ns())
        + "".join(MANIFEST_JOB.format(number=number) for number in range(jobs))
    )
    command = [COMMAND, "apply", path.name, "--sandbox", "--yes", "--json"]
    begun = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if json.loads(line)["type"] == "submitted":
                    break
            yield time.perf_counter() - begun
        finally:
            process.stdout.close()
            process.send_signal(signal.SIGTERM)
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="Where the ledger is made, or lies already. [default: one that is removed]"
    )
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        ledger = folder / ".seedbatch" / "sandbox.db"
        if not ledger.exists():
            begun = time.perf_counter()
            make(ledger, options.jobs)
            print(f"made in {time.perf_counter() - begun:.0f} s")
        print(f"{ledger.stat().st_size / 1e9:.1f} GB, {os.cpu_count()} cores\n")
        print("| what | taken | |\n| --- | --- | --- |")
        tell("`status`, alone", timed(folder, "status")[0])
        for expression in ("tag:hero", "state:failed", "ratio=16:9,tag:hero", "shot-000042??", "reason:provider"):
            taken, lines = timed(folder, "list", "--select", expression)
            tell(f"`list --select {expression}`", taken, f"{lines - 1} jobs")
        with applying(folder, options.new) as first:
            tell(f"`apply` of {options.new:,}: first submission", first)
            tell("`status` beside it", timed(folder, "status")[0])
            tell("`list --select tag:hero` beside it", timed(folder, "list", "--select", "tag:hero")[0])


if __name__ == "__main__":
    main()
