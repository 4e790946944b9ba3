"""The price of a plan in parts, as tables: by tag, by axis, and by what else was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from seedbatch.cli.escaping import html_code
from seedbatch.cli.spending import monies
from seedbatch.cli.words import clean, count
from seedbatch.engine.grouping import MOST_GROUPS, Parting, Sums, Tally
from seedbatch.engine.pricing import OF_EVERY_PLAN, By

_MOST_SHOWN: Final = 20
_NARROWEST: Final = 12
_WIDEST: Final = 40
_HEADERS: Final = ("jobs", "likely", "at most")


def by_of(texts: Iterable[str], *, everything: bool) -> By:
    """What `--by` says, each as often as it was given, with names between commas.

    Raises:
        BadParameter: a name is empty.
    """
    names = [name.strip() for text in texts for name in text.split(",")]
    if not all(names):
        raise click.BadParameter("it takes names such as tag, or ratio", param_hint="'--by'")
    return By(tuple(dict.fromkeys(map(_dimension, names))), everything)


def _dimension(name: str) -> str:
    """`tag` and `tag:` are tags; `tag=` is an axis of that name, as in a selection."""
    return f"{name.removesuffix(':')}:" if f"{name.removesuffix(':')}:" in OF_EVERY_PLAN else name.removesuffix("=")


def by_name(by: str) -> str:
    """What `--by` takes for it."""
    return f"{by}=" if f"{by}:" in OF_EVERY_PLAN else by.removesuffix(":")


def parting_lines(parting: Parting, window: int | None = None) -> Iterator[str]:
    """A table, the dearest part first. `window` is how wide it may be; its values give way."""
    rows = [(clean(value), *_cells(sums)) for value, sums in parting.parts[:_MOST_SHOWN]]
    rows += [(label, *_cells(sums)) for label, sums in _rest(parting, _MOST_SHOWN)]
    head = (f"By {clean(by_name(parting.by))}", *_HEADERS)
    widest = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    numbers = sum(widest[1:]) + 2 * len(widest)
    room = _WIDEST if window is None else max(_NARROWEST, min(_WIDEST, window - numbers))
    widest[0] = min(widest[0], room)
    for indent, (first, *cells) in (("", head), *(("  ", row) for row in rows)):
        line = f"{indent}{_shortened(first, room)}".ljust(widest[0] + 2)
        yield f"{line}  {'  '.join(cell.rjust(width) for cell, width in zip(cells, widest[1:], strict=True))}".rstrip()
    if note := _note(parting):
        yield f"  {note}"


def parting_html(parting: Parting, most: int) -> str:
    """The same for a comment in Markdown: a folded table without an empty line, in which nothing is obeyed."""
    most = min(most, _MOST_SHOWN)
    rows = [(html_code(value, _WIDEST), *_cells(sums)) for value, sums in parting.parts[:most]]
    rows += [(label, *_cells(sums)) for label, sums in _rest(parting, most)]
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    head = "".join(f"<th>{cell}</th>" for cell in ("", *_HEADERS))
    note = f"<p>{_note(parting)}</p>\n" if parting.overlaps else ""
    summary = f"By {html_code(by_name(parting.by))}"
    return f"\n<details><summary>{summary}</summary>\n<table>\n<tr>{head}</tr>\n{body}</table>\n{note}</details>\n"


def worth_showing(partings: Iterable[Parting]) -> list[Parting]:
    """Those that part anything."""
    return [one for one in partings if len(one.parts) + bool(one.without.submissions) > 1]


def _cells(sums: Sums) -> tuple[str, str, str]:
    unpriced = f"{sums.unpriced:,} without a price" if sums.unpriced else ""
    likely = " and ".join(part for part in (monies(sums.price), unpriced) if part)
    return f"{sums.submissions:,}", likely, monies(sums.worst)


def _rest(parting: Parting, most: int) -> Iterator[tuple[str, Sums]]:
    if left := parting.parts[most:]:
        yield f"… {count(len(left), 'more value')}", _together([sums for _, sums in left])
    if parting.beyond.submissions:
        yield f"… values beyond the first {MOST_GROUPS:,}", parting.beyond
    if parting.without.submissions:
        yield "(none)", parting.without


def _together(many: Sequence[Sums]) -> Sums:
    tally = Tally()
    for sums in many:
        tally.include(sums)
    return tally.sums()


def _note(parting: Parting) -> str:
    return (
        "A job with several tags counts in each: together they come to more than the plan." if parting.overlaps else ""
    )


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
