from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument("model", required=False)
def command(model: str | None) -> None:
    """Print the JSON Schema of manifests, or with MODEL that of a model's requests.

    \b
    seedbatch schema > manifest.schema.json        for your editor
    seedbatch schema seedance-2.0                  what a model accepts
    """
    from seedbatch.manifest import canonical_schema

    click.echo(json.dumps(canonical_schema(model), indent=2, ensure_ascii=False))
