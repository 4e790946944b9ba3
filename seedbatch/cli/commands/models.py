from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from seedbatch.cli import options

if TYPE_CHECKING:
    from seedbatch.models import Parameter, Remark, Sheet


@click.command("models")
@click.argument("name", required=False)
@options.as_json
def command(name: str | None, as_json: bool) -> None:
    """List the models, or tell what one accepts.

    What is legacy, or known from other clients only, stands last.

    \b
    seedbatch models                     all of them, one a line
    seedbatch models seedance-2.0        parameters, rules, warnings, sources
    """
    from seedbatch.models import catalogue, sheet

    known = catalogue()
    sheets = [sheet(known.schema(one), one) for one in ([name] if name else known.names)]
    if as_json:
        for one in sheets:
            click.echo(json.dumps(_json(one), ensure_ascii=False))
    elif name:
        _print(sheets[0])
    else:
        from seedbatch.cli.tables import print_table

        headers = ("MODEL", "KIND", "STATUS", "ERA", "TAKES")
        print_table(
            headers, [(one.name, one.kind, one.status, one.era, one.takes) for one in sheets], wide=4, spare=(3, 1)
        )


def _print(sheet: Sheet) -> None:
    from seedbatch.cli.words import fitted

    click.echo(f"{click.style(sheet.name, bold=True)}  {sheet.title}")
    for line in _lines(sheet):
        click.echo(fitted(line, sys.stdout))


def _lines(sheet: Sheet) -> Iterator[str]:
    yield f"  kind:    {sheet.kind}"
    yield f"  status:  {sheet.status}" + (f"; {sheet.note}" if sheet.note else "")
    yield f"  era:     {sheet.era}"
    yield f"  source:  {sheet.source}"
    yield ""
    for one in sheet.parameters:
        yield f"  {one.name}: {_facts(one)}"
        yield f"    {one.description}{_cited(one.source)}"
    for title, remarks in (("Rules", sheet.rules), ("Warnings", sheet.warnings), ("Worth knowing", sheet.notes)):
        if remarks:
            yield ""
            yield f"  {title}"
            yield from (f"    {one.text}{_cited(one.source)}" for one in remarks)
    yield ""
    yield "  Sources: D documented, X in an example, I inferred, ND not documented, 3P seen in another client"


def _facts(one: Parameter) -> str:
    facts = [one.type_words, one.allowed if one.allowed != one.type_words else ""]
    if one.required:
        facts.append("required")
    if one.default is not None:
        facts.append(f"default {_value(one.default)}")
    if one.sent is not None:
        facts.append(f"seedbatch sends {_value(one.sent)} unless told otherwise")
    return "; ".join(fact for fact in facts if fact)


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cited(source: str) -> str:
    return f"  [{source}]" if source else ""


def _json(sheet: Sheet) -> dict[str, object]:
    """One line of `models --json`; `docs/models.md`."""
    return {
        "version": 1,
        "name": sheet.name,
        "title": sheet.title,
        "kind": sheet.kind,
        "era": sheet.era,
        "status": sheet.status,
        "note": sheet.note,
        "source": sheet.source,
        "parameters": [
            {
                "name": one.name,
                "type": one.type,
                "required": one.required,
                "allowed": one.rule.get("enum"),
                "minimum": one.rule.get("minimum"),
                "maximum": one.rule.get("maximum"),
                "min_items": one.rule.get("minItems"),
                "max_items": one.rule.get("maxItems"),
                "default": one.default,
                "sent": one.sent,
                "description": one.description,
                "source": one.source,
            }
            for one in sheet.parameters
        ],
        "rules": _remarks(sheet.rules),
        "warnings": _remarks(sheet.warnings),
        "notes": _remarks(sheet.notes),
    }


def _remarks(remarks: Iterable[Remark]) -> list[dict[str, str]]:
    return [{"text": one.text, "source": one.source} for one in remarks]
