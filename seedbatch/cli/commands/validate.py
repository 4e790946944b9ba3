from __future__ import annotations

import json
from pathlib import Path

import click

from seedbatch.cli import options
from seedbatch.cli.words import count, problems_text, say
from seedbatch.domain.errors import Exit, ManifestInvalid, Problem


@click.command("validate")
@options.manifests
@options.leniency
@options.as_json
def command(paths: tuple[Path, ...], allow_unknown_model: bool, allow_large_matrix: bool, as_json: bool) -> int:
    """Check manifests without asking the provider.

    Every problem of every file is told at once, each with its place. Exit 2 if there is any.
    """
    from seedbatch.manifest import load

    loaded = load(paths, allow_unknown_model=allow_unknown_model, allow_large_matrix=allow_large_matrix)
    if as_json:
        click.echo(json.dumps(_report(loaded.problems, loaded.warnings), ensure_ascii=False))
        return int(Exit.USAGE if loaded.problems else Exit.OK)
    if loaded.problems:
        raise ManifestInvalid(loaded.problems)
    for text in problems_text(loaded.warnings):
        say(text)
    for batch in loaded.batches:
        click.echo(f"{batch.name}: {count(len(batch.jobs), 'job')}, valid")
    return int(Exit.OK)


def _report(problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> dict[str, object]:
    return {
        "version": 1,
        "valid": not problems,
        "problems": [_facts(problem) for problem in problems],
        "warnings": [_facts(problem) for problem in warnings],
    }


def _facts(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }
