from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
import yaml
import yamlcore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedbatch.domain.errors import Problem
from seedbatch.manifest import reader
from seedbatch.manifest.places import Lines, locate
from seedbatch.manifest.reader import Document, read


def value(desk, text):
    document = read(desk.write(text))
    assert isinstance(document, Document), document
    return document.value


def problem(desk, text):
    found = read(desk.write(text))
    assert isinstance(found, Problem), found
    return found


def test_digest_is_that_of_the_bytes(desk):
    raw = b"\xef\xbb\xbfa: 1\r\nb: [x,\r\n  y]\r\n"
    document = read(desk.write(raw))
    assert document.value == {"a": 1, "b": ["x", "y"]}
    assert document.digest == hashlib.sha256(raw).hexdigest()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-_ 1:#é", max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=JSON, flow=st.booleans())
def test_what_the_oracle_writes_is_read_the_same(desk, tree, flow):
    text = yaml.dump([tree], Dumper=yamlcore.CoreDumper, default_flow_style=flow, allow_unicode=True)
    assert value(desk, text) == yaml.load(text, Loader=yamlcore.CoreLoader) == [tree]  # noqa: S506 - the oracle


def test_tags_of_the_core_schema_are_taken(desk):
    text = "a: !!int '5'\nb: !!str 5\nc: !!float 5\nd: !!null ''\ne: !!bool 'true'\nf: !!map {}\ng: !!seq []\nh: ! 5"
    assert value(desk, text) == {"a": 5, "b": "5", "c": 5.0, "d": None, "e": True, "f": {}, "g": [], "h": "5"}


@pytest.mark.parametrize("text", ["a: !!int x", "a: !!int true", "a: !!bool 1", "a: !!binary eA==", "!x {a: 1}"])
def test_other_tags_are_refused(desk, text):
    assert problem(desk, text).code == "yaml/tag"


def test_aliases_stand_for_values(desk):
    found = value(desk, "a: &x {n: [1, 2]}\nb: *x\nc: &k key\nd: [*k, *x]\n")
    assert found == {"a": {"n": [1, 2]}, "b": {"n": [1, 2]}, "c": "key", "d": ["key", {"n": [1, 2]}]}


def test_an_anchor_may_be_set_again(desk):
    assert value(desk, "a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_depth_is_counted_through_aliases(desk):
    def nested(below):
        return f"a: &a {'[' * 30}{']' * 30}\nb: {'[' * below}*a{']' * below}\n"

    assert value(desk, nested(33))
    assert problem(desk, nested(34)).code == "yaml/depth"


def test_depth_of_sixty_four_is_the_last(desk):
    assert value(desk, "[" * 64 + "]" * 64)
    assert problem(desk, "[" * 65 + "]" * 65).code == "yaml/depth"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_at_once(desk, opening):
    began = time.process_time()
    assert problem(desk, opening * 100_000).code in {"yaml/depth", "yaml/key"}
    assert time.process_time() - began < 5  # the plain loaders crash, or take quadratic time


def test_lines_of_jobs(desk):
    assert list(read(desk.write("a: 1\njobs:\n  - x\n\n  - {y: 1}\n  -\n    - z\n")).lines) == [3, 5, 7]
    assert list(read(desk.write("a: &j [x, y]\njobs: *j\n")).lines) == [2, 2]
    assert list(read(desk.write("deeper: {jobs: [x, y]}\njobs: [z]\n")).lines) == [2]


@pytest.mark.parametrize("make", ["missing", "folder", "nul", "large"])
def test_what_cannot_be_read_is_a_value(desk, monkeypatch, make):
    path = {"missing": desk.folder / "none.yaml", "folder": desk.folder, "nul": Path("a\0b")}.get(make)
    if path is None:
        monkeypatch.setattr(reader, "LARGEST_FILE", 10)
        path = desk.write("a: 234567890")
    found = read(path)
    assert isinstance(found, Problem)
    assert (found.file, found.line, found.code) == (str(path), 0, "file/unreadable")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=60) | st.text("[]{}:-?,&*!|>'\"%@`# \n\tab1<~.", max_size=40).map(str.encode))
def test_no_bytes_raise(desk, raw):
    assert isinstance(read(desk.write(raw)), Document | Problem)


PLACES = """a: 1
jobs:
  - key: x
    input: {ratio: 16:9, list: [p, q]}
  - *missing
"""


@pytest.mark.parametrize(
    ("pointer", "at_key", "place"),
    [
        ((), False, (1, 1)),
        (("a",), False, (1, 4)),
        (("a",), True, (1, 1)),
        (("jobs",), True, (2, 1)),
        (("jobs", 0), False, (3, 5)),
        (("jobs", 0, "input"), False, (4, 12)),
        (("jobs", 0, "input", "ratio"), True, (4, 13)),
        (("jobs", 0, "input", "ratio"), False, (4, 20)),
        (("jobs", 0, "input", "list", 1), False, (4, 36)),
        (("jobs", 0, "input", "none"), False, (4, 12)),
        (("jobs", 0, "none"), True, (3, 5)),
        (("jobs", 1, "key"), False, (5, 5)),
        (("none", "deeper"), False, (1, 1)),
    ],
)
def test_places(pointer, at_key, place):
    assert locate(PLACES, [(pointer, at_key)]) == {(pointer, at_key): place}


def test_many_places_in_one_pass():
    wanted = [(("a",), False), (("a",), True), (("jobs", 0, "key"), False), (("jobs", 0, "key"), True)]
    assert list(locate(PLACES, wanted).values()) == [(1, 4), (1, 1), (3, 10), (3, 5)]


def test_lines_are_counted_as_yaml_counts_them():
    lines = Lines("a\r\nb\rc\u2028d\ne")
    assert [lines[number] for number in range(7)] == ["", "a", "b", "c", "d", "e", ""]
