from __future__ import annotations

from pathlib import Path

import click

from seedbatch.cli import options
from seedbatch.cli.loading import load_manifests
from seedbatch.cli.words import say


@click.command("lock")
@options.manifests
@options.place
@options.leniency
def command(
    paths: tuple[Path, ...], ledger: Path | None, sandbox: bool, allow_unknown_model: bool, allow_large_matrix: bool
) -> None:
    """Write what was paid for into seedbatch.lock beside the manifest, for git: colleagues do not pay for it again.

    From then on `apply` keeps the file up to date. Lines of others stay. The path of the file goes to stdout.
    """
    from seedbatch.cli.locking import keep_locks
    from seedbatch.cli.reading import open_or_say
    from seedbatch.engine.planfile import Terms

    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    terms = Terms(tuple(map(str, paths)), (), (), allow_unknown_model, allow_large_matrix)
    batches = load_manifests(terms, settings, quiet=True)
    records = open_or_say(settings)
    if records is None:
        return
    try:
        for path, words in keep_locks(batches, records, settings, make=True):
            say(f"{words}.")
            click.echo(path)
    finally:
        records.close()
