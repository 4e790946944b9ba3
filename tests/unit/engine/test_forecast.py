"""What a plan comes to; and that its word on caps is what the ledger then does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NOON, batch, spec

from seedbatch.domain.brake import Moderation
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.jobs import BatchSpec, JobSpec, Limits, Request
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.domain.records import Accounts
from seedbatch.domain.work import Caps
from seedbatch.engine.forecast import forecast
from seedbatch.engine.grouping import Sums
from seedbatch.engine.plan import make_plan
from seedbatch.engine.planned import Action, Plan, Planned
from seedbatch.engine.room import Kept
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.sqlite import SqliteLedger


def usd(amount: int) -> Money:
    return Money(amount, "USD")


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


def job(key: str, price: Money | None = None, action: Action = Action.CREATE, *, name: str = "b", model: str = "m"):
    return Planned(name, key, 1, action, "new", model, f"{name}/{key}", price=price)


def coming(*jobs: Planned, budgets=None, accounts: Accounts | None = None, **caps):
    batches = [BatchSpec(name, (), budget=budget) for name, budget in (budgets or {}).items()]
    return forecast(Plan(jobs), batches, accounts or Accounts(), Caps(**caps))


# -- sums ---------------------------------------------------------------------------------------------------------


def test_nothing_to_do_costs_nothing():
    found = coming()
    assert (found.submissions, found.price, found.unpriced, found.kept) == (0, (), {}, None)
    assert (found.exposure_after, found.expected_violations, found.surcharge) == ((), 0, 1)


def test_retries_may_cost_as_often_as_their_batch_allows():
    jobs = (job("a", usd(5)), job("b", usd(7), name="c"), job("d", None, name="c"))
    batches = [BatchSpec("b", (), attempts=1), BatchSpec("c", (), attempts=3)]
    found = forecast(Plan(jobs), batches, Accounts(), Caps())
    assert (found.price, found.worst) == ((usd(12),), (usd(5 + 3 * 7),))
    assert found.by_batch == {
        "b": Sums(1, 0, (usd(5),), (usd(5),)),
        "c": Sums(2, 1, (usd(7),), (usd(21),)),
    }


def test_only_what_is_submitted_has_a_price():
    price = usd(5)
    found = coming(*(job(action, price, action) for action in Action))
    assert found.submissions == 3  # create, regenerate, retry
    assert found.price == (usd(15),)


def test_sums_by_currency_and_the_unpriced_by_model():
    found = coming(
        job("a", usd(5)), job("b", eur(7)), job("c", usd(6)), job("d", model="x"), job("e", model="y"),
        job("f", model="x"), job("g", None, Action.UNCHANGED),
    )  # fmt: skip
    assert found.price == (eur(7), usd(11))
    assert found.unpriced == {"x": 2, "y": 1}
    assert found.submissions == 6


def test_exposure_afterwards_is_what_may_be_owed_already_and_what_comes():
    accounts = Accounts(batches={"b": Spent(3, {"USD": 100, "CHF": 9}), "other": Spent(1, {"USD": 10})})
    found = coming(job("a", usd(5)), job("b", eur(7)), accounts=accounts)
    assert found.exposure_after == (Money(9, "CHF"), eur(7), usd(115))
    assert found.price == (eur(7), usd(5))


# -- moderation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("violations", "percent"), [(0, 1), (18, 1), (19, 5), (99, 5), (100, 10), (500, 10)])
def test_the_surcharge_is_that_of_the_next_violation(violations, percent):
    found = coming(accounts=Accounts(moderation=Moderation(violations, 0, 0, 0)))
    assert found.surcharge == percent


def test_expected_violations_are_those_that_the_submissions_add():
    moderation = Moderation(7, 50, 80, 23)
    found = coming(*(job(f"j{number}") for number in range(6)), accounts=Accounts(moderation=moderation))
    assert found.expected_violations == float(6 * Fraction(25, 100))
    assert found.moderation is moderation


# -- what caps keep back ------------------------------------------------------------------------------------------


def test_no_cap_keeps_nothing_back():
    assert coming(job("a", usd(10**15)), job("b")).kept is None


def test_a_batch_stops_at_the_first_job_that_does_not_fit():
    jobs = [job("a", usd(60)), job("b", usd(50)), job("c", usd(40)), job("d", usd(1), name="other")]
    found = coming(*jobs, budgets={"b": Budget(max_cost=usd(100))})
    assert found.kept == Kept(2, "0.00006 of 0.0001 USD may be owed already, and one more costs 0.00005")
    assert found.price == (usd(151),)  # the price of the whole plan


def test_what_is_spent_already_leaves_less():
    accounts = Accounts(batches={"b": Spent(1, {"USD": 60})})
    found = coming(job("a", usd(40)), job("b", usd(1)), budgets={"b": Budget(max_cost=usd(100))}, accounts=accounts)
    assert found.kept == Kept(1, "0.0001 of 0.0001 USD may be owed already, and one more costs 0.000001")


def test_one_without_a_price_is_passed_over():
    jobs = [job("a"), job("b", usd(60)), job("c", eur(1)), job("d", usd(40))]
    found = coming(*jobs, budgets={"b": Budget(max_cost=usd(100))})
    assert found.kept == Kept(2, "it has no price, and 0.0001 USD is the most that may be spent")


def test_each_batch_has_its_own_cap():
    jobs = [job(f"{name}{number}", name=name) for name in ("one", "two") for number in range(3)]
    found = coming(*jobs, budgets={"one": Budget(max_jobs=2), "two": Budget(max_jobs=1)})
    assert found.kept == Kept(3, "2 of 2 submissions are used")


def test_a_full_batch_takes_nothing_from_the_days_cap():
    jobs = [job(f"one{number}", name="one") for number in range(5)] + [job("two", name="two")]
    found = coming(*jobs, budgets={"one": Budget(max_jobs=1)}, day=Budget(max_jobs=2))
    assert found.kept == Kept(4, "1 of 1 submissions are used")


def test_the_days_cap_holds_for_all_batches_with_what_the_day_has_seen():
    jobs = [job(name, usd(30), name=name) for name in ("one", "two", "three")]
    accounts = Accounts(day=Spent(1, {"USD": 30}))
    found = coming(*jobs, accounts=accounts, day=Budget(max_cost=usd(100)))
    assert found.kept == Kept(1, "0.00009 of 0.0001 USD may be owed already, and one more costs 0.00003")


def test_a_runs_cap_starts_from_nothing():
    jobs = [job(f"j{number}", usd(30)) for number in range(4)]
    accounts = Accounts(batches={"b": Spent(9, {"USD": 900})}, day=Spent(9, {"USD": 900}))
    assert coming(*jobs, accounts=accounts, run=Budget(max_jobs=3)).kept == Kept(1, "3 of 3 submissions are used")
    assert coming(*jobs, accounts=accounts, run=Budget(max_cost=usd(120))).kept is None


def test_the_strictest_of_three_caps_holds():
    jobs = [job(f"j{number}", usd(10)) for number in range(9)]
    budgets = {"b": Budget(max_jobs=7)}
    assert coming(*jobs, budgets=budgets).kept.count == 2
    assert coming(*jobs, budgets=budgets, run=Budget(max_jobs=5)).kept.count == 4
    assert coming(*jobs, budgets=budgets, run=Budget(max_jobs=5), day=Budget(max_cost=usd(30))).kept.count == 6


# -- and what the ledger then does --------------------------------------------------------------------------------

MODELS = ("dear", "cheap", "foreign", "unknown")
PRICES = PriceTable(
    {
        (model, None): PriceRow(model, None, Unit.CLIP, price)
        for model, price in (("dear", usd(5)), ("cheap", usd(2)), ("foreign", eur(3)))
    }
)
BUDGETS = st.builds(Budget, st.none() | st.integers(0, 6), st.none() | st.builds(usd, st.integers(0, 20)))


def of_model(key: str, model: str) -> JobSpec:
    request = Request(model, {"prompt": key})
    return replace(spec(key), request=request, fingerprint=request.fingerprint)


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(MODELS), max_size=8),
    st.lists(st.sampled_from(MODELS), max_size=5),
    *(BUDGETS, BUDGETS, BUDGETS, BUDGETS),
)
def test_the_ledger_keeps_back_as_many_as_were_foretold(first, second, one, two, run, day):
    batches = [
        replace(
            batch(*(of_model(f"{name}{at}", model) for at, model in enumerate(models)), name=name),
            prices=PRICES,
            budget=own,
        )
        for name, models, own in (("one", first, one), ("two", second, two))
    ]
    caps = Caps(run, day)

    async def foretold_and_done(folder: Path) -> tuple[int, int]:
        ledger = SqliteLedger(folder / "ledger.db", kind="real", folder=folder, now=NOON)
        try:
            for each in batches:
                await ledger.declare(each, NOON)
            records = SqliteRecords(folder / "ledger.db")
            found = forecast(make_plan(batches, records), batches, records.accounts(NOON), caps)
            records.close()
            submitted = 0
            while claim := (await ledger.claim_submissions(None, Limits(), caps, NOON, 3)).submissions:
                submitted += len(claim)
        finally:
            await ledger.aclose()
        return found.submissions - (found.kept.count if found.kept else 0), submitted

    with TemporaryDirectory() as folder:
        foretold, submitted = asyncio.run(foretold_and_done(Path(folder)))
    assert foretold == submitted
