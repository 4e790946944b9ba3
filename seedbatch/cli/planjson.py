"""A plan as JSON: `docs/json-output.md`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from seedbatch.cli.partings import by_name
from seedbatch.cli.spending import money_json
from seedbatch.domain.money import Money
from seedbatch.engine.forecast import Forecast
from seedbatch.engine.grouping import Parting, Sums
from seedbatch.engine.planned import Action, Plan
from seedbatch.engine.room import Room


def plan_json(plan: Plan, coming: Forecast) -> Iterator[str]:
    """The text of the object, in pieces: a plan of a million jobs is never whole in memory."""
    yield '{"version": 1, "jobs": ['
    for index, job in enumerate(plan.jobs):
        yield f"{', ' if index else ''}{json.dumps(job.as_json(), ensure_ascii=False)}"
    yield f'], "summary": {json.dumps(_summary(plan, coming), ensure_ascii=False)}}}\n'


def _summary(plan: Plan, coming: Forecast) -> dict[str, object]:
    return {
        "counts": {str(action): plan.counts[action] for action in Action},
        "submissions": plan.submissions,
        **_prices(coming.price, coming.worst),
        "unpriced": sum(coming.unpriced.values()),
        "unpriced_models": [
            {"model": model, "submissions": number, "row_to_add": coming.rows_to_add.get(model)}
            for model, number in sorted(coming.unpriced.items())
        ],
        "exposure": money_json(_only(coming.exposure)),
        "exposure_in_doubt": money_json(_only(coming.in_doubt)),
        "exposure_after": money_json(_only(coming.exposure_after)),
        "exposure_at_most": money_json(_only(coming.exposure_at_most)),
        "kept_back": 0 if coming.kept is None else coming.kept.count,
        "caps": [_cap(room) for room in coming.rooms],
        "by": [_parting(parting) for parting in coming.by],
        "violations_today": coming.moderation.violations,
        "surcharge_percent": coming.surcharge,
        "rejection_rate": round(float(coming.moderation.rate), 4),
        "expected_violations": round(coming.expected_violations, 2),
    }


def _prices(price: tuple[Money, ...], worst: tuple[Money, ...]) -> dict[str, object]:
    """One amount, or null in several currencies; and the list of them."""
    return {
        "price": money_json(_only(price)),
        "price_at_most": money_json(_only(worst)),
        "prices": [money_json(one) for one in price],
        "prices_at_most": [money_json(one) for one in worst],
    }


def _cap(room: Room) -> dict[str, object]:
    return {
        "cap": room.scope,
        "batch": room.batch,
        "max_cost": money_json(room.budget.max_cost),
        "cost_left": money_json(room.left),
        "max_jobs": room.budget.max_jobs,
        "jobs_left": room.jobs_left,
        "fits": room.fits,
        "fits_at_most": room.fits_at_most,
        "kept_back": room.kept,
    }


def _parting(parting: Parting) -> dict[str, object]:
    return {
        "by": by_name(parting.by),
        "overlaps": parting.overlaps,
        "parts": [{"value": value, **_sums(sums)} for value, sums in parting.parts],
        "without": _sums(parting.without),
        "beyond": _sums(parting.beyond),
    }


def _sums(sums: Sums) -> dict[str, object]:
    return {"submissions": sums.submissions, **_prices(sums.price, sums.worst), "unpriced": sums.unpriced}


def _only(amounts: tuple[Money, ...]) -> Money | None:
    """The sum, where there is one currency: two make none."""
    return amounts[0] if len(amounts) == 1 else None
