"""Tables on stdout: fitted to the window on a terminal, tab-separated elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from seedbatch.cli.words import clean

if TYPE_CHECKING:
    from rich.table import Table

Row = Sequence[str]

_GAP: Final = 3  # between two columns
_LEAST: Final = 24  # of the column that gives way, while there are others to leave out
_READABLE: Final = 8  # of it in any case

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


def fits(headers: Row, rows: Sequence[Row]) -> bool:
    """Whether a table has room for all its columns, the first of them readable; elsewhere than on a terminal always."""
    if not sys.stdout.isatty():
        return True
    from rich.console import Console

    _, *others = _widths(headers, rows)
    return sum(others) + _GAP * (len(others) + 1) + _READABLE <= Console().width


def print_table(
    headers: Row, rows: Iterable[Row], *, right: Sequence[int] = (), wide: int, spare: Sequence[int] = ()
) -> None:
    """One line a row. `right` are the columns of numbers, `wide` is the one that gives way in a narrow window.

    `spare` are columns that a window leaves out, in that order, when it is too narrow for all of them.
    """
    if not sys.stdout.isatty():
        for row in (headers, *rows):
            print("\t".join(clean(cell) for cell in row))  # noqa: T201
        return
    from rich.console import Console

    console = Console(highlight=False)
    cells = [tuple(map(clean, row)) for row in rows]
    widths = _widths(headers, cells)
    shown = _columns(widths, wide, spare, console.width)
    rest = console.width - sum(widths[one] for one in shown if one != wide) - _GAP * len(shown)
    widths[wide] = max(_READABLE, min(widths[wide], rest))
    console.print(_table(headers, cells, widths, shown, right=right))


def _widths(headers: Row, rows: Sequence[Row]) -> list[int]:
    """How many columns of a terminal each column of the table takes: a Chinese character takes two."""
    from rich.cells import cell_len

    return [max(map(cell_len, column)) for column in zip(headers, *rows, strict=True)]


def _columns(widths: Sequence[int], wide: int, spare: Sequence[int], room: int) -> list[int]:
    """The columns that fit, when `wide` keeps a readable rest."""
    shown = list(range(len(widths)))
    for column in spare:
        if sum(widths[one] for one in shown if one != wide) + _GAP * len(shown) + _LEAST <= room:
            break
        shown.remove(column)
    return shown


def _table(
    headers: Row, cells: Sequence[Row], widths: Sequence[int], shown: Sequence[int], *, right: Sequence[int]
) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in shown:
        table.add_column(
            headers[column],
            justify="right" if column in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=widths[column],
            max_width=widths[column],
        )
    for row in cells:
        table.add_row(*(Text(row[column], style=STYLES.get(row[column], "")) for column in shown))
    return table
