"""Making way: what lies at a path from earlier is moved aside before a new file comes there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from seedbatch.ports import Clock, DownloadLedger, Store


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a file was and where it is, relative to the output folder."""

    before: str
    now: str


async def make_way(ledger: DownloadLedger, store: Store, clock: Clock, job_id: int, name: str) -> Moved | None:
    """Move a file aside that makes way for one of this job's; None if there is none.

    Raises:
        OSError: it cannot be moved.
    """
    occupant = await ledger.occupant(job_id, name)
    if occupant is None:
        return None
    # Both names stand until the old one is gone, and the ledger hears of it last: a crash in between repeats it.
    try:
        path = await store.give_way(occupant.path, occupant.revision, occupant.tries)
    except FileNotFoundError:
        return Moved(occupant.path, occupant.path)  # somebody removed it: the name is free
    await store.release(occupant.path)
    await ledger.moved(occupant.artifact_id, path, clock.now())
    return Moved(occupant.path, path)


async def make_way_beyond(
    ledger: DownloadLedger, store: Store, clock: Clock, job_id: int, output: str, offered: int
) -> None:
    """An earlier task gave more files than this one offers: left where they are, they would look like this one's."""
    number = offered + 1
    with suppress(OSError):  # it costs no result of this task, and the next one looks again
        while await make_way(ledger, store, clock, job_id, f"{output}-{number}"):
            number += 1
