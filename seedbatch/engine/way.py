"""Making way: what an earlier task of a job left at a path is moved aside before a new file comes there."""

from __future__ import annotations

from contextlib import suppress

from seedbatch.ports import Clock, DownloadLedger, Store


async def make_way(ledger: DownloadLedger, store: Store, clock: Clock, job_id: int, name: str) -> bool:
    """Move a file of an earlier task of this job aside; returns whether there was one.

    Raises:
        OSError: it cannot be moved.
    """
    occupant = await ledger.occupant(job_id, name)
    if occupant is None:
        return False
    # Both names stand until the old one is gone, and the ledger hears of it last: a crash in between repeats it.
    try:
        path = await store.give_way(occupant.path, occupant.revision, occupant.tries)
    except FileNotFoundError:
        return True  # somebody removed it: the name is free
    await store.release(occupant.path)
    await ledger.moved(occupant.artifact_id, path, clock.now())
    return True


async def make_way_beyond(
    ledger: DownloadLedger, store: Store, clock: Clock, job_id: int, output: str, offered: int
) -> None:
    """An earlier task gave more files than this one offers: left where they are, they would look like this one's."""
    number = offered + 1
    with suppress(OSError):  # it costs no result of this task, and the next one looks again
        while await make_way(ledger, store, clock, job_id, f"{output}-{number}"):
            number += 1
