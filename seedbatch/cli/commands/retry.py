from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedbatch.cli import options
from seedbatch.cli.words import count, say, whoever
from seedbatch.domain.errors import Exit, UsageError
from seedbatch.domain.records import RecordedJob, Standing
from seedbatch.domain.states import HELD, FailureClass

if TYPE_CHECKING:
    from seedbatch.domain.selection import Choice
    from seedbatch.ports import Records
    from seedbatch.settings import Settings

_MOST_SHOWN = 20


@click.command("retry")
@click.argument("keys", nargs=-1, metavar="[KEY...]")
@options.selection
@options.place
@options.assent
def command(
    keys: tuple[str, ...],
    selects: tuple[str, ...],
    excludes: tuple[str, ...],
    picks: Path | None,
    ledger: Path | None,
    sandbox: bool,
    yes: bool,
) -> int:
    """Want failed, expired or abandoned jobs again: the next apply submits them, and they are paid for again.

    Name them, or select them: of the selected ones those that are failed, expired or abandoned are meant.
    What moderation refused is never sent again unchanged: edit its prompt instead.
    """
    from seedbatch.cli.picking import picking_recorded
    from seedbatch.cli.reading import open_or_say

    if not keys and not selects:
        raise UsageError("which jobs?", hint="name them (seedbatch retry KEY...), or --select EXPR")
    if keys and (selects or excludes):
        raise UsageError("keys and --select are two wishes", hint="name the jobs, or select them")
    choice = options.choice_of(selects, excludes)
    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    records = open_or_say(settings)
    if records is None:
        return int(Exit.OK)
    try:
        choice = picking_recorded(choice, records, settings, picks)
        jobs = [_held(records, key) for key in dict.fromkeys(keys)] or _selected(records, choice)
    finally:
        records.close()
    options.ask(f"Submit {count(len(jobs), 'job')} again at the next apply, each at its full price?", yes=yes)
    asyncio.run(_retry(settings, jobs))
    for job in jobs[:_MOST_SHOWN]:
        say(f"{job.batch}/{job.address} is pending.")
    if len(jobs) > _MOST_SHOWN:
        say(f"… and {len(jobs) - _MOST_SHOWN:,} more are pending.")
    say(f"  → seedbatch apply MANIFEST{options.place_flags(settings)}")
    return int(Exit.OK)


def _held(records: Records, key: str) -> RecordedJob:
    from seedbatch.cli.reading import revisions_of

    job = next((one for one in reversed(revisions_of(records, key)) if one.standing is Standing.CURRENT), None)
    if job is None:
        raise UsageError(f"{key} is no longer in its manifest", hint="put it back there first")
    if job.state not in HELD:
        raise UsageError(f"{key} is {job.state}: only failed, expired and abandoned jobs can be sent again")
    if job.failure is FailureClass.MODERATION:
        raise UsageError(
            f"{key} was refused by moderation, and the same request is never sent twice",
            hint="change its prompt in the manifest, then apply",
        )
    return job


def _selected(records: Records, choice: Choice) -> list[RecordedJob]:
    """Those of the selected jobs that may be sent again.

    Raises:
        UsageError: there is none.
    """
    held = [job for job in records.select(choice, states=HELD) if job.standing is Standing.CURRENT]
    jobs = [job for job in held if job.failure is not FailureClass.MODERATION]
    if refused := len(held) - len(jobs):
        say(f"{count(refused, 'job')} refused by moderation left out: the same request is never sent twice.")
    if not jobs:
        raise UsageError(
            "no job that is selected can be sent again: only failed, expired and abandoned ones can",
            hint="seedbatch list --select EXPR tells what is selected",
        )
    return jobs


async def _retry(settings: Settings, jobs: Sequence[RecordedJob]) -> None:
    from seedbatch.cli.reading import speaking
    from seedbatch.wiring import open_ledger

    async with open_ledger(settings) as (ledger, clock):
        for job in jobs:
            with speaking():
                await ledger.retried(job.job_id, whoever(), clock.now())
