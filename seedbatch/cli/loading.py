"""Manifests for commands: loaded or refused, with every problem told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seedbatch.cli.words import problems_text, say
from seedbatch.domain.errors import ManifestInvalid
from seedbatch.domain.jobs import BatchSpec
from seedbatch.settings import Settings

if TYPE_CHECKING:
    from seedbatch.engine.planfile import Terms


def load_manifests(terms: Terms, settings: Settings, *, quiet: bool = False) -> tuple[BatchSpec, ...]:
    """The batches of these manifests, with the prices that the settings name; warnings are told on stderr.

    Raises:
        ManifestInvalid: with every problem of every file.
        UsageError: the price table is wrong.
    """
    from seedbatch.manifest import load
    from seedbatch.models import price_table

    loaded = load(
        tuple(map(Path, terms.paths)),
        allow_unknown_model=terms.allow_unknown_model,
        allow_large_matrix=terms.allow_large_matrix,
    )
    if loaded.problems:
        raise ManifestInvalid(loaded.problems)
    if not quiet:
        for text in problems_text(loaded.warnings):
            say(text)
    table = price_table(settings.prices.rows, settings.prices.origin)
    return tuple(replace(batch, prices=table) for batch in loaded.batches)
