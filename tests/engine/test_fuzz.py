"""Small batches, markers and fault plans by chance: whatever happens, ledger and bill agree."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest
from engine.workshop import assert_invariants, clips

from seedbatch.domain.errors import Exit
from seedbatch.domain.jobs import Limits
from seedbatch.sandbox.faults import FILE, QUERY, SUBMIT

CASES = int(os.environ.get("SEEDBATCH_FUZZ", "30"))
FINAL = {"completed", "failed", "expired", "in_doubt"}
MARKERS = (
    *("", "", "", "[two]", "[fail]", "[fail-once]", "[moderation]", "[invalid]", "[timeout]", "[cancelled]"),
    *("[no-output]", "[reject]", "[slow]"),
)
FAULTS: dict[str, tuple[Any, ...]] = {
    SUBMIT: (
        *("cut-before-accept", "cut-after-accept", "contradict", "truncated-json", "429", "500", "502-html"),
        "code-400-in-200",
        *({"429-retry-after": 3}, {"503-retry-after": 3}, {"delay": 0.02}, "401", "redirect-307"),
    ),
    QUERY: (
        *(
            "cut",
            "truncated-json",
            "429",
            "500",
            "502-html",
            "404",
            "sparse",
            "late-result",
            "partial-echo",
            "extra-fields",
        ),
        *("whole-seconds", "nanoseconds", {"503-retry-after": 3}, "401"),
    ),
    FILE: ("403", "404", "500", "cut", "truncated", "html", "redirect", {"slow": 0.02}),
}


def plan(dice: random.Random) -> dict[str, Any]:
    rules = []
    for _ in range(dice.randrange(6)):
        on = dice.choice([SUBMIT, SUBMIT, QUERY, FILE])
        when: dict[str, Any] = dice.choice(
            [
                {"every": dice.randint(2, 5)},
                {"first": dice.randint(1, 4)},
                {"at": sorted(dice.sample(range(1, 12), 3))},
                {"chance": dice.choice([0.1, 0.3])},
            ]
        )
        rules.append({"on": on, "do": dice.choice(FAULTS[on]), **when})
    return {"rules": rules, "seed": dice.randrange(1000), "hide_for": dice.choice([0, 0, 0.05])}


def batch_of(dice: random.Random):
    prompts = [f"{dice.choice(MARKERS)} clip {number}" for number in range(dice.randint(1, 8))]
    return clips(*prompts, attempts=dice.randint(1, 3))


def limits_of(dice: random.Random) -> Limits:
    return Limits(submitting=dice.randint(1, 4), in_flight=dice.choice([None, 1, 3, 50]))


@pytest.mark.parametrize("seed", range(CASES))
async def test_ledger_and_bill_agree_whatever_happens(shop, seed):
    dice = random.Random(seed)
    chosen = plan(dice)
    await shop.start_sandbox(*chosen.pop("rules"), **chosen)
    process = await shop.open()
    process.leap_of_a_download = 301
    await process.ledger.declare(batch_of(dice), shop.clock.now())
    for _ in range(12):
        outcome = await process.apply(limits=limits_of(dice))
        shop.clock.leap(1_000)
        if outcome.settled:
            break
    assert set(shop.states()) <= FINAL
    assert outcome.exit in {Exit.OK, Exit.FAILED_JOBS, Exit.IN_DOUBT, Exit.PROVIDER, Exit.KEY}
    bill = shop.charged()
    again = await process.apply()
    assert (again.settled, shop.charged()) == (True, bill)
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("seed", range(max(10, CASES // 3)))
async def test_two_processes_at_once_on_one_ledger(shop, seed):
    dice = random.Random(1_000 + seed)
    chosen = plan(dice)
    await shop.start_sandbox(*chosen.pop("rules"), **chosen)
    one, two = await shop.open(), await shop.open()
    one.leap_of_a_download = two.leap_of_a_download = 301
    wanted = batch_of(dice)
    await asyncio.gather(one.ledger.declare(wanted, shop.clock.now()), two.ledger.declare(wanted, shop.clock.now()))
    for _ in range(12):
        outcomes = await asyncio.gather(one.apply(limits=limits_of(dice)), two.apply(limits=limits_of(dice)))
        shop.clock.leap(1_000)
        if all(outcome.settled for outcome in outcomes):
            break
    assert set(shop.states()) <= FINAL
    await one.aclose()
    await two.aclose()
    assert_invariants(shop)
