"""What those are told who only look on, on the screen of `status --watch` and on the live page alike."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from seedbatch.cli.calls import extra_lines
from seedbatch.cli.headway import Frame, Headway, outlook_text
from seedbatch.cli.spending import moderation_text
from seedbatch.domain.jobs import Limits
from seedbatch.domain.progress import UNFINISHED, Progress
from seedbatch.domain.records import BatchTally, ExtraTask
from seedbatch.engine.outlook import PROMISED
from seedbatch.settings import Settings
from seedbatch.wiring import ceilings


def onlookers_headway(settings: Settings) -> Headway:
    """By the limits of the settings: a manifest's own are in no ledger."""
    limits = ceilings(settings, Limits())
    return Headway(Frame(limits, day=settings.day_budget, promised=None if settings.sandbox else PROMISED))


def open_batches(tallies: Iterable[BatchTally]) -> set[str]:
    """In which of them something is left that happens without a person."""
    return {batch.batch for batch in tallies if any(batch.counts.get(state) for state in UNFINISHED)}


def without_settled(progress: Progress, tallies: Iterable[BatchTally]) -> Progress:
    """The budget of a batch in which nothing is left to do holds nothing up."""
    names, accounts = open_batches(tallies), progress.accounts
    budgets = {name: budget for name, budget in accounts.budgets.items() if name in names}
    return replace(progress, accounts=replace(accounts, budgets=budgets))


class Herald:
    """What the live page says in words, as the terminal does, of one look after another."""

    def __init__(self, settings: Settings) -> None:
        self._headway = onlookers_headway(settings)

    def says(self, progress: Progress, tallies: Sequence[BatchTally], now: datetime) -> list[str]:
        """When it may end, and what moderation has taken; each only if there is something to say."""
        found = self._headway.outlook(without_settled(progress, tallies), now, time.monotonic())
        seen = progress.accounts.moderation
        return [
            *([] if found is None else [outlook_text(found)]),
            *([moderation_text(seen)] if seen.finished or seen.violations else []),
        ]

    def warns(self, extras: Sequence[ExtraTask]) -> list[str]:
        """What the provider charges beyond what was submitted."""
        return [line.strip() for line in extra_lines(extras) if line]
