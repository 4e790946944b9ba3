"""Jobs as CSV, JSON Lines and Parquet: one row a job, written as it is read. `docs/export.md`."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final, assert_never

from seedbatch.domain.moments import stamp
from seedbatch.domain.records import RecordedJob
from seedbatch.report.columns import COLUMNS, VERSION, Column, Type, Value

if TYPE_CHECKING:
    import pyarrow as pa

# What a terminal obeys, what ends a line somewhere, and what turns the reading direction around.
_HOSTILE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_ESCAPED: Final = re.compile(rf"\\|{_HOSTILE.pattern}")
_SHORT: Final = {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
# A spreadsheet takes what begins so for a formula, in full width as well. The apostrophe is among them so that the one
# that is put in front can be taken off again.
_FORMULA: Final = tuple("=+-@\uff1d\uff0b\uff0d\uff20'")
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ROWS: Final = 10_000  # of Parquet that are written together, and so held


class Format(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def write(jobs: Iterable[RecordedJob], form: Format, sink: BinaryIO, *, raw: bool = False) -> int:
    """Write a row for each job; returns their number. `raw` leaves the cells of CSV as they are.

    Raises:
        ImportError: Parquet is wanted, and pyarrow is not installed.
        OSError: the sink takes no more.
    """
    match form:
        case Format.CSV:
            return _write_lines(_csv_lines(jobs, raw=raw), sink) - 1
        case Format.JSONL:
            return _write_lines(_json_lines(jobs), sink)
        case Format.PARQUET:
            return _write_parquet(jobs, sink)
        case _:
            assert_never(form)


def _write_lines(lines: Iterable[str], sink: BinaryIO) -> int:
    number = 0
    for number, line in enumerate(lines, start=1):  # noqa: B007 - counted
        sink.write(line.encode())
    return number


# -- CSV ----------------------------------------------------------------------------------------------------------


class _Line:
    """What csv writes a row to."""

    def write(self, text: str) -> str:
        return text


def _csv_lines(jobs: Iterable[RecordedJob], *, raw: bool) -> Iterator[str]:
    # Raw text may hold a lone carriage return, which csv quotes only on the newest Python.
    quoted = csv.writer(_Line(), lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    row = (quoted if raw else csv.writer(_Line(), lineterminator="\n")).writerow
    as_cell: dict[Type, Callable[[Any], object]] = {
        Type.TEXT: str if raw else defused,
        Type.MOMENT: stamp,
        Type.AMOUNT: _plain,
        Type.JSON: _JSON.encode if raw else _harmless_json,
    }
    cells = [(column.of, as_cell.get(column.type)) for column in COLUMNS]
    yield str(row([column.name for column in COLUMNS]))
    for job in jobs:
        yield str(row([_as(told, of(job)) for of, told in cells]))


def _as(told: Callable[[Any], object] | None, value: Value) -> object:
    return value if told is None or value is None else told(value)


def defused(text: str) -> str:
    r"""Text that no spreadsheet calculates and no terminal obeys: `'=1+1`, `two\nlines`.

    Different texts stay different: `docs/export.md` tells the way back.
    """
    if _ESCAPED.search(text):
        text = _ESCAPED.sub(lambda match: _SHORT.get(match[0]) or f"\\u{ord(match[0]):04x}", text)
    return f"'{text}" if text.startswith(_FORMULA) else text


# -- JSON Lines ---------------------------------------------------------------------------------------------------


def _json_lines(jobs: Iterable[RecordedJob]) -> Iterator[str]:
    as_json: dict[Type, Callable[[Any], object]] = {Type.MOMENT: stamp, Type.AMOUNT: _plain}
    values = [(column.name, column.of, as_json.get(column.type)) for column in COLUMNS]
    for job in jobs:
        yield f"{_harmless_json({name: _as(told, of(job)) for name, of, told in values})}\n"


def _harmless_json(value: object) -> str:
    """JSON without a character that a terminal obeys: they stand only in strings, where an escape means the same."""
    text = _JSON.encode(value)
    return _HOSTILE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) if _HOSTILE.search(text) else text


def _plain(amount: Decimal) -> str:
    """`0.25`, `1250.00`: at least two decimal places, no more than needed."""
    whole, _, places = f"{amount:.6f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


# -- Parquet ------------------------------------------------------------------------------------------------------


def _write_parquet(jobs: Iterable[RecordedJob], sink: BinaryIO) -> int:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415

    schema = _schema()
    number = 0
    remaining = iter(jobs)
    with parquet.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        while block := list(islice(remaining, _ROWS)):
            arrays = [
                pa.array([_storable(column, column.of(job)) for job in block], kind)
                for column, kind in zip(COLUMNS, schema.types, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            number += len(block)
    return number


def _schema() -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - an extra

    kinds = {
        Type.TEXT: pa.string(),
        Type.INTEGER: pa.int64(),
        Type.NUMBER: pa.float64(),
        Type.AMOUNT: pa.decimal128(24, 6),
        Type.MOMENT: pa.timestamp("us", tz="UTC"),
        Type.JSON: pa.string(),
    }
    fields = [pa.field(column.name, kinds[column.type]) for column in COLUMNS]
    return pa.schema(fields, metadata={"seedbatch.export": str(VERSION)})


def _storable(column: Column, value: Value) -> object:
    return _JSON.encode(value) if column.type is Type.JSON else value
