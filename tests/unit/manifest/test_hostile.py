"""Files that were not written by a person, or not for us: every one is a document or a problem, and soon."""

from __future__ import annotations

import gc
import time

import pytest

from seedbatch.domain.errors import Problem
from seedbatch.manifest import load
from seedbatch.manifest.reader import LARGEST_FILE, Document, read

LONGEST_SHOWN = 3_000


def codes(loaded):
    return [problem.code for problem in loaded.problems]


def test_a_file_beyond_the_cap_is_not_read(desk):
    path = desk.folder / "m.yaml"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)  # sparse: it takes no room
    (problem,) = load([path]).problems
    assert (problem.line, problem.code) == (0, "file/unreadable")
    assert "64 MB" in problem.message


def test_a_file_of_nul_bytes_is_a_problem(desk):
    path = desk.folder / "m.yaml"
    with path.open("wb") as file:
        file.truncate(1_000_000)
    began = time.process_time()
    assert codes(load([path])) == ["yaml/character"]
    assert time.process_time() - began < 5


@pytest.mark.parametrize("character", ["\0", "\x01", "\x07", "\x1b", "\x7f", "\ufffe"])
@pytest.mark.parametrize("place", ["a: {}", "a: '{}'", "# {}", "{}: a"])
def test_control_characters_are_refused_where_they_stand(desk, character, place):
    found = read(desk.write("first: 1\n" + place.format(character)))
    assert isinstance(found, Problem)
    assert (found.line, found.column, found.code) == (2, place.index("{") + 1, "yaml/character")


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "x" * 1_000_000,
        'a: "' + "x" * 1_000_000 + '"',
        "a: [" + "1, " * 300_000 + "]",
        "a: " + "9" * 1_000_000,
        "a: 0x" + "f" * 1_000_000,
        "a: " + "1." + "0" * 1_000_000 + "e-5",
        "# " + "x" * 1_000_000 + "\na: 1",
        "a: &" + "x" * 1_000_000 + " 1",
    ],
    ids=lambda text: text[:6],
)
def test_a_line_of_a_megabyte_is_read(desk, text):
    began = time.process_time()
    assert isinstance(read(desk.write(text)), Document)
    assert time.process_time() - began < 5


def test_a_place_far_to_the_right_shows_no_line_that_does_not_reach_it(desk):
    loaded = desk.load(desk.head + 'jobs:\n  - {key: a, prompt: "' + "x" * 1_000_000 + '", promt: p}\n')
    (problem,) = loaded.problems
    assert (problem.line, problem.code, problem.source) == (7, "schema/unknown-key", "")
    assert problem.column > 1_000_000
    broken = read(desk.write('a: "' + "x" * 1_000_000 + '" "'))
    assert isinstance(broken, Problem)
    assert (broken.line, broken.source) == (1, "")
    latin = read(desk.write(b"a: " + b"x" * 1_000_000 + b"\xe9"))
    assert isinstance(latin, Problem)
    assert (latin.code, latin.column, latin.source) == ("yaml/encoding", 1_000_004, "")


def test_a_long_line_is_shown_as_far_as_the_place_needs(desk):
    loaded = desk.load(desk.head + 'jobs:\n  - {promt: p, key: a, prompt: "' + "x" * 1_000_000 + '"}\n')
    (problem,) = loaded.problems
    assert len(problem.source) == LONGEST_SHOWN
    assert problem.source[problem.column - 1 :].startswith("promt")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_other_encodings_are_told(desk, encoding):
    loaded = desk.load((desk.head + "jobs: [{key: a, prompt: Zürich}]\n").encode(encoding))
    assert loaded.batches == ()
    assert set(codes(loaded)) <= {"yaml/encoding", "yaml/character"}


def test_a_byte_order_mark_moves_no_column(desk):
    text = desk.head + "jobs: [{kye: a, prompt: p}]\n"
    marked, plain = desk.load(b"\xef\xbb\xbf" + text.encode()), desk.load(text)
    assert marked.problems == plain.problems
    first = desk.load(b"\xef\xbb\xbfverson: 1\n").problems
    assert (1, 1, "schema/unknown-key") in {(one.line, one.column, one.code) for one in first}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_places_do_not_depend_on_line_endings(desk, ending):
    text = (desk.head + "jobs:\n  - key: a\n    prompt: p\n    takse: 2\n").replace("\n", ending)
    (problem,) = desk.load(text.encode()).problems
    assert (problem.line, problem.column, problem.source) == (9, 5, "    takse: 2")


def test_many_anchors_and_many_keys_are_linear(desk):
    began = time.process_time()
    many = "a:\n" + "".join(f"  - &n{number} x\n" for number in range(50_000))
    assert isinstance(read(desk.write(many)), Document)
    keys = "".join(f"k{number}: x\n" for number in range(50_000))
    assert isinstance(read(desk.write(keys)), Document)
    assert time.process_time() - began < 20


def test_many_unknown_keys_are_told_soon(desk):
    began = time.process_time()
    entries = "".join(f"  - {{key: a{number}, prompt: p, prmpt{number}: x}}\n" for number in range(3_000))
    assert len(desk.load(desk.head + "jobs:\n" + entries).problems) == 101
    assert time.process_time() - began < 20


def test_one_mapping_with_many_unknown_keys_is_told_soon(desk):
    began = time.process_time()
    keys = "".join(f"unknown{number}: x\n" for number in range(20_000))
    assert desk.load(desk.head + keys + "jobs: [{key: a, prompt: p}]\n").batches == ()
    assert time.process_time() - began < 20


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was_found(desk, enabled):
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        desk.load("a: [")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
