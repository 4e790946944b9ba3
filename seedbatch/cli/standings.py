"""Where everything stands, in words and as JSON."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from seedbatch.cli import options
from seedbatch.cli.calls import call_lines
from seedbatch.cli.doubts import doubt_lines
from seedbatch.cli.headway import counts_text
from seedbatch.cli.spending import accounts_lines, moderation_text, money_json
from seedbatch.cli.words import clean, count, fitted, moment_text
from seedbatch.domain.brake import surcharge
from seedbatch.domain.errors import PRECEDENCE, Exit
from seedbatch.domain.records import RecordedJob, Standings
from seedbatch.domain.states import HELD, SETTLED, JobState

if TYPE_CHECKING:
    from seedbatch.settings import Settings

# A result whose link dies within a day and whose files are not all on disk is at risk.
RISK: Final = 86_400.0
_MOST_SHOWN: Final = 10


def exit_of(standings: Standings) -> Exit:
    """What `apply` would answer, if this is how it ended."""
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


def print_standings(standings: Standings, settings: Settings) -> None:
    """Counts by batch, what needs a person, what may be owed: on stdout, in blocks."""
    _print_counts(standings)
    for line in doubt_lines(standings.in_doubt, options.place_flags(settings)):
        click.echo(fitted(line, sys.stdout))
    _warn("AT RISK: not on disk, and the link dies within a day; run seedbatch collect", standings.at_risk)
    for line in call_lines(standings, options.place_flags(settings)):
        click.echo(fitted(line, sys.stdout))
    owed = list(accounts_lines(standings.accounts))
    if owed:
        click.echo(fitted("\nMay be owed (spent, running and in doubt):", sys.stdout))
        for line in owed:
            click.echo(fitted(line, sys.stdout))
    seen = standings.accounts.moderation
    if seen.finished or seen.violations:
        click.echo(fitted(f"\n{moderation_text(seen)}", sys.stdout))
    click.echo(fitted(f"\nLedger: {settings.ledger}", sys.stdout))


def _print_counts(standings: Standings) -> None:
    from seedbatch.cli.tables import fits, print_table

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
    if fits(headers, rows):
        print_table(headers, rows, right=range(1, len(headers)), wide=0)
        return
    for batch in standings.batches:  # in a narrow window one under the other
        adrift = f", {count(batch.orphans, 'orphan')}" if batch.orphans else ""
        click.echo(fitted(f"{batch.batch}: {counts_text(batch.counts) or 'no jobs'}{adrift}", sys.stdout))


def _warn(title: str, jobs: tuple[RecordedJob, ...]) -> None:
    if not jobs:
        return
    click.secho(fitted(f"\n{title}", sys.stdout), fg="magenta", bold=True)
    for job in jobs[:_MOST_SHOWN]:
        when = job.expires_at if job.state is JobState.SUCCEEDED else job.intended_at
        line = f"  {job.batch}/{job.address}  {moment_text(when) if when else ''}  {clean(job.reason)}".rstrip()
        click.echo(fitted(line, sys.stdout))
    if len(jobs) > _MOST_SHOWN:
        click.echo(f"  … and {len(jobs) - _MOST_SHOWN:,} more (seedbatch list --state {jobs[0].state})")


def standings_json(standings: Standings) -> dict[str, object]:
    """The same for machines: `docs/json-output.md`."""
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
