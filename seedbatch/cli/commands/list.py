from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from seedbatch.cli import options
from seedbatch.cli.spending import money_json
from seedbatch.cli.words import say, short_path
from seedbatch.domain.records import RecordedJob, Standing
from seedbatch.domain.states import JobState


@click.command("list")
@options.place
@click.option("--batch", "batches", multiple=True, metavar="NAME", help="Only this batch; may be repeated.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice([str(state) for state in JobState]), help="Only these."
)
@options.selection
@click.option("--all", "everything", is_flag=True, help="Earlier revisions and orphans as well.")
@options.as_json
def command(
    ledger: Path | None,
    sandbox: bool,
    batches: tuple[str, ...],
    states: tuple[str, ...],
    selects: tuple[str, ...],
    excludes: tuple[str, ...],
    picks: Path | None,
    everything: bool,
    as_json: bool,
) -> None:
    """List jobs, one a line. Piped, the columns are separated by tabs."""
    from seedbatch.cli.picking import picking_recorded
    from seedbatch.cli.reading import open_or_say
    from seedbatch.cli.tables import print_table

    choice = options.choice_of(selects, excludes)
    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    records = open_or_say(settings)
    if records is None:
        return
    try:
        choice = picking_recorded(choice, records, settings, picks)
        found = records.select(choice, batches or None, [JobState(state) for state in states])
        jobs = _told(job for job in found if everything or job.standing is Standing.CURRENT)
        if as_json:
            for job in jobs:
                click.echo(json.dumps(job_json(job), ensure_ascii=False))
            return
        headers = ("BATCH", "KEY", "REV", "STATE", "MODEL", "FILE OR REASON")
        print_table(headers, map(_row, jobs), right=(2,), wide=5, spare=(4, 2, 0))
    finally:
        records.close()


def _told(jobs: Iterator[RecordedJob]) -> Iterator[RecordedJob]:
    """The jobs; if there is none, that is said."""
    number = 0
    for number, job in enumerate(jobs, start=1):  # noqa: B007 - counted, not used
        yield job
    if not number:
        say("No job matches.")


def _row(job: RecordedJob) -> tuple[str, ...]:
    last = job.artifacts[0].path if job.artifacts else job.reason
    if sys.stdout.isatty():
        last = short_path(last)
    return job.batch, job.address, str(job.revision), str(job.state), job.request.model, last


def job_json(job: RecordedJob) -> dict[str, object]:
    """One line of `list --json`; `docs/json-output.md`."""
    from seedbatch.domain.moments import stamp

    return {
        "version": 1,
        "batch": job.batch,
        "key": job.address,
        "revision": job.revision,
        "take": job.take,
        "standing": str(job.standing),
        "state": str(job.state),
        "failure": job.failure and str(job.failure),
        "reason": job.reason,
        "task_id": job.task_id,
        "model": job.request.model,
        "fingerprint": job.fingerprint,
        "attempts": job.attempts,
        "cost": money_json(job.cost),
        "expires_at": job.expires_at and stamp(job.expires_at),
        "artifacts": [
            {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "content_type": file.content_type}
            for file in job.artifacts
        ],
        "tags": list(job.tags),
    }
