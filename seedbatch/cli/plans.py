"""A plan as words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from seedbatch.cli.spending import price_text, sums_text
from seedbatch.cli.words import clean, count, short_path
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.states import HELD, JobState
from seedbatch.engine.forecast import Forecast
from seedbatch.engine.planned import Action, Plan, Planned

_MARKS = {
    Action.CREATE: "+",
    Action.REGENERATE: "~",
    Action.REUSE: "&",
    Action.COLLECT: ">",
    Action.DOWNLOAD: ">",
    Action.RETRY: "+",
    Action.MOVE: "»",
    Action.UNCHANGED: "=",
    Action.HELD: "!",
    Action.ORPHAN: "-",
}
_COLOURS = {
    Action.CREATE: "green",
    Action.REGENERATE: "yellow",
    Action.REUSE: "green",
    Action.COLLECT: "cyan",
    Action.DOWNLOAD: "cyan",
    Action.RETRY: "yellow",
    Action.MOVE: "cyan",
    Action.HELD: "red",
}
_MOST_SHOWN = 20
_QUIET = frozenset({Action.UNCHANGED})


def plan_lines(plan: Plan, coming: Forecast, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Lines with their colour (or nothing): what changes by batch, at most twenty of a kind unless `verbose`."""
    examples = {} if verbose else _examples(plan)
    for batch, counts in plan.by_batch.items():
        own = sums_text(coming.by_batch[batch]) if len(plan.by_batch) > 1 and batch in coming.by_batch else ""
        yield f"{batch}: {summary(counts)}" + (f", {own}" if own else ""), "bold"
        for action in Action:
            if not counts[action] or (action in _QUIET and not verbose):
                continue
            states: set[JobState] = set()
            for job in _all(plan, batch, action) if verbose else examples[batch, action]:
                yield _line(job), _COLOURS.get(action, "")
                if action is Action.HELD:
                    states.add(JobState.PENDING if job.known is None else job.known.state)
            yield from ((line, "") for line in _what_to_type(states))
            if not verbose and counts[action] > _MOST_SHOWN:
                yield f"    … and {counts[action] - _MOST_SHOWN:,} more to {action} (--verbose shows all)", ""


def _all(plan: Plan, batch: str, action: Action) -> Iterator[Planned]:
    return (job for job in plan.of(action) if job.batch == batch)


def _examples(plan: Plan) -> dict[tuple[str, Action], list[Planned]]:
    """The first of each kind in each batch; the plan is read no further than they need."""
    found: dict[tuple[str, Action], list[Planned]] = {}
    missing = {
        (batch, action): min(count, _MOST_SHOWN)
        for batch, counts in plan.by_batch.items()
        for action, count in counts.items()
        if action not in _QUIET
    }
    for job in plan.jobs:
        if not missing:
            break
        kind = job.batch, job.action
        if kind in missing:
            found.setdefault(kind, []).append(job)
            missing[kind] -= 1
            if not missing[kind]:
                del missing[kind]
    return found


def _line(job: Planned) -> str:
    revision = f" (revision {job.revision})" if job.revision > 1 else ""
    price = f"  {job.price}" if job.price is not None else ""
    return f"  {_MARKS[job.action]} {job.action:<10}  {job.address}{revision}  {clean(job.reason)}{price}"


def _what_to_type(held: set[JobState]) -> Iterator[str]:
    if JobState.IN_DOUBT in held:
        yield "    → seedbatch resolve KEY --task-id ID, or --lost, or --resubmit (seedbatch status tells more)"
    if held & HELD:
        yield "    → seedbatch retry KEY sends one again; what moderation refused needs another request"
    if held - HELD - {JobState.IN_DOUBT}:
        yield "    → --shared DIR names the folder that holds such clips; --no-reuse pays for them again"


def summary(counts: Counter[Action]) -> str:
    """`3 create, 1 unchanged`."""
    parts = [f"{counts[action]:,} {action}" for action in Action if counts[action]]
    return ", ".join(parts) or "no jobs"


def left_out(plan: Plan, batches: Iterable[BatchSpec]) -> str:
    """How many of the manifests' jobs a selection means, in one sentence."""
    wanted, chosen = sum(len(batch.jobs) for batch in batches), len(plan.jobs)
    if not chosen:
        return f"None of {count(wanted, 'job')} matches the selection."
    return f"Selected {chosen:,} of {count(wanted, 'job')}; the others stay as they are."


def taken_words(taken: Sequence[tuple[Planned, str]], folder: Path) -> str:
    """At which names of jobs other files lie."""
    most = 5
    names = ", ".join(f"{name}.*" for _, name in taken[:most]) + (", …" if len(taken) > most else "")
    where = f"{short_path(str(folder))} {'is' if len(taken) == 1 else 'are'}"
    return f"{count(len(taken), 'output name')} in {where} taken by files of other jobs, or of none: {names}"


def closing(plan: Plan, coming: Forecast) -> str:
    """What applying would do, in one sentence."""
    if plan.submissions:
        unknown = "" if coming.price else "; each one costs money at the provider (no price is in your price table)"
        return f"Applying submits {price_text(coming)}{unknown}."
    if plan.changes:
        return "Applying submits nothing; it only collects, downloads and moves files."
    return "Nothing to do."
