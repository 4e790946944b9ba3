from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from seedbatch.cli.words import clean, fitted
from seedbatch.domain.errors import UsageError

if TYPE_CHECKING:
    from seedbatch.manifest.explanations import Explanation


def _codes(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from seedbatch.manifest.explanations import explanations

    return [CompletionItem(one.code, help=one.title) for one in explanations().values() if incomplete in one.code]


@click.command("explain")
@click.argument("code", required=False, shell_complete=_codes)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", help="How to print it."
)
def command(code: str | None, form: str) -> None:
    """Explain the code of a problem: what it means, why, how to mend it. Without CODE, list all.

    \b
    seedbatch explain                 every code with its title
    seedbatch explain schema/enum     one of them at length
    """
    from seedbatch.manifest.explanations import explanations

    known = explanations()
    if code is not None and code not in known:
        raise UsageError(f"there is no code {clean(code)!r}", hint=_nearest(code, known))
    chosen = list(known.values()) if code is None else [known[code]]
    match form:
        case "json":
            for one in chosen:
                click.echo(json.dumps(_facts(one), ensure_ascii=False))
        case "markdown":
            click.echo("\n".join(_page(chosen) if code is None else _section(chosen[0])))
        case _ if code is None:
            width = max(map(len, known))
            for one in chosen:
                click.echo(fitted(f"{one.code:<{width}}  {one.title}", sys.stdout))
        case _:
            for line in _lines(chosen[0]):
                click.echo(fitted(line, sys.stdout))


def _nearest(code: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    # What stands behind the slash is what people remember.
    short = {name.partition("/")[2]: name for name in known}
    near = get_close_matches(code, known, n=1) or [short[one] for one in get_close_matches(code, short, n=1)]
    return f"did you mean {near[0]}?" if near else "seedbatch explain lists all"


def _facts(one: Explanation) -> dict[str, object]:
    return {
        "code": one.code,
        "level": "warning" if one.warning else "error",
        "title": one.title,
        "means": one.means,
        "why": one.why,
        "mend": one.mend,
        "wrong": one.wrong,
        "right": one.right,
        "beside": dict(one.beside),
    }


def _lines(one: Explanation) -> Iterator[str]:
    yield click.style(f"{one.code}: {one.title}", bold=True)
    yield ""
    yield f"  {one.means}"
    yield f"  {'Why it is told' if one.warning else 'Why it is refused'}: {one.why}"
    yield f"  What to do: {one.mend}"
    examples = [("Instead of:" if one.right else "An example:", one.wrong), ("Write:", one.right)]
    for heading, text in (*examples, *((f"{name} holds:", text) for name, text in one.beside.items())):
        if text:
            yield ""
            yield f"  {heading}"
            yield from (f"    {clean(_visible(line))}" for line in text.splitlines())


def _visible(line: str) -> str:
    """A tab as something to see: where one is told of, it is what is wrong."""
    return line.replace("\t", "⇥   ")


def _page(all_of_them: Iterable[Explanation]) -> Iterator[str]:
    from seedbatch.manifest.explanations import BEGINNING

    yield "# Problems, and how to mend them"
    yield ""
    yield "Every problem that `seedbatch validate` tells ends with a code in brackets. Codes are stable: scripts may"
    yield "rely on them. `seedbatch explain CODE` prints what stands here. Examples are parts of a manifest that begins"
    yield "with"
    yield ""
    yield from _fenced("yaml", BEGINNING)
    for one in all_of_them:
        yield ""
        yield from _section(one, level=2)


def _section(one: Explanation, level: int = 1) -> Iterator[str]:
    yield f"{'#' * level} `{one.code}`"
    yield ""
    yield f"**{one.title}.** {one.means}" + (" This is a warning: it stops nothing." if one.warning else "")
    yield ""
    yield one.why
    yield ""
    yield f"*What to do:* {one.mend}"
    for heading, text in (("Instead of", one.wrong), ("write", one.right)):
        if text:
            yield ""
            yield heading
            yield ""
            yield from _fenced("yaml", text)
    for name, text in one.beside.items():
        yield ""
        yield f"`{name}`:"
        yield ""
        yield from _fenced("", text)


def _fenced(language: str, text: str) -> Iterator[str]:
    yield f"```{language}"
    yield from (clean(line) if "\t" not in line else line for line in text.splitlines())
    yield "```"
