"""A plan as words and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from seedbatch.cli.spending import money_json, monies, price_text
from seedbatch.cli.words import clean, count
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.money import Money
from seedbatch.domain.states import JobState
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
        own = coming.by_batch.get(batch, ()) if len(plan.by_batch) > 1 else ()
        yield f"{batch}: {summary(counts)}" + (f", {monies(own)}" if own else ""), "bold"
        for action in Action:
            if not counts[action] or (action in _QUIET and not verbose):
                continue
            states: set[JobState] = set()
            for job in _all(plan, batch, action) if verbose else examples[batch, action]:
                yield _line(job), _COLOURS.get(action, "")
                if action is Action.HELD and job.known is not None:
                    states.add(job.known.state)
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
    if held - {JobState.IN_DOUBT}:
        yield "    → seedbatch retry KEY sends one again; what moderation refused needs another request"


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


def closing(plan: Plan, coming: Forecast) -> str:
    """What applying would do, in one sentence."""
    if plan.submissions:
        unknown = "" if coming.price else "; each one costs money at the provider (no price is in your price table)"
        return f"Applying submits {price_text(coming)}{unknown}."
    if plan.changes:
        return "Applying submits nothing; it only collects, downloads and moves files."
    return "Nothing to do."


def plan_json(plan: Plan, coming: Forecast) -> Iterator[str]:
    """The text of the object of `docs/json-output.md`, in pieces: a plan of a million jobs is never whole in memory."""
    yield '{"version": 1, "jobs": ['
    for index, job in enumerate(plan.jobs):
        yield f"{', ' if index else ''}{json.dumps(job.as_json(), ensure_ascii=False)}"
    yield f'], "summary": {json.dumps(_summary(plan, coming), ensure_ascii=False)}}}\n'


def _summary(plan: Plan, coming: Forecast) -> dict[str, object]:
    return {
        "counts": {str(action): plan.counts[action] for action in Action},
        "submissions": plan.submissions,
        "price": money_json(_only(coming.price)),
        "price_at_most": money_json(_only(coming.worst)),
        "unpriced": sum(coming.unpriced.values()),
        "exposure_after": money_json(_only(coming.exposure_after)),
        "kept_back": 0 if coming.kept is None else coming.kept.count,
        "violations_today": coming.moderation.violations,
        "surcharge_percent": coming.surcharge,
        "rejection_rate": round(float(coming.moderation.rate), 4),
        "expected_violations": round(coming.expected_violations, 2),
    }


def _only(amounts: tuple[Money, ...]) -> Money | None:
    """The sum, where there is one currency: two make none."""
    return amounts[0] if len(amounts) == 1 else None
