from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import click

from seedbatch.cli import options
from seedbatch.cli.words import count, say

if TYPE_CHECKING:
    from seedbatch.report.gallery import Written

_EVERY: Final = 5.0  # seconds between two lines about posters


@click.command("report")
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder to write, or an earlier report to bring up to date.",
)
@options.place
@click.option("--batch", "batches", multiple=True, metavar="NAME", help="Only this batch; may be repeated.")
@options.selection
def command(
    folder: Path,
    ledger: Path | None,
    sandbox: bool,
    batches: tuple[str, ...],
    selects: tuple[str, ...],
    excludes: tuple[str, ...],
    picks: Path | None,
) -> None:
    """Write a gallery of clips, failures and costs into DIR: open DIR/index.html, or put DIR on any web server.

    Clips are linked, not copied, where the disk allows. The path of the page goes to stdout.
    """
    from seedbatch.cli.picking import picking_recorded
    from seedbatch.cli.reading import open_or_say
    from seedbatch.report.gallery import write_gallery

    choice = options.choice_of(selects, excludes)
    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    records = open_or_say(settings)
    if records is None:
        return
    try:
        written = write_gallery(
            records,
            folder,
            picking_recorded(choice, records, settings, picks),
            batches or None,
            place=options.place_flags(settings),
            now=datetime.now(UTC),
            told=_progress(),
        )
    finally:
        records.close()
    for line in _words(written):
        say(line)
    click.echo(folder.absolute() / "index.html")


def _words(written: Written) -> Iterator[str]:
    if not written.jobs:
        yield "No job matches: the gallery is empty."
    posters = f", {count(written.posters, 'new poster')}" if written.posters else ""
    yield f"Written: {count(written.jobs, 'job')}{posters}."
    if written.gone:
        yield f"{count(written.gone, 'file')} of the ledger cannot be shown: gone, or changed since they were stored."
        yield "  → seedbatch ledger check --files"
    if written.bare and not written.drawing:
        yield f"{count(written.bare, 'file')} without a poster: posters need the video extra."
        yield "  → pip install 'seedbatch[video]'"
    elif written.bare > written.gone:
        yield f"{count(written.bare - written.gone, 'file')} could not be decoded, and have no poster."


def _progress() -> Callable[[int, int], None]:
    """Says how far the posters are, every few seconds."""
    last = monotonic()

    def told(done: int, total: int) -> None:
        nonlocal last
        if monotonic() - last >= _EVERY:
            last = monotonic()
            say(f"posters: {done:,} of {total:,}")

    return told
