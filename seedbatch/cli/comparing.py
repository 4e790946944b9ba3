"""`plan --compare` and `diff` of commits: the manifests of a commit beside those that lie here, or of another one."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedbatch.cli.edits import Report, report_json, report_lines, report_markdown
from seedbatch.cli.loading import load_manifests
from seedbatch.cli.words import fitted, problems_text, say
from seedbatch.domain.errors import Exit, UsageError
from seedbatch.domain.jobs import BatchSpec
from seedbatch.engine.comparison import Kind, compare
from seedbatch.engine.planfile import Terms
from seedbatch.settings import Settings

if TYPE_CHECKING:
    from seedbatch.manifest.past import Past


def compare_with(
    ref: str, terms: Terms, settings: Settings, *, form: str, out: Path | None, detailed: bool, verbose: bool
) -> int:
    """Print what turns the manifests of a commit into those that lie here.

    Raises:
        UsageError: there is no such commit or no git, or other options ask for what only a plan can do.
        ManifestInvalid: with every problem of every file.
    """
    if out is not None or terms != replace(terms, selects=(), excludes=(), retry_failed=False):
        hint = "leave out --select, --exclude, --retry-failed and --out"
        raise UsageError("--compare looks at whole manifests, and at no ledger", hint=hint)
    report = _with_work_tree(ref, terms, settings)
    if report.dirty:
        say("The manifests differ from their commit: they are compared as they lie here.")
    return _print(report, form=form, detailed=detailed, verbose=verbose)


def compare_commits(one: str, two: str, terms: Terms, settings: Settings, *, form: str, verbose: bool) -> int:
    """Print what turns the manifests of one commit into those of another.

    Raises:
        UsageError: there is no such commit or no git, or the manifests of one of them cannot be read.
    """
    from seedbatch.manifest import commit_of

    before, past = _at(one, terms, settings)
    now, present = _at(two, terms, settings)
    _, dirty = commit_of(tuple(map(Path, terms.paths)))
    absent = tuple(path for path in past.absent if path not in present.absent)
    gone = tuple(path for path in present.absent if path not in past.absent)
    if never := [str(path) for path in past.absent if path in present.absent]:
        raise UsageError(f"neither {one} nor {two} has a file {', '.join(never[:5])}", hint="name manifests of them")
    report = Report(one, past.commit, dirty, absent, gone, compare(before, now), two, present.commit)
    return _print(report, form=form, detailed=False, verbose=verbose)


def _print(report: Report, *, form: str, detailed: bool, verbose: bool) -> int:
    match form:
        case "json":
            click.echo(json.dumps(report_json(report), ensure_ascii=False))
        case "markdown":
            click.echo(report_markdown(report), nl=False)
        case _:
            for line, colour in report_lines(report, verbose=verbose):
                bold, foreground = colour == "bold", None if colour in {"", "bold"} else colour
                click.secho(fitted(line, sys.stdout), bold=bold, fg=foreground)
    differs = report.comparison.counts.keys() - {Kind.COSMETIC}
    return int(Exit.CHANGES if detailed and differs else Exit.OK)


def _with_work_tree(ref: str, terms: Terms, settings: Settings) -> Report:
    from seedbatch.manifest import commit_of

    paths = tuple(map(Path, terms.paths))
    before, past = _at(ref, terms, settings)
    # A manifest that is gone was removed, unless it never was there.
    gone = tuple(path for path in paths if path not in past.absent and not path.exists())
    here = tuple(str(path) for path in paths if path not in gone)
    now = load_manifests(replace(terms, paths=here), settings) if here else ()
    _, dirty = commit_of(paths)
    return Report(ref, past.commit, dirty, past.absent, gone, compare(before, now))


def _at(ref: str, terms: Terms, settings: Settings) -> tuple[tuple[BatchSpec, ...], Past]:
    """The batches of a commit, with today's prices."""
    from seedbatch.manifest.past import load_past
    from seedbatch.models import price_table

    past = load_past(
        tuple(map(Path, terms.paths)),
        ref,
        allow_unknown_model=terms.allow_unknown_model,
        allow_large_matrix=terms.allow_large_matrix,
    )
    if past.loaded.problems:
        for text in problems_text(past.loaded.problems):
            say(text)
        raise UsageError(f"the manifests of {ref} cannot be read", hint="compare with another commit")
    table = price_table(settings.prices.rows, settings.prices.origin)
    return tuple(replace(batch, prices=table) for batch in past.loaded.batches), past
