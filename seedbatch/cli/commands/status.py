from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedbatch.cli import options
from seedbatch.cli.calls import call_lines
from seedbatch.cli.doubts import doubt_lines
from seedbatch.cli.spending import accounts_lines, moderation_text, money_json
from seedbatch.cli.words import fitted
from seedbatch.domain.brake import surcharge
from seedbatch.domain.errors import PRECEDENCE, Exit
from seedbatch.domain.records import RecordedJob, Standings
from seedbatch.domain.states import HELD, SETTLED, JobState

if TYPE_CHECKING:
    from seedbatch.settings import Settings

# A result whose link dies within a day and whose files are not all on disk is at risk.
_RISK = 86_400.0
_MOST_SHOWN = 10


@click.command("status")
@options.place
@click.option("--exit-code", "with_code", is_flag=True, help="Answer as `apply` would: 0, 3, 6 or 7.")
@options.as_json
def command(ledger: Path | None, sandbox: bool, with_code: bool, as_json: bool) -> int:
    """Tell where everything stands: counts, what is in doubt, and results whose link dies within a day."""
    from seedbatch.cli.reading import open_or_say

    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    records = open_or_say(settings)
    if records is None:
        return int(Exit.OK)
    try:
        standings = records.standings(datetime.now(UTC), _RISK)
    finally:
        records.close()
    if as_json:
        click.echo(json.dumps(_json(standings), ensure_ascii=False))
    else:
        _text(standings, settings)
    return int(_code(standings) if with_code else Exit.OK)


def _code(standings: Standings) -> Exit:
    counts: Counter[JobState] = Counter()
    for batch in standings.batches:
        counts.update(batch.counts)
    codes = set()
    if counts[JobState.IN_DOUBT]:
        codes.add(Exit.IN_DOUBT)
    if any(counts[state] for state in HELD):
        codes.add(Exit.FAILED_JOBS)
    if any(number for state, number in counts.items() if state not in SETTLED | {JobState.IN_DOUBT}):
        codes.add(Exit.RUNNING)
    return next((code for code in PRECEDENCE if code in codes), Exit.OK)


def _text(standings: Standings, settings: Settings) -> None:
    from seedbatch.cli.tables import print_table

    shown = [state for state in JobState if any(batch.counts.get(state) for batch in standings.batches)]
    headers = ("BATCH", "JOBS", *(str(state).replace("_", " ").upper() for state in shown), "ORPHANS")
    rows = [
        (
            batch.batch,
            f"{batch.total:,}",
            *(f"{batch.counts.get(state, 0):,}" for state in shown),
            f"{batch.orphans:,}",
        )
        for batch in standings.batches
    ]
    print_table(headers, rows, right=range(1, len(headers)), wide=0)
    for line in doubt_lines(standings.in_doubt, options.place_flags(settings)):
        click.echo(fitted(line, sys.stdout))
    _warn("AT RISK: not on disk, and the link dies within a day; run seedbatch collect", standings.at_risk)
    for line in call_lines(standings, options.place_flags(settings)):
        click.echo(fitted(line, sys.stdout))
    owed = list(accounts_lines(standings.accounts))
    if owed:
        click.echo("\nMay be owed (spent, running and in doubt):")
        for line in owed:
            click.echo(line)
    seen = standings.accounts.moderation
    if seen.finished or seen.violations:
        click.echo(fitted(f"\n{moderation_text(seen)}", sys.stdout))
    click.echo(f"\nLedger: {settings.ledger}")


def _warn(title: str, jobs: tuple[RecordedJob, ...]) -> None:
    from seedbatch.cli.words import clean, moment_text

    if not jobs:
        return
    click.secho(f"\n{title}", fg="magenta", bold=True)
    for job in jobs[:_MOST_SHOWN]:
        when = job.expires_at if job.state is JobState.SUCCEEDED else job.intended_at
        click.echo(f"  {job.batch}/{job.address}  {moment_text(when) if when else ''}  {clean(job.reason)}".rstrip())
    if len(jobs) > _MOST_SHOWN:
        click.echo(f"  … and {len(jobs) - _MOST_SHOWN:,} more (seedbatch list --state {jobs[0].state})")


def _json(standings: Standings) -> dict[str, object]:
    from seedbatch.domain.moments import stamp

    owed, seen = standings.accounts.exposure, standings.accounts.moderation
    return {
        "version": 1,
        "batches": [
            {
                "batch": batch.batch,
                "jobs": batch.total,
                "counts": {str(state): batch.counts.get(state, 0) for state in JobState},
                "orphans": batch.orphans,
                "submissions": standings.accounts.batches[batch.batch].submissions,
                "exposure": [
                    {"micros": amount, "currency": currency}
                    for currency, amount in sorted(standings.accounts.batches[batch.batch].exposure.items())
                ],
            }
            for batch in standings.batches
        ],
        "exposure": money_json(owed[0] if len(owed) == 1 else None),
        "exposures": [money_json(one) for one in owed],
        "unpriced": standings.accounts.unpriced,
        "violations_today": seen.violations,
        "surcharge_percent": surcharge(seen.violations + 1),
        "rejection_rate": round(float(seen.rate), 4),
        "at_risk": [
            {"batch": job.batch, "key": job.address, "expires_at": job.expires_at and stamp(job.expires_at)}
            for job in standings.at_risk
        ],
        "in_doubt": [
            {
                "batch": job.batch,
                "key": job.address,
                "revision": job.revision,
                "since": job.intended_at and stamp(job.intended_at),
                "reason": job.reason,
                "cost": money_json(job.cost),
            }
            for job in standings.in_doubt
        ],
        "extra_tasks": [
            {
                "batch": extra.batch,
                "key": extra.address,
                "task_id": extra.task_id,
                "found_at": stamp(extra.found_at),
                "cost": money_json(extra.cost),
            }
            for extra in standings.extras
        ],
        "stray_callbacks": [
            {"received_at": stamp(stray.received_at), "task_id": stray.task_id, "body": stray.body}
            for stray in standings.strays
        ],
        "with_webhook": standings.with_webhook,
        "without_webhook": standings.without_webhook,
    }
