"""Opening the ledger for the commands that only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seedbatch.cli.words import say
from seedbatch.domain.errors import StaleCaller, UsageError
from seedbatch.domain.records import RecordedJob
from seedbatch.ports import Records
from seedbatch.settings import Settings


def open_or_say(settings: Settings) -> Records | None:
    """The ledger; where there is none, say so, and name a sandbox's ledger if one is there."""
    from seedbatch.wiring import open_records

    records = open_records(settings)
    if records is None:
        say(f"There is no ledger at {settings.ledger}: nothing was applied here yet.")
        sandbox = settings.ledger.with_name("sandbox.db")
        if not settings.sandbox and sandbox.exists():
            say(f"  → a sandbox's ledger is there: {sandbox} (add --sandbox)")
    return records


def open_settled(settings: Settings) -> Records | None:
    """The ledger, once submissions of dead processes are known to be in doubt: a person's word concerns what is so."""
    import asyncio

    if settings.ledger.exists():
        asyncio.run(_rescue(settings))
    return open_or_say(settings)


async def _rescue(settings: Settings) -> None:
    from seedbatch.wiring import open_ledger

    async with open_ledger(settings) as (ledger, clock):
        await ledger.rescue(clock.now())


def revisions_of(records: Records, key: str) -> list[RecordedJob]:
    """The revisions of the one job that `key` means, an address or `BATCH/ADDRESS`; latest last.

    Raises:
        UsageError: there is none, or several batches have one of that name.
    """
    from difflib import get_close_matches

    jobs = records.find(key)
    if not jobs:
        addresses = [job.address for job in records.jobs()]
        near = get_close_matches(key.rpartition("/")[2], addresses, n=1, cutoff=0.5)
        raise UsageError(
            f"there is no job {key!r} in this ledger",
            hint=f"did you mean {near[0]!r}?" if near else "seedbatch list tells what there is",
        )
    names = sorted({f"{job.batch}/{job.address}" for job in jobs})
    if len(names) > 1:
        raise UsageError(f"{key!r} is a job of several batches", hint=f"say which: {', '.join(names[:5])}")
    return jobs


@contextmanager
def speaking() -> Iterator[None]:
    """A person's word that came too late is an error with words, not a bug.

    Raises:
        UsageError: somebody else moved the job meanwhile; nothing was changed.
    """
    try:
        yield
    except StaleCaller as error:
        raise UsageError(f"nothing was changed: {error.message}", hint="seedbatch show tells its story") from None
