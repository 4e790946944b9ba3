from __future__ import annotations

import json
from pathlib import Path

import click

from seedbatch.cli import options


@click.command("show")
@click.argument("key")
@options.place
@options.as_json
def command(key: str, ledger: Path | None, sandbox: bool, as_json: bool) -> None:
    """Tell the whole story of a job: request, attempts, events and files of every revision.

    KEY is a job's address, or BATCH/ADDRESS where several batches have one of that name.
    """
    from seedbatch.cli.reading import open_or_say, revisions_of
    from seedbatch.cli.stories import Story, story_json, story_lines

    records = open_or_say(options.settings_of(ledger=ledger, sandbox=sandbox))
    if records is None:
        return
    try:
        for index, job in enumerate(revisions_of(records, key)):
            number = job.job_id
            story = Story(job, records.origin(number), records.attempts(number), records.story(number))
            if as_json:
                click.echo(json.dumps(story_json(story), ensure_ascii=False))
            else:
                click.echo("\n" * bool(index) + "\n".join(story_lines(story)))
    finally:
        records.close()
