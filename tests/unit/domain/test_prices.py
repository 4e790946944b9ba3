from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.money import MOST, Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit, row_to_add
from seedbatch.models.prices import price_table

FAST = "seedance-2.0-fast"


def row(unit: Unit, amount: int = 7, *, model: str = FAST, resolution: str | None = None) -> PriceRow:
    return PriceRow(model, resolution, unit, Money(amount, "USD"))


def table(*rows: PriceRow) -> PriceTable:
    return PriceTable({(one.model, one.resolution): one for one in rows})


def usd(amount: int) -> Money:
    return Money(amount, "USD")


# -- which row ----------------------------------------------------------------------------------------------------


def test_a_resolutions_own_row_beats_the_models():
    sd, general = row(Unit.CLIP, 1, resolution="480p"), row(Unit.CLIP, 2)
    prices = table(sd, general)
    assert prices.row(FAST, {"resolution": "480p"}) is sd
    assert prices.row(FAST, {"resolution": "720p"}) is general
    assert prices.row(FAST, {}) is general
    assert prices.row(FAST, {"resolution": 480}) is general


def test_the_row_is_of_what_is_charged():
    sd, full = row(Unit.CLIP, 1, resolution="480p"), row(Unit.CLIP, 2, resolution="1080p")
    rows = {(one.model, one.resolution): one for one in (sd, full)}
    prices = PriceTable(rows, charged=lambda model, params: {"resolution": "1080p"} if model == FAST else params)
    assert prices.row(FAST, {"resolution": "480p"}) is full
    assert prices.price(FAST, {"resolution": "480p"}) == usd(2)


def test_a_resolution_that_no_row_names_has_no_price():
    prices = table(row(Unit.CLIP, resolution="480p"))
    assert prices.price(FAST, {"resolution": "720p"}) is None
    assert prices.price(FAST, {}) is None
    assert prices.price("seedance-2.0", {"resolution": "480p"}) is None


def test_an_empty_table_prices_nothing():
    assert PriceTable().row(FAST, {}) is None
    assert PriceTable().price(FAST, {"duration": 5}) is None


# -- how many units -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "params", "price"),
    [
        (Unit.SECOND, {"duration": 5}, 35),
        (Unit.SECOND, {"duration": 1}, 7),
        (Unit.SECOND, {"duration": "10"}, 70),
        (Unit.SECOND, {"duration": 5.0}, 35),
        (Unit.SECOND, {"duration": 5, "n": 3}, 35),
        (Unit.CLIP, {"duration": 5}, 7),
        (Unit.CLIP, {}, 7),
        (Unit.CLIP, {"n": 3}, 7),
        (Unit.IMAGE, {"n": 3}, 21),
        (Unit.IMAGE, {"n": "4"}, 28),
        (Unit.IMAGE, {}, 7),
        (Unit.IMAGE, {"duration": 5}, 7),
    ],
)
def test_a_price_is_the_units_times_the_rows(unit, params, price):
    assert table(row(unit)).price(FAST, params) == usd(price)


@pytest.mark.parametrize("count", [0, -1, -5.0, 4.5, True, False, None, "", "-5", "5.0", "five", "٣", [5], {"s": 5}])
def test_what_is_no_count_has_no_price(count):
    assert table(row(Unit.SECOND)).price(FAST, {"duration": count}) is None
    assert table(row(Unit.IMAGE)).price(FAST, {"n": count}) is None


@pytest.mark.parametrize("count", [float("inf"), float("nan")])
def test_what_is_not_finite_has_no_price(count):
    assert table(row(Unit.SECOND)).price(FAST, {"duration": count}) is None


@pytest.mark.parametrize("count", [10**15, 1e300, "9" * 30, "9" * 5_000])
def test_a_price_beyond_what_anybody_spends_is_none(count):
    # An unknown model's schema bounds nothing, and a ledger's column holds 64 bits.
    assert table(row(Unit.SECOND, 50_000)).price(FAST, {"duration": count}) is None


def test_the_dearest_price_there_is():
    assert table(row(Unit.CLIP, MOST)).price(FAST, {}) == usd(MOST)
    assert table(row(Unit.SECOND, MOST // 5)).price(FAST, {"duration": 5}) == usd(MOST)
    assert table(row(Unit.SECOND, MOST // 5 + 1)).price(FAST, {"duration": 5}) is None


@pytest.mark.parametrize(
    ("text", "amount"), [("0" * 17 + "1", 7), ("1" + "0" * 17, 7 * 10**17), ("0" * 18 + "1", None)]
)
def test_a_count_in_text_has_no_more_digits_than_a_ledger_can_add_up(text, amount):
    price = table(row(Unit.SECOND)).price(FAST, {"duration": text})
    assert price == (None if amount is None else usd(amount))


def test_a_second_has_no_price_where_the_request_does_not_say_how_many():
    assert table(row(Unit.SECOND)).price(FAST, {}) is None


def test_a_price_of_nothing_is_a_price():
    assert table(row(Unit.CLIP, 0)).price(FAST, {}) == usd(0)


@given(st.integers(0, 10**12), st.integers(1, 10**4), st.sampled_from(["USD", "EUR"]))
def test_no_unit_is_lost_in_a_product(amount, count, currency):
    prices = table(PriceRow(FAST, None, Unit.SECOND, Money(amount, currency)))
    found = {prices.price(FAST, {"duration": form}) for form in (count, float(count), str(count))}
    assert found == {Money(amount * count, currency)}


def test_what_a_row_says_of_its_origin_is_for_people():
    assert (row(Unit.CLIP).date, row(Unit.CLIP).source) == ("", "")


# -- what to add --------------------------------------------------------------------------------------------------


def lines(*facts: str) -> str:
    return "\n".join(["[[prices]]", f'model = "{FAST}"', *facts, 'price = "…"', 'currency = "USD"', 'date = "…"'])


@pytest.mark.parametrize(
    ("params", "row"),
    [
        ({"resolution": "480p", "duration": 5}, lines('resolution = "480p"', 'unit = "second"')),
        ({}, lines('unit = "clip"')),
        ({"resolution": 480, "duration": 0}, lines('unit = "clip"')),
        ({"n": 1}, lines('unit = "image"')),
    ],
)
def test_the_row_to_add_names_what_the_request_says(params, row):
    assert row_to_add(FAST, params, "USD") == row


@pytest.mark.parametrize(
    "params", [{"resolution": "480p", "duration": 5}, {"duration": "10"}, {}, {"resolution": '"]\n\x1b[2J\u202e\x7f'}]
)
def test_the_row_to_add_prices_the_request_once_it_is_filled_in(params):
    row = row_to_add(FAST, params, "EUR")
    assert row.replace("\n", "").isprintable()
    filled = row.replace('price = "…"', 'price = "0.05"').replace('date = "…"', 'date = "2026-11-24"')
    # It goes to the end of a file, whatever stands there.
    other = '[[prices]]\nmodel = "m"\nunit = "clip"\nprice = "1"\ncurrency = "EUR"\n[budget]\nmax_jobs = 5\n'
    prices = price_table(tomllib.loads(f"{other}{filled}\n")["prices"], "here")
    assert prices.price(FAST, params) == Money(50_000 * int(params.get("duration", 1)), "EUR")
