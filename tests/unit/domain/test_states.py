from __future__ import annotations

import re
from pathlib import Path

import pytest

from seedbatch.domain.states import HELD, LIVE, PAID, SETTLED, TRANSITIONS, FailureClass, JobState, sources

S = JobState


def test_the_words_that_ledgers_and_scripts_hold():
    assert list(S) == [
        "pending", "submitting", "in_doubt", "running", "succeeded", "completed", "failed", "expired", "abandoned",
    ]  # fmt: skip
    assert list(FailureClass) == [
        "moderation", "invalid", "credits", "provider", "timeout", "cancelled", "no_output", "lost",
    ]  # fmt: skip


@pytest.mark.parametrize("state", S)
def test_the_table_has_the_arrows_that_are_drawn_and_no_other(state):
    drawing = Path("docs/lifecycle.md").read_text(encoding="utf-8")
    assert TRANSITIONS[state] == set(re.findall(rf"^\s*{state} --> (\w+)", drawing, flags=re.MULTILINE))


def test_nobody_can_add_an_arrow_or_a_member_while_the_program_runs():
    for states in (*TRANSITIONS.values(), SETTLED, HELD, LIVE, *map(sources, S)):
        assert isinstance(states, frozenset)


def test_every_state_has_its_row():
    assert set(TRANSITIONS) == set(S)


@pytest.mark.parametrize("state", S)
def test_sources_are_the_transitions_backwards(state):
    assert sources(state) == {one for one in S if state in TRANSITIONS[one]}
    assert state not in TRANSITIONS[state]


def test_every_state_can_be_reached_and_settled():
    reached = {S.PENDING}
    for _ in S:
        reached |= {after for state in reached for after in TRANSITIONS[state]}
    assert reached == set(S)
    settles = set(SETTLED)
    for _ in S:
        settles |= {state for state in S if TRANSITIONS[state] & settles}
    assert settles == set(S)


def test_completed_is_final_and_alone_in_that():
    assert [state for state in S if not TRANSITIONS[state]] == [S.COMPLETED]


def test_nothing_is_sent_twice_without_going_through_pending():
    assert sources(S.SUBMITTING) == {S.PENDING}
    assert TRANSITIONS[S.RUNNING].isdisjoint({S.PENDING, S.SUBMITTING})


def test_what_is_paid_for_or_may_be():
    assert {S.SUBMITTING, S.IN_DOUBT, S.RUNNING, S.SUCCEEDED, S.COMPLETED} == PAID


def test_doubt_comes_from_submitting_alone():
    assert sources(S.IN_DOUBT) == {S.SUBMITTING}


def test_files_come_only_from_success_or_from_a_task_that_is_shared():
    assert sources(S.COMPLETED) == {S.SUCCEEDED, S.PENDING}
    assert sources(S.SUCCEEDED) == {S.RUNNING}


def test_held_and_live_and_settled():
    assert HELD | {S.COMPLETED} == SETTLED
    assert SETTLED | LIVE | {S.PENDING, S.SUCCEEDED} == set(S)
    assert LIVE.isdisjoint(SETTLED | {S.PENDING, S.SUCCEEDED})
    # What is held waits for a person, and the only way back is to be tried again.
    assert {TRANSITIONS[state] for state in HELD} == {frozenset({S.PENDING})}
