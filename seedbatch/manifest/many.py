"""The jobs of entries and of rows: one after the other, and where there are very many by several processes."""

from __future__ import annotations

import marshal
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Final

from seedbatch.domain.errors import Problem
from seedbatch.helpers import by_helpers
from seedbatch.manifest import templates
from seedbatch.manifest.collisions import hashes_of
from seedbatch.manifest.expand import Expansion, Finding, SourceEntry, Wanted
from seedbatch.manifest.sources import Row, Source
from seedbatch.manifest.wanted import characters, packed

# Fewer are done before a helper has begun.
ALONE: Final = 10_000
AT_ONCE: Final = 500
_LONGEST_TASK: Final = 256 * 1024  # characters of rows, but for the last of them
# What a few lines can stand for is the caller's to count, one by one.
_MOST_OF_A_TASK: Final = 20_000
_MOST_CHARACTERS: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Block:
    """Jobs that follow one another, as a helper left them: packed for the spool, and hashed.

    `characters` are those of all their text, where they are of `jobs`.
    """

    count: int
    packed: bytes
    hashes: Sequence[bytes]
    characters: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows that follow one another, and what stands after them and is none."""

    rows: Sequence[Row]
    problem: Problem | None


def jobs_of_entries(
    expansion: Expansion, entries: Sequence[Mapping[str, Any]], lines: Sequence[int], skip: Collection[int]
) -> Iterator[Wanted | Block | Finding]:
    """What the entries of `jobs` want, but for those at the indices in `skip`; each begins on its one of `lines`."""

    def some(indices: Iterable[int]) -> Iterator[Wanted | Finding]:
        for index in indices:
            if index not in skip:
                yield from expansion.of_entry(index, entries[index], lines[index])

    def by_helper(task: bytes) -> bytes:
        return result_of_entries(expansion.batch, some(range(*marshal.loads(task))))  # noqa: S302 - from our own process

    yield from some(range(min(ALONE, len(entries))))
    tasks = ((start, min(start + AT_ONCE, len(entries))) for start in range(ALONE, len(entries), AT_ONCE))
    for (start, end), result in by_helpers(by_helper, tasks, marshal.dumps):
        if result is None:
            yield from some(range(start, end))
            continue
        yield from jobs_of_result(result)


def jobs_of_result(result: bytes) -> Iterator[Block | Finding]:
    """What `result_of_entries` put together."""
    block, findings = _read(result)
    yield block
    for _, finding in findings:
        yield finding


def result_of_entries(batch: str, found: Iterable[Wanted | Finding]) -> bytes:
    """What a helper says of entries of `jobs`; nothing where it is more than a helper may do."""
    wanted: list[Wanted] = []
    findings: list[tuple[int, Finding]] = []
    size = 0
    for one in found:
        if isinstance(one, Finding):
            findings.append((0, one))
        else:
            wanted.append(one)
            size += characters(one.job)
        if len(wanted) + len(findings) > _MOST_OF_A_TASK or size > _MOST_CHARACTERS:
            return b""
    return _result(batch, wanted, findings, size)


def jobs_of_rows(
    expansion: Expansion, index: int, entry: Mapping[str, Any], source: Source
) -> Iterator[Wanted | Block | Finding | Problem]:
    """What the entry of `sources` at `index` wants, read from `source` row by row.

    What the cells of a row are to blame for is a `Problem` in their file, the rest a `Finding` in the manifest.
    """
    made = expansion.of_source(index, entry, source)
    if isinstance(made, Finding):
        yield made
        return
    rows = source.rows()
    for row in islice(rows, ALONE):
        yield from [row] if isinstance(row, Problem) else _jobs(made, row)
    for chunk, result in by_helpers(partial(_rows_by_helper, made), _chunks(rows), _for_helper):
        if result is None:
            for row in chunk.rows:
                yield from _jobs(made, row)
        else:
            block, findings = _read(result)
            yield block
            for number, finding in findings:
                yield _blamed(finding, chunk.rows[number], made)
        if chunk.problem is not None:
            yield chunk.problem


def _jobs(made: SourceEntry, row: Row) -> Iterator[Wanted | Finding | Problem]:
    for one in made.jobs(row):
        yield _blamed(one, row, made) if isinstance(one, Finding) else one


def _chunks(rows: Iterable[Row | Problem]) -> Iterator[_Chunk]:
    chunk: list[Row] = []
    size = 0
    for row in rows:
        if isinstance(row, Problem):
            yield _Chunk(chunk, row)
            chunk, size = [], 0
            continue
        chunk.append(row)
        size += sum(map(len, row.text))
        if len(chunk) == AT_ONCE or size > _LONGEST_TASK:
            yield _Chunk(chunk, None)
            chunk, size = [], 0
    if chunk:
        yield _Chunk(chunk, None)


def _for_helper(chunk: _Chunk) -> bytes:
    return marshal.dumps([(row.number, row.line, row.cells) for row in chunk.rows])


def _rows_by_helper(made: SourceEntry, task: bytes) -> bytes:
    wanted: list[Wanted] = []
    findings: list[tuple[int, Finding]] = []
    rows = marshal.loads(task)  # noqa: S302 - from our own process
    for index, (number, line, cells) in enumerate(rows):
        for one in made.jobs(Row(number, line, cells)):
            if isinstance(one, Finding):
                findings.append((index, one))
            else:
                wanted.append(one)
            if len(wanted) + len(findings) > _MOST_OF_A_TASK:
                return b""
    return _result(made.batch, wanted, findings)


def _result(batch: str, wanted: Sequence[Wanted], findings: Iterable[tuple[int, Finding]], size: int = 0) -> bytes:
    """What a helper says: its jobs, and what it found, each with the index of its row in the task."""
    hashes = hashes_of(batch, [one.job for one in wanted])
    block = (len(wanted), marshal.dumps([packed(one) for one in wanted]), hashes, size)
    return marshal.dumps((block, [(index, astuple(finding)) for index, finding in findings]))


def _read(result: bytes) -> tuple[Block, list[tuple[int, Finding]]]:
    block, findings = marshal.loads(result)  # noqa: S302 - from our own process
    return Block(*block), [(index, Finding(*finding)) for index, finding in findings]


def _blamed(finding: Finding, row: Row, made: SourceEntry) -> Finding | Problem:
    """A finding at the cell that it comes from, if it comes from one."""
    column = next(templates.names_in(made.written(finding.pointer), row.cells), None)
    where = f", where {finding.axes}" if finding.axes else ""
    if column is None or finding.warning:
        return replace(finding, axes=f"row {row.number:,}{where}")
    message = f"{finding.message} (row {row.number:,}, column {column}{where})"
    return made.source.problem(row, column, finding.code, message, finding.hint)
