"""A document against the schema of manifests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from seedbatch.manifest.places import Pointer
from seedbatch.manifest.reader import Remark
from seedbatch.models import Checker, Fault, manifest_schema

_MOST_ENTRIES: Final = 200
_AT_KEY: Final = frozenset({"schema/unknown-key", "schema/name"})
# What every job reads: where one of these is wrong, what the jobs say is no news.
_SOUND: Final[Mapping[str, Mapping[str, str]]] = {"jobs": {"key": "sound"}, "sources": {"csv": "sound", "key": "sound"}}
SHARED: Final = frozenset({"batch", "defaults", "vars", "matrix", "takes", "output"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What the schema says of a document.

    `can_expand`: what all jobs share is sound, so that every entry of `jobs` outside `bad_entries`, and of `sources`
    outside `bad_sources`, can be read.
    """

    wrong: tuple[Remark, ...] = ()
    can_expand: bool = True
    bad_entries: frozenset[int] = frozenset()
    bad_sources: frozenset[int] = frozenset()


def shape(value: Any) -> Shape:
    """Everything that the schema finds wrong with a document."""
    if not isinstance(value, dict):
        hint = "it begins with version: 1, batch: NAME and jobs:"
        return Shape((Remark((), "manifest/shape", "a manifest is a mapping of keys", hint),), can_expand=False)
    if _whole().is_valid(value):
        return Shape()
    lists = {name: value[name] for name in _SOUND if isinstance(value.get(name), list) and value[name]}
    if not lists:
        return Shape(tuple(_remarks((), _above(value))), can_expand=False)
    # The entries are looked at one by one, so that one bad job hides no other; here one that is sound stands for them.
    above = _above({**value, **{name: [_SOUND[name]] for name in lists}})
    wrong = list(_remarks((), above))
    bad: dict[str, frozenset[int]] = {}
    for name, entries in lists.items():
        bad[name] = frozenset(index for index, entry in enumerate(entries) if not _entry(name).is_valid(entry))
        for index in sorted(bad[name])[:_MOST_ENTRIES]:
            wrong += _remarks((name, index), _said(_entry(name).faults(entries[index]), entries[index]))
    # What stands there and is no list of entries cannot be expanded.
    sound = "batch" in value and not any(fault.path and fault.path[0] in {*SHARED, *_SOUND} for fault in above)
    return Shape(tuple(wrong), sound, bad.get("jobs", frozenset()), bad.get("sources", frozenset()))


def is_sound_without_jobs(value: Mapping[str, Any]) -> bool:
    """Whether the schema finds nothing wrong with a document whose entries of `jobs` are sound, if there are any."""
    return _whole().is_valid({**value, "jobs": [_SOUND["jobs"]]})


def is_sound_job(entry: Any) -> bool:
    """Whether the schema finds nothing wrong with an entry of `jobs`."""
    return _entry("jobs").is_valid(entry)


def _above(value: Any) -> list[Fault]:
    """The faults of the whole, in words: jobs or sources, one of them must be there."""
    found = _whole().faults(value)
    missing = Fault((), "schema/required", "jobs is missing", "a manifest has jobs, or sources of them, or both")
    return [missing if fault.code == "schema/anyOf" and not fault.path else fault for fault in found]


def _said(faults: list[Fault], entry: Any) -> list[Fault]:
    """The one choice that a manifest has is said in its own words."""
    found = [fault for fault in faults if fault.code != "schema/oneOf" or fault.path]
    if len(found) == len(faults) or not isinstance(entry, dict):
        return found
    if "csv" in entry:
        return [Fault((), "schema/oneOf", "csv and jsonl are both here", "one entry of sources for each file"), *found]
    return [Fault((), "schema/required", "csv or jsonl is missing", "name the file of rows: csv: shots.csv"), *found]


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
def _entry(name: str) -> Checker:
    schema = manifest_schema()
    return Checker({**schema["properties"][name]["items"], "$defs": schema["$defs"]})
