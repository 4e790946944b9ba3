from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.jobs import KEY, Limits, Request, address

CEILINGS = st.builds(
    Limits,
    submitting=st.none() | st.integers(1, 9),
    in_flight=st.none() | st.integers(1, 9),
    submits_per_minute=st.none() | st.floats(1, 9),
)


@pytest.mark.parametrize(
    ("axes", "take", "takes", "bare", "text"),
    [
        ({}, 1, 1, False, "river"),
        ({}, 1, 3, False, "river#1"),
        ({"season": "spring", "ratio": "16:9"}, 2, 2, False, "river[ratio=16:9,season=spring]#2"),
        ({"season": "spring", "ratio": "16:9"}, 1, 1, False, "river[ratio=16:9,season=spring]"),
        ({"season": "spring"}, 1, 1, True, "river"),
        ({"season": "spring"}, 2, 2, True, "river#2"),
        ({"a": True, "b": None, "c": 1, "d": 0.5}, 1, 1, False, "river[a=true,b=null,c=1,d=0.5]"),
    ],
)
def test_addresses(axes, take, takes, bare, text):
    assert address("river", axes, take, takes, bare=bare) == text


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3)), st.data())
def test_the_order_of_axes_is_no_part_of_an_address(axes, data):
    turned = dict(data.draw(st.permutations(list(axes.items()))))
    assert address("k", turned, 1, 1) == address("k", axes, 1, 1)


@pytest.mark.parametrize("key", ["a", "9", "A.b_c-d"])
def test_keys(key):
    assert KEY.fullmatch(key)


@pytest.mark.parametrize("key", ["", ".a", "-a", "_a", "a/b", "a b", "a#1", "a[b]", "é", "a\n"])
def test_what_is_no_key(key):
    assert not KEY.fullmatch(key)


@given(CEILINGS, CEILINGS, CEILINGS)
def test_the_strictest_ceiling_holds_however_they_are_joined(one, two, three):
    assert one.strictest(two) == two.strictest(one)
    assert one.strictest(two).strictest(three) == one.strictest(two.strictest(three))
    assert one.strictest(one) == one.strictest(Limits()) == one


def test_a_named_ceiling_beats_the_default_even_where_it_is_higher():
    assert Limits(submitting=9).or_else(Limits(2, 100, 60)) == Limits(9, 100, 60)
    assert Limits(submitting=9).strictest(Limits(submitting=3, in_flight=7)) == Limits(3, 7, None)


def test_the_prompt_is_text_or_nothing():
    assert Request("m", {"prompt": "p"}).prompt == "p"
    assert Request("m", {"prompt": 5}).prompt == Request("m", {}).prompt == ""
