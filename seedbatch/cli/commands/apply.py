from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedbatch.cli import callbacks, options
from seedbatch.cli.callbacks import Bind, read_bind
from seedbatch.cli.loading import load_manifests
from seedbatch.cli.picking import picking_declared
from seedbatch.cli.spending import caps_of, forecast_lines, price_text
from seedbatch.cli.words import say
from seedbatch.domain.errors import Exit, UsageError
from seedbatch.domain.jobs import BatchSpec, Limits
from seedbatch.domain.records import Accounts
from seedbatch.domain.states import HELD
from seedbatch.domain.work import Caps, JobName

if TYPE_CHECKING:
    from seedbatch.cli.planfiles import PlanFile
    from seedbatch.domain.locked import Locks
    from seedbatch.domain.selection import Choice
    from seedbatch.engine.forecast import Forecast
    from seedbatch.engine.planned import Plan
    from seedbatch.settings import Settings


@click.command("apply")
@options.manifests_or_plan
@options.place
@options.selection
@click.option("--yes", "-y", is_flag=True, help="Do not ask before spending.")
@click.option("--no-wait", is_flag=True, help="Return after submitting; `seedbatch collect` goes on later.")
@click.option("--no-download", is_flag=True, help="Leave results at the provider (links die after seven days).")
@click.option("--fail-fast", is_flag=True, help="Submit nothing more once a job has failed.")
@options.paying
@click.option(
    "--listen", callback=read_bind, metavar="HOST:PORT", help="Receive the provider's callbacks here while it runs."
)
@callbacks.public_url
@callbacks.proxies
@options.output_dir
@options.caps
@options.pace
@options.leniency
@options.loudness
@options.as_json
def command(
    paths: tuple[Path, ...],
    ledger: Path | None,
    sandbox: bool,
    selects: tuple[str, ...],
    excludes: tuple[str, ...],
    picks: Path | None,
    yes: bool,
    no_wait: bool,
    no_download: bool,
    fail_fast: bool,
    retry_failed: bool,
    no_reuse: bool,
    shared: Path | None,
    listen: Bind | None,
    public_url: str | None,
    proxies: tuple[str, ...],
    output_dir: Path | None,
    max_jobs: int | None,
    max_cost: str | None,
    allow_violations: int | None,
    prices: Path | None,
    submitting: int | None,
    in_flight: int | None,
    submits_per_minute: float | None,
    sandbox_speed: float | None,
    sandbox_faults: Path | None,
    allow_unknown_model: bool,
    allow_large_matrix: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Submit what is new, collect what is running, download what is done; until all of it is settled.

    Type it again to go on where it stopped: what was submitted once is never submitted again by itself. A file that
    `plan --out` wrote is carried out as it was approved, or refused if anything changed meanwhile.
    """
    from seedbatch.cli.planfiles import plan_file_among
    from seedbatch.engine.planfile import Terms
    from seedbatch.manifest import commit_of

    terms = Terms(
        *(tuple(map(str, paths)), selects, excludes),
        *(allow_unknown_model, allow_large_matrix, retry_failed, not no_reuse),
        picks=str(picks or ""),
    )
    approved = plan_file_among(paths)
    if approved is not None:
        terms = approved.terms(terms, sandbox=sandbox)
    choice = picking_declared(options.choice_of(terms.selects, terms.excludes), terms.paths, terms.picks)
    settings = options.settings_of(
        ledger=ledger,
        sandbox=sandbox,
        public_url=public_url,
        output_dir=output_dir,
        shared=shared,
        submitting=submitting,
        in_flight=in_flight,
        submits_per_minute=submits_per_minute,
        prices=prices,
        sandbox_speed=sandbox_speed,
        sandbox_faults=sandbox_faults,
    )
    bind = None if listen is None else replace(listen, proxies=frozenset(proxies))
    callbacks.check_reachable(settings, bind)
    quiet = quiet or as_json
    batches = load_manifests(terms, settings, quiet=quiet)
    commit, dirty = commit_of(tuple(map(Path, terms.paths)))
    batches = tuple(replace(batch, commit=commit, dirty=dirty) for batch in batches)
    caps = caps_of(settings, batches, max_jobs=max_jobs, max_cost=max_cost, allow_violations=allow_violations)
    caps = replace(caps, reuse=terms.reuse)
    manner = _Manner(
        *(choice, approved, yes, no_wait, no_download, fail_fast, terms.retry_failed, bind, as_json, quiet, verbose)
    )
    return _apply(settings, batches, caps, manner)


@dataclass(frozen=True, slots=True)
class _Manner:
    """How to go about it, and with which jobs."""

    choice: Choice
    approved: PlanFile | None
    yes: bool
    no_wait: bool
    no_download: bool
    fail_fast: bool
    retry_failed: bool
    listen: Bind | None
    as_json: bool
    quiet: bool
    verbose: bool


def _apply(settings: Settings, batches: tuple[BatchSpec, ...], caps: Caps, manner: _Manner) -> int:
    from seedbatch.cli.locking import locked_for, locks_beside
    from seedbatch.cli.plans import left_out
    from seedbatch.cli.running import carry_out, closing_words
    from seedbatch.engine.planned import Action
    from seedbatch.engine.run import Errand, Until
    from seedbatch.settings import api_key
    from seedbatch.wiring import ceilings

    key = api_key(os.environ, settings)
    locks = locks_beside(batches, settings) if caps.reuse else None
    plan, coming = _planned(settings, batches, caps, manner, locks)
    if not (plan.jobs or manner.choice.everything):
        raise UsageError(left_out(plan, batches), hint="seedbatch plan --select EXPR tells what a selection means")
    _show(plan, coming, batches, manner)
    if plan.submissions and settings.public_url is None and not (settings.provider_is_local or manner.quiet):
        callbacks.say_silence()
    if plan.submissions and not _agreed(coming, settings, manner):
        say("Nothing was submitted.")
        return int(Exit.USAGE)
    errand = Errand(
        scope=tuple(batch.name for batch in batches),
        limits=ceilings(settings, _strictest(batches)),
        caps=caps,
        until=Until.SUBMITTED if manner.no_wait else Until.SETTLED,
        collect=not manner.no_wait,
        download=not (manner.no_wait or manner.no_download),
        fail_fast=manner.fail_fast,
        chosen=_names(plan, manner.choice),
    )
    # A failed job whose request others paid for meanwhile is wanted again as well.
    again = [
        job.known.job_id
        for job in plan.of(Action.RETRY, *([Action.REUSE] if manner.retry_failed else []))
        if job.known is not None and job.known.state in HELD and job.known.fingerprint == job.fingerprint
    ]
    outcome = asyncio.run(
        carry_out(
            settings,
            key,
            errand,
            batches,
            again,
            locks=locked_for(plan, locks),
            approved=manner.approved,
            planned=plan.submissions,
            listen=manner.listen,
            as_json=manner.as_json,
            quiet=manner.quiet,
            verbose=manner.verbose,
        )
    )
    if not manner.as_json:
        closing_words(outcome, settings, _again(manner, settings), planned=plan.submissions)
    _keep_locks(settings, batches, quiet=manner.quiet)
    return int(outcome.exit)


def _keep_locks(settings: Settings, batches: Sequence[BatchSpec], *, quiet: bool) -> None:
    """Tell the team; that they cannot be told never changes how the run ended."""
    from seedbatch.cli.locking import keep_locks
    from seedbatch.wiring import open_records

    records = open_records(settings)
    if records is None:
        return
    try:
        for path, words in keep_locks(batches, records, settings):
            if not quiet:
                say(f"{path}: {words}")
    except UsageError as error:
        say(f"\nThe lock file is not up to date: {error.message}")
        say("  → seedbatch lock MANIFEST writes it; the ledger has everything")
    finally:
        records.close()


def _planned(
    settings: Settings, batches: Sequence[BatchSpec], caps: Caps, manner: _Manner, locks: Locks | None
) -> tuple[Plan, Forecast]:
    """The plan and what it comes to, once everything that can be known beforehand is in order."""
    from seedbatch.cli.plans import taken_words
    from seedbatch.engine.forecast import forecast
    from seedbatch.engine.plan import foreign_files, make_plan
    from seedbatch.wiring import check_output, identity_of, open_records, refuse_a_lost_ledger, taken_names

    refuse_a_lost_ledger(settings)
    check_output(settings)
    records = open_records(settings)
    try:
        plan = make_plan(
            batches,
            records,
            retry_failed=manner.retry_failed,
            reuse=caps.reuse,
            choice=manner.choice,
            locks=locks,
        )
        if manner.approved is not None:
            manner.approved.check(plan, batches, identity_of(settings, records))
        foreign = foreign_files(plan, records, taken_names(settings))
        accounts = Accounts() if records is None else records.accounts(datetime.now(UTC))
    finally:
        if records is not None:
            records.close()
    if foreign:
        raise UsageError(
            taken_words(foreign, settings.output_dir),
            hint="name other outputs, choose another folder with --output-dir, or move away what nobody needs; "
            "nothing was submitted",
        )
    return plan, forecast(plan, batches, accounts, caps)


def _names(plan: Plan, choice: Choice) -> frozenset[JobName] | None:
    """The jobs that the run is about; None if it leaves none out."""
    return None if choice.everything else frozenset(JobName(job.batch, job.address) for job in plan.jobs)


def _show(plan: Plan, coming: Forecast, batches: Sequence[BatchSpec], manner: _Manner) -> None:
    from seedbatch.cli.plans import left_out, plan_lines

    if manner.quiet:
        return
    if not manner.choice.everything:
        say(left_out(plan, batches))
    for line, colour in plan_lines(plan, coming, verbose=manner.verbose):
        say(line, colour)
    say()
    for line in forecast_lines(coming):
        say(line)


def _agreed(coming: Forecast, settings: Settings, manner: _Manner) -> bool:
    if manner.yes:
        return True
    what = price_text(coming)
    if not sys.stdin.isatty():
        raise UsageError(
            f"applying would submit {what}, and there is no terminal to ask at",
            hint="add --yes to spend without being asked",
        )
    where = "the sandbox, at no cost" if settings.sandbox else f"{settings.base_url}; each one costs money"
    return click.confirm(f"Submit {what} to {where}?", err=True)


def _strictest(batches: Sequence[BatchSpec]) -> Limits:
    limits = Limits()
    for batch in batches:
        limits = limits.strictest(batch.limits)
    return limits


def _again(manner: _Manner, settings: Settings) -> str:
    if manner.no_wait:
        return "seedbatch collect --watch" + (" --sandbox" if settings.sandbox else "")
    return shlex.join(["seedbatch", *sys.argv[1:]])
