"""Tables on stdout: fitted to the window on a terminal, tab-separated elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from seedbatch.cli.words import clean

Row = Sequence[str]

# How a state looks; words carry the meaning, colour only repeats it.
STYLES = {
    "completed": "green",
    "unchanged": "dim",
    "create": "green",
    "regenerate": "yellow",
    "failed": "red",
    "expired": "red",
    "in_doubt": "bold magenta",
    "held": "red",
    "running": "cyan",
    "collect": "cyan",
    "succeeded": "cyan",
    "download": "cyan",
    "orphan": "dim",
    "abandoned": "dim",
}


def print_table(headers: Row, rows: Iterable[Row], *, right: Sequence[int] = (), wide: int | None = None) -> None:
    """One line a row. `right` are the columns of numbers, `wide` the one that gives way in a narrow window."""
    if not sys.stdout.isatty():
        for row in (headers, *rows):
            print("\t".join(clean(cell) for cell in row))  # noqa: T201
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for index, header in enumerate(headers):
        gives_way = index == wide
        table.add_column(
            header,
            justify="right" if index in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if gives_way else None,
            min_width=min(len(header), 8) if gives_way else None,
        )
    for row in rows:
        table.add_row(*(Text(clean(cell), style=STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)
