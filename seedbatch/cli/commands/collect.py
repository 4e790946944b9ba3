from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from seedbatch.cli import options
from seedbatch.cli.words import say
from seedbatch.domain.errors import Exit


@click.command("collect")
@options.place
@click.option("--watch", is_flag=True, help="Go on until everything is settled.")
@click.option("--no-download", is_flag=True, help="Leave results at the provider (links die after seven days).")
@options.output_dir
@click.option("--sandbox-speed", type=float, metavar="X", help="The sandbox's tasks finish X times as fast.")
@click.option("--sandbox-faults", type=click.Path(path_type=Path), hidden=True)
@options.loudness
@options.as_json
def command(
    ledger: Path | None,
    sandbox: bool,
    watch: bool,
    no_download: bool,
    output_dir: Path | None,
    sandbox_speed: float | None,
    sandbox_faults: Path | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Ask once about each running task that is due, and download what is done. Submits nothing.

    Exit 6 if something is still running; made for cron. A task is due two minutes after its submission, then at
    growing intervals: the provider asks not to be polled.
    """
    from seedbatch.cli.running import carry_out, closing_words
    from seedbatch.domain.jobs import Limits
    from seedbatch.engine.run import Errand, Until
    from seedbatch.settings import api_key
    from seedbatch.wiring import ceilings, check_output

    settings = options.settings_of(
        ledger=ledger,
        sandbox=sandbox,
        output_dir=output_dir,
        sandbox_speed=sandbox_speed,
        sandbox_faults=sandbox_faults,
    )
    if not settings.ledger.exists():
        say(f"There is no ledger at {settings.ledger}: nothing to collect.")
        return int(Exit.OK)
    key = api_key(os.environ, settings)
    if not no_download:
        check_output(settings)
    errand = Errand(
        scope=None,
        limits=ceilings(settings, Limits()),
        until=Until.SETTLED if watch else Until.ROUND,
        submit=False,
        download=not no_download,
    )
    outcome = asyncio.run(carry_out(settings, key, errand, as_json=as_json, quiet=quiet or as_json, verbose=verbose))
    if not as_json:
        closing_words(outcome, settings, "seedbatch collect --watch" + (" --sandbox" if sandbox else ""))
    return int(outcome.exit)
