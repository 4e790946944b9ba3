"""Differences of prompts, as a plan tells them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.wording import word_difference


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("A river in spring", "A lake in spring", "A [-river-]{+lake+} in spring"),
        ("A river", "A wide river", "A {+wide+} river"),
        ("A wide river", "A river", "A [-wide-] river"),
        ("a", "b", "[-a-]{+b+}"),
        ("", "A river", "{+A river+}"),
        ("A river", "", "[-A river-]"),
        ("A river", "A  river\n", ""),
        (
            "one two three four five six seven",
            "one two three four five six 7",
            "… four five six [-seven-]{+7+}",
        ),
        (
            "1 two three four five six seven eight nine ten 11",
            "one two three four five six seven eight nine ten eleven",
            "[-1-]{+one+} two three four … eight nine ten [-11-]{+eleven+}",
        ),
    ],
)
def test_what_left_and_what_came(before, after, told):
    assert word_difference(before, after) == told


WORDS = st.lists(st.sampled_from("abcde"), max_size=12)


@given(WORDS, WORDS)
def test_without_gaps_both_texts_can_be_read_from_it(old, new):
    told = word_difference(" ".join(old), " ".join(new))
    if old == new:
        assert told == ""
        return
    assert re.search(r"\[-|\{\+", told)
    if "…" not in told:
        gone, come = re.sub(r"\{\+.*?\+\}", "", told), re.sub(r"\[-.*?-\]", "", told)
        assert re.sub(r"\[-|-\]", "", gone).split() == old
        assert re.sub(r"\{\+|\+\}", "", come).split() == new


def test_long_texts_take_no_long_time_and_no_long_words():
    old, new = (" ".join(f"{mark}{number}" for number in range(20_000)) for mark in "ab")
    begun = time.process_time()
    told = word_difference(old, new)
    assert time.process_time() - begun < 2
    assert told.endswith("b11 … 19,988 words more+}")
    assert len(told) < 300
