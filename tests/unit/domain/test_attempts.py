"""What allowed a try, what is known of its request, and who told its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from samples import NOON

from seedbatch.domain.attempts import Received, RecordedAttempt, permission
from seedbatch.domain.money import Money
from seedbatch.domain.records import Occurrence
from seedbatch.domain.states import JobState

OPEN = RecordedAttempt(1, None, "ref", NOON, None, None, None, None, "", "", None, None, None, asked=True)
DONE = replace(OPEN, outcome="succeeded", ended_at=NOON, task_id="t", accepted_at=NOON)


def event(kind, to=None, attempt=None, **data):
    return Occurrence(1, NOON, kind, None, to, attempt, data)


DECLARED = event("declared", JobState.PENDING)
FIRST = event("intended", JobState.SUBMITTING, 1)
SECOND = event("intended", JobState.SUBMITTING, 2)


@pytest.mark.parametrize(
    ("between", "words"),
    [
        (event("retried", JobState.PENDING, by="manifest"), "the manifest's retry.attempts (3), for a failure that"),
        (event("retried", JobState.PENDING, by="me@here"), "the word of me@here"),
        (event("resubmitted", JobState.PENDING, 1, by="me@here"), "the word of me@here, who accepted that it may be"),
        (event("not_sent", JobState.PENDING, 1), "nothing had been sent: it counts as no try"),
        (event("throttled", JobState.PENDING, 1), "the provider had not accepted it"),
        (event("turned_away", JobState.PENDING, 1), "the provider had refused the account, not the request"),
    ],
)
def test_what_made_it_pending_allowed_it(between, words):
    story = [DECLARED, FIRST, between, SECOND, event("retried", JobState.PENDING, by="later")]
    assert permission(story, 1, 3) == "the manifest"
    assert permission(story, 2, 3).startswith(words)


def test_nobody_here_allowed_what_others_paid_for():
    assert permission([DECLARED, event("locked", JobState.SUBMITTING, 1)], 1, 3) == "nobody here: others paid for it"


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({}, "unknown"),
        ({"outcome": "not_sent"}, "no"),
        ({"outcome": "lost"}, "unknown"),
        ({"outcome": "abandoned"}, "unknown"),
        ({"outcome": "refused"}, "yes"),
        ({"outcome": "throttled"}, "yes"),
        ({"outcome": "lost", "task_id": "t"}, "yes"),
        ({"task_id": "t"}, "yes"),
    ],
)
def test_what_is_known_of_its_request(changes, sent):
    assert replace(OPEN, **changes).sent == sent


def test_a_callback_told_its_end_only_if_it_came_before_and_was_believed():
    assert OPEN.learned_by is None
    assert DONE.learned_by == "query"
    heard = Received(NOON, "heard", "")
    assert replace(DONE, received=(heard,)).learned_by == "callback"
    assert replace(DONE, received=(replace(heard, at=NOON + timedelta(seconds=1)),)).learned_by == "query"
    for verdict in ("refused", "unknown", ""):
        assert replace(DONE, received=(replace(heard, verdict=verdict),)).learned_by == "query"


def test_only_a_failed_task_that_is_counted_in_full_may_be_refunded():
    price, surcharge = Money(100, "USD"), Money(10, "USD")
    assert replace(DONE, outcome="failed", price=price, cost=price).refund_unknown
    assert not replace(DONE, outcome="failed", price=price, cost=surcharge).refund_unknown
    assert not replace(DONE, outcome="failed").refund_unknown
    assert not replace(DONE, price=price, cost=price).refund_unknown
