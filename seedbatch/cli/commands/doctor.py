from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from seedbatch.cli import callbacks, options
from seedbatch.cli.callbacks import Bind, read_bind
from seedbatch.cli.words import clean, count, say
from seedbatch.domain.errors import SeedbatchError
from seedbatch.domain.health import Check, Health, exit_of

if TYPE_CHECKING:
    from rich.text import Text

    from seedbatch.cli.origins import Setting

_STYLES: Final = {Health.OK: "green", Health.WARNING: "yellow", Health.PROBLEM: "bold red", Health.SKIPPED: "dim"}
_NAMES: Final = {"public_url": "public URL", "sqlite": "SQLite"}
_UNBROKEN: Final = 100_000  # columns, where nobody's window ends a line


@click.command("doctor")
@callbacks.public_url
@click.option(
    "--bind",
    callback=read_bind,
    metavar="HOST:PORT",
    help="Listen there for the time of the test: for when no listener runs yet.",
)
@options.place
@options.output_dir
@options.as_json
def command(
    public_url: str | None,
    bind: Bind | None,
    ledger: Path | None,
    sandbox: bool,
    output_dir: Path | None,
    as_json: bool,
) -> int:
    """Look at everything that a run depends on: settings, key, clock, disk, ledger, and the way back of callbacks.

    Spends nothing and changes no job. Asks the provider once, for free, and sends the public URL one test callback.
    Exit 0 if there is no problem, else 4 (key), 8 (ledger), 9 (provider) or 2.
    """
    from seedbatch.cli.checkup import examine, unsettled
    from seedbatch.cli.origins import every_setting

    # What a callback of a library meets is told by whoever waited for it; its traceback is for nobody.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    told: list[Setting] = []
    try:
        settings = options.settings_of(ledger=ledger, sandbox=sandbox, public_url=public_url, output_dir=output_dir)
    except SeedbatchError as error:
        checks = [unsettled(error)]
    else:
        told = every_setting(settings, os.environ)
        checks = examine(settings, told, os.environ, bind)
    if as_json:
        _print_json(checks, told)
    else:
        _print_text(checks, told)
    return int(exit_of(checks))


def _print_json(checks: Iterable[Check], told: Iterable[Setting]) -> None:
    facts = {
        "version": 1,
        "checks": [
            {"name": one.name, "verdict": str(one.verdict), "words": one.words, "hint": one.hint} for one in checks
        ],
        "settings": [{"name": one.name, "value": one.value, "origin": one.origin} for one in told],
    }
    click.echo(_encodable(json.dumps(facts, ensure_ascii=False)))


def _print_text(checks: Sequence[Check], told: Sequence[Setting]) -> None:
    from rich.text import Text

    if told:
        _print_rows([(Text(one.name), Text(_plain(one.text)), Text(_plain(one.origin))) for one in told], kept=1)
        click.echo()
    _print_rows([_row(check) for check in checks], kept=2)
    found = Counter(check.verdict for check in checks)
    problems, warnings = found[Health.PROBLEM], found[Health.WARNING]
    say(f"\n{count(problems, 'problem') if problems else 'No problem'}, {count(warnings, 'warning')}.")


def _row(check: Check) -> tuple[Text, Text, Text]:
    from rich.text import Text

    words = Text(_plain(_from_here(check.words)))
    if check.hint:
        words.append(f"\n→ {_plain(_from_here(check.hint))}", style="" if check.verdict is Health.SKIPPED else "bold")
    name = Text(_NAMES.get(check.name, check.name))
    return Text(str(check.verdict), style=_STYLES[check.verdict]), name, words


def _from_here(words: str) -> str:
    """Paths below the working directory as they are seen from there."""
    here = Path.cwd()
    return words if here == here.parent else words.replace(os.path.join(here, ""), "")  # noqa: PTH118 - a trailing slash


def _print_rows(rows: Iterable[tuple[Text, ...]], *, kept: int) -> None:
    """Aligned columns, of which all but the first `kept` are broken where a window is too narrow."""
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for column in range(3):
        table.add_column(no_wrap=column < kept, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _UNBROKEN)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(_encodable(line.rstrip()))


def _plain(text: str) -> str:
    return _encodable(clean(text))


def _encodable(text: str) -> str:
    """A path may hold bytes that no text has, and stdout may take fewer characters than there are."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
