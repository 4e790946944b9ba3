"""What a run says where no terminal looks on."""

from __future__ import annotations

import asyncio

from samples import NOON

from seedbatch.cli.display import Lines, pause
from seedbatch.cli.headway import Frame
from seedbatch.cli.notable import Sieve, line_of
from seedbatch.domain.progress import Progress
from seedbatch.domain.states import JobState
from seedbatch.domain.work import JobName
from seedbatch.engine.happenings import Happening, Kind

EVERY_JOB = (Kind.SUBMITTED, Kind.THROTTLED, Kind.NOT_SENT, Kind.RETRIED, Kind.SUCCEEDED, Kind.NOT_FETCHED,
             Kind.STORED, Kind.COMPLETED)  # fmt: skip


def test_a_night_of_summaries_fills_few_screens():
    elapsed, hours = 0.0, {}
    for number in range(1, 1_000):
        gap = pause(elapsed)
        assert 60 <= gap <= 600
        elapsed += gap
        hours.setdefault(int(elapsed // 3_600), number)
    assert hours[1] <= 60
    assert hours[8] <= 120


async def test_ten_thousand_jobs_give_few_lines(capsys):
    async def look():
        return Progress({JobState.PENDING: 10_000})

    lines = Lines(look, Frame(), Sieve(), summaries=True)
    async with lines:
        for number in range(10_000):
            for kind in EVERY_JOB:
                lines.tell(Happening(NOON, kind, JobName("b", f"j{number}"), {"reason": "it happens"}))
        for number in range(7):
            lines.tell(Happening(NOON, Kind.FAILED, JobName("b", f"j{number}"), {"reason": "gone"}))
    told = capsys.readouterr().err.splitlines()
    assert len([line for line in told if "failed" in line]) == 7
    assert len(told) == 7 + 4 * 3 + 1
    assert told[-1] == (
        "  9,997 more not fetched, 9,997 more not sent, 9,997 more retried, 9,997 more throttled (--verbose tells each)"
    )


async def test_summaries_come_at_an_interval_and_name_what_was_held_back(capsys):
    looks, seen = 0, asyncio.Event()

    async def look():
        nonlocal looks
        looks += 1
        if looks == 4:  # the first is for the number of jobs
            seen.set()
        return Progress({JobState.RUNNING: 1_000, JobState.SUCCEEDED: 2}, submitted=looks)

    lines = Lines(look, Frame(), Sieve(), summaries=True, least=0.05)
    async with lines:
        for _ in range(5):
            lines.tell(Happening(NOON, Kind.RETRIED))
        await seen.wait()
        await asyncio.sleep(0)
    summaries = [line for line in capsys.readouterr().err.splitlines() if "1,000 running, 2 to download" in line]
    assert len(summaries) == 3
    assert ["2 more retried" in line for line in summaries] == [True, False, False]
    assert "pace: 2 submissions in the last minute" in summaries[0]


async def test_quiet_tells_only_what_went_wrong(capsys):
    async def look():
        return Progress({})

    lines = Lines(look, Frame(), Sieve(quiet=True), summaries=False)
    async with lines:
        for kind in Kind:
            lines.tell(Happening(NOON, kind, JobName("b", str(kind))))
    told = {line.split("b/")[1] for line in capsys.readouterr().err.splitlines()}
    assert told == {"refused", "in_doubt", "extra", "barred", "failed", "expired", "stopped"}


def test_a_line_shows_hostile_words_as_text():
    hostile = "<b>\x1b]0;mine\x07\u202egnp\u2028\ud800\n=1+1"
    line = line_of(Happening(NOON, Kind.FAILED, JobName("b", "j"), {"reason": hostile}))
    assert line == "  failed       b/j  <b>�]0;mine��gnp�� =1+1"
