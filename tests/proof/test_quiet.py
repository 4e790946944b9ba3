"""Results are found without callbacks, in time and with few questions. SEEDBATCH_QUIET sets how many tasks."""

from __future__ import annotations

import os
from statistics import median

import pytest
from proof.quiet import without_callbacks

from seedbatch.domain.errors import Exit
from seedbatch.domain.states import JobState

TASKS = int(os.environ.get("SEEDBATCH_QUIET", "600"))
# So that what is learned from the first of them serves the others.
IN_FLIGHT = max(10, TASKS // 20)


@pytest.mark.timeout(60 + TASKS)
@pytest.mark.parametrize("evenly", [True, False], ids=["spread evenly", "spread by their logarithm"])
def test_tasks_of_two_minutes_to_four_hours_are_found_with_few_questions(tmp_path, evenly):
    found = without_callbacks(tmp_path, TASKS, evenly=evenly, in_flight=min(IN_FLIGHT, 100))
    assert found.outcome.exit is Exit.OK, found.words
    assert found.outcome.counts[JobState.COMPLETED] == len(found.queries) == TASKS
    assert median(found.queries) <= 4, found.words
    assert max(found.gaps) <= 30 * 60, found.words
    assert median(found.lateness) <= 0.25, found.words
