"""Rows of CSV and JSON Lines as jobs."""

from __future__ import annotations

import json
import os
import tracemalloc
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbatch.domain.errors import Problem
from seedbatch.manifest import load, sources
from seedbatch.manifest.sources import LONGEST_ROW, Row, Source

HEAD = """version: 1
batch: b
defaults:
  model: seedance-2.0
  input: {resolution: 480p, ratio: 16:9, duration: 5}
vars: {style: 35 mm}
"""
ENTRY = """sources:
  - csv: shots.csv
    key: "{{ shot }}"
    prompt: "{{ text }}"
"""


@pytest.fixture
def rows(desk):
    """The jobs of a manifest with one source."""

    def jobs(data, entry=ENTRY, name="shots.csv"):
        desk.write(data, name)
        return desk.jobs(entry, head=HEAD)

    return jobs


def codes(desk, data, entry=ENTRY, name="shots.csv"):
    desk.write(data, name)
    return [problem.code for problem in desk.load(HEAD + entry).problems]


def test_every_row_is_a_job_that_knows_where_it_stands(desk, rows):
    first, second = rows('shot,text\nriver,"A river,\nand a ""bridge"""\n\nlake,A lake\n')
    assert (first.address, first.request.prompt) == ("river", 'A river,\nand a "bridge"')
    assert (second.address, second.output) == ("lake", "b/lake")
    assert [(job.file, job.line) for job in (first, second)] == [
        (str(desk.folder / "shots.csv"), line) for line in (2, 5)
    ]


def test_a_job_knows_the_vars_that_no_column_and_no_axis_took(desk, rows):
    (plain,) = rows("shot,text\na,x\n")
    assert plain.vars == {"style": "35 mm"}
    (taken,) = rows("shot,text,style\na,x,noir\n")
    assert taken.vars == {}
    head = HEAD.replace(
        "{style: 35 mm}", "{style: 35 mm, count: 2, cast: [a, b], place: {city: x}, long: " + "é" * 101 + "}"
    )
    found = desk.jobs("jobs: [{key: a, prompt: x, matrix: {style: [noir]}}]\n", head=head)
    assert [job.vars for job in found] == [{"count": 2}]


def test_a_cell_is_what_its_parameter_wants(rows):
    entry = ENTRY + '    input: {duration: "{{ s }}", ratio: "{{ r }}", fallback: "{{ f }}"}\n'
    first, second, third = rows(
        "shot,text,s,r,f\na,1984,7,9:16,TRUE\nb,no,8.0,1:1,\nc,x,,,false\n".replace("c,x,,", "c,x,9,16:9"), entry
    )
    assert dict(first.request.input) == {
        "prompt": "1984",
        "duration": 7,
        "ratio": "9:16",
        "fallback": True,
        "resolution": "480p",
    }
    assert (second.request.input["duration"], second.request.input["prompt"]) == (8, "no")
    assert second.request.input["fallback"] is False  # an empty cell: what is sent where nobody says otherwise
    assert third.request.input["fallback"] is False


def test_the_ends_of_lines_and_a_mark_at_the_beginning_change_nothing(rows):
    text = 'shot,text\nriver,"A river,\nwide"\n'
    plain = rows(text)
    dressed = rows(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert [job.fingerprint for job in plain] == [job.fingerprint for job in dressed]


def test_cells_are_text_and_no_templates(rows):
    (job,) = rows("shot,text\nriver,{{ style }} and {% raw %}\n")
    assert job.request.prompt == "{{ style }} and {% raw %}"


def test_columns_that_are_no_names_and_names_that_are_taken(rows):
    entry = """sources:
  - csv: shots.csv
    key: "{{ key }}"
    prompt: "{{ row['Shot text'] }}, {{ style }}, {{ batch }} {{ row.batch }}"
    tags: ["{{ scene }}", rows]
"""
    (job,) = rows("key,Shot text,batch,scene,style\nriver,A river,theirs,one,16 mm\n", entry)
    assert (job.key, job.request.prompt, job.tags) == ("river", "A river, 16 mm, b theirs", ("one", "rows"))


def test_the_batchs_matrix_is_for_jobs_and_a_source_may_have_its_own(desk, rows):
    entry = "matrix: {ratio: [1:1, 9:16]}\njobs: [{key: a, prompt: p, input: {ratio: '{{ ratio }}'}}]\n" + ENTRY
    assert [job.address for job in rows("shot,text\nx,y\n", entry)] == ["a[ratio=1:1]", "a[ratio=9:16]", "x"]
    own = ENTRY + "    key_: 1\n"
    assert codes(desk, "shot,text\nx,y\n", own) == ["schema/unknown-key"]
    own = (
        ENTRY.replace("{{ shot }}", "{{ shot }}-{{ season }}")
        + "    matrix: {season: [spring, autumn]}\n    takes: 2\n"
    )
    assert [job.address for job in rows("shot,text\nx,y\n", own)] == [
        "x-spring#1",
        "x-spring#2",
        "x-autumn#1",
        "x-autumn#2",
    ]


def test_json_lines_keep_their_types(rows):
    entry = """sources:
  - jsonl: shots.jsonl
    key: "{{ shot }}"
    prompt: "{{ text }}"
    input: {duration: "{{ seconds }}", mediaUrls: "{{ links }}", ratio: "{{ ratio }}"}
"""
    links = ["https://x.example/a.png", "https://x.example/b.png"]
    data = [
        {"shot": "a", "text": "One", "seconds": 7, "links": links, "ratio": "1:1"},
        {"shot": "b", "text": "Zwei", "seconds": 5.0, "links": None, "ratio": "9:16"},
    ]
    first, second = rows("\n".join(json.dumps(one) for one in data), entry, "shots.jsonl")
    assert (first.request.input["mediaUrls"], first.request.input["duration"]) == (links, 7)
    assert "mediaUrls" not in second.request.input  # null removes, here as everywhere
    assert type(second.request.input["duration"]) is int


def test_the_bytes_that_were_read_are_named(desk):
    data = b"shot,text\nriver,A river\n"
    desk.write(data, "shots.csv")
    (batch,) = desk.load(HEAD + ENTRY).batches
    assert [(one.path, one.digest) for one in batch.sources] == [
        (str(desk.folder / "shots.csv"), sha256(data).hexdigest())
    ]


def test_what_was_checked_is_what_is_wanted_whatever_becomes_of_the_file(desk):
    """Also where there are too many jobs for memory, which lie in a file of our own."""
    count = 25_000
    path = desk.write("shot,text\n" + "".join(f"s{number},Shot {number}\n" for number in range(count)), "shots.csv")
    (batch,) = desk.load(HEAD + ENTRY).batches
    path.write_text("shot,text\nother,x\n")
    assert len(batch.jobs) == count
    for _ in range(2):
        keys = [job.key for job in batch.jobs]
        assert keys == [f"s{number}" for number in range(count)]


def test_memory_does_not_grow_with_the_rows(desk):
    def peak(count):
        desk.write("shot,text\n" + "".join(f"s{number},Shot {number}\n" for number in range(count)), "shots.csv")
        tracemalloc.start()
        try:
            (batch,) = desk.load(HEAD + ENTRY).batches
            assert len(batch.jobs) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(22_000), peak(44_000)
    assert many - few < 44_000 * 100  # bytes: hashes, and places in the file


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_are_named_in_the_manifest(desk, rows, delimiter):
    data = f"shot{delimiter}text\nriver{delimiter}A river, wide\n"
    assert codes(desk, data) == ["source/header"] if delimiter != "|" else True
    entry = ENTRY.replace("shots.csv", f"shots.csv\n    delimiter: {json.dumps(delimiter)}")
    (job,) = rows(data, entry)
    assert job.request.prompt == "A river, wide"


# -- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.timeout(20)
def test_a_pipe_a_device_and_a_loop_are_refused_at_once(desk):
    os.mkfifo(desk.folder / "pipe.csv")
    (desk.folder / "device.csv").symlink_to("/dev/zero")
    (desk.folder / "loop.csv").symlink_to("loop.csv")
    for name, code in (("pipe", "unreadable"), ("device", "outside"), ("loop", "unreadable"), ("no", "unreadable")):
        found = desk.load(HEAD + ENTRY.replace("shots", name)).problems
        assert [problem.code for problem in found] == [f"source/{code}"], name


@pytest.mark.timeout(20)
def test_a_pipe_that_took_the_place_of_the_file_does_not_block(desk):
    os.mkfifo(desk.folder / "pipe.csv")
    (problem,) = Source(desk.folder / "pipe.csv", "pipe.csv", ",").rows()
    assert isinstance(problem, Problem)
    assert problem.code == "source/unreadable"


def test_a_file_outside_the_project_is_not_read_even_through_a_link(desk, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "shots.csv"
    outside.write_text("shot,text\na,b\n")
    (desk.folder / "shots.csv").symlink_to(outside)
    (problem,) = desk.load(HEAD + ENTRY).problems
    assert (problem.code, problem.line) == ("source/outside", 8)
    inside = desk.folder / "deep" / "shots.csv"
    inside.parent.mkdir()
    inside.write_text("shot,text\na,b\n")
    assert desk.load(HEAD + ENTRY.replace("shots.csv", "deep/shots.csv")).problems == ()


def test_a_folder_of_the_repository_is_inside_its_project(desk):
    (desk.folder / ".git").mkdir()
    (desk.folder / "manifests").mkdir()
    desk.write("shot,text\na,b\n", "shots.csv")
    path = desk.folder / "manifests" / "m.yaml"
    path.write_text(HEAD + ENTRY.replace("shots.csv", "../shots.csv"))
    assert load([path]).problems == ()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("shot,text\nriver," + "x" * (LONGEST_ROW + 1), "source/size"),
        ("shot,text\nriver,'" + "x" * 200_000, "source/csv"),
        ('shot,text\nriver,"' + "x\n" * 60_000, "source/csv"),
        ('shot,text\nriver,"' + ("x" * 90_000 + '","') * 20, "source/size"),
        ("shot,text\n\ud800".encode("utf-8", "surrogatepass"), "source/encoding"),
        ("shot,text\nriver,A\n".encode("utf-16"), "source/encoding"),
        (b"\x00" * 2_000_000, "source/size"),
    ],
)
def test_what_is_too_long_or_no_text_is_refused(desk, data, code):
    assert codes(desk, data)[-1] == code


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"a": ' * 70 + "1" + "}" * 70,
        '{"a": ' + "9" * 5_000 + "}",
        '{"a": "' + "x" * 100_001 + '"}',
        '{"a": Infinity}',
        "nonsense",
        "null",
        '{"a": 1, "a": 1}',
    ],
)
def test_a_line_that_is_no_object_of_ours_is_one_problem_and_the_next_is_read(desk, line):
    entry = ENTRY.replace("csv: shots.csv", "jsonl: shots.jsonl")
    good = '{"shot": "a", "text": "b"}'
    found = codes(desk, f"{good}\n{line}\n{good.replace('a', 'c', 1)}\n", entry, "shots.jsonl")
    assert "source/json" in found


def test_a_thousand_wrong_rows_are_told_as_a_hundred(desk):
    desk.write("shot,text,s\n" + "".join(f"s{number},x,99\n" for number in range(1_000)), "shots.csv")
    found = desk.load(HEAD + ENTRY + '    input: {duration: "{{ s }}"}\n').problems
    assert len(found) == 101
    assert (found[-1].code, found[-1].message) == ("problems/more", "and 900 more in this file")


def test_after_very_many_wrong_rows_the_rest_is_not_looked_at(desk):
    desk.write("shot,text,s\n" + "".join(f"s{number},x,99\n" for number in range(3_000)), "shots.csv")
    problems = desk.load(HEAD + ENTRY + '    input: {duration: "{{ s }}"}\n').problems
    assert "more than 2,000 problems in shots.csv: what follows was not looked at" in [one.message for one in problems]
    assert "and 1,901 more in this file" in [one.message for one in problems]
    assert len(problems) == 102


ROWS = st.lists(st.lists(st.text("ab,;\"'\n\r{}\t é@", max_size=8), min_size=2, max_size=2), max_size=6)


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_what_a_spreadsheet_writes_is_read_back(tmp_path_factory, cells):
    import csv  # noqa: PLC0415 - the writer of this one test

    path = tmp_path_factory.mktemp("rows") / "r.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["one", "two"], *cells])
    found = list(Source(path, "r.csv", ",").rows())
    assert all(isinstance(row, Row) for row in found)
    # A carriage return before a line feed is how another system ends lines.
    wanted = [[cell.replace("\r\n", "\n") for cell in row] for row in cells]
    assert [[*row.cells.values()] for row in found] == wanted


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text('ab,"\n\r;{}[]:0e', max_size=200).map(str.encode))
def test_any_bytes_are_rows_and_problems(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("rows") / "r"
    path.write_bytes(data)
    for delimiter in (",", "\t", None):
        for one in Source(path, "r", delimiter).rows():
            if isinstance(one, Problem):
                assert one.code.startswith("source/")
            else:
                assert max(map(len, map(str, one.cells.values())), default=0) <= sources.LONGEST_CELL
