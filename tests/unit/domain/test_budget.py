from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.budget import Budget, Obstacle, Spent, obstacle
from seedbatch.domain.money import Money

NOTHING = Spent()


def usd(micros: int) -> Money:
    return Money(micros, "USD")


def eur(micros: int) -> Money:
    return Money(micros, "EUR")


def cents(amount: int) -> Money:
    return usd(amount * 10_000)


# -- caps ---------------------------------------------------------------------------------------------------------


def test_a_budget_is_there_if_it_caps_anything():
    assert not Budget()
    assert Budget(max_jobs=0)
    assert Budget(max_cost=usd(0))
    assert Budget(max_jobs=5, max_cost=usd(1))


def test_no_cap_is_no_obstacle():
    assert obstacle(Budget(), Spent(10**9, {"USD": 10**15, "EUR": 1}, 10**9), None) is None
    assert obstacle(Budget(), NOTHING, usd(10**18)) is None


@pytest.mark.parametrize(("used", "cap", "fits"), [(0, 1, True), (4, 5, True), (5, 5, False), (6, 5, False)])
def test_a_cap_on_submissions(used, cap, fits):
    assert (obstacle(Budget(max_jobs=cap), Spent(used), None) is None) is fits


def test_a_cap_of_nothing_lets_nothing_through():
    assert obstacle(Budget(max_jobs=0), NOTHING, None) == Obstacle("0 of 0 submissions are used")
    assert obstacle(Budget(max_cost=usd(0)), NOTHING, usd(1)) is not None
    assert obstacle(Budget(max_cost=usd(0)), NOTHING, usd(0)) is None


@pytest.mark.parametrize(
    ("used", "price", "cap", "fits"),
    [(0, 100, 100, True), (75, 25, 100, True), (76, 25, 100, False), (75, 26, 100, False), (100, 0, 100, True),
     (101, 0, 100, False), (0, 101, 100, False)],
)  # fmt: skip
def test_a_cap_on_money_holds_to_the_unit(used, price, cap, fits):
    assert (obstacle(Budget(max_cost=usd(cap)), Spent(1, {"USD": used}), usd(price)) is None) is fits


def test_both_caps_hold_and_the_count_is_told_first():
    both = Budget(max_jobs=2, max_cost=usd(10))
    assert obstacle(both, Spent(1, {"USD": 5}), usd(5)) is None
    assert obstacle(both, Spent(1, {"USD": 6}), usd(5)).reason.endswith("one more costs 0.000005")
    assert obstacle(both, Spent(2, {"USD": 6}), usd(5)).reason == "2 of 2 submissions are used"
    assert obstacle(both, Spent(2, {}, 2), None) == Obstacle("2 of 2 submissions are used")


# -- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "spent", "price", "found"),
    [
        (Budget(max_jobs=1_200), Spent(1_200), None, Obstacle("1,200 of 1,200 submissions are used")),
        (
            Budget(max_cost=cents(4000)),
            Spent(159, {"USD": 39_750_000}),
            cents(50),
            Obstacle("39.75 of 40.00 USD may be owed already, and one more costs 0.50"),
        ),
        (
            Budget(max_cost=cents(4000)),
            NOTHING,
            cents(5000),
            Obstacle("0.00 of 40.00 USD may be owed already, and one more costs 50.00"),
        ),
        (
            Budget(max_cost=cents(4000)),
            NOTHING,
            None,
            Obstacle("it has no price, and 40.00 USD is the most that may be spent", unpriced=True),
        ),
        (
            Budget(max_cost=cents(4000)),
            NOTHING,
            eur(1),
            Obstacle("its price is in EUR, and the cap in USD", unpriced=True),
        ),
        (
            Budget(max_cost=cents(4000)),
            Spent(1_500, {"USD": 1}, unpriced=1_400),
            usd(1),
            Obstacle("1,400 earlier submissions have no price, so nobody knows what is left", unpriced=True),
        ),
        (
            Budget(max_cost=cents(4000)),
            Spent(3, {"JPY": 1, "EUR": 2, "USD": 1}),
            usd(1),
            Obstacle("earlier submissions were priced in EUR, JPY, and the cap is in USD", unpriced=True),
        ),
    ],
)
def test_what_an_obstacle_says(budget, spent, price, found):
    assert obstacle(budget, spent, price) == found


def test_a_higher_cap_helps_unless_the_obstacle_is_a_price():
    assert not Obstacle("full").unpriced


def test_what_was_freed_in_another_currency_is_no_obstacle():
    assert obstacle(Budget(max_cost=usd(10)), Spent(0, {"EUR": 0, "USD": 5}), usd(5)) is None


def test_without_a_cap_on_money_no_price_is_asked_for():
    assert obstacle(Budget(max_jobs=5), Spent(4, {"EUR": 1}, 3), None) is None
    assert obstacle(Budget(max_jobs=5), Spent(4, {"EUR": 1}, 3), usd(1)) is None


# -- sums ---------------------------------------------------------------------------------------------------------


def test_one_more_submission():
    first = NOTHING.plus(usd(5))
    assert first == Spent(1, {"USD": 5}, 0)
    assert first.plus(usd(7)) == Spent(2, {"USD": 12}, 0)
    assert first.plus(eur(7)) == Spent(2, {"USD": 5, "EUR": 7}, 0)
    assert first.plus(None) == Spent(2, {"USD": 5}, 1)
    assert first.plus(None).plus(None) == Spent(3, {"USD": 5}, 2)
    assert first.plus(None).plus(usd(1)) == Spent(3, {"USD": 6}, 1)
    assert (NOTHING, first) == (Spent(0, {}, 0), Spent(1, {"USD": 5}, 0))  # neither was changed


MONEY = st.builds(Money, st.integers(0, 40), st.sampled_from(["USD", "USD", "USD", "EUR"]))
CAPS = st.builds(Budget, st.none() | st.integers(0, 12), st.none() | MONEY)


@given(CAPS, st.lists(st.none() | MONEY, max_size=30))
def test_what_is_let_through_never_exceeds_a_cap_by_one_unit(budget, prices):
    spent, through = NOTHING, []
    for price in prices:
        if obstacle(budget, spent, price) is None:
            spent = spent.plus(price)
            through.append(price)
    assert spent.submissions == len(through)
    assert spent.unpriced == through.count(None)
    if budget.max_jobs is not None:
        assert spent.submissions <= budget.max_jobs
    if budget.max_cost is not None:
        assert spent.exposure.get(budget.max_cost.currency, 0) <= budget.max_cost.micros
        assert sum(price.micros for price in through) <= budget.max_cost.micros
        assert spent.unpriced == 0
        assert set(spent.exposure) <= {budget.max_cost.currency}


@given(st.integers(0, 60), st.integers(0, 12), st.lists(st.integers(0, 40), max_size=30))
def test_what_is_kept_back_would_have_exceeded_a_cap(most, jobs, prices):
    budget, spent = Budget(jobs, usd(most)), NOTHING
    for price in prices:
        fits = spent.submissions < jobs and spent.exposure.get("USD", 0) + price <= most
        found = obstacle(budget, spent, usd(price))
        assert (found is None) is fits
        if fits:
            spent = spent.plus(usd(price))
        else:
            assert not found.unpriced
