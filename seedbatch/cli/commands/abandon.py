from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedbatch.cli import options
from seedbatch.cli.words import count, say, whoever
from seedbatch.domain.errors import Exit, UsageError
from seedbatch.domain.records import RecordedJob
from seedbatch.domain.states import JobState, sources

if TYPE_CHECKING:
    from seedbatch.ports import Records
    from seedbatch.settings import Settings


@click.command("abandon")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@options.place
@options.assent
def command(keys: tuple[str, ...], ledger: Path | None, sandbox: bool, yes: bool) -> int:
    """Give up unfinished jobs: nobody asks about them any more.

    The provider cannot cancel: what runs there is still paid for, and stays counted against every budget.
    """
    from seedbatch.cli.reading import open_settled

    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    records = open_settled(settings)
    if records is None:
        return int(Exit.OK)
    try:
        jobs = [_unfinished(records, key) for key in dict.fromkeys(keys)]
    finally:
        records.close()
    paid = sum(job.state is not JobState.PENDING for job in jobs)
    cost = f" {paid:,} of them may be paid for already, and that stays so." if paid else ""
    options.ask(f"Give up {count(len(jobs), 'job')}?{cost}", yes=yes)
    asyncio.run(_abandon(settings, jobs))
    for job in jobs:
        say(f"{job.batch}/{job.address} is abandoned.")
    return int(Exit.OK)


def _unfinished(records: Records, key: str) -> RecordedJob:
    from seedbatch.cli.reading import revisions_of

    jobs = revisions_of(records, key)
    job = next((one for one in reversed(jobs) if one.state in sources(JobState.ABANDONED)), None)
    if job is None:
        state = jobs[-1].state
        why = "being submitted at this moment" if state is JobState.SUBMITTING else str(state)
        raise UsageError(f"{key} is {why}: there is nothing to give up")
    return job


async def _abandon(settings: Settings, jobs: Sequence[RecordedJob]) -> None:
    from seedbatch.cli.reading import speaking
    from seedbatch.wiring import open_ledger

    async with open_ledger(settings) as (ledger, clock):
        for job in jobs:
            with speaking():
                await ledger.abandoned(job.job_id, whoever(), clock.now())
