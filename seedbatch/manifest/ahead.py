"""Entries of `jobs` that helpers expand while the rest of the file is still read.

Reading YAML takes about as long as all that comes after it, and only one process can do it. So what has been read goes
to helpers at once, on the word that nothing follows which would change it; where something does, it is done again.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from seedbatch.helpers import Helpers
from seedbatch.manifest.checks import SHARED, is_sound_job, is_sound_without_jobs
from seedbatch.manifest.expand import Expansion, Finding, Leniency, Wanted
from seedbatch.manifest.many import ALONE, AT_ONCE, result_of_entries
from seedbatch.manifest.reader import Document
from seedbatch.models import catalogue

_Task = tuple[int, list[Any], list[int]]


class Ahead:
    """What helpers have made of one file's `jobs`; `file` is its name in messages. To be closed."""

    def __init__(self, file: str, leniency: Leniency) -> None:
        self._file = file
        self._leniency = leniency
        self._head: Mapping[str, Any] = {}
        self._helpers: Helpers[_Task] | None = None
        self._given = 0
        self._results: list[bytes] | None = []  # None: it is all to be done by others

    def follow(self, manifest: Mapping[str, Any], entries: Sequence[Any], lines: Sequence[int], complete: int) -> None:
        """Let helpers go on with what is `complete` of a manifest that is being read: see `builder.Following`."""
        if self._results is None or complete < ALONE:
            return
        if self._helpers is None:
            self._begin(manifest)
        self._give(entries, lines, complete)

    def results(self, document: Document) -> Sequence[bytes] | None:
        """What `result_of_entries` made of the entries of a whole document, if all of it is sound and of use."""
        if self._helpers is None or self._results is None or not self._holds(document.value):
            return None
        entries = document.value["jobs"]
        self._give(entries, document.lines, len(entries))
        self._keep(self._helpers.rest())
        return self._results

    def close(self) -> None:
        """End the helpers."""
        if self._helpers is not None:
            self._helpers.close()

    def _begin(self, manifest: Mapping[str, Any]) -> None:
        self._head = {name: value for name, value in manifest.items() if name != "jobs"}
        if not is_sound_without_jobs(self._head):
            self._results = None
            return
        expansion = Expansion(self._head, self._file, catalogue(), self._leniency)
        self._helpers = Helpers(lambda task: _expanded(expansion, task), marshal.dumps)
        if not len(self._helpers):
            self._results = None

    def _holds(self, manifest: Mapping[str, Any]) -> bool:
        """Whether what followed the jobs is sound, and nothing that the jobs are made of."""
        return is_sound_without_jobs(manifest) and SHARED.isdisjoint(manifest.keys() - self._head.keys())

    def _give(self, entries: Sequence[Any], lines: Sequence[int], until: int) -> None:
        while self._results is not None and self._helpers is not None and self._given < until:
            start, self._given = self._given, min(self._given + AT_ONCE, until)
            task = (start, [*entries[start : self._given]], [*lines[start : self._given]])
            self._keep(self._helpers.give(task))

    def _keep(self, done: Iterable[tuple[_Task, bytes | None]]) -> None:
        for _, result in done:
            if result is None:
                self._results = None
            elif self._results is not None:
                self._results.append(result)


def _expanded(expansion: Expansion, task: bytes) -> bytes:
    start, entries, lines = marshal.loads(task)  # noqa: S302 - from our own process
    if not all(map(is_sound_job, entries)):
        return b""

    def found() -> Iterator[Wanted | Finding]:
        for index, (entry, line) in enumerate(zip(entries, lines, strict=True), start=start):
            yield from expansion.of_entry(index, entry, line)

    return result_of_entries(expansion.batch, found())
