"""A plan as words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from seedbatch.cli.spending import money_json, price_text
from seedbatch.cli.words import clean
from seedbatch.domain.money import Money
from seedbatch.domain.states import JobState
from seedbatch.engine.forecast import Forecast
from seedbatch.engine.plan import Action, Plan, Planned

_MARKS = {
    Action.CREATE: "+",
    Action.REGENERATE: "~",
    Action.COLLECT: ">",
    Action.DOWNLOAD: ">",
    Action.RETRY: "+",
    Action.UNCHANGED: "=",
    Action.HELD: "!",
    Action.ORPHAN: "-",
}
_COLOURS = {
    Action.CREATE: "green",
    Action.REGENERATE: "yellow",
    Action.COLLECT: "cyan",
    Action.DOWNLOAD: "cyan",
    Action.RETRY: "yellow",
    Action.HELD: "red",
}
_MOST_SHOWN = 20
_QUIET = frozenset({Action.UNCHANGED})


def plan_lines(plan: Plan, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Lines with their colour (or nothing): what changes by batch, at most twenty of a kind unless `verbose`."""
    for batch in dict.fromkeys(job.batch for job in plan.jobs):
        jobs = [job for job in plan.jobs if job.batch == batch]
        yield f"{batch}: {summary([job.action for job in jobs])}", "bold"
        for action in Action:
            found = [job for job in jobs if job.action is action]
            if action in _QUIET and not verbose:
                continue
            shown = found if verbose else found[:_MOST_SHOWN]
            for job in shown:
                yield _line(job), _COLOURS.get(action, "")
            if action is Action.HELD:
                yield from ((line, "") for line in _what_to_type(shown))
            if len(found) > len(shown):
                yield f"    … and {len(found) - len(shown):,} more to {action} (--verbose shows all)", ""


def _line(job: Planned) -> str:
    revision = f" (revision {job.revision})" if job.revision > 1 else ""
    price = f"  {job.price}" if job.price is not None else ""
    return f"  {_MARKS[job.action]} {job.action:<10}  {job.address}{revision}  {clean(job.reason)}{price}"


def _what_to_type(held: list[Planned]) -> Iterator[str]:
    states = {job.known.state for job in held if job.known is not None}
    if JobState.IN_DOUBT in states:
        yield "    → seedbatch resolve KEY --task-id ID, or --lost, or --resubmit (seedbatch status tells more)"
    if states - {JobState.IN_DOUBT}:
        yield "    → seedbatch retry KEY sends one again; what moderation refused needs another request"


def summary(actions: list[Action]) -> str:
    """`3 create, 1 unchanged`."""
    parts = [f"{number:,} {action}" for action in Action if (number := actions.count(action))]
    return ", ".join(parts) or "no jobs"


def closing(plan: Plan, coming: Forecast) -> str:
    """What applying would do, in one sentence."""
    if plan.submissions:
        unknown = "" if coming.price else "; each one costs money at the provider (no price is in your price table)"
        return f"Applying submits {price_text(coming)}{unknown}."
    if plan.changes:
        return "Applying submits nothing; it only collects and downloads."
    return "Nothing to do."


def plan_json(plan: Plan, coming: Forecast) -> dict[str, object]:
    """The object of `docs/json-output.md`."""
    return {
        "version": 1,
        "jobs": [
            {
                "batch": job.batch,
                "key": job.address,
                "revision": job.revision,
                "action": str(job.action),
                "reason": job.reason,
                "model": job.model,
                "price": money_json(job.price),
            }
            for job in plan.jobs
        ],
        "summary": {
            "counts": {str(action): plan.counts.get(action, 0) for action in Action},
            "submissions": plan.submissions,
            "price": money_json(_only(coming.price)),
            "unpriced": sum(coming.unpriced.values()),
            "exposure_after": money_json(_only(coming.exposure_after)),
            "kept_back": 0 if coming.kept is None else coming.kept.count,
            "violations_today": coming.moderation.violations,
            "surcharge_percent": coming.surcharge,
            "rejection_rate": round(float(coming.moderation.rate), 4),
            "expected_violations": round(coming.expected_violations, 2),
        },
    }


def _only(amounts: tuple[Money, ...]) -> Money | None:
    """The sum, where there is one currency: two make none."""
    return amounts[0] if len(amounts) == 1 else None
