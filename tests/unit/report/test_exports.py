"""Cells of CSV that spreadsheets and terminals leave alone, and the page that describes every column."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from seedbatch.domain.jobs import Request
from seedbatch.domain.money import Money
from seedbatch.domain.records import RecordedJob, Standing
from seedbatch.domain.states import JobState
from seedbatch.report.columns import COLUMNS, VERSION
from seedbatch.report.exports import Format, defused, write

PAGE = (Path(__file__).parents[3] / "docs/export.md").read_text(encoding="utf-8")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def job(**more) -> RecordedJob:
    values = {
        "job_id": 1, "batch": "demo", "address": "river", "base": "river", "take": 1, "revision": 1,
        "standing": Standing.CURRENT, "state": JobState.PENDING, "failure": None, "reason": "",
        "request": Request("seedance-2.0", {"prompt": "a river", "duration": 5}), "fingerprint": "f" * 64,
        "output": "river", "tags": (), "attempts": 0, "task_id": None, "expires_at": None, "updated_at": NOON,
        "intended_at": None,
    }  # fmt: skip
    return RecordedJob(**{**values, **more})


def documented_way_back():
    found: dict = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL).group(1), found)  # noqa: S102 - our own page
    return found["as_it_was"]


@given(TEXTS)
@example("=1+1")
@example("'=1+1")
@example("\t=1+1")
@example("\uff1d1")
@example('say "no"\\n\r\n\x00')
def test_a_cell_is_harmless_and_the_page_tells_the_way_back(text):
    cell = defused(text)
    assert not cell.startswith(tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20"))
    assert not any(unicodedata.category(one) in {"Cc", "Zl", "Zp"} for one in cell)
    assert documented_way_back()(cell) == text


@pytest.mark.parametrize("text", ["a river", "日本", "1:1", "{{x}}", "a=b", "x'"])
def test_ordinary_text_is_left_alone(text):
    assert defused(text) == text


@given(TEXTS)
def test_every_format_holds_the_prompt_as_it_was(prompt):
    one = job(request=Request("m", {"prompt": prompt}))
    lines, exact, table = io.BytesIO(), io.BytesIO(), io.BytesIO()
    assert write([one], Format.CSV, lines) == 1
    assert lines.getvalue().decode().count("\n") == len(lines.getvalue().decode().splitlines()) == 2
    (row,) = csv.DictReader(io.StringIO(lines.getvalue().decode()))
    assert documented_way_back()(row["prompt"]) == prompt
    write([one], Format.CSV, exact, raw=True)
    (row,) = csv.DictReader(io.StringIO(exact.getvalue().decode(), newline=""))
    assert row["prompt"] == prompt
    write([one], Format.PARQUET, table)
    assert parquet.read_table(pa.BufferReader(table.getvalue()))["prompt"].to_pylist() == [prompt]


def test_amounts_are_exact():
    amounts = [0, 1, 250_000, 1_250_000_000, 10**18]
    shown = io.BytesIO()
    write([job(cost=Money(amount, "USD")) for amount in amounts], Format.CSV, shown)
    rows = list(csv.DictReader(io.StringIO(shown.getvalue().decode())))
    assert [row["cost"] for row in rows] == ["0.00", "0.000001", "0.25", "1250.00", "1000000000000.00"]
    assert [int(row["cost_micros"]) for row in rows] == amounts
    assert {row["price"] for row in rows} == {""}


def test_a_long_table_is_written_in_pieces():
    sink = io.BytesIO()
    assert write((job(take=take) for take in range(1, 25_001)), Format.PARQUET, sink) == 25_000
    file = parquet.ParquetFile(pa.BufferReader(sink.getvalue()))
    assert [file.metadata.row_group(one).num_rows for one in range(file.num_row_groups)] == [10_000, 10_000, 5_000]


def test_the_page_describes_every_column():
    table = PAGE.partition("## Columns")[2].partition("\n\n| type |")[0]
    described = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", table, flags=re.MULTILINE)
    assert [(name, kind) for name, kind, _ in described] == [(column.name, column.type) for column in COLUMNS]
    assert f"This is version {VERSION}." in table
