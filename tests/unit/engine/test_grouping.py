"""The price of a plan in parts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from samples import batch, spec

from seedbatch.domain.errors import UsageError
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.domain.records import Accounts
from seedbatch.domain.work import Caps
from seedbatch.engine.forecast import forecast
from seedbatch.engine.grouping import MOST_GROUPS, Parting, Sums
from seedbatch.engine.plan import make_plan
from seedbatch.engine.planned import Action, Plan, Planned
from seedbatch.engine.pricing import MODEL, TAG, By


def usd(amount: int) -> Money:
    return Money(amount, "USD")


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


def job(key: str, price: Money | None, *labels: tuple[str, str], name: str = "b", action: Action = Action.CREATE):
    return Planned(name, key, 1, action, "new", "m", f"{name}/{key}", price=price, labels=labels)


def parted(*jobs: Planned, by: By, **attempts: int) -> dict[str, Parting]:
    batches = [BatchSpec(name, (), attempts=tries) for name, tries in attempts.items()]
    return {one.by: one for one in forecast(Plan(jobs), batches, Accounts(), Caps(), by).by}


def test_a_job_of_two_tags_counts_in_both_and_is_told_so():
    found = parted(
        *(job("a", usd(5), (TAG, "hero"), (TAG, "autumn")), job("b", usd(7), (TAG, "autumn")), job("c", usd(1))),
        by=By((TAG,)),
        b=2,
    )[TAG]
    assert found.parts == (
        ("autumn", Sums(2, 0, (usd(12),), (usd(24),))),
        ("hero", Sums(1, 0, (usd(5),), (usd(10),))),
    )
    assert (found.without, found.overlaps) == (Sums(1, 0, (usd(1),), (usd(2),)), True)


def test_an_axis_has_the_tries_of_each_batch_and_no_currency_is_mixed():
    found = parted(
        job("a", usd(5), ("ratio", "16:9")), job("b", eur(7), ("ratio", "16:9"), name="c"),
        job("c", None, ("ratio", "9:16"), name="c"), job("d", eur(1), ("season", "spring")),
        job("e", usd(9), ("ratio", "1:1"), action=Action.REUSE), by=By(("ratio",)), b=1, c=3,
    )["ratio"]  # fmt: skip
    assert found.parts == (
        ("16:9", Sums(2, 0, (eur(7), usd(5)), (eur(21), usd(5)))),
        ("9:16", Sums(1, 1)),
    )
    assert (found.without, found.overlaps) == (Sums(1, 0, (eur(1),), (eur(1),)), False)


def test_values_without_end_are_summed_up_beyond_the_first():
    jobs = [job(f"j{number}", usd(2), ("shot", f"{number}")) for number in range(MOST_GROUPS + 500)]
    found = parted(*jobs, job("again", usd(3), ("shot", "0")), by=By(("shot",)))["shot"]
    assert len(found.parts) == MOST_GROUPS
    assert found.parts[0] == ("0", Sums(2, 0, (usd(5),), (usd(5),)))
    assert found.beyond == Sums(500, 0, (usd(1000),), (usd(1000),))
    assert found.without == Sums()


# -- what a job is counted under ----------------------------------------------------------------------------------

PRICES = PriceTable({("seedance-2.0", None): PriceRow("seedance-2.0", None, Unit.CLIP, usd(5))})
JOBS = (
    replace(spec("a"), axes={"season": "spring", "tag": True}, tags=("hero",)),
    replace(spec("b"), axes={"season": None}, vars={"style": "film", "long": "x" * 500}, tags=()),
)


def of_manifest(*names: str, everything: bool = False) -> dict[str, tuple[list[str], int]]:
    by = By(names, everything)
    wanted = replace(batch(*JOBS), prices=PRICES)
    found = forecast(make_plan([wanted], None, by=by), [wanted], Accounts(), Caps(), by)
    return {one.by: ([value for value, _ in one.parts], one.without.submissions) for one in found.by}


def test_axes_vars_and_parameters_have_names_as_in_a_selection():
    duration = str(JOBS[0].request.input["duration"])
    assert of_manifest("season", "style", "duration", "long", TAG, "tag", MODEL) == {
        "season": (["spring", "null"], 0),
        "style": (["film"], 1),
        "duration": ([duration], 0),
        "long": ([], 2),
        TAG: (["hero"], 1),
        "tag": (["true"], 1),
        MODEL: (["seedance-2.0"], 0),
    }


def test_a_reviewer_gets_tags_and_every_axis_unasked():
    assert of_manifest(everything=True).keys() == {"batch:", "model:", TAG, "season", "tag"}
    assert of_manifest() == {}


def test_a_name_that_no_job_has_is_an_error_with_the_nearest():
    with pytest.raises(UsageError, match="named 'seasons'") as caught:
        of_manifest("seasons")
    assert caught.value.hint == "did you mean season?"
    with pytest.raises(UsageError) as caught:
        of_manifest("zzz")
    assert caught.value.hint.startswith("there are: batch, duration,")
