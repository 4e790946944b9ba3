"""The relocate role: files follow where the manifest wants them now. The other roles begin when it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seedbatch.domain.errors import Exit
from seedbatch.domain.work import Relocation
from seedbatch.engine.crew import Crew, Stop
from seedbatch.engine.happenings import Kind
from seedbatch.ports import RelocateLedger, Store

_AT_ONCE: Final = 200


async def relocate(crew: Crew, ledger: RelocateLedger, store: Store, interrupted: Callable[[], bool]) -> None:
    """Move every file that lies where an earlier manifest wanted it; what is interrupted goes on in the next run.

    Before a new file may take a path, the one that leaves it has to be gone: so nothing else happens meanwhile.
    """
    while True:
        found, left = await ledger.claim_relocations(_AT_ONCE)
        for done, one in enumerate(found):
            if interrupted():
                _put_off(crew, len(found) - done + left)
                return
            await _move(crew, ledger, store, one)
        if found:
            continue
        if left and interrupted():
            _put_off(crew, left)
            return
        aside = await ledger.claim_waypoint() if left else None
        if aside is None:
            return
        await _move(crew, ledger, store, aside, told=False)


def _put_off(crew: Crew, files: int) -> None:
    crew.stop(Stop(Exit.RUNNING, f"{files:,} files are not moved yet", "apply again: it costs nothing"))


async def _move(crew: Crew, ledger: RelocateLedger, store: Store, one: Relocation, *, told: bool = True) -> None:
    try:
        if one.held_by:
            raise FileExistsError(f"the same clip lies there for {one.held_by}")
        # The ledger hears of it last: a crash in between repeats it.
        await store.relocate(one)
    except FileNotFoundError:
        # Removed, or on a drive that is not mounted: the ledger keeps to what it knows, and the next run looks again.
        await ledger.stays(one)
        reason = "it is not there; seedbatch ledger check --files tells what is gone"
        crew.report(Kind.NOT_MOVED, one.name, path=one.file.path, reason=reason)
        return
    except (OSError, ValueError) as error:
        await ledger.stays(one)
        cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
        crew.report(Kind.NOT_MOVED, one.name, path=one.file.path, reason=cause)
        reason = f"{one.name}: {one.file.path} cannot be moved to {one.path}: {cause}"
        crew.stop(Stop(Exit.RUNNING, reason, "see to that, then apply again: it costs nothing"))
        return
    await ledger.relocated(one, crew.now())
    if told:
        crew.report(Kind.MOVED, one.name, path=one.path, before=one.file.path)
