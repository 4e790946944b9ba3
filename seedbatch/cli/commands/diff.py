from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from seedbatch.cli import options
from seedbatch.domain.errors import UsageError
from seedbatch.domain.money import Money
from seedbatch.domain.runs import Move, RecordedRun
from seedbatch.ports import Records


@click.command("diff")
@click.argument("one", metavar="A")
@click.argument("two", metavar="B")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[MANIFEST]...")
@options.place
@options.prices
@options.leniency
@options.as_json
@click.option("--verbose", "-v", is_flag=True, help="Show every job.")
def command(
    one: str,
    two: str,
    paths: tuple[Path, ...],
    ledger: Path | None,
    sandbox: bool,
    prices: Path | None,
    allow_unknown_model: bool,
    allow_large_matrix: bool,
    as_json: bool,
    verbose: bool,
) -> int:
    """Tell which jobs came, went and changed between two runs, and what that cost; or between two commits.

    A and B are numbers from `seedbatch log`. With manifests they are commits, or whatever names one to git: then no
    ledger is asked, and told is what the difference would cost.
    """
    from seedbatch.cli.comparing import compare_commits
    from seedbatch.cli.reading import open_or_say
    from seedbatch.engine.planfile import Terms

    settings = options.settings_of(ledger=ledger, sandbox=sandbox, prices=prices)
    if paths:
        terms = Terms(tuple(map(str, paths)), (), (), allow_unknown_model, allow_large_matrix)
        return compare_commits(one, two, terms, settings, form="json" if as_json else "text", verbose=verbose)
    numbers = [_number(one, two, given) for given in (one, two)]
    records = open_or_say(settings)
    if records is None:
        return 0
    try:
        before, now = (_run(records, number) for number in numbers)
        names = {batch.batch for run in (before, now) for batch in run.beginning.batches}
        moves = tuple(records.moves(before.event, now.event, names or None))
    finally:
        records.close()
    if as_json:
        click.echo(json.dumps(_json(before, now, moves), ensure_ascii=False))
    else:
        _print(before, now, moves, verbose=verbose)
    return 0


def _number(one: str, two: str, given: str) -> int:
    if given.isascii() and given.isdigit():
        return int(given)
    raise UsageError(
        f"{given!r} is no number of a run",
        hint=f"seedbatch log lists runs; for commits name manifests as well: seedbatch diff {one} {two} MANIFEST",
    )


def _run(records: Records, number: int) -> RecordedRun:
    found = records.run(number) if number < 2**63 else None
    if found is None:
        raise UsageError(f"there is no run {number} in this ledger", hint="seedbatch log lists them")
    return found


def _print(before: RecordedRun, now: RecordedRun, moves: Sequence[Move], *, verbose: bool) -> None:
    from seedbatch.cli.edits import edit_lines
    from seedbatch.cli.words import fitted
    from seedbatch.engine.comparison import Kind, edit_of

    edits = [edit_of(move) for move in moves]
    counts = Counter(edit.kind for edit in edits)
    told = ", ".join(f"{counts[kind]:,} {kind}" for kind in Kind if counts[kind]) or "the same jobs are wanted"
    click.secho(fitted(f"From {_title(before)} to {_title(now)}: {told}.", sys.stdout), bold=True)
    for line, colour in edit_lines(edits, {}, verbose=verbose):
        bold, foreground = colour == "bold", None if colour in {"", "bold"} else colour
        click.secho(fitted(line, sys.stdout), bold=bold, fg=foreground)
    if edits:
        click.echo(fitted(f"\n{_cost_text(moves)}", sys.stdout))


def _title(run: RecordedRun) -> str:
    from seedbatch.cli.commands.log import commit_text
    from seedbatch.cli.words import moment_text

    commit = commit_text(run)
    return f"run {run.number} ({moment_text(run.began_at)}{f', {commit}' if commit else ''})"


def _cost_text(moves: Sequence[Move]) -> str:
    from seedbatch.cli.spending import monies

    fresh, left = (monies(sums) for sums in _costs(moves))
    parts = [f"What came and changed may cost {fresh} so far" if fresh else "What came and changed cost nothing so far"]
    parts += [f"what it replaced or left behind had cost {left}"] if left else []
    return "; ".join(parts) + "."


def _costs(moves: Sequence[Move]) -> tuple[list[Money], list[Money]]:
    """What may be owed now for the rows that are wanted, and for those that were."""
    fresh: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for move in moves:
        if move.after is not None and move.after.cost is not None:
            fresh[move.after.cost.currency] += move.after.cost.micros
        if move.before is not None and move.before.cost is not None and not move.amended:
            left[move.before.cost.currency] += move.before.cost.micros
    return [Money(fresh[one], one) for one in sorted(fresh)], [Money(left[one], one) for one in sorted(left)]


def _json(before: RecordedRun, now: RecordedRun, moves: Sequence[Move]) -> dict[str, object]:
    from seedbatch.cli.commands.log import run_json
    from seedbatch.cli.spending import money_json
    from seedbatch.engine.comparison import Kind, edit_of

    at = datetime.now(UTC)
    edits = [edit_of(move) for move in moves]
    fresh, left = _costs(moves)
    return {
        "version": 1,
        "from": run_json(before, at),
        "to": run_json(now, at),
        "jobs": [
            {
                "batch": edit.batch,
                "key": edit.address,
                "edit": str(edit.kind),
                "reason": edit.reason,
                "from_revision": move.before and move.before.revision,
                "to_revision": move.after and move.after.revision,
                "state": str(job.state) if (job := move.after or move.before) else None,
                "cost": money_json(edit.price),
            }
            for edit, move in zip(edits, moves, strict=True)
        ],
        "summary": {
            "counts": {str(kind): sum(edit.kind is kind for edit in edits) for kind in Kind},
            "costs": [money_json(one) for one in fresh],
            "costs_before": [money_json(one) for one in left],
        },
    }
