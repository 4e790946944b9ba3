"""What the gallery is told of a job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from samples import NOON

from seedbatch.domain.jobs import Request
from seedbatch.domain.money import Money
from seedbatch.domain.records import Artifact, History, RecordedAttempt, RecordedJob, Standing
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.report.cards import Entry, Look, card, shown

JOB = RecordedJob(
    job_id=7,
    batch="autumn",
    address="river[ratio=16:9]#2",
    base="river[ratio=16:9]",
    take=2,
    revision=1,
    standing=Standing.CURRENT,
    state=JobState.COMPLETED,
    failure=None,
    reason="",
    request=Request("seedance-2.0", {"prompt": "A \u202ered\x1b river", "mediaUrls": ["a\x00"], "fallback": False}),
    fingerprint="f" * 64,
    output="autumn/river",
    tags=("hero",),
    attempts=1,
    task_id="t-1",
    expires_at=None,
    updated_at=NOON,
    intended_at=NOON,
    cost=Money(250_000, "USD"),
    artifacts=(Artifact("/home/somebody/outputs/river.mp4", 9, "a" * 64, "video/mp4"),),
)
ATTEMPT = RecordedAttempt(1, "t-1", "succeeded", NOON, NOON, NOON + timedelta(seconds=9), took=7.5)


def look(artifact: Artifact) -> Look:
    return Look(f"{artifact.sha256}.mp4", there=True, poster=f"{artifact.sha256}.jpg", width=854, height=480, seconds=5)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("two\nlines\tand <b>&amp;</b>", "two\nlines\tand <b>&amp;</b>"),
        ("\x1b[31mred\x07", "␛[31mred␇"),
        ("\x7f\x9b", "��"),
        ("\u202eevil\u202c \u2066x\u2069", "�evil� �x�"),
        ("نهر \u200f", "نهر \u200f"),  # a mark that belongs to a script turns nothing around
        ("\ud800", "�"),
    ],
)
def test_what_is_shown(text, seen):
    assert shown(text) == seen


def test_a_card_tells_what_there_is_and_no_path_of_this_machine():
    told = card(Entry(JOB), {7: History({"ratio": "16:9"}, (ATTEMPT,), NOON)}, look)
    assert told["input"] == {"prompt": "A �red␛ river", "mediaUrls": ["a␀"], "fallback": False}
    assert told["axes"] == {"ratio": "16:9"}
    assert told["cost"] == (250_000, "USD")
    assert told["files"] == [
        {
            "sha256": "a" * 64,
            "bytes": 9,
            "type": "video/mp4",
            "name": "river.mp4",
            "media": f"{'a' * 64}.mp4",
            "poster": f"{'a' * 64}.jpg",
            "size": [854, 480],
            "seconds": 5,
        }
    ]
    (attempt,) = told["attempts"]
    assert attempt["ended"] - attempt["sent"] == 9_000
    assert "somebody" not in str(told)
    assert not {"failure", "reason", "standing", "earlier", "expires"} & set(told)


def test_earlier_revisions_are_told_whole_and_a_failure_with_its_class():
    failed = replace(JOB, job_id=8, revision=2, state=JobState.FAILED, failure=FailureClass.TIMEOUT, artifacts=())
    told = card(Entry(replace(failed, standing=Standing.ORPHAN), (JOB,)), {7: History(), 8: History()}, look)
    assert (told["revision"], told["failure"], told["standing"]) == (2, "timeout", "orphan")
    assert [(one["revision"], one["state"]) for one in told["earlier"]] == [(1, "completed")]
