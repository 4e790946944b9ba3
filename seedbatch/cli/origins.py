"""Every setting with its value and who named it. The key is not among the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seedbatch.cli.spending import money_json
from seedbatch.cli.words import count, short_path
from seedbatch.domain.jobs import Limits
from seedbatch.settings import KEY_FILE_VARIABLE, KEY_VARIABLE, Settings
from seedbatch.wiring import ceilings


@dataclass(frozen=True, slots=True)
class Setting:
    """`value` is what `--json` prints, `text` what people read."""

    name: str
    value: object
    text: str
    origin: str


def every_setting(settings: Settings, environ: Mapping[str, str]) -> list[Setting]:
    """All of them, with what holds where nobody named a value."""
    limits = ceilings(settings, Limits())
    origins = sorted(settings.allow_origins)
    shared = settings.shared and str(settings.shared)
    faults = settings.sandbox_faults and str(settings.sandbox_faults)
    values: dict[str, tuple[object, str]] = {
        "ledger": (str(settings.ledger), short_path(str(settings.ledger))),
        "output_dir": (str(settings.output_dir), short_path(str(settings.output_dir))),
        "shared": (shared, short_path(shared) if shared else "none"),
        "base_url": (settings.base_url, settings.base_url),
        "public_url": (settings.public_url, settings.public_url or "none"),
        "allow_origins": (origins, ", ".join(origins) or "none"),
        "submitting": (limits.submitting, _number(limits.submitting, "no limit")),
        "in_flight": (limits.in_flight, _number(limits.in_flight, "no limit")),
        "submits_per_minute": (limits.submits_per_minute, _number(limits.submits_per_minute, "no limit")),
        "queries_per_second": (settings.queries_per_second, _number(settings.queries_per_second, "no limit")),
        "reconcile_first": (settings.reconcile_first, _number(settings.reconcile_first, "by experience")),
        "reconcile_every": (settings.reconcile_every, _number(settings.reconcile_every, "by experience")),
        "doubt_wait": (settings.doubt_wait, _number(settings.doubt_wait, "")),
        "prices": (len(settings.prices.rows), count(len(settings.prices.rows), "row")),
        "moderation_brake": (settings.moderation_brake, settings.moderation_brake),
        "sandbox": (settings.sandbox, "yes" if settings.sandbox else "no"),
        "sandbox_speed": (settings.sandbox_speed, _number(settings.sandbox_speed, "1")),
        "sandbox_faults": (faults, short_path(faults) if faults else "none"),
    }
    told = [Setting(name, value, text, settings.origin(name)) for name, (value, text) in values.items()]
    return [_key(settings, environ), *told, _day_budget(settings)]


def key_origin(environ: Mapping[str, str]) -> str:
    """Who names the key. The path of its file is not told: somebody may have put the key itself there."""
    named = [variable for variable in (KEY_VARIABLE, KEY_FILE_VARIABLE) if environ.get(variable)]
    return f"environment {' and '.join(named)}" if named else "nowhere"


def _key(settings: Settings, environ: Mapping[str, str]) -> Setting:
    origin = key_origin(environ)
    text = "none" if origin == "nowhere" else "not shown"
    return Setting("api_key", None, "not needed" if settings.sandbox else text, origin)


def _day_budget(settings: Settings) -> Setting:
    budget = settings.day_budget
    if not budget:
        return Setting("day_budget", None, "none", "default")
    value = {"max_jobs": budget.max_jobs, "max_cost": money_json(budget.max_cost)}
    jobs = [count(budget.max_jobs, "job")] if budget.max_jobs is not None else []
    cost = [str(budget.max_cost)] if budget.max_cost is not None else []
    # The strictest of two files, for each of its parts.
    return Setting("day_budget", value, ", ".join([*jobs, *cost]), "[budget] of the files")


def _number(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:g}"
