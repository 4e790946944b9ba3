from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.manifest.matrix import GUARD, TooLarge, UnknownAxis, combinations


def test_the_example_of_github_actions():
    matrix = {
        "fruit": ["apple", "pear"],
        "animal": ["cat", "dog"],
        "include": [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    }
    assert combinations(matrix) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_no_matrix_is_one_empty_cell():
    assert combinations({}) == [{}]


def test_include_alone_is_a_list_of_cells():
    assert combinations({"include": [{"a": 1}, {"a": 2, "b": 3}]}) == [{"a": 1}, {"a": 2, "b": 3}]


def test_exclude_matches_some_or_all_axes():
    matrix = {"a": [1, 2], "b": [1, 2], "exclude": [{"a": 1}, {"a": 2, "b": 2}]}
    assert combinations(matrix) == [{"a": 2, "b": 1}]


def test_include_comes_after_exclude():
    matrix = {"a": [1, 2], "exclude": [{"a": 1}], "include": [{"a": 1, "b": 3}]}
    assert combinations(matrix) == [{"a": 2}, {"a": 1, "b": 3}]


def test_true_is_not_one():
    assert combinations({"a": [True, 1], "exclude": [{"a": 1}]}) == [{"a": True}]


def test_exclude_of_an_unknown_axis():
    with pytest.raises(UnknownAxis) as caught:
        combinations({"a": [1], "exclude": [{"a": 1}, {"b": 1}]})
    assert (caught.value.index, caught.value.name, caught.value.axes) == (1, "b", ["a"])


@pytest.mark.parametrize(("axes", "takes"), [((GUARD + 1,), 1), ((101, 100), 1), ((GUARD,), 2), ((), GUARD + 1)])
def test_the_guard(axes, takes):
    matrix = {f"axis{number}": list(range(size)) for number, size in enumerate(axes)}
    with pytest.raises(TooLarge):
        combinations(matrix, takes)
    assert len(combinations(matrix, takes, allow_large=True)) * takes > GUARD


def test_the_guard_itself_is_allowed():
    assert len(combinations({"a": list(range(100)), "b": list(range(100))})) == GUARD


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)))
def test_it_is_the_product(axes):
    assert combinations(axes) == [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
