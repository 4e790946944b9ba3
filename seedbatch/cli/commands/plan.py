from __future__ import annotations

import os
import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedbatch.cli import options
from seedbatch.cli.loading import load_manifests
from seedbatch.cli.markdown import plan_markdown
from seedbatch.cli.picking import picking_declared
from seedbatch.cli.plans import closing, left_out, plan_lines, taken_words
from seedbatch.cli.spending import caps_of, forecast_lines
from seedbatch.cli.words import fitted, say
from seedbatch.domain.errors import Exit, UsageError
from seedbatch.domain.records import Accounts
from seedbatch.settings import Settings

if TYPE_CHECKING:
    from seedbatch.engine.forecast import Forecast
    from seedbatch.engine.planned import Plan
    from seedbatch.ports import Records


@click.command("plan")
@options.manifests
@options.place
@options.selection
@options.output_dir
@options.prices
@options.ceilings
@options.leniency
@options.paying
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a plan for `apply FILE`."
)
@click.option(
    "--by",
    "by_texts",
    multiple=True,
    metavar="NAME",
    help="Part the price: by tag, batch, model, or an axis, a var or a parameter such as ratio. May be repeated.",
)
@click.option("--compare", "ref", metavar="GITREF", help="What changed since this commit, and what that costs.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", help="How to print it."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 10 if there are changes.")
@click.option("--verbose", "-v", is_flag=True, help="Show every job, unchanged ones as well.")
def command(
    paths: tuple[Path, ...],
    ledger: Path | None,
    sandbox: bool,
    selects: tuple[str, ...],
    excludes: tuple[str, ...],
    picks: Path | None,
    output_dir: Path | None,
    prices: Path | None,
    max_jobs: int | None,
    max_cost: str | None,
    allow_unknown_model: bool,
    allow_large_matrix: bool,
    retry_failed: bool,
    no_reuse: bool,
    shared: Path | None,
    out: Path | None,
    by_texts: tuple[str, ...],
    ref: str | None,
    form: str,
    detailed_exitcode: bool,
    verbose: bool,
) -> int:
    """Show what applying would do with each job, and why. Sends nothing.

    With --out, what it would submit is written to a file, and `seedbatch apply FILE` carries out exactly that, or
    refuses if anything changed meanwhile. With --compare, the ledger is left aside: the manifests of a commit are
    compared with those that lie here.

    \b
    + create      a new request            ~ regenerate  the request changed: a new revision
    & reuse       paid for by another job  > collect     running at the provider
    > download    finished, not on disk    ! held        waits for a person
    » move        its file, elsewhere      - orphan    no longer in the manifest
    """
    from seedbatch.cli.comparing import compare_with
    from seedbatch.cli.locking import locks_beside
    from seedbatch.cli.partings import by_of
    from seedbatch.cli.planfiles import refuse_plan_files, write_plan_file
    from seedbatch.cli.planjson import plan_json
    from seedbatch.engine.forecast import forecast
    from seedbatch.engine.plan import make_plan
    from seedbatch.engine.planfile import Terms
    from seedbatch.wiring import identity_of, open_records, refuse_a_lost_ledger

    refuse_plan_files(paths)
    settings = options.settings_of(ledger=ledger, sandbox=sandbox, output_dir=output_dir, prices=prices, shared=shared)
    terms = Terms(
        *(tuple(map(str, paths)), selects, excludes),
        *(allow_unknown_model, allow_large_matrix, retry_failed, not no_reuse),
        picks=str(picks or ""),
    )
    by = by_of(by_texts, everything=form != "text")
    if ref is not None:
        if by.names or max_jobs is not None or max_cost is not None:
            raise UsageError("--compare looks at no ledger", hint="leave out --by, --max-jobs and --max-cost")
        return compare_with(ref, terms, settings, form=form, out=out, detailed=detailed_exitcode, verbose=verbose)
    choice = picking_declared(options.choice_of(selects, excludes), terms.paths, terms.picks)
    batches = load_manifests(terms, settings)
    refuse_a_lost_ledger(settings)
    locks = locks_beside(batches, settings) if terms.reuse else None
    records = open_records(settings)
    try:
        plan = make_plan(
            batches, records, retry_failed=retry_failed, reuse=terms.reuse, choice=choice, by=by, locks=locks
        )
        obstacles = _obstacles(plan, records, settings)
        identity = identity_of(settings, records)
        accounts = Accounts() if records is None else records.accounts(datetime.now(UTC))
    finally:
        if records is not None:
            records.close()
    if not choice.everything:
        say(left_out(plan, batches))
    for words in obstacles:
        say(words)
    caps = caps_of(settings, batches, max_jobs=max_jobs, max_cost=max_cost)
    coming = forecast(plan, batches, accounts, caps, by)
    digest = None
    if out is not None:
        digest = write_plan_file(out, plan, terms, batches, identity)
        say(f"Wrote {out}, digest {digest}.\n  → carry it out with: {_apply(out, settings, output_dir)}")
    if form == "text":
        _print(plan, coming, verbose=verbose)
    elif form == "json":
        for piece in plan_json(plan, coming):
            click.echo(piece, nl=False)
    else:
        note = "" if choice.everything else left_out(plan, batches)
        click.echo(plan_markdown(plan, coming, digest=digest, note=note), nl=False)
    return int(Exit.CHANGES if detailed_exitcode and plan.changes else Exit.OK)


def _obstacles(plan: Plan, records: Records | None, settings: Settings) -> list[str]:
    """What lies in the output folder where files of this plan belong, and what `apply` makes of it."""
    from seedbatch.engine.plan import blocked_moves, foreign_files
    from seedbatch.wiring import taken_names

    if not os.access(settings.output_dir, os.R_OK | os.X_OK):
        return []  # nothing lies there, or `apply` says what is wrong with it
    taken = taken_names(settings)
    found = {
        "apply submits nothing until they have other outputs": foreign_files(plan, records, taken),
        "unless it is that very clip, what was to move there stays where it is": blocked_moves(plan, taken),
    }
    return [f"{taken_words(ones, settings.output_dir)}.\n  → {so}" for so, ones in found.items() if ones]


def _print(plan: Plan, coming: Forecast, *, verbose: bool) -> None:
    from seedbatch.cli.partings import parting_lines

    for line, colour in plan_lines(plan, coming, verbose=verbose):
        click.secho(fitted(line, sys.stdout), bold=colour == "bold", fg=None if colour in {"", "bold"} else colour)
    window = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for parting in coming.by if plan.submissions else ():
        click.echo()
        for line in parting_lines(parting, window):
            click.echo(fitted(line, sys.stdout) if line.endswith(".") else line)
    click.echo(fitted(f"\n{closing(plan, coming)}", sys.stdout))
    for line in forecast_lines(coming):
        click.echo(fitted(line, sys.stdout))


def _apply(out: Path, settings: Settings, output_dir: Path | None) -> str:
    folder = [] if output_dir is None else ["--output-dir", str(output_dir)]
    return f"{shlex.join(['seedbatch', 'apply', str(out), *folder])}{options.place_flags(settings)}"
