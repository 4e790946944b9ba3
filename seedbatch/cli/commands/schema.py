from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument("model", required=False)
@click.option("--allow-unknown-model", is_flag=True, help="Offer the known models, and refuse no other.")
def command(model: str | None, allow_unknown_model: bool) -> None:
    """Print the JSON Schema of manifests, or with MODEL that of a model's requests.

    That of manifests is for editors: it holds what each model accepts, and takes a template for any value.

    \b
    seedbatch schema > manifests/manifest.schema.json     for your editor
    seedbatch schema seedance-2.0                         what a model accepts
    """
    from seedbatch.manifest import canonical_schema

    schema = canonical_schema(model, allow_unknown_model=allow_unknown_model)
    click.echo(json.dumps(schema, indent=2, ensure_ascii=False))
