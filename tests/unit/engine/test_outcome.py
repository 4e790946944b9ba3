from __future__ import annotations

from itertools import chain, combinations

import pytest

from seedbatch.domain.errors import PRECEDENCE, Exit
from seedbatch.domain.records import BatchTally
from seedbatch.domain.states import JobState
from seedbatch.engine.crew import Stop
from seedbatch.engine.run import Outcome

STOPS = (Exit.KEY, Exit.STOPPED, Exit.PROVIDER, Exit.RUNNING)
STATES = (JobState.COMPLETED, JobState.IN_DOUBT, JobState.FAILED, JobState.EXPIRED, JobState.ABANDONED)
# The order that the documentation of the exit codes promises, first where several apply.
PROMISED = (1, 8, 4, 130, 5, 9, 7, 3, 6)


def every(choices):
    return chain.from_iterable(combinations(choices, size) for size in range(len(choices) + 1))


def expected(stops, states, interrupted, settled):
    applying = {int(stop) for stop in stops}
    if interrupted:
        applying.add(130)
    if JobState.IN_DOUBT in states:
        applying.add(7)
    if {JobState.FAILED, JobState.EXPIRED, JobState.ABANDONED} & set(states):
        applying.add(3)
    if not settled:
        applying.add(6)
    return min(applying, key=PROMISED.index, default=0)


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("stops", list(every(STOPS)), ids=str)
def test_the_first_that_applies_is_the_answer(stops, interrupted, settled):
    reasons = tuple(Stop(stop, "for a reason") for stop in stops)
    for states in every(STATES):
        halves = (BatchTally("a", dict.fromkeys(states[::2], 1)), BatchTally("b", dict.fromkeys(states[1::2], 2)))
        outcome = Outcome(halves, reasons, interrupted, settled)
        assert outcome.exit == expected(stops, states, interrupted, settled), states


def test_the_table_is_the_promised_one():
    assert tuple(int(code) for code in PRECEDENCE) == PROMISED


def test_states_that_were_counted_to_zero_say_nothing():
    tally = BatchTally("a", {JobState.IN_DOUBT: 0, JobState.FAILED: 0, JobState.COMPLETED: 3})
    assert Outcome((tally,), (), interrupted=False, settled=True).exit is Exit.OK


def test_counts_are_over_all_batches():
    halves = (BatchTally("a", {JobState.COMPLETED: 1}), BatchTally("b", {JobState.COMPLETED: 2, JobState.FAILED: 1}))
    counts = Outcome(halves, (), interrupted=False, settled=True).counts
    assert counts == {JobState.COMPLETED: 3, JobState.FAILED: 1}
