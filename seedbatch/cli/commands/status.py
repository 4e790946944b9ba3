from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from seedbatch.cli import options
from seedbatch.domain.errors import Exit

_SHORTEST: Final = 0.1
_LONGEST: Final = 86_400


def _interval(_context: click.Context, _parameter: click.Parameter, seconds: float | None) -> float | None:
    if seconds and not _SHORTEST <= seconds <= _LONGEST:
        raise click.BadParameter(f"from {_SHORTEST} to {_LONGEST:,} seconds")
    return seconds


@click.command("status")
@options.place
@click.option("--exit-code", "with_code", is_flag=True, help="Answer as `apply` would: 0, 3, 6 or 7.")
@click.option(
    "--watch",
    type=float,
    is_flag=False,
    flag_value=0.0,
    callback=_interval,
    metavar="[SECONDS]",
    help="Go on telling, until Ctrl-C; with --exit-code until everything is settled.  "
    "[default: 2 s on a terminal and with --json, 60 s elsewhere]",
)
@options.as_json
def command(ledger: Path | None, sandbox: bool, with_code: bool, watch: float | None, as_json: bool) -> int:
    """Tell where everything stands: counts, what is in doubt, and results whose link dies within a day."""
    from seedbatch.cli.reading import open_or_say
    from seedbatch.cli.standings import RISK, exit_of, print_standings, standings_json

    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    if watch is not None:
        from seedbatch.cli.watching import watch_standings

        return watch_standings(settings, watch or None, until_settled=with_code, as_json=as_json)
    records = open_or_say(settings)
    if records is None:
        return int(Exit.OK)
    try:
        standings = records.standings(datetime.now(UTC), RISK)
    finally:
        records.close()
    if as_json:
        click.echo(json.dumps(standings_json(standings), ensure_ascii=False))
    else:
        print_standings(standings, settings)
    return int(exit_of(standings) if with_code else Exit.OK)
