"""A document against the schema of manifests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from seedbatch.manifest.places import Pointer
from seedbatch.manifest.reader import Remark
from seedbatch.models import Checker, Fault, manifest_schema

_MOST_ENTRIES: Final = 200
_AT_KEY: Final = frozenset({"schema/unknown-key", "schema/name"})
# What every job reads: where one of these is wrong, what the jobs say is no news.
_SHARED: Final = frozenset({"batch", "defaults", "vars", "matrix", "takes", "output"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What the schema says of a document.

    `can_expand`: what all jobs share is sound, so that every entry of `jobs` outside `bad_entries` can be read.
    """

    wrong: tuple[Remark, ...] = ()
    can_expand: bool = True
    bad_entries: frozenset[int] = frozenset()


def shape(value: Any) -> Shape:
    """Everything that the schema finds wrong with a document."""
    if not isinstance(value, dict):
        hint = "it begins with version: 1, batch: NAME and jobs:"
        return Shape((Remark((), "manifest/shape", "a manifest is a mapping of keys", hint),), can_expand=False)
    if _whole().is_valid(value):
        return Shape()
    entries = value.get("jobs")
    if not isinstance(entries, list) or not entries:
        return Shape(tuple(_remarks((), _whole().faults(value))), can_expand=False)
    # The entries are looked at one by one, so that one bad job hides no other; here one that is sound stands for them.
    above = _whole().faults({**value, "jobs": [{"key": "sound"}]})
    wrong = list(_remarks((), above))
    bad = frozenset(index for index, entry in enumerate(entries) if not _entry().is_valid(entry))
    for index in sorted(bad)[:_MOST_ENTRIES]:
        wrong += _remarks(("jobs", index), _entry().faults(entries[index]))
    sound = "batch" in value and not any(fault.path and fault.path[0] in _SHARED for fault in above)
    return Shape(tuple(wrong), sound, bad)


def _remarks(above: Pointer, faults: list[Fault]) -> Iterator[Remark]:
    for fault in faults:
        message = _named(fault)
        yield Remark((*above, *fault.path), fault.code, message, fault.hint, fault.code in _AT_KEY)


def _named(fault: Fault) -> str:
    """The fault's words, with the name of what is wrong before them where they do not say it."""
    names = [str(part) for part in fault.path if isinstance(part, str)]
    if not names or fault.code in _AT_KEY or fault.code == "schema/required":
        return fault.message
    return f"{names[-1]}: {fault.message}"


@cache
def _whole() -> Checker:
    return Checker(manifest_schema())


@cache
def _entry() -> Checker:
    schema = manifest_schema()
    return Checker({**schema["properties"]["jobs"]["items"], "$defs": schema["$defs"]})
