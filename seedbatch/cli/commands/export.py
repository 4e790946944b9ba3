from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import click

from seedbatch.cli import options
from seedbatch.cli.words import count, say
from seedbatch.domain.errors import UsageError
from seedbatch.domain.records import Standing

_FORMATS = ("csv", "jsonl", "parquet")


@click.command("export")
@options.place
@options.selection
@click.option("--all", "everything", is_flag=True, help="Earlier revisions and orphans as well.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="How to write it.  [default: as --output is called, else csv]",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write a file, whole or not at all.")
@click.option("--raw", is_flag=True, help="CSV: leave cells as they are, formulas and control characters too.")
def command(
    ledger: Path | None,
    sandbox: bool,
    selects: tuple[str, ...],
    excludes: tuple[str, ...],
    picks: Path | None,
    everything: bool,
    form: str | None,
    output: Path | None,
    raw: bool,
) -> None:
    """Write jobs as a table, one row a job: CSV, JSON Lines or Parquet, to stdout or into a file.

    Cells of CSV that a spreadsheet would calculate get an apostrophe in front.
    """
    from seedbatch.cli.picking import picking_recorded
    from seedbatch.cli.reading import open_or_say
    from seedbatch.report.exports import Format, write

    chosen = Format(form or _called(output))
    if chosen is Format.PARQUET:
        _check_parquet(output)
    choice = options.choice_of(selects, excludes)
    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    records = open_or_say(settings)
    if records is None:
        return
    with closing(records):
        choice = picking_recorded(choice, records, settings, picks)
        jobs = (job for job in records.select(choice) if everything or job.standing is Standing.CURRENT)
        with _sink(output) as sink:
            number = write(jobs, chosen, sink, raw=raw)
    if not number:
        say("No job matches.")
    if output is not None:
        say(f"{count(number, 'job')} written to {output}.")


def _called(output: Path | None) -> str:
    suffix = "" if output is None else output.suffix.lower().removeprefix(".")
    return suffix if suffix in _FORMATS else "csv"


def _check_parquet(output: Path | None) -> None:
    if find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow, which is not installed", hint="pip install 'seedbatch[parquet]'")
    if output is None and sys.stdout.isatty():
        raise UsageError("Parquet is nothing for a terminal", hint="add --output jobs.parquet")


@contextmanager
def _sink(output: Path | None) -> Iterator[BinaryIO]:
    from seedbatch.cli.newfile import new_file

    if output is not None:
        with new_file(output) as sink:
            yield sink
        return
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        raise
    except OSError as error:
        raise UsageError(f"stdout cannot be written: {error.strerror or error}") from error
