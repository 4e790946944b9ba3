from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from seedbatch.cli import options
from seedbatch.cli.words import clean, say, whoever
from seedbatch.domain.errors import Exit, UsageError
from seedbatch.domain.records import RecordedJob, Standing
from seedbatch.domain.states import JobState

if TYPE_CHECKING:
    from seedbatch.ports import Records
    from seedbatch.settings import Settings


@click.command("resolve")
@click.argument("key")
@click.option("--task-id", metavar="ID", help="This task is its own: take it over. The provider is asked first.")
@click.option("--lost", is_flag=True, help="No task was made: give it up, and free its money.")
@click.option("--resubmit", is_flag=True, help="Send it again, and accept that it may be billed twice.")
@options.place
@options.assent
def command(
    key: str, task_id: str | None, lost: bool, resubmit: bool, ledger: Path | None, sandbox: bool, yes: bool
) -> int:
    """Settle a job that is in doubt: it may have been accepted and charged, and only you can find out.

    KEY is a job's address, or BATCH/ADDRESS where several batches have one of that name.
    """
    from seedbatch.cli.reading import open_settled

    if (task_id is not None) + lost + resubmit != 1:
        raise UsageError("say one of --task-id ID, --lost and --resubmit")
    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    records = open_settled(settings)
    if records is None:
        return int(Exit.OK)
    try:
        job = _in_doubt(records, key)
    finally:
        records.close()
    name = f"{job.batch}/{job.address}"
    if task_id is not None:
        state = asyncio.run(_adopt(settings, job, task_id))
        say(f"{name} has the task {task_id} now, which the provider calls {clean(state)}.")
        say(f"  → seedbatch collect{options.place_flags(settings)}")
        return int(Exit.OK)
    if lost:
        options.ask(f"Give {name} up as lost? If the provider did make a task, its result is lost too.", yes=yes)
        asyncio.run(_settle(settings, job, "given_up"))
        say(f"{name} is failed (lost); its money is free again.")
        return int(Exit.OK)
    if job.standing is not Standing.CURRENT:
        raise UsageError(f"{name} is {job.standing}: nothing would submit it", hint="say --task-id ID or --lost")
    price = f" {job.price}" if job.price is not None else ""
    options.ask(f"Send {name} again? If the first one was accepted, it is billed{price} twice.", yes=yes)
    asyncio.run(_settle(settings, job, "resubmitted"))
    say(f"{name} is pending; the next apply of its manifest submits it.")
    return int(Exit.OK)


def _in_doubt(records: Records, key: str) -> RecordedJob:
    from seedbatch.cli.reading import revisions_of

    jobs = revisions_of(records, key)
    found = [job for job in jobs if job.state is JobState.IN_DOUBT]
    if not found:
        raise UsageError(f"{key} is {jobs[-1].state}, not in doubt", hint="seedbatch show tells its story")
    return found[-1]


async def _adopt(settings: Settings, job: RecordedJob, task_id: str) -> str:
    from seedbatch.engine.adopt import adopt
    from seedbatch.settings import api_key
    from seedbatch.wiring import open_plant

    async with open_plant(settings, api_key(os.environ, settings)) as plant:
        report = await adopt(plant.ledger, plant.provider, plant.clock, job, task_id, whoever())
        return report.status


async def _settle(settings: Settings, job: RecordedJob, word: Literal["given_up", "resubmitted"]) -> None:
    from seedbatch.cli.reading import speaking
    from seedbatch.wiring import open_ledger

    async with open_ledger(settings) as (ledger, clock):
        verb = ledger.given_up if word == "given_up" else ledger.resubmitted
        with speaking():
            await verb(job.job_id, whoever(), clock.now())
