from __future__ import annotations

import json
from pathlib import Path

import click

from seedbatch.cli import options
from seedbatch.domain.records import Occurrence, RecordedJob


@click.command("show")
@click.argument("key")
@options.place
@options.as_json
def command(key: str, ledger: Path | None, sandbox: bool, as_json: bool) -> None:
    """Tell the whole story of a job: request, attempts, events and files of every revision.

    KEY is a job's address, or BATCH/ADDRESS where several batches have one of that name.
    """
    from seedbatch.cli.reading import open_or_say, revisions_of

    records = open_or_say(options.settings_of(ledger=ledger, sandbox=sandbox))
    if records is None:
        return
    try:
        jobs = revisions_of(records, key)
        for index, job in enumerate(jobs):
            story = records.story(job.job_id)
            if as_json:
                click.echo(json.dumps(_json(job, story), ensure_ascii=False))
            else:
                click.echo("\n" * bool(index) + "\n".join(_lines(job, story)))
    finally:
        records.close()


def _lines(job: RecordedJob, story: list[Occurrence]) -> list[str]:
    from seedbatch.cli.words import clean, moment_text

    facts = {
        "state": f"{job.state}" + (f" ({job.failure})" if job.failure else ""),
        "reason": job.reason,
        "standing": str(job.standing),
        "model": job.request.model,
        **{name: json.dumps(value, ensure_ascii=False) for name, value in job.request.input.items()},
        "fingerprint": job.fingerprint,
        "task": job.task_id or "",
        "cost": f"{job.cost} at most" if job.cost else "",
        "link dies": moment_text(job.expires_at) if job.expires_at and not job.artifacts else "",
        "tags": ", ".join(job.tags),
    }
    lines = [click.style(f"{job.batch}/{job.address}, revision {job.revision}", bold=True)]
    lines += [f"  {name + ':':<13} {clean(text)}" for name, text in facts.items() if text]
    lines += [f"  {'file:':<13} {file.path}  {file.bytes:,} bytes  sha256 {file.sha256}" for file in job.artifacts]
    lines.append("  story:")
    lines += [f"    {moment_text(event.at)}  {_event(event)}" for event in story]
    return lines


def _event(event: Occurrence) -> str:
    from seedbatch.cli.words import clean

    attempt = f" (attempt {event.attempt})" if event.attempt is not None else ""
    data = ", ".join(f"{name} {value}" for name, value in event.data.items())
    return clean(f"{event.type}{attempt}" + (f": {data}" if data else ""))


def _json(job: RecordedJob, story: list[Occurrence]) -> dict[str, object]:
    from seedbatch.cli.commands.list import job_json
    from seedbatch.domain.moments import stamp

    return {
        **job_json(job),
        "request": {"model": job.request.model, "input": job.request.input},
        "story": [
            {
                "at": stamp(event.at),
                "type": event.type,
                "from": event.from_state,
                "to": event.to_state,
                "attempt": event.attempt,
                "data": event.data,
            }
            for event in story
        ],
    }
