"""Manifests: YAML in, job specs out, or every problem at once."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from seedbatch.manifest.loading import Loaded, load
from seedbatch.manifest.provenance import commit_of
from seedbatch.manifest.starter import starter
from seedbatch.models import catalogue, manifest_schema

__all__ = ["Loaded", "canonical_schema", "commit_of", "load", "starter"]


def canonical_schema(model: str | None) -> dict[str, Any]:
    """The JSON Schema of manifests, or of a model's requests.

    Raises:
        UsageError: there is no such model.
    """
    return deepcopy(dict(manifest_schema() if model is None else catalogue().schema(model)))
