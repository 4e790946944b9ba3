"""Money and moderation in words, and the caps that flags and settings name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from samples import batch

from seedbatch.cli.spending import (
    accounts_lines,
    caps_of,
    forecast_lines,
    moderation_text,
    money_json,
    monies,
    price_text,
)
from seedbatch.domain.brake import Brake, Moderation
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.errors import UsageError
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.domain.records import Accounts
from seedbatch.domain.work import Caps
from seedbatch.engine.forecast import Forecast
from seedbatch.engine.room import Kept
from seedbatch.settings import load

QUIET = Moderation(0, 0, 0, 0)


def usd(cents: int) -> Money:
    return Money(cents * 10_000, "USD")


def eur(cents: int) -> Money:
    return Money(cents * 10_000, "EUR")


def priced(*prices: Money, budget: Budget | None = None):
    rows = {(f"m{at}", None): PriceRow(f"m{at}", None, Unit.CLIP, price) for at, price in enumerate(prices)}
    return replace(batch(), prices=PriceTable(rows), budget=budget or Budget())


@pytest.fixture
def settings(tmp_path):
    return load({}, {"XDG_CONFIG_HOME": str(tmp_path)}, tmp_path)


def coming(submissions=1, price=(), unpriced=None, kept=None, moderation=QUIET, worst=()):
    return Forecast(submissions, price, unpriced or {}, kept, (), moderation, worst)


# -- the caps of a run --------------------------------------------------------------------------------------------


def test_a_price_says_what_retries_may_make_of_it():
    once = coming(12, (usd(300),), worst=(usd(300),))
    assert price_text(once) == "12 requests for 3.00 USD"
    twice = coming(12, (usd(300),), {"m": 2}, worst=(usd(600),))
    assert price_text(twice) == "12 requests for 3.00 USD (at most 6.00 USD with retries) and 2 without a known price"
    assert next(forecast_lines(twice)) == "Without a price in your price table: m (2)."


def test_nobody_named_a_cap(settings):
    assert caps_of(settings, [batch()]) == Caps(Budget(), Budget(), Brake())


def test_flags_cap_the_run_and_settings_the_day(settings):
    day = Budget(5, usd(100))
    settings = replace(settings, day_budget=day)
    caps = caps_of(settings, [], max_jobs=0, max_cost="12.50 USD", allow_violations=0)
    assert caps == Caps(Budget(0, usd(1250)), day, Brake(0))


def test_a_strict_brake_comes_from_the_settings(settings):
    strict = replace(settings, moderation_brake="strict")
    assert caps_of(strict, [], allow_violations=7).brake == Brake(7, strict=True)
    assert caps_of(settings, []).brake == Brake(None, strict=False)


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("12.50 USD", usd(1250)),
        ("12.50USD", usd(1250)),
        ("12.5 usd", usd(1250)),
        (" 40 eur ", eur(4000)),
        ("0 EUR", eur(0)),
        ("12.50", usd(1250)),
        ("40", usd(4000)),
    ],
)
def test_what_may_be_spent(settings, text, money):
    assert caps_of(settings, [priced(usd(5))], max_cost=text).run == Budget(None, money)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be an amount such as 12.50"),
        ("much", "must be an amount such as 12.50"),
        ("12,50", "must be an amount such as 12.50"),
        ("1.2.3 USD", "must be an amount such as 12.50"),
        ("5 USDT", "must be an amount such as 12.50"),
        ("USD 5", "must be an amount such as 12.50"),
        ("-5", "must be a finite amount, and not negative"),
        ("0.0000001 USD", "has more than six decimal places"),
        ("9999999999999 USD", "is more than anybody spends here"),
    ],
)
def test_what_is_no_amount(settings, text, words):
    with pytest.raises(UsageError) as caught:
        caps_of(settings, [priced(usd(5))], max_cost=text)
    assert caught.value.message == f"--max-cost {words}"
    assert caught.value.hint == "--max-cost 12.50, or --max-cost '12.50 USD'"


@pytest.mark.parametrize(
    "batches",
    [
        [priced(eur(5))],
        [priced(eur(5), eur(7)), priced(eur(9))],
        [priced(budget=Budget(max_cost=eur(5)))],
        [priced(eur(5), budget=Budget(5, eur(5))), priced(budget=Budget(max_jobs=5))],
    ],
)
def test_a_currency_that_is_not_named_is_the_only_one_known(settings, batches):
    assert caps_of(settings, batches, max_cost="5").run.max_cost == eur(500)


@pytest.mark.parametrize(
    "batches",
    [[], [priced()], [priced(usd(1), eur(1))], [priced(usd(1)), priced(eur(1))],
     [priced(usd(1), budget=Budget(max_cost=eur(5)))]],
)  # fmt: skip
def test_a_currency_that_cannot_be_known_must_be_named(settings, batches):
    with pytest.raises(UsageError) as caught:
        caps_of(settings, batches, max_cost=" 12.50")
    assert (caught.value.message, caught.value.hint) == (
        "--max-cost names no currency",
        "say which: --max-cost '12.50 USD'",
    )
    assert caps_of(settings, batches, max_cost="12.50 CHF").run.max_cost == Money(12_500_000, "CHF")


# -- money --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amounts", "text"),
    [([], ""), ([usd(1250)], "12.50 USD"), ([usd(125_000), eur(300)], "1,250.00 USD and 3.00 EUR")],
)
def test_sums_in_words(amounts, text):
    assert monies(amounts) == text


def test_money_for_machines():
    assert money_json(usd(125)) == {"micros": 1_250_000, "currency": "USD"}
    assert money_json(Money(0, "EUR")) == {"micros": 0, "currency": "EUR"}
    assert money_json(None) is None


@pytest.mark.parametrize(
    ("forecast", "text"),
    [
        (coming(1, (usd(25),)), "1 request for 0.25 USD"),
        (coming(1200, (eur(100), usd(30_000))), "1,200 requests for 1.00 EUR and 300.00 USD"),
        (coming(12, (usd(300),), {"a": 1_500, "b": 1}), "12 requests for 3.00 USD and 1,501 without a known price"),
        (coming(12, (), {"a": 12}), "12 requests"),
        (coming(0), "0 requests"),
        (coming(2, (usd(0),)), "2 requests for 0.00 USD"),
    ],
)
def test_the_price_of_a_plan(forecast, text):
    assert price_text(forecast) == text


# -- moderation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "adding", "today", "percent", "rate", "more"),
    [
        (QUIET, 0, "0 violations", 1, 10, ""),
        (Moderation(1, 0, 0, 0), 12, "1 violation", 1, 10, ", these 12 would add about 1.2"),
        (Moderation(18, 5, 0, 0), 0, "18 violations", 1, 10, ""),
        (Moderation(19, 5, 180, 38), 1_000, "19 violations", 5, 20, ", these 1,000 would add about 200"),
        (Moderation(1_100, 0, 980, 3), 2, "1,100 violations", 10, 0, ", these 2 would add about 0.0"),
    ],
)
def test_what_moderation_has_taken(seen, adding, today, percent, rate, more):
    assert moderation_text(seen, adding=adding) == (
        f"Moderation: {today} today (UTC, as far as this ledger saw), the next costs {percent} % of its task; "
        f"{rate} % of tasks are taken to be rejected{more}."
    )


@pytest.mark.parametrize(("adding", "about"), [(99, "9.9"), (100, "10"), (104, "10"), (15_000, "1,500")])
def test_one_digit_where_a_whole_number_would_say_nothing(adding, about):
    assert moderation_text(QUIET, adding=adding).endswith(f"these {adding:,} would add about {about}.")


def test_what_a_plan_comes_to_beside_its_price():
    kept = Kept(1_200, "5 of 5 submissions are used")
    assert list(forecast_lines(coming(3, kept=kept))) == [
        "Kept back by a cap as it stands: 1,200 requests (5 of 5 submissions are used).",
        moderation_text(QUIET, adding=3),
    ]
    assert next(forecast_lines(coming(3, kept=Kept(1, "full")))).endswith(": 1 request (full).")
    assert list(forecast_lines(coming(3))) == [moderation_text(QUIET, adding=3)]
    assert list(forecast_lines(coming(0, moderation=Moderation(19, 0, 0, 0)))) == []


# -- accounts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spent", "budget", "line"),
    [
        (Spent(2, {"USD": 500_000}), Budget(), "  b: 0.50 USD"),
        (Spent(3, {"USD": 500_000, "EUR": 250_000}), Budget(), "  b: 0.25 EUR and 0.50 USD"),
        (Spent(2, {"USD": 500_000}), Budget(max_cost=usd(4000)), "  b: 0.50 of 40.00 USD"),
        (Spent(), Budget(max_cost=usd(4000)), "  b: 0.00 of 40.00 USD"),
        (Spent(2, {"USD": 500_000}), Budget(max_jobs=1_200), "  b: 0.50 USD, 2 of 1,200 submissions"),
        (Spent(), Budget(max_jobs=1), "  b: 0 of 1 submission"),
        (
            Spent(1_500, {"USD": 500_000}, 1_400),
            Budget(2_000, usd(4000)),
            "  b: 0.50 of 40.00 USD, 1,500 of 2,000 submissions, 1,400 without a known price",
        ),
    ],
)
def test_what_may_be_owed_against_each_budget(spent, budget, line):
    assert list(accounts_lines(Accounts({"b": spent}, {"b": budget}))) == [line]


def test_a_batch_that_owes_nothing_and_has_no_budget_is_not_told():
    accounts = Accounts({"free": Spent(4, {"USD": 0}, 0), "new": Spent(), "b": Spent(1, {"USD": 1})}, {})
    assert list(accounts_lines(accounts)) == ["  b: 0.000001 USD"]
