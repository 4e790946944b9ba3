from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from seedbatch.cli import options
from seedbatch.cli.words import clean, count, say, short_path, whoever
from seedbatch.domain.errors import Exit

_MOST_SHOWN: Final = 10
_WORTH_A_LOOK: Final = {
    "damaged": "files are missing, or were changed since they were stored",
    "left": "files are of jobs that have another clip, and are left out",
    "unclear": "sidecars tell too little, or were changed, and are left out",
    "kept": "entries of the emergency record fit no submission that the ledger knows, and stay there",
}


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


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@options.place
@options.as_json
def backup(file: Path, ledger: Path | None, sandbox: bool, as_json: bool) -> int:
    """Copy the ledger to a new FILE, also while `apply` runs: whole, checked, and never over another file."""
    from seedbatch.wiring import backup_ledger

    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    size = backup_ledger(settings, file)
    path = str(file.absolute())
    if as_json:
        click.echo(json.dumps({"version": 1, "path": path, "bytes": size}, ensure_ascii=False))
    else:
        click.echo(f"{clean(path)}: {size:,} bytes")
    return int(Exit.OK)


@command.command("rebuild")
@options.place
@options.output_dir
@options.as_json
def rebuild(ledger: Path | None, sandbox: bool, output_dir: Path | None, as_json: bool) -> int:
    """Record what the clips and their sidecars tell: for a ledger that is lost, or was restored from an older copy.

    Clips are hashed, and never touched. It asks the provider nothing and submits nothing; it may be repeated.
    """
    from dataclasses import asdict

    from seedbatch.wiring import rebuild_ledger

    settings = options.settings_of(ledger=ledger, sandbox=sandbox, output_dir=output_dir)
    found = asdict(rebuild_ledger(settings))
    paths = {"ledger": str(found.pop("ledger")), "output_dir": str(found.pop("folder"))}
    if as_json:
        click.echo(json.dumps({"version": 1, **paths, **found}, ensure_ascii=False))
    for line in _rebuilt_text({**paths, **found}):
        say(clean(line))
    if found["missing"]:
        say(_missing_text(found["missing"]), "bold")
        say(f"  → seedbatch plan MANIFEST{options.place_flags(settings)} tells what applying would submit")
    return int(Exit.OK)


def _rebuilt_text(found: Mapping[str, Any]) -> Iterator[str]:
    """What a rebuilding did, from the object that `--json` prints."""
    made = "Made a new ledger" if found["made"] else "Brought the ledger up to date"
    yield f"{made} from the clips in {short_path(found['output_dir'])}: {short_path(found['ledger'])}"
    yield f"{count(found['completed'], 'clip')} recorded, {found['known']:,} known already."
    if found["recovered"]:
        yield f"{count(found['recovered'], 'task')} taken up from the emergency record."
    if found["asked_again"]:
        asked = count(found["asked_again"], "task")
        yield f"{asked} will be asked about again by seedbatch collect: not all of their files are there."
    for name, words in _WORTH_A_LOOK.items():
        entries = found[name]
        if entries:
            yield f"{len(entries):,} {words}:"
            yield from (f"  {short_path(entry)}" for entry in entries[:_MOST_SHOWN])
        if len(entries) > _MOST_SHOWN:
            yield f"  … and {len(entries) - _MOST_SHOWN:,} more (--json names all)"


def _missing_text(missing: int) -> str:
    were = "submission was" if missing == 1 else "submissions were"
    return (
        f"\n{missing:,} {were} made by the lost ledger, and nothing tells what became of them. They may be running or"
        " paid for, or may never have been accepted: applying may generate them again, and bill them twice."
    )
