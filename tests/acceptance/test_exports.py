"""Exports of a real ledger, read back by what analysts read them with."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from acceptance.conftest import PRICES, Project
from pyarrow import parquet

MANIFEST = """\
version: 1
batch: demo
defaults:
  model: seedance-2.0-fast
  input: {resolution: 480p, ratio: 1:1, duration: 5}
jobs:
  - {key: river, prompt: "=HYPERLINK(1)\\nand \\e[31m more", tags: [hero], matrix: {season: [spring]}}
  - {key: market, prompt: "A market [fail]", takes: 2}
"""


@pytest.fixture(scope="module")
def applied(tmp_path_factory):
    """For tests that only read."""
    return fresh(Project(tmp_path_factory.mktemp("applied")))


def fresh(project):
    project.write("seedbatch.toml", PRICES)
    project.write("m.yaml", MANIFEST)
    project.apply("m.yaml", code=3)
    return project


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_all_formats_say_the_same(applied):
    cells = rows(applied.run("export", "--sandbox").stdout)
    lines = [json.loads(line) for line in applied.run("export", "--sandbox", "--format", "jsonl").stdout.splitlines()]
    assert applied.run("export", "--sandbox", "--output", "jobs.parquet").stderr == "3 jobs written to jobs.parquet.\n"
    table = parquet.read_table(applied.folder / "jobs.parquet")
    stored = table.to_pylist()
    assert list(cells[0]) == list(lines[0]) == table.column_names
    assert table.schema.metadata[b"seedbatch.export"] == b"1"
    for cell, line, value in zip(cells, lines, stored, strict=True):
        for name in ("batch", "key", "state", "fingerprint", "task_id", "path", "sha256", "price_currency"):
            assert cell[name] == (line[name] or "") == (value[name] or "")
        for name in ("take", "attempts", "files", "cost_micros", "duration", "took"):
            assert float(cell[name]) == line[name] == value[name]
        assert json.loads(cell["input"]) == line["input"] == json.loads(value["input"])
        assert Decimal(cell["cost"]) == Decimal(line["cost"]) == value["cost"] == Decimal("0.25")
        assert datetime.fromisoformat(cell["finished_at"]) == value["finished_at"]
        assert cell["submitted_at"] == line["submitted_at"] < line["accepted_at"] < line["finished_at"]


def test_a_row_tells_what_an_analyst_asks(applied):
    river, market, _ = rows(applied.run("export", "--sandbox").stdout)
    assert river["key"] == "river[season=spring]"
    assert (river["resolution"], river["ratio"], river["duration"], river["axes"]) == (
        *("480p", "1:1", "5"), '{"season":"spring"}',
    )  # fmt: skip
    assert Path(river["path"]).stat().st_size == int(river["bytes"])
    assert (river["files"], river["more_files"], river["content_type"]) == ("1", "[]", "video/mp4")
    assert (market["state"], market["failure"], market["files"], market["path"]) == ("failed", "provider", "0", "")
    assert (market["manifest"], market["manifest_line"]) == ("m.yaml", "8")


def test_a_formula_is_text_unless_raw(applied):
    done = applied.run("export", "--sandbox", "--select", "river")
    (river,) = rows(done.stdout)
    assert river["prompt"] == r"'=HYPERLINK(1)\nand \u001b[31m more"
    assert "\x1b" not in done.stdout
    (exact,) = rows(applied.run("export", "--sandbox", "--select", "river", "--raw").stdout)
    assert exact["prompt"] == "=HYPERLINK(1)\nand \x1b[31m more"
    assert "\x1b" not in applied.run("export", "--sandbox", "--format", "jsonl").stdout


def test_earlier_revisions_and_orphans_with_all(project):
    applied = fresh(project)
    applied.write("m.yaml", MANIFEST.replace("HYPERLINK", "SUM").replace(", takes: 2", ""))
    applied.apply("m.yaml", code=None)
    assert {row["standing"] for row in rows(applied.run("export", "--sandbox").stdout)} == {"current"}
    found = {(row["key"], row["revision"]): row for row in rows(applied.run("export", "--sandbox", "--all").stdout)}
    assert found["river[season=spring]", "1"]["standing"] == "superseded"
    assert found["river[season=spring]", "1"]["path"].endswith(".rev1.mp4")
    assert found["market#2", "1"]["standing"] == "orphan"


def test_no_job_is_a_table_without_rows(applied):
    done = applied.run("export", "--sandbox", "--select", "state:running")
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "No job matches.\n")
    assert applied.run("export", "--sandbox", "--select", "state:running", "--format", "jsonl").stdout == ""
    applied.run("export", "--sandbox", "--select", "state:running", "--output", "none.parquet")
    assert parquet.read_table(applied.folder / "none.parquet").num_rows == 0


def test_without_a_ledger_nothing_is_written(project):
    done = project.run("export", "--output", "jobs.csv")
    assert "There is no ledger" in done.stderr
    assert list(project.folder.iterdir()) == []


def test_a_file_is_replaced_whole_or_stays(applied):
    path = applied.folder / "jobs.csv"
    path.write_text("old")
    path.chmod(0o640)
    done = applied.run("export", "--sandbox", "--output", "jobs.csv", "--select", "sason=spring", code=2)
    assert "did you mean season=spring?" in done.stderr
    assert path.read_text() == "old"
    applied.run("export", "--sandbox", "--output", "jobs.csv")
    assert len(rows(path.read_text())) == 3
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in applied.folder.iterdir() if one.name.endswith(".tmp")] == []
    assert (
        "no/jobs.csv cannot be written" in applied.run("export", "--sandbox", "--output", "no/jobs.csv", code=2).stderr
    )
    assert "is a folder" in applied.run("export", "--sandbox", "--output", "outputs", code=2).stderr


def test_a_full_disk_is_told(applied):
    with Path("/dev/full").open("w") as full:
        done = applied.run("export", "--sandbox", code=2, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert "stdout cannot be written: No space left on device" in done.stderr
    done = applied.run("export", "--sandbox", "--output", "/dev/full", code=2)
    assert "/dev/full cannot be written" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(project):
    project.apply(project.manifest(*(f"clip {'long ' * 500} {number}" for number in range(60))))
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    for form in ("csv", "jsonl", "parquet"):
        shell = f"seedbatch export --sandbox --format {form} | head -c 100 >/dev/null; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", shell], cwd=project.folder, capture_output=True, text=True, check=True, env={"PATH": path}
        )
        assert (done.stderr, done.stdout) == ("", "0\n")


def test_parquet_goes_into_a_pipe_and_not_to_a_terminal(applied):
    done = applied.run("export", "--sandbox", "--format", "parquet", text=False)
    assert parquet.read_table(io.BytesIO(done.stdout)).num_rows == 3
    terminal, end = pty.openpty()
    done = applied.run(
        "export", "--sandbox", "--format", "parquet", code=2, capture_output=False, stdout=end, stderr=subprocess.PIPE
    )
    os.close(end)
    os.close(terminal)
    assert "add --output jobs.parquet" in done.stderr


def test_parquet_without_pyarrow_says_what_to_type(project):
    program = "import sys; sys.modules['pyarrow'] = None; from seedbatch.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "export", "--output", "jobs.parquet"],
        cwd=project.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install 'seedbatch[parquet]'" in done.stderr
