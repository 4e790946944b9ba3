"""What each cap has room for, and the worst that a plan may come to."""

from __future__ import annotations

from seedbatch.cli.spending import costs_lines, room_text
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts
from seedbatch.domain.work import Caps
from seedbatch.engine.forecast import forecast
from seedbatch.engine.planned import Action, Plan, Planned


def usd(cents: int) -> Money:
    return Money(cents * 10_000, "USD")


def coming(*prices: Money | None, budget: Budget | None = None, attempts: int = 1, accounts=None, **caps):
    jobs = [
        Planned("b", f"j{at}", 1, Action.CREATE, "new", "m", f"b/j{at}", price=one) for at, one in enumerate(prices)
    ]
    batches = [BatchSpec("b", (), budget=budget or Budget(), attempts=attempts)]
    return forecast(Plan(jobs), batches, accounts or Accounts(), Caps(**caps))


def told(found) -> list[str]:
    return [room_text(room) for room in found.rooms]


def test_each_named_cap_says_what_is_left_and_whether_it_fits():
    spent = Spent(3, {"USD": 1_000_000})
    found = coming(
        *[usd(25)] * 4, budget=Budget(20, usd(500)), attempts=2, accounts=Accounts({"b": spent}, day=spent),
        day=Budget(max_cost=usd(250)), run=Budget(max_jobs=3),
    )  # fmt: skip
    assert told(found) == [
        (
            "Budget of b: 4.00 of 5.00 USD and 17 of 20 submissions left; 1.00 USD and 4 submissions would fit,"
            " and so would at most 2.00 USD and 8 submissions with retries"
        ),
        (
            "Today's budget: 1.50 of 2.50 USD left; 1.00 USD would fit, at most 2.00 USD with retries would not:"
            " what is beyond it would wait"
        ),
        "Cap of this run: 3 of 3 submissions left; 4 submissions would not fit: 1 request would be kept back",
    ]
    assert [(room.fits, room.fits_at_most, room.kept) for room in found.rooms] == [
        (True, True, 0), (True, False, 0), (False, False, 1),
    ]  # fmt: skip
    assert found.kept.count == 1


def test_a_cap_that_is_met_exactly_fits():
    assert told(coming(usd(25), usd(25), run=Budget(max_cost=usd(50)))) == [
        "Cap of this run: 0.50 of 0.50 USD left; 0.50 USD would fit"
    ]


def test_what_has_no_price_or_another_currency_does_not_fit_a_cap_on_money():
    found = coming(usd(25), None, budget=Budget(max_cost=usd(500)))
    assert told(found) == [
        "Budget of b: 5.00 of 5.00 USD left; 0.25 USD and 1 without a price would not fit: 1 request would be kept back"
    ]
    found = coming(usd(25), Money(10, "EUR"), run=Budget(max_cost=usd(500)))
    assert told(found) == [
        "Cap of this run: 5.00 of 5.00 USD left; 0.00001 EUR and 0.25 USD would not fit: 1 request would be kept back"
    ]


def test_nobody_knows_what_is_left_beside_spending_of_unknown_price():
    found = coming(usd(25), budget=Budget(max_cost=usd(500)), accounts=Accounts({"b": Spent(2, {}, 2)}))
    assert told(found) == [
        "Budget of b: an unknown part of 5.00 USD left; 0.25 USD would not fit: 1 request would be kept back"
    ]


def test_a_cap_holds_its_own_batch_only():
    jobs = [Planned(name, "j", 1, Action.CREATE, "new", "m", name, price=usd(25)) for name in ("one", "two")]
    batches = [BatchSpec("one", (), budget=Budget(max_cost=usd(20))), BatchSpec("two", (), budget=Budget(1))]
    found = forecast(Plan(jobs), batches, Accounts(), Caps())
    assert [(room.batch, room.fits, room.kept) for room in found.rooms] == [("one", False, 1), ("two", True, 0)]


# -- the worst ----------------------------------------------------------------------------------------------------


def test_the_worst_is_every_retry_and_what_is_owed_in_doubt_or_running():
    accounts = Accounts(
        batches={"b": Spent(6, {"USD": 3_000_000})},
        running={"b": Spent(2, {"USD": 500_000}), "other": Spent(9, {"USD": 9_000_000})},
        in_doubt={"b": Spent(1, {"USD": 250_000})},
    )
    found = coming(usd(25), attempts=3, accounts=accounts, budget=Budget(max_cost=usd(480)))
    assert (found.price, found.worst) == ((usd(25),), (usd(75),))
    assert (found.exposure_after, found.exposure_at_most) == (
        (usd(325),),
        (usd(475),),
    )  # 3.00, 3 times 0.25, 2 times 0.50
    owed, cap, moderation = costs_lines(found)
    assert owed == (
        "What may be owed in this ledger: 3.00 USD now (0.25 USD of it in doubt), 3.25 USD afterwards,"
        " at most 4.75 USD with retries."
    )
    assert cap.startswith("Budget of b: 1.80 of 4.80 USD left; 0.25 USD would fit, and so would at most 1.75 USD")
    assert moderation.startswith("Moderation: ")


def test_retries_of_what_runs_are_told_where_nothing_is_submitted():
    accounts = Accounts({"b": Spent(2, {"USD": 500_000})}, running={"b": Spent(2, {"USD": 500_000})})
    assert list(costs_lines(coming(attempts=2, accounts=accounts))) == [
        "What may be owed in this ledger: 0.50 USD now, at most 1.00 USD with retries."
    ]
    assert list(costs_lines(coming(attempts=1, accounts=accounts))) == []
