"""What a run writes of itself: who typed what and with which manifests, and how it ended."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import click

from seedbatch import __version__
from seedbatch.cli.words import clean, whoever
from seedbatch.domain.errors import Exit, SeedbatchError
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.runs import Beginning, Declared
from seedbatch.engine.happenings import Happening, Kind, Witness
from seedbatch.wiring import Plant

# A shell may have made thousands of names of one pattern.
_MOST_ARGUMENTS: Final = 50
_LONGEST: Final = 500

_COUNTED: Final = {
    Kind.COMPLETED: "completed",
    Kind.REUSED: "reused",
    Kind.FAILED: "failed",
    Kind.REFUSED: "failed",
    Kind.EXPIRED: "expired",
}


class Logbook:
    """Counts what becomes of jobs while it happens; `exit` is how the run ended, once it has."""

    def __init__(self) -> None:
        self.did: Counter[str] = Counter(dict.fromkeys(_COUNTED.values(), 0))
        self.exit = Exit.BUG

    def reading(self, tell: Witness) -> Witness:
        """Hear everything first that `tell` is told."""

        def heard(happening: Happening) -> None:
            if happening.kind in _COUNTED:
                self.did[_COUNTED[happening.kind]] += 1
            tell(happening)

        return heard


@asynccontextmanager
async def logged(plant: Plant, batches: Sequence[BatchSpec]) -> AsyncIterator[Logbook]:
    """The run's row in the ledger, from now until it ends in whatever way but a kill."""
    await plant.ledger.began(_beginning(batches), plant.clock.now())
    book = Logbook()
    try:
        yield book
    except asyncio.CancelledError:
        book.exit = Exit.INTERRUPTED
        raise
    except SeedbatchError as error:
        book.exit = error.exit
        raise
    except BaseExceptionGroup as group:
        known, _ = group.split(SeedbatchError)
        book.exit = _first(known) if known is not None else Exit.BUG
        raise
    finally:
        with suppress(SeedbatchError):  # the error that ended it is told; the ledger that caused it takes no word more
            await plant.ledger.ended(book.exit, book.did, plant.clock.now())


def _first(group: BaseExceptionGroup[SeedbatchError]) -> Exit:
    one = group.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one.exit


def _beginning(batches: Sequence[BatchSpec]) -> Beginning:
    command = click.get_current_context().info_name or "seedbatch"
    declared = tuple(
        Declared(batch.name, batch.manifest, batch.digest, batch.commit, batch.dirty, len(batch.jobs))
        for batch in batches
    )
    return Beginning(command, _arguments(command), whoever(), __version__, declared)


def _arguments(command: str) -> tuple[str, ...]:
    """What was typed after the command."""
    typed = sys.argv[1:]
    typed = typed[1:] if typed[:1] == [command] else typed
    told = [clean(one)[:_LONGEST] for one in typed[:_MOST_ARGUMENTS]]
    return (*told, "…") if len(typed) > _MOST_ARGUMENTS else tuple(told)
