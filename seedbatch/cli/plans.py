"""A plan as words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from seedbatch.cli.words import clean, count
from seedbatch.engine.plan import SPENDING, Action, Plan, Planned

_MARKS = {
    Action.CREATE: "+",
    Action.REGENERATE: "~",
    Action.COLLECT: ">",
    Action.DOWNLOAD: ">",
    Action.UNCHANGED: "=",
    Action.HELD: "!",
    Action.ORPHAN: "-",
}
_COLOURS = {
    Action.CREATE: "green",
    Action.REGENERATE: "yellow",
    Action.COLLECT: "cyan",
    Action.DOWNLOAD: "cyan",
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
            if len(found) > len(shown):
                yield f"    … and {len(found) - len(shown):,} more to {action} (--verbose shows all)", ""


def _line(job: Planned) -> str:
    revision = f" (revision {job.revision})" if job.revision > 1 else ""
    return f"  {_MARKS[job.action]} {job.action:<10}  {job.address}{revision}  {clean(job.reason)}"


def summary(actions: list[Action]) -> str:
    """`3 create, 1 unchanged`."""
    parts = [f"{number:,} {action}" for action in Action if (number := actions.count(action))]
    return ", ".join(parts) or "no jobs"


def closing(plan: Plan) -> str:
    """What applying would do, in one sentence."""
    if plan.submissions:
        return f"Applying submits {count(plan.submissions, 'request')}; each one costs money at the provider."
    if plan.changes:
        return "Applying submits nothing; it only collects and downloads."
    return "Nothing to do."


def plan_json(plan: Plan) -> dict[str, object]:
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
                "price": None,
            }
            for job in plan.jobs
        ],
        "summary": {
            "counts": {str(action): plan.counts.get(action, 0) for action in Action},
            "submissions": plan.submissions,
            "price": None,
            "exposure_after": None,
        },
    }


def spends(job: Planned) -> bool:
    """Whether applying sends a request for this job."""
    return job.action in SPENDING
