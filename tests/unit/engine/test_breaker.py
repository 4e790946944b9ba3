"""The breaker alone: outcomes in, what may be risked out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from samples import NOON

from seedbatch.engine.breaker import Breaker, Circuit


def fed(outcomes: str, breaker: Breaker | None = None) -> Breaker:
    """`d` a doubt, `a` a clean answer, `u` unsent, `+` a good probe, `-` a bad one; submissions are begun as needed."""
    breaker = breaker or Breaker(NOON)
    for number, outcome in enumerate(outcomes, start=1):
        if outcome in "dau" and breaker.most(1):
            breaker.began(number)
        match outcome:
            case "d":
                breaker.doubted(number, "lost", NOON)
            case "a":
                breaker.answered(number)
            case "u":
                breaker.unsent(number, "refused", NOON)
            case _:
                breaker.probed(good=outcome == "+", cause="silent", now=NOON)
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "circuit"),
    [
        ("", Circuit.CLOSED),
        ("dd", Circuit.CLOSED),
        ("ddd", Circuit.OPEN),
        ("ddadd", Circuit.CLOSED),
        ("dadadadad", Circuit.OPEN),  # five of the last twenty
        ("dadadada" + "a" * 13 + "d", Circuit.CLOSED),  # the first ones are forgotten
        ("uuuu", Circuit.CLOSED),
        ("uuuuu", Circuit.OPEN),
        ("uuuuauuuu", Circuit.CLOSED),
        ("ddd+", Circuit.READY),
        ("ddd-", Circuit.OPEN),
        ("ddd+a", Circuit.CLOSED),
        ("ddd+d", Circuit.OPEN),
        ("ddd+d+d", Circuit.OVER),
        ("ddd+d+a", Circuit.CLOSED),
        ("ddd+d+addd+d", Circuit.OPEN),  # a closed outage is forgotten
        ("ddd+u", Circuit.OPEN),
        ("ddd+u+u+u", Circuit.OVER),
        ("ddd" + "-" * 9, Circuit.OPEN),
        ("ddd" + "-" * 10, Circuit.OVER),
        ("ddd" + "-" * 9 + "+", Circuit.READY),
        ("uuuuu--", Circuit.OPEN),
        ("uuuuu---", Circuit.OVER),
        ("auuuuu---", Circuit.OPEN),  # it was there a moment ago
        ("uuuuu+d", Circuit.OPEN),
        ("+", Circuit.CLOSED),
        ("-" * 20, Circuit.CLOSED),
    ],
)
def test_the_circuit_after_a_run_of_outcomes(outcomes, circuit):
    assert fed(outcomes).circuit is circuit


@pytest.mark.parametrize(
    ("outcomes", "most"), [("", 7), ("dd", 7), ("ddd", 0), ("ddd+", 1), ("ddd+d+d", 0), ("ddd+a", 7)]
)
def test_how_many_may_begin(outcomes, most):
    assert fed(outcomes).most(7) == most


def test_nothing_begins_beside_a_trial():
    breaker = fed("ddd+")
    assert breaker.most(0) == 0
    breaker.began(99)
    assert (breaker.circuit, breaker.most(7)) == (Circuit.TRIAL, 0)
    breaker.answered(98)  # one that was on the wire before says nothing of now
    assert breaker.circuit is Circuit.TRIAL
    breaker.doubted(97, "lost", NOON)
    assert breaker.circuit is Circuit.TRIAL
    breaker.answered(99)
    assert (breaker.circuit, breaker.most(7)) == (Circuit.CLOSED, 7)


def test_what_was_on_the_wire_when_it_opened_changes_nothing():
    breaker = fed("ddd")
    breaker.doubted(50, "lost", NOON)
    breaker.answered(51)
    assert breaker.circuit is Circuit.OPEN


def test_the_pauses_between_probes_double_up_to_five_minutes():
    breaker = fed("ddd")
    pauses = []
    for _ in range(9):
        pauses.append((breaker.probe_at - NOON).total_seconds())
        breaker.probed(good=False, cause="silent", now=NOON)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_the_second_trial_waits_longer():
    assert fed("ddd+d").probe_at == NOON + timedelta(seconds=10)


def test_doubts_of_an_earlier_run_are_not_forgotten():
    assert Breaker(NOON, earlier_doubts=2).circuit is Circuit.CLOSED
    warned = Breaker(NOON, earlier_doubts=3)
    assert (warned.circuit, warned.probe_at) == (Circuit.OPEN, NOON)
    assert fed("+d", warned).circuit is Circuit.OVER
    assert fed("+a", Breaker(NOON, earlier_doubts=3)).circuit is Circuit.CLOSED


@pytest.mark.parametrize(
    ("outcomes", "cause"), [("ddd", "lost"), ("uuuuu", "refused"), ("ddd" + "-" * 10, "silent"), ("ddd+d+d", "trial")]
)
def test_it_says_why(outcomes, cause):
    assert cause in fed(outcomes).cause
