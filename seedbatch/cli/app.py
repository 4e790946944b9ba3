from __future__ import annotations

import click

from seedbatch import __version__
from seedbatch.cli.group import LazyGroup
from seedbatch.cli.words import colours

EPILOG = """\b
Begin:
  seedbatch init                                  a first manifest
  seedbatch plan  manifests/first.yaml            what would be generated
  seedbatch apply manifests/first.yaml --sandbox  try it: no key, no cost
  seedbatch apply manifests/first.yaml            for real: it asks before it spends
"""


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="seedbatch %(version)s")
@click.pass_context
def app(context: click.Context) -> None:
    """Generate video in bulk: declared in YAML, recorded in a ledger, never billed twice.

    Run `apply` again to go on where it stopped.
    """
    if not colours():
        context.color = False
