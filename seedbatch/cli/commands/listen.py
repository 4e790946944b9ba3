from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import click

from seedbatch.cli import callbacks, options
from seedbatch.cli.callbacks import DEFAULT_BIND, Bind, read_bind


@click.command("listen")
@click.option(
    "--bind", callback=read_bind, default=DEFAULT_BIND, show_default=True, metavar="HOST:PORT", help="Where to listen."
)
@callbacks.public_url
@callbacks.proxies
@options.place
@click.option("--no-download", is_flag=True, help="Leave results at the provider (links die after seven days).")
@options.output_dir
@click.option("--sandbox-speed", type=float, metavar="X", help="The sandbox's tasks finish X times as fast.")
@click.option("--sandbox-faults", type=click.Path(path_type=Path), hidden=True)
@options.loudness
@options.as_json
def command(
    bind: Bind,
    public_url: str | None,
    proxies: tuple[str, ...],
    ledger: Path | None,
    sandbox: bool,
    no_download: bool,
    output_dir: Path | None,
    sandbox_speed: float | None,
    sandbox_faults: Path | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Receive the provider's callbacks, and collect and download what they announce, until Ctrl-C. Submits nothing.

    Other processes submit into the same ledger: `seedbatch apply --public-url URL`, with the URL at which the world
    reaches this listener. What it acknowledged is kept, also if it is killed the next moment.
    """
    from seedbatch.cli.running import carry_out, closing_words
    from seedbatch.domain.jobs import Limits
    from seedbatch.engine.run import Errand, Until
    from seedbatch.settings import api_key
    from seedbatch.wiring import ceilings, check_output

    settings = options.settings_of(
        ledger=ledger,
        sandbox=sandbox,
        public_url=public_url,
        output_dir=output_dir,
        sandbox_speed=sandbox_speed,
        sandbox_faults=sandbox_faults,
    )
    key = api_key(os.environ, settings)
    if not no_download:
        check_output(settings)
    errand = Errand(
        scope=None,
        limits=ceilings(settings, Limits()),
        until=Until.INTERRUPTED,
        submit=False,
        download=not no_download,
    )
    bind = replace(bind, proxies=frozenset(proxies))
    outcome = asyncio.run(
        carry_out(settings, key, errand, listen=bind, as_json=as_json, quiet=quiet or as_json, verbose=verbose)
    )
    if not as_json:
        closing_words(outcome, settings, f"seedbatch listen{options.place_flags(settings)}")
    return int(outcome.exit)
