from __future__ import annotations

import hashlib
import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbatch.domain.fingerprint import canonical, fingerprint
from seedbatch.domain.jobs import Request

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = (
    st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.builds(lambda digits, power: digits * 10.0**power, st.integers(-999, 999), st.integers(-25, 25))
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=500, deadline=None)
@given(JSON)
def test_it_is_the_canonical_json_of_rfc_8785(value):
    assert canonical(value) == rfc8785.dumps(value)


@settings(max_examples=500, deadline=None)
@given(NUMBERS)
def test_numbers_come_back_as_they_went(number):
    assert float(canonical(number)) == float(number)


@pytest.mark.parametrize(
    ("number", "text"),
    # Source: RFC 8785, appendix B, and its section 3.2.2.
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (-1.7976931348623157e308, "-1.7976931348623157e+308"),
        (9007199254740992, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (333333333.3333332, "333333333.3333332"),
        (4.5, "4.5"),
        (0.002, "0.002"),
    ],
)
def test_numbers_are_those_of_ecmascript(number, text):
    assert canonical(number) == text.encode()


def test_keys_are_sorted_by_utf_16_units():
    # Source: RFC 8785, section 3.2.3; by code points the last two would change places.
    names = ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical(dict.fromkeys(reversed(names))))) == names


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 2**53 + 1, -(2**53) - 1, "\ud800", {1}])
def test_what_json_cannot_hold_is_refused(value):
    for held in (value, [value], {"a": value}):
        with pytest.raises(ValueError):  # noqa: PT011 - a lone surrogate fails in the codec's own words
            canonical(held)


@settings(max_examples=200, deadline=None)
@given(input_=st.dictionaries(TEXT, JSON, max_size=5), data=st.data())
def test_the_order_of_keys_is_no_part_of_a_request(input_, data):
    turned = dict(data.draw(st.permutations(list(input_.items()))))
    assert fingerprint("m", turned) == fingerprint("m", input_) == Request("m", turned).fingerprint


@settings(max_examples=300, deadline=None)
@given(JSON, JSON)
def test_equal_prints_are_equal_json(one, two):
    same = fingerprint("m", {"a": one}) == fingerprint("m", {"a": two})
    assert same == (rfc8785.dumps(one) == rfc8785.dumps(two))


def test_model_and_input_both_count():
    expected = hashlib.sha256(b'{"input":{"duration":5,"prompt":"p"},"model":"m"}').hexdigest()
    assert fingerprint("m", {"prompt": "p", "duration": 5.0}) == expected
    assert len({expected, fingerprint("n", {"prompt": "p", "duration": 5}), fingerprint("m", {"prompt": "p"})}) == 3


def test_true_is_not_one_and_null_is_not_absent():
    inputs = [{"a": True}, {"a": 1}, {"a": "1"}, {"a": None}, {}]
    assert len({fingerprint("m", input_) for input_ in inputs}) == len(inputs)
