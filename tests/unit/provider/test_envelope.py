from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.provider.envelope import Answer, plain

KEY = "sk-very-secret"


def read(body: bytes, conceal: str = "") -> Answer:
    return Answer.read(400, body, conceal)


def said(**envelope: object) -> Answer:
    return read(json.dumps(envelope).encode())


@pytest.mark.parametrize("code", [0, 1, 400, -1, 999_999, -999_999])
def test_codes_of_a_size_that_means_something(code):
    answer = said(code=code)
    assert answer.code == answer.evidence.code == code
    assert type(answer.code) is int


@pytest.mark.parametrize("code", [1_000_000, -1_000_000, 10**30, -(10**30), 400.0, "400", True, None, [400]])
def test_other_codes_are_none(code):
    answer = said(code=code)
    assert answer.envelope is not None
    assert answer.code is None
    assert answer.evidence.code is None


def test_many_members_side_by_side_are_not_deep():
    answer = said(code=400, data={"urls": [[number] for number in range(100)]})
    assert len(answer.data["urls"]) == 100


def nested(levels: int, opening: bytes, closing: bytes) -> bytes:
    return b'{"code":400,"x":' + opening * levels + b"1" + closing * levels + b"}"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"x":', b"}")])
def test_nesting_ends_at_a_depth_of_its_own(opening, closing):
    # The value within counts as a level, and so does the object around: 30 and 2 are 32.
    assert read(nested(30, opening, closing)).code == 400
    assert read(nested(31, opening, closing)).envelope is None


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        ({"msg": "a"}, "a"),
        ({"message": "a"}, "a"),
        ({"error": "a"}, "a"),
        ({"error": "c", "message": "b", "msg": "a"}, "a"),
        ({"error": "c", "message": "b", "msg": ""}, "b"),
        ({"error": "c", "message": None, "msg": {"text": "a"}}, "c"),
        ({"error": ["c"], "message": 7}, ""),
        ({}, ""),
    ],
)
def test_the_message_is_the_first_text_where_messages_are_put(envelope, message):
    assert said(**envelope).evidence.message == message


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        ({"code": 400, "msg": "prompt is required"}, 'HTTP 400, code 400, "prompt is required"'),
        ({"code": 0}, "HTTP 400, code 0"),
        ({"msg": "x"}, 'HTTP 400, "x"'),
        ({}, "HTTP 400"),
    ],
)
def test_an_answer_in_one_line(envelope, words):
    assert said(**envelope).words == words


@pytest.mark.parametrize("data", [None, [], ["x"], "x", 7])
def test_data_that_is_no_object_is_empty(data):
    assert said(code=0, data=data).data == {}


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff"])
def test_an_answer_without_an_envelope_has_no_code_and_no_data(body):
    answer = read(body)
    assert (answer.code, answer.data, answer.evidence.message) == (None, {}, "")


def test_a_key_is_masked_wherever_it_stands():
    body = json.dumps({"msg": f"{KEY} and {KEY}", "x": KEY}).encode()
    answer = read(body, KEY)
    assert answer.evidence.message == "[key] and [key]"
    assert KEY not in answer.evidence.body
    assert answer.shown(f"by {KEY}") == "by [key]"
    assert KEY not in f"{answer.words} {answer.evidence}"


def test_an_answer_that_is_printed_does_not_print_the_key_it_conceals():
    assert KEY not in repr(read(b'{"code":400}', KEY))


@pytest.mark.parametrize(("key", "shown"), [("", "abcabc"), ("abc", "abcabc"), ("abca", "[key]bc")])
def test_what_is_too_short_for_a_key_is_not_masked(key, shown):
    assert read(b"abcabc", key).evidence.body == shown


@given(st.integers(0, 1300), st.sampled_from([" ", "\n", "x", "河", "\U0001f600", "\x00", "\u3000"]))
def test_no_part_of_a_key_is_shown_wherever_the_text_is_cut(before, filler):
    kept = read((filler * before + KEY + filler * 400).encode(), KEY).evidence.body
    assert "sk" not in kept
    assert "very" not in kept
    assert len(kept) <= 300


@pytest.mark.parametrize("letter", ["x", "河", "\U0001f600"])
def test_a_text_is_kept_whole_up_to_its_longest(letter):
    assert read((letter * 300).encode()).evidence.body == letter * 300
    assert read((letter * 301).encode()).evidence.body == letter * 299 + "…"
    assert plain(letter * 5, 5) == letter * 5
    assert plain(letter * 6, 5) == letter * 4 + "…"


def test_spaces_are_joined_before_the_text_is_cut():
    assert plain("a  " * 150) == " ".join("a" * 150)
    assert plain(" \n a\t\tb \x00 c\u2028d\xa0e ") == "a b c d e"


@given(st.text(), st.integers(1, 40))
def test_plain_text_is_one_short_line_that_any_file_and_terminal_takes(text, longest):
    line = plain(text, longest)
    assert len(line) <= longest
    assert line.isprintable()
    assert line == line.strip()
    line.encode()
    assert plain(line, longest) == line
