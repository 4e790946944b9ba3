from __future__ import annotations

import tomllib
from datetime import date

import pytest

from seedbatch.domain.errors import UsageError
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.models.prices import price_table

ROW = {"model": "seedance-2.0-fast", "unit": "second", "price": "0.05", "currency": "USD"}


def read(*rows: object) -> PriceTable:
    return price_table(rows, "seedbatch.toml")


def told(*rows: object) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        read(*rows)
    return caught.value.message, caught.value.hint


def test_no_rows_make_an_empty_table():
    assert read() == PriceTable({})


def test_a_row_needs_only_four_things():
    assert read(ROW).rows == {
        ("seedance-2.0-fast", None): PriceRow("seedance-2.0-fast", None, Unit.SECOND, Money(50_000, "USD"), "", "")
    }


def test_a_row_may_say_where_it_holds_and_where_it_was_seen():
    row = {**ROW, "resolution": "480p", "unit": "image", "date": "2026-11-24", "source": "dashboard"}
    assert read(row).rows == {
        ("seedance-2.0-fast", "480p"): PriceRow(
            "seedance-2.0-fast", "480p", Unit.IMAGE, Money(50_000, "USD"), "2026-11-24", "dashboard"
        )
    }


def test_rows_as_they_stand_in_toml():
    text = """
    [[prices]]
    model = "a"
    unit = "clip"
    price = 0.05
    currency = "USD"
    date = 2026-11-24

    [[prices]]
    model = "a"
    resolution = "720p"
    unit = "second"
    price = 2
    currency = "EUR"
    """
    rows = read(*tomllib.loads(text)["prices"]).rows
    assert rows["a", None] == PriceRow("a", None, Unit.CLIP, Money(50_000, "USD"), "2026-11-24")
    assert rows["a", "720p"] == PriceRow("a", "720p", Unit.SECOND, Money(2_000_000, "EUR"))


@pytest.mark.parametrize("unit", ["second", "clip", "image"])
def test_units(unit):
    assert read({**ROW, "unit": unit}).rows["seedance-2.0-fast", None].unit == unit


def test_what_costs_nothing_has_a_price():
    assert read({**ROW, "price": 0}).price("seedance-2.0-fast", {"duration": 5}) == Money(0, "USD")


def test_a_day_that_toml_knows_is_a_day():
    (row,) = read({**ROW, "date": date(2026, 11, 24)}).rows.values()
    assert row.date == "2026-11-24"


# -- what is wrong with a row -------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ["0.05", 5, None, [ROW]])
def test_what_is_no_row(row):
    assert told(ROW, row) == (
        "seedbatch.toml, price 2: must be a table",
        "with model, unit, price, currency, resolution, date, source",
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("prize", "did you mean price?"),
        ("Currency", "did you mean currency?"),
        ("zzz", "known are model, unit, price, currency, resolution, date, source"),
    ],
)
def test_unknown_names_are_errors(name, hint):
    assert told({**ROW, name: "x"}) == (f"seedbatch.toml, price 1: there is no {name!r} in a price", hint)


@pytest.mark.parametrize("name", ["model", "unit", "price", "currency"])
@pytest.mark.parametrize("nothing", [None, ""])
def test_what_a_row_needs(name, nothing):
    message = f"seedbatch.toml, price 1: {name} is missing"
    hint = "a price needs model, unit, price, currency"
    assert told({**ROW, name: nothing}) == (message, hint)
    assert told({key: value for key, value in ROW.items() if key != name}) == (message, hint)


def test_all_that_is_missing_is_told_at_once():
    assert told({"model": "a"})[0] == "seedbatch.toml, price 1: unit, price, currency is missing"


@pytest.mark.parametrize("name", ["model", "resolution", "source"])
def test_what_must_be_text(name):
    assert told({**ROW, name: 480}) == (f"seedbatch.toml, price 1: {name} must be text", "")


@pytest.mark.parametrize("unit", ["minute", "Second", 5])
def test_what_is_no_unit(unit):
    assert told({**ROW, "unit": unit}) == (
        f"seedbatch.toml, price 1: unit cannot be {unit!r}",
        "it is second, clip, image",
    )


@pytest.mark.parametrize(
    ("price", "words"),
    [
        ("five", "must be an amount such as 12.50"),
        (True, "must be an amount such as 12.50"),
        (-1, "must be a finite amount, and not negative"),
        ("0.0000001", "has more than six decimal places"),
    ],
)
def test_what_is_no_price(price, words):
    assert told({**ROW, "price": price}) == (
        f"seedbatch.toml, price 1: price {words}",
        'write it as text: price = "0.05"',
    )


@pytest.mark.parametrize("currency", ["usd", "US", "DOLLAR", "$", 5])
def test_what_is_no_currency(currency):
    assert told({**ROW, "currency": currency}) == (
        "seedbatch.toml, price 1: currency must be three capital letters",
        'such as "USD"',
    )


@pytest.mark.parametrize("day", ["yesterday", "2026-11", "24.11.2026", "2026-11-24T10:00:00", 20261124, None])
def test_what_is_no_day(day):
    assert told({**ROW, "date": day}) == (
        "seedbatch.toml, price 1: date must be a day",
        'such as "2026-11-24"',
    )


@pytest.mark.parametrize(("resolution", "at"), [(None, ""), ("480p", " at 480p")])
def test_two_prices_of_one_thing(resolution, at):
    row = {**ROW, "resolution": resolution}
    assert told(row, {**ROW, "model": "another"}, row) == (
        f"seedbatch.toml, price 3: seedance-2.0-fast{at} has a price already",
        "remove one of the two rows",
    )


def test_one_price_for_a_model_and_one_for_each_resolution():
    rows = read(ROW, {**ROW, "resolution": "480p"}, {**ROW, "resolution": "720p"}).rows
    assert [resolution for _, resolution in rows] == [None, "480p", "720p"]


# -- what the provider documents of its models --------------------------------------------------------------------

MODELS = read(
    *({"model": "gpt-image-2/text-to-image", "resolution": size, "unit": "image", "price": price, "currency": "USD"}
      for size, price in (("1k", "0.02"), ("2k", "0.04"), ("4k", "0.06"))),
    *({"model": f"grok-imagine/text-to-image-{tier}", "unit": "image", "price": price, "currency": "USD"}
      for tier, price in (("lite", "0.001"), ("standard", "0.0012"), ("pro", "0.0015"))),
    {"model": "grok-imagine/text-to-video", "unit": "second", "price": "0.007", "currency": "USD"},
    *({"model": model, "unit": "image", "price": "0.03", "currency": "USD"}
      for model in ("seedream-4.5", "seedream-4.6", "nano-banana-2")),
    *({"model": model, "unit": "second", "price": "0.10", "currency": "USD"}
      for model in ("veo3", "veo3_fast", "veo3_lite")),
    {"model": "veo3", "resolution": "4k", "unit": "second", "price": "0.40", "currency": "USD"},
)  # fmt: skip
ONE, THREE = ["https://x.example/1.png"], [f"https://x.example/{number}.png" for number in range(3)]


@pytest.mark.parametrize(
    ("model", "params", "micros"),
    [
        # 0.02, 0.04 and 0.06 for each image; 1k and one image where the request does not say. Source: contract, 3.6.
        ("gpt-image-2/text-to-image", {}, 20_000),
        ("gpt-image-2/text-to-image", {"n": 10}, 200_000),
        ("gpt-image-2/text-to-image", {"resolution": "2k", "n": 3}, 120_000),
        ("gpt-image-2/text-to-image", {"resolution": "4k"}, 60_000),
        # By image, and video by second. Source: contract, 3.7.
        ("grok-imagine/text-to-image-lite", {"n": 4}, 4_000),
        ("grok-imagine/text-to-image-standard", {"n": 10, "resolution": "1080p"}, 12_000),
        ("grok-imagine/text-to-image-pro", {"n": 1}, 1_500),
        ("grok-imagine/text-to-video", {"duration": 6, "resolution": "480p"}, 42_000),
        ("grok-imagine/text-to-video", {"duration": 20, "resolution": "720p"}, 140_000),
        # Linear in n. Source: contract, 3.5. Of 4.6 a task gives up to four images, and it knows no n.
        ("seedream-4.5", {"resolution": "2k"}, 30_000),
        ("seedream-4.5", {"resolution": "2k", "n": 15}, 450_000),
        ("seedream-4.6", {"resolution": "2k"}, 120_000),
        ("nano-banana-2", {"resolution": "2k"}, 30_000),
        # Linear in the duration, 8 seconds where the request does not say. Source: contract, 3.3.
        ("veo3", {}, 800_000),
        ("veo3", {"duration": 4}, 400_000),
        ("veo3", {"duration": 6, "resolution": "1080p"}, 600_000),
        ("veo3", {"duration": 8, "resolution": "4k"}, 3_200_000),
        ("veo3_lite", {"duration": 4, "imageUrls": ONE}, 400_000),
        # What silently becomes 8 seconds may be charged as such.
        ("veo3", {"duration": 4, "imageUrls": ONE}, 800_000),
        ("veo3", {"duration": 4, "imageUrls": ONE, "mode": "i2v-fl"}, 400_000),
        ("veo3_fast", {"duration": 4, "imageUrls": ONE}, 400_000),
        ("veo3_fast", {"duration": 4, "imageUrls": ONE, "mode": "r2v"}, 800_000),
        ("veo3_fast", {"duration": 6, "imageUrls": THREE}, 800_000),
    ],
)
def test_each_model_is_priced_as_the_provider_documents(model, params, micros):
    assert MODELS.price(model, {"prompt": "p", **params}) == Money(micros, "USD")


def test_seconds_that_no_schema_knows_are_not_guessed():
    assert read({**ROW, "model": "new-video"}).price("new-video", {"prompt": "p"}) is None
    assert read(ROW).price("seedance-2.0-fast", {"prompt": "p"}) is None


@pytest.mark.parametrize(
    ("model", "params", "known"),
    [
        ("veo3", {}, ['unit = "second"']),
        ("seedream-5-lite", {}, ['unit = "image"']),
        ("gpt-image-2/image-to-image", {"n": 2}, ['resolution = "1k"', 'unit = "image"']),
    ],
)
def test_the_row_to_add_is_by_what_is_charged(model, params, known):
    facts = [f'model = "{model}"', *known, 'price = "…"', 'currency = "USD"', 'date = "…"']
    assert MODELS.row_to_add(model, params) == "\n".join(["[[prices]]", *facts])


def test_a_table_of_two_currencies_does_not_guess_which():
    two = read(ROW, {**ROW, "model": "veo3", "currency": "EUR"})
    assert 'currency = "…"' in two.row_to_add("seedream-4.5", {})
