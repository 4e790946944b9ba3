"""The canonical form of a manifest: order of keys, indentation, quotes. Never its meaning, and never a comment."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from seedbatch.domain.errors import UsageError
from seedbatch.manifest.builder import Builder, Wrong
from seedbatch.manifest.formatting.layout import layout
from seedbatch.manifest.formatting.tree import comments_of, parsed


class Unformattable(UsageError):
    """The canonical form could not be shown to mean the same; the file is left as it is."""


def formatted(text: str) -> str:
    """The canonical form of a manifest that can be read, with the same value and the same comments.

    Raises:
        Unformattable: no form was found of which that is certain.
    """
    before = _canonical(Builder(text).build())
    # Where an alias would come to stand before its anchor, keys stay in the order in which they are.
    for is_sorted in (True, False):
        tree = parsed(text)
        found = layout(tree, is_sorted=is_sorted)
        if _is_the_same(found, before, Counter(tree.comments)):
            return found
    raise Unformattable(
        "its canonical form would not mean the same, or lose a comment, so it is left as it is",
        hint="please report it, with the file if you can: this is a bug in seedbatch fmt",
    )


def _is_the_same(text: str, value: str, comments: Counter[str]) -> bool:
    try:
        again = Builder(text).build()
    except Wrong:
        return False
    return _canonical(again) == value and Counter(comments_of(text)) == comments


def _canonical(value: Any) -> str:
    """A value as text, keys sorted: 1, 1.0 and true are equal to Python and are not the same."""
    return json.dumps(value, sort_keys=True)
