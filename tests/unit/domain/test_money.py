from __future__ import annotations

import dataclasses
import re
import tracemalloc
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.money import CURRENCY, Money, amount_text, micros

MOST = 10**18  # a million million, in micro-units
DIGITS = st.text("0123456789", max_size=13)
AMOUNTS = st.builds("{}.{}".format, DIGITS, DIGITS).filter(lambda text: text != ".")


# -- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("0.05", 50_000),
        ("12.50", 12_500_000),
        (40, 40_000_000),
        (0.1, 100_000),
        (0.000001, 1),
        ("0.000001", 1),
        (".5", 500_000),
        ("5.", 5_000_000),
        ("0", 0),
        (0, 0),
        ("-0", 0),
        ("1e3", 1_000_000_000),
        (Decimal("2.5"), 2_500_000),
        ("1.0000000", 1_000_000),
        ("0.0000000", 0),
        ("0.00000000000", 0),
        ("1000000000000", MOST),
    ],
)
def test_what_an_amount_means(value, amount):
    assert micros(value) == amount
    assert type(micros(value)) is int


@pytest.mark.parametrize("value", ["", "many", "12,50", "$5", "1.2.3", "5 USD", None, b"5", [5], True, False])
def test_what_is_no_amount(value):
    with pytest.raises(ValueError, match=r"^must be an amount such as 12\.50$"):
        micros(value)


@pytest.mark.parametrize("value", [-1, "-0.000001", float("nan"), float("inf"), "-inf", "NaN", "sNaN", -0.5])
def test_what_is_no_amount_that_can_be_owed(value):
    with pytest.raises(ValueError, match=r"^must be a finite amount, and not negative$"):
        micros(value)


@pytest.mark.parametrize("value", ["1000000000000.000001", 10**12 + 1, 1e300, "1e999999"])
def test_what_nobody_spends(value):
    with pytest.raises(ValueError, match=r"^is more than anybody spends here$"):
        micros(value)


@pytest.mark.parametrize("value", ["0.0000001", "0.0000015", 1e-7, 0.1 + 0.2, "999999999999.0000001"])
def test_what_is_finer_than_a_micro_unit_is_refused_and_not_rounded(value):
    with pytest.raises(ValueError, match=r"^has more than six decimal places$"):
        micros(value)


@pytest.mark.parametrize("value", ["0.05000000000000000000000000000000001", "1." + "0" * 40 + "1", "1e-999999999"])
def test_no_digit_is_dropped_however_long_the_text(value):
    with pytest.raises(ValueError, match=r"^has more than six decimal places$"):
        micros(value)


def test_nothing_with_many_noughts_is_not_written_out_to_be_read():
    tracemalloc.start()
    try:
        assert micros("0e1000000") == 0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000  # a million digits take four times as much, and a thousand million take for ever


@given(AMOUNTS)
def test_an_amount_is_read_exactly_or_not_at_all(text):
    exact = Fraction(text if text[0] != "." else f"0{text}") * 10**6
    if exact.denominator == 1 and exact <= MOST:
        assert micros(text) == exact
    else:
        with pytest.raises(ValueError, match=r"^(has more than six|is more than anybody)"):
            micros(text)


@given(st.integers(0, 10**9))
def test_a_float_means_what_was_written(amount):
    written = f"{amount // 10**6}.{amount % 10**6:06}"
    assert micros(float(written)) == amount


@given(st.text(max_size=12) | st.floats() | st.none() | st.binary(max_size=4))
def test_whatever_is_given_is_an_amount_or_a_value_error(value):
    try:
        amount = micros(value)
    except ValueError:
        return
    assert 0 <= amount <= MOST


# -- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00"),
        (1, "0.000001"),
        (10, "0.00001"),
        (52_500, "0.0525"),
        (500_000, "0.50"),
        (999_999, "0.999999"),
        (1_000_000, "1.00"),
        (12_500_000, "12.50"),
        (1_250_000_000, "1,250.00"),
        (MOST, "1,000,000,000,000.00"),
    ],
)
def test_how_an_amount_is_written(amount, text):
    assert amount_text(amount) == text
    assert str(Money(amount, "USD")) == f"{text} USD"


@given(st.integers(0, MOST))
def test_what_was_written_is_read_as_the_same_amount(amount):
    text = amount_text(amount)
    assert micros(text.replace(",", "")) == amount
    assert re.fullmatch(r"\d{1,3}(,\d{3})*\.\d{2}(\d{0,3}[1-9])?", text)


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fits"), [("USD", True), ("EUR", True), ("usd", False), ("US", False), ("USDT", False), ("US1", False)]
)
def test_a_currency_has_three_capital_letters(text, fits):
    assert bool(CURRENCY.fullmatch(text)) is fits


def test_equal_amounts_of_two_currencies_differ():
    assert Money(1, "USD") == Money(1, "USD")
    assert Money(1, "USD") != Money(1, "EUR")
    assert len({Money(1, "USD"), Money(1, "USD"), Money(1, "EUR")}) == 2


def test_an_amount_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Money(1, "USD").micros = 2  # type: ignore[misc]
