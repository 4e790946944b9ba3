"""`moved`: keys that jobs had before, and what is wrong with naming them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from seedbatch.domain.renames import Rename
from seedbatch.manifest.expand import Wanted
from seedbatch.manifest.reader import Remark


def renames_of(document: Mapping[str, Any]) -> tuple[Rename, ...]:
    """The entries of `moved`, in their order; none where the schema finds fault with them."""
    entries = document.get("moved", ())
    if not isinstance(entries, list):
        return ()
    return tuple(
        Rename(entry["from"], entry["to"])
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("from"), str) and isinstance(entry.get("to"), str)
    )


def wrong_renames(own: Sequence[Rename], all_of_batch: Sequence[Rename], jobs: Iterable[Wanted]) -> Iterator[Remark]:
    """What is wrong with one file's entries, beside all `jobs` of its batch: read once, if there are any entries."""
    if not own:
        return
    bases = dict.fromkeys(one.job.base for one in jobs)
    given_up = [rename.before for rename in all_of_batch]
    for index, rename in enumerate(own):
        at = ("moved", index)
        if rename.before == rename.now:
            yield Remark((*at, "to"), "moved/nothing", f"{rename.now} is what it was called", "remove this entry")
        elif given_up.count(rename.before) > 1:
            message = f"{rename.before} is moved more than once"
            yield Remark((*at, "from"), "moved/twice", message, "a job has one new name; say it once")
        elif still := next((base for base in bases if rename.concerns(base)), None):
            message = f"{still} is still a job of this batch, so it was not renamed"
            yield Remark((*at, "from"), "moved/still-there", message, "rename the job, or remove this entry")
        elif rename.now not in given_up and not any(rename.former(base) for base in bases):
            yield Remark((*at, "to"), "moved/unknown", f"no job is called {rename.now}", _hint(rename.now, bases))


def _hint(name: str, bases: Collection[str]) -> str:
    near = difflib.get_close_matches(name, bases, n=1)
    return f"did you mean {near[0]}? or remove this entry, if the job is gone" if near else "remove this entry"
