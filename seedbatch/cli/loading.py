"""Manifests for commands: loaded or refused, with every problem told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seedbatch.cli.words import problems_text, say
from seedbatch.domain.errors import ManifestInvalid
from seedbatch.domain.jobs import BatchSpec
from seedbatch.settings import Settings


def load_manifests(
    paths: Sequence[Path],
    settings: Settings,
    *,
    allow_unknown_model: bool,
    allow_large_matrix: bool,
    quiet: bool = False,
) -> tuple[BatchSpec, ...]:
    """The batches of these manifests, with the prices that the settings name; warnings are told on stderr.

    Raises:
        ManifestInvalid: with every problem of every file.
        UsageError: the price table is wrong.
    """
    from seedbatch.manifest import load
    from seedbatch.models import price_table

    loaded = load(paths, allow_unknown_model=allow_unknown_model, allow_large_matrix=allow_large_matrix)
    if loaded.problems:
        raise ManifestInvalid(loaded.problems)
    if not quiet:
        for text in problems_text(loaded.warnings):
            say(text)
    table = price_table(settings.prices.rows, settings.prices.origin)
    return tuple(replace(batch, prices=table) for batch in loaded.batches)
