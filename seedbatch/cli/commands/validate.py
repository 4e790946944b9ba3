from __future__ import annotations

from pathlib import Path

import click

from seedbatch.cli import options, reports
from seedbatch.cli.words import count, problems_text, say
from seedbatch.domain.errors import Exit, ManifestInvalid

_REPORTS = {"json": reports.json_text, "github": reports.github_text, "sarif": reports.sarif_text}


@click.command("validate")
@options.manifests
@options.leniency
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", *_REPORTS]),
    help="How to print it: for people, as JSON, as annotations of a GitHub workflow, as SARIF 2.1.0.  [default: text]",
)
@options.as_json
def command(
    paths: tuple[Path, ...], allow_unknown_model: bool, allow_large_matrix: bool, form: str | None, as_json: bool
) -> int:
    """Check manifests without asking the provider.

    Every problem of every file is told at once, each with its place and a code that `seedbatch explain` explains.
    Exit 2 if there is any.
    """
    from seedbatch.manifest import load

    if as_json and form not in {None, "json"}:
        raise click.UsageError(f"--json and --format {form} are two wishes; name one")
    loaded = load(paths, allow_unknown_model=allow_unknown_model, allow_large_matrix=allow_large_matrix)
    report = _REPORTS.get("json" if as_json else form or "text")
    if report is not None:
        text = report(loaded)
        if text:
            click.echo(text)
        return int(Exit.USAGE if loaded.problems else Exit.OK)
    if loaded.problems:
        raise ManifestInvalid(loaded.problems)
    for text in problems_text(loaded.warnings):
        say(text)
    for batch in loaded.batches:
        click.echo(f"{batch.name}: {count(len(batch.jobs), 'job')}, valid")
    return int(Exit.OK)
