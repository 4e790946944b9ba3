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
    from seedbatch.ports import Records
    from seedbatch.settings import Settings


@click.command("retry")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@options.place
@options.assent
def command(keys: tuple[str, ...], ledger: Path | None, sandbox: bool, yes: bool) -> int:
    """Want failed, expired or abandoned jobs again: the next apply submits them, and they are paid for again.

    What moderation refused is never sent again unchanged: edit its prompt instead.
    """
    from seedbatch.cli.reading import open_or_say

    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    records = open_or_say(settings)
    if records is None:
        return int(Exit.OK)
    try:
        jobs = [_held(records, key) for key in dict.fromkeys(keys)]
    finally:
        records.close()
    options.ask(f"Submit {count(len(jobs), 'job')} again at the next apply, each at its full price?", yes=yes)
    asyncio.run(_retry(settings, jobs))
    for job in jobs:
        say(f"{job.batch}/{job.address} is pending.")
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


async def _retry(settings: Settings, jobs: Sequence[RecordedJob]) -> None:
    from seedbatch.cli.reading import speaking
    from seedbatch.wiring import open_ledger

    async with open_ledger(settings) as (ledger, clock):
        for job in jobs:
            with speaking():
                await ledger.retried(job.job_id, whoever(), clock.now())
