"""Options that several commands share."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from seedbatch.domain.errors import UsageError
from seedbatch.settings import Settings, load

if TYPE_CHECKING:
    from seedbatch.domain.selection import Choice

F = TypeVar("F", bound=Callable[..., Any])


def only_manifests(_context: click.Context, _parameter: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """What an argument names, without the file of picks that lies beside manifests."""
    from seedbatch.manifest.picks import without_picks

    return without_picks(paths)


manifests = click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="MANIFEST...",
    shell_complete=None,
    callback=only_manifests,
)
manifests_or_plan = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MANIFEST... | PLANFILE"
)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")


def place(function: F) -> F:
    """`--ledger` and `--sandbox`: whose record is meant."""
    function = click.option(
        "--sandbox", is_flag=True, help="Use the bundled stand-in provider and its own ledger: no key, no cost."
    )(function)
    return click.option(
        "--ledger",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The ledger.  [env: SEEDBATCH_LEDGER; default: .seedbatch/ledger.db]",
    )(function)


picks = click.option(
    "--picks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where picks are kept.  [default: picks.yaml beside the manifest]",
)


def selection(function: F) -> F:
    """`--select` and `--exclude`: which jobs are meant; `--picks` for what `picked` means."""
    function = picks(function)
    function = click.option(
        "--exclude", "excludes", multiple=True, metavar="EXPR", help="Not these jobs; as --select. May be repeated."
    )(function)
    return click.option(
        "--select",
        "selects",
        multiple=True,
        metavar="EXPR",
        help="Only these jobs: key:river*, tag:hero, state:failed, ratio=16:9, picked; a comma means both, a space"
        " means either. May be repeated.",
    )(function)


def choice_of(selects: tuple[str, ...], excludes: tuple[str, ...]) -> Choice:
    """What `--select` and `--exclude` say.

    Raises:
        UsageError: one of them is no selection.
    """
    from seedbatch.domain.selection import choice

    return choice(selects, excludes)


def loudness(function: F) -> F:
    """`--quiet` and `--verbose`."""
    function = click.option("--verbose", "-v", is_flag=True, help="Leave nothing out.")(function)
    return click.option("--quiet", "-q", is_flag=True, help="Only what went wrong, and the result.")(function)


def output_dir(function: F) -> F:
    """`--output-dir`: where files go."""
    return click.option(
        "--output-dir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Where clips go.  [env: SEEDBATCH_OUTPUT_DIR; default: outputs, with --sandbox outputs/sandbox]",
    )(function)


def leniency(function: F) -> F:
    """What a manifest may do beyond the usual."""
    function = click.option("--allow-large-matrix", is_flag=True, help="Let a matrix make more than 10,000 jobs.")(
        function
    )
    return click.option("--allow-unknown-model", is_flag=True, help="Pass models without a schema through unchecked.")(
        function
    )


def paying(function: F) -> F:
    """`--retry-failed` and `--no-reuse`: what is paid for a second time; `--shared`: what others paid for."""
    function = click.option(
        "--shared",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="A folder with clips that seedbatch.lock tells of.  [env: SEEDBATCH_SHARED]",
    )(function)
    function = click.option(
        "--no-reuse",
        is_flag=True,
        help="Pay again for what another job, or somebody else, paid for.",
    )(function)
    return click.option("--retry-failed", is_flag=True, help="Send again what failed; never what moderation refused.")(
        function
    )


def pace(function: F) -> F:
    """The ceilings of a run, and the sandbox's tempo."""
    for option in (
        click.option("--sandbox-faults", type=click.Path(path_type=Path), hidden=True),
        click.option("--sandbox-speed", type=float, metavar="X", help="The sandbox's tasks finish X times as fast."),
        click.option("--submits-per-minute", type=float, metavar="N", help="New submissions a minute.  [default: 60]"),
        click.option("--in-flight", type=int, metavar="N", help="Tasks at the provider at once.  [default: 100]"),
        click.option("--submitting", type=int, metavar="N", help="Submissions on the wire at once.  [default: 2]"),
    ):
        function = option(function)
    return function


def caps(function: F) -> F:
    """How much a run may spend."""
    function = click.option(
        "--allow-violations",
        type=click.IntRange(min=0),
        metavar="N",
        help="Submit until N moderation violations are to be expected today, whatever the surcharge.",
    )(function)
    return prices(ceilings(function))


def ceilings(function: F) -> F:
    """`--max-jobs` and `--max-cost`: the caps of a run."""
    function = click.option(
        "--max-cost", metavar="AMOUNT", help="The most that this run may owe: 12.50, or '12.50 USD'."
    )(function)
    return click.option(
        "--max-jobs", type=click.IntRange(min=0), metavar="N", help="The most that this run may submit."
    )(function)


def prices(function: F) -> F:
    """`--prices`: what a request costs."""
    return click.option(
        "--prices",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A TOML file of [[prices]].  [env: SEEDBATCH_PRICES; default: prices in seedbatch.toml]",
    )(function)


def assent(function: F) -> F:
    """`--yes`: do what a question would ask."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(function)


def ask(question: str, *, yes: bool) -> None:
    """Go on only if a person agrees.

    Raises:
        UsageError: they do not, or there is no terminal to ask at.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask at", hint="add --yes to go on without being asked")
    if not click.confirm(question, err=True):
        raise UsageError("nothing was changed")


def settings_of(**flags: object) -> Settings:
    """The settings of this process, `flags` first.

    Raises:
        UsageError: something in them is wrong.
    """
    return load(flags, os.environ, Path.cwd())


def place_flags(settings: Settings) -> str:
    """The flags that make another command mean the same ledger; begins with a space, or is empty."""
    sandbox = " --sandbox" if settings.sandbox else ""
    named = settings.origin("ledger").startswith("flag")
    return sandbox + (f" --ledger {shlex.quote(str(settings.ledger))}" if named else "")
