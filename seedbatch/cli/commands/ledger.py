from __future__ import annotations

import json
from pathlib import Path

import click

from seedbatch.cli import options
from seedbatch.cli.words import clean, count, say, whoever
from seedbatch.domain.errors import Exit


@click.group("ledger")
def command() -> None:
    """Care for the ledger: look for damage, copy it, rebuild it."""


@command.command("check")
@options.place
@click.option("--files", is_flag=True, help="Hash every clip on disk as well.")
@click.option("--accept", is_flag=True, help="Take the rows as they are: you edited them, and answer for it.")
@options.as_json
def check(ledger: Path | None, sandbox: bool, files: bool, accept: bool, as_json: bool) -> int:
    """Tell everything in the ledger that is not as seedbatch wrote it.

    Exit 8 if anything is wrong with the ledger, 3 if only clips are missing or changed. A ledger with wrong rows
    submits nothing until it is restored, or accepted.
    """
    from seedbatch.wiring import examine_ledger

    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    if not settings.ledger.exists():
        say(f"There is no ledger at {settings.ledger}: nothing was applied here yet.")
        return int(Exit.OK)
    found = examine_ledger(settings, files=files, accept_as=whoever() if accept else None)
    if as_json:
        facts = {
            "version": 1,
            "ledger": [{"where": one.where, "what": one.what} for one in found.ledger],
            "files": [{"where": one.where, "what": one.what} for one in found.files],
            "rows": found.rows,
            "artifacts": found.artifacts,
        }
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        for one in (*found.ledger, *found.files):
            click.echo(clean(str(one)))
        if not found.ledger and not found.files:
            hashed = f", {count(found.artifacts, 'clip')} hashed" if files else ""
            click.echo(f"ledger ok: {count(found.rows, 'row')}{hashed}")
    if found.ledger:
        say("Error: this ledger submits nothing as it is")
        say("  → restore a backup, or take the rows as they are with seedbatch ledger check --accept")
        return int(Exit.LEDGER)
    return int(Exit.FAILED_JOBS if found.files else Exit.OK)
