"""What `apply` and `collect` share: one run from open to closing words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from seedbatch.cli.bills import bill_json, bill_text
from seedbatch.cli.callbacks import Bind, receiving
from seedbatch.cli.display import JsonLines, open_display
from seedbatch.cli.headway import Frame, counts_text
from seedbatch.cli.logbook import logged
from seedbatch.cli.options import place_flags
from seedbatch.cli.planfiles import PlanFile
from seedbatch.cli.signals import interrupting
from seedbatch.cli.words import clean, say, short_path, whoever
from seedbatch.cli.words import count as words_count
from seedbatch.domain.errors import Exit, StaleCaller
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.locked import Found
from seedbatch.domain.progress import Progress
from seedbatch.domain.secret import Secret
from seedbatch.domain.states import JobState
from seedbatch.domain.tokens import TokenKey
from seedbatch.engine.cadence import PROVIDER, SANDBOX, Cadence
from seedbatch.engine.happenings import Happening, Kind
from seedbatch.engine.outlook import PROMISED
from seedbatch.engine.reception import Reception
from seedbatch.engine.run import Errand, Outcome, Run
from seedbatch.settings import Settings
from seedbatch.wiring import Plant, mint_for, open_plant, open_records

_MOST_SHARERS: Final = 10


async def carry_out(
    settings: Settings,
    key: Secret,
    errand: Errand,
    batches: Sequence[BatchSpec] = (),
    again: Sequence[int] = (),
    *,
    locks: Sequence[Found] | None = None,
    approved: PlanFile | None = None,
    planned: int = 0,
    listen: Bind | None = None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> Outcome:
    """Open everything, record what the manifests want, and run.

    `again` are failed jobs that are sent once more, `planned` is how many requests are to be sent, and
    `locks` what others paid for.

    Raises:
        LedgerError: the ledger cannot be used.
        UsageError: the address cannot be listened at, or others submitted since the plan was `approved`.
    """
    # What a callback of a library meets is told by whoever waited for it; its traceback is for nobody.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    # Before there is a run, an interrupt ends this task; while everything is closed, which takes no time, it is over.
    interrupts: list[Callable[[], object]] = [_current_task().cancel]
    runs: list[Run] = []
    with interrupting(lambda: interrupts[-1]()):  # noqa: PLW0108 - the latest when the signal comes
        try:
            async with open_plant(settings, key) as plant, AsyncExitStack() as stack:
                errand = replace(errand, cadence=cadence(settings))
                public_url, reception = settings.public_url, None
                if listen is not None:
                    reception = Reception(plant.ledger, TokenKey(key), plant.clock, partial(_stir, runs))
                    here = await stack.enter_async_context(receiving(reception, listen, settings))
                    public_url = public_url or (here if settings.provider_is_local else None)
                    _say_where(here, public_url, as_json=as_json, quiet=quiet)
                if errand.submit and public_url is not None:
                    errand = replace(errand, mint=mint_for(public_url, key), doubt_wait=settings.doubt_wait)
                if approved is not None:
                    await _begin(approved, plant)
                for batch in batches:
                    await plant.ledger.declare(batch, plant.clock.now())
                for job_id in again:
                    with suppress(StaleCaller):  # another process took it up meanwhile
                        await plant.ledger.retried(job_id, f"{whoever()} with --retry-failed", plant.clock.now())
                logbook = await stack.enter_async_context(logged(plant, batches))
                if locks is not None:
                    await plant.ledger.lock_in(locks)
                if errand.chosen is not None:  # as the run does: a display counts before it begins
                    await plant.ledger.choose(errand.chosen)
                display = open_display(
                    partial(_look, plant, errand),
                    _frame(settings, errand),
                    as_json=as_json,
                    quiet=quiet,
                    verbose=verbose,
                )
                tell = logbook.reading(display.tell)
                run = Run(plant.ledger, plant.provider, plant.store, plant.clock, errand, tell, reception)
                runs.append(run)
                interrupts.append(run.interrupt)
                async with display:
                    outcome = await run.go()
                logbook.exit = outcome.exit
                interrupts.append(lambda: None)
                if isinstance(display, JsonLines):
                    display.write(summary_json(outcome, plant, planned))
                return outcome
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _in_doubt_words(settings: Settings) -> None:
    """What is in doubt, what it may cost, and what to type, job by job."""
    from seedbatch.cli.doubts import doubt_lines

    records = open_records(settings)
    if records is None:
        return
    try:
        standings = records.standings(datetime.now(UTC), 0)
    finally:
        records.close()
    for line in doubt_lines(standings.in_doubt, place_flags(settings)):
        say(line)


def _sharing_words(outcome: Outcome, settings: Settings, place: str) -> None:
    """What stays pending because it shares a task that this run does not look after, and what to type."""
    records = open_records(settings)
    if records is None:
        return
    try:
        waiting = records.stuck([tally.batch for tally in outcome.tallies], _MOST_SHARERS + 1)
    finally:
        records.close()
    if not waiting:
        return
    say("\nPending, because another job was paid for the same request:")
    for one in waiting[:_MOST_SHARERS]:
        say(f"  {one.name} shares the task of {one.source}")
    if len(waiting) > _MOST_SHARERS:
        say("  …")
    say(f"  → seedbatch collect --watch{place} brings in what is at the provider; then apply again")


def _say_where(here: str, public_url: str | None, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        told = {"url": here, "public_url": public_url}
        JsonLines().tell(Happening(datetime.now(UTC), Kind.LISTENING, None, told))
    elif not quiet:
        say(f"Listening at {here}" + (f", for callbacks to {public_url}" if public_url else ""))


def _stir(runs: Sequence[Run]) -> None:
    """A callback that came before there is a run is found when it begins."""
    for run in runs:
        run.called()


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def _begin(approved: PlanFile, plant: Plant) -> None:
    try:
        await plant.ledger.begin(approved.digest, approved.binding.ledger.generation)
    except StaleCaller as error:
        raise approved.stale(error.message) from error


async def _look(plant: Plant, errand: Errand) -> Progress:
    return await plant.ledger.progress(errand.scope, plant.clock.now())


def _frame(settings: Settings, errand: Errand) -> Frame:
    """What a display tells of: a sandbox keeps none of the provider's words on how long a task takes."""
    promised = None if settings.sandbox else PROMISED
    return Frame(errand.limits, errand.caps.run, errand.caps.day, errand.submit, promised)


def cadence(settings: Settings) -> Cadence:
    """How often to ask: as documented, in the sandbox at once, or as the settings say."""
    usual = SANDBOX if settings.sandbox else PROVIDER
    if settings.reconcile_first is not None:
        usual = replace(usual, first=settings.reconcile_first, learns=False)
    if settings.reconcile_every is not None:
        usual = replace(usual, shortest=settings.reconcile_every, longest=settings.reconcile_every)
    return usual


def summary_json(outcome: Outcome, plant: Plant, planned: int) -> dict[str, object]:
    """The last line of `--json`."""
    from seedbatch.domain.moments import stamp

    return {
        "version": 1,
        "at": stamp(plant.clock.now()),
        "type": "summary",
        "batch": None,
        "key": None,
        "counts": {str(state): outcome.counts[state] for state in JobState},
        "stops": [{"exit": int(stop.exit), "reason": stop.reason} for stop in outcome.stops],
        "interrupted": outcome.interrupted,
        "without_webhook": outcome.without_webhook,
        "settled": outcome.settled,
        "bill": bill_json(outcome.bill, planned),
        "exit": int(outcome.exit),
    }


def closing_words(outcome: Outcome, settings: Settings, again: str, *, planned: int = 0) -> None:
    """How it ended, and what to type next. `again` is the command that goes on, `planned` as for `carry_out`."""
    counts = outcome.counts
    place = place_flags(settings)
    say(counts_text(counts) or "There is nothing to do.")
    if bill := bill_text(outcome.bill, planned):
        say(bill)
    for stop in outcome.stops:
        say(f"\nStopped: {clean(stop.reason)}")
        if stop.hint:
            say("  → " + stop.hint.replace("\n", "\n    "))
    if counts[JobState.IN_DOUBT]:
        _in_doubt_words(settings)
    if counts[JobState.PENDING]:
        _sharing_words(outcome, settings, place)
    if counts[JobState.FAILED] or counts[JobState.EXPIRED]:
        say("\nFailed or expired: held until you say otherwise.")
        say(f"  → seedbatch list --state failed{place}, then seedbatch retry KEY{place}")
    if outcome.without_webhook:
        results = words_count(outcome.without_webhook, "result")
        say(f"\n{results} came without a callback: found by asking.")
        say(f"  → test the public URL with: seedbatch doctor{place}")
    if not outcome.settled and outcome.exit is not Exit.STOPPED:
        say(f"\nNot finished.\n  → go on with: {again}")
    if counts[JobState.COMPLETED]:
        say(f"\nClips are in {short_path(str(settings.output_dir))}")
