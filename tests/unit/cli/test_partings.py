"""The tables of a price in parts."""

from __future__ import annotations

import click
import pytest
from unit.cli.test_markdown import HOSTILE, Page

from seedbatch.cli.partings import by_of, parting_html, parting_lines
from seedbatch.domain.money import Money
from seedbatch.engine.grouping import Parting, Sums
from seedbatch.engine.pricing import By


def sums(number: int, cents: int, unpriced: int = 0) -> Sums:
    price = (Money(cents * 10_000, "USD"),)
    return Sums(number + unpriced, unpriced, price, price)


def test_a_table_has_numbers_below_each_other_and_the_rest_in_rows_of_their_own():
    parts = tuple((f"value {number}", sums(1, 100 - number)) for number in range(30))
    table = Parting("ratio", (("16:9", sums(1200, 30_000, 2)), *parts), sums(5, 125), sums(7, 175), overlaps=False)
    lines = list(parting_lines(table))
    assert lines[:3] == [
        "By ratio                            jobs                            likely     at most",
        "  16:9                             1,202  300.00 USD and 2 without a price  300.00 USD",
        "  value 0                              1                          1.00 USD    1.00 USD",
    ]
    assert [line.split("  ")[1].strip() for line in lines[-3:]] == [
        "… 11 more values", "… values beyond the first 1,000", "(none)",
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1


def test_in_a_narrow_window_values_give_way_and_numbers_stay():
    table = Parting("shot", (("a long value of many words", sums(1200, 30_000)),), sums(1, 25), Sums(), overlaps=False)
    lines = list(parting_lines(table, 55))
    assert lines[1] == "  a long value of many …  1,200  300.00 USD  300.00 USD"
    assert max(map(len, lines)) <= 55
    assert list(parting_lines(table, 10))[1].startswith("  a long valu…  1,200")


def test_overlapping_parts_are_told_so():
    *_, note = parting_lines(Parting("tag:", (("a", sums(1, 25)), ("b", sums(1, 25))), Sums(), Sums(), overlaps=True))
    assert note == "  A job with several tags counts in each: together they come to more than the plan."


def test_nothing_of_a_value_is_obeyed():
    table = Parting("tag:", ((HOSTILE, sums(1, 25)), ("x" * 500, sums(1, 25))), Sums(), Sums(), overlaps=True)
    assert not any(mark in line for line in parting_lines(table) for mark in "\x1b\n\u202e")
    page = Page(parting_html(table, 50))
    assert set(page.tags) == {"details", "summary", "code", "table", "tr", "th", "td", "p"}
    assert page.comments == []
    assert "@team" not in page.outside


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ([], ()),
        (["tag"], ("tag:",)),
        (["tag,ratio", " ratio ", "model:"], ("tag:", "ratio", "model:")),
        (["tag=", "season="], ("tag", "season")),
    ],
)
def test_names_are_those_of_a_selection(texts, names):
    assert by_of(texts, everything=False) == By(names)


@pytest.mark.parametrize("text", ["", "tag,", " "])
def test_an_empty_name_is_an_error(text):
    with pytest.raises(click.BadParameter):
        by_of([text], everything=False)
