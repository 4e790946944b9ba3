from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from seedbatch.cli import options
from seedbatch.domain.errors import Exit
from seedbatch.domain.runs import RecordedRun

_ENDINGS: Final = {
    Exit.OK: "done",
    Exit.BUG: "a bug",
    Exit.USAGE: "wrong usage",
    Exit.FAILED_JOBS: "jobs failed",
    Exit.KEY: "key refused",
    Exit.STOPPED: "stopped",
    Exit.RUNNING: "unfinished",
    Exit.IN_DOUBT: "in doubt",
    Exit.LEDGER: "ledger failed",
    Exit.PROVIDER: "no provider",
    Exit.INTERRUPTED: "interrupted",
}


@click.command("log")
@options.place
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="The latest N runs."
)
@options.as_json
def command(ledger: Path | None, sandbox: bool, limit: int, as_json: bool) -> None:
    """List runs, newest first: each apply, collect and listen, with what it did and what it cost.

    A commit with * was not clean: the manifest differed from it. Costs are what may be owed now for what the run
    submitted. Piped, the columns are separated by tabs.
    """
    from seedbatch.cli.reading import open_or_say
    from seedbatch.cli.tables import print_table
    from seedbatch.cli.words import say

    records = open_or_say(options.settings_of(ledger=ledger, sandbox=sandbox))
    if records is None:
        return
    try:
        runs = records.runs(limit)
    finally:
        records.close()
    now = datetime.now(UTC)
    if as_json:
        for run in runs:
            click.echo(json.dumps(run_json(run, now), ensure_ascii=False))
    elif runs:
        headers = ("RUN", "WHEN", "COMMAND", "BATCHES", "COMMIT", "TOOK", "DID", "COST", "END", "WHO")
        print_table(headers, [_row(run, now) for run in runs], right=(0,), wide=6, spare=(9, 5, 4, 3, 2, 7, 1))
    else:
        say("No run is recorded in this ledger yet.")


def _row(run: RecordedRun, now: datetime) -> tuple[str, ...]:
    from seedbatch.cli.spending import monies
    from seedbatch.cli.words import span

    names = dict.fromkeys(batch.batch for batch in run.beginning.batches)
    return (
        str(run.number),
        _when(run.began_at, now),
        run.beginning.command,
        ", ".join(names) or "-",
        commit_text(run) or "-",
        "-" if run.ended_at is None and not run.lives else span((run.ended_at or now) - run.began_at),
        _did(run),
        monies(run.cost) or "-",
        ending(run),
        run.beginning.who,
    )


def _when(moment: datetime, now: datetime) -> str:
    """In a window, where room is scarce, no more than tells runs apart."""
    from seedbatch.cli.words import moment_text

    text = moment_text(moment)
    if not sys.stdout.isatty():
        return text
    return text[5:16] if text[:4] == moment_text(now)[:4] else text[:10]


def commit_text(run: RecordedRun) -> str:
    """The commit that its manifests belonged to, short; with `*` where they differed from it."""
    commits = dict.fromkeys(
        f"{batch.commit[:7]}{'*' if batch.dirty else ''}" for batch in run.beginning.batches if batch.commit
    )
    return ", ".join(commits)


def ending(run: RecordedRun) -> str:
    """How a run ended, in words."""
    if run.exit is None:
        return "still running" if run.lives else "killed"
    known = run.exit in list(Exit)
    return _ENDINGS.get(Exit(run.exit), f"exit {run.exit}") if known else f"exit {run.exit}"


def _did(run: RecordedRun) -> str:
    counts = {"submitted": run.submitted, **(run.did or {}), "in doubt": run.in_doubt}
    return ", ".join(f"{number:,} {name}" for name, number in counts.items() if number) or "nothing"


def run_json(run: RecordedRun, now: datetime) -> dict[str, object]:
    """One line of `log --json`; `docs/json-output.md`."""
    from dataclasses import asdict

    from seedbatch.cli.spending import money_json
    from seedbatch.domain.moments import stamp

    last = run.ended_at or (now if run.lives else None)
    return {
        "version": 1,
        "run": run.number,
        "command": run.beginning.command,
        "arguments": list(run.beginning.arguments),
        "who": run.beginning.who,
        "seedbatch": run.beginning.version,
        "batches": [asdict(batch) for batch in run.beginning.batches],
        "began_at": stamp(run.began_at),
        "ended_at": None if run.ended_at is None else stamp(run.ended_at),
        "seconds": None if last is None else round((last - run.began_at).total_seconds(), 3),
        "state": "ended" if run.exit is not None else "running" if run.lives else "killed",
        "exit": run.exit,
        "submitted": run.submitted,
        "unpriced": run.unpriced,
        "in_doubt": run.in_doubt,
        "did": None if run.did is None else dict(run.did),
        "cost": money_json(run.cost[0]) if len(run.cost) == 1 else None,
        "costs": [money_json(one) for one in run.cost],
    }
