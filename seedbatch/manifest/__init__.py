"""Manifests: YAML in, job specs out, or every problem at once."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from seedbatch.manifest.editor_schema import editor_schema
from seedbatch.manifest.loading import Loaded, load
from seedbatch.manifest.provenance import commit_of
from seedbatch.manifest.starter import starter
from seedbatch.models import catalogue

__all__ = ["Loaded", "canonical_schema", "commit_of", "load", "starter"]


def canonical_schema(model: str | None, *, allow_unknown_model: bool = False) -> dict[str, Any]:
    """The JSON Schema of manifests for editors, what each model accepts included; or that of a model's requests.

    Raises:
        UsageError: there is no such model.
    """
    if model is None:
        return editor_schema(allow_unknown_model=allow_unknown_model)
    return deepcopy(dict(catalogue().schema(model)))
