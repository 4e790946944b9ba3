"""When a run may be expected to end, as a range: pure arithmetic over what the ledger saw of each model.

The end is the end of the last task, so what counts is not how long a task takes but how long the longest of many does.
Each duration that the ledger remembers is as likely as the others. The chance that all have ended by a moment is the
product of each one's; the range reaches from the moment at which that is one in ten to that at which it is nine in ten.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import inf, log, sqrt
from statistics import fmean, pstdev
from typing import Final

# Fewer durations of a model teach nothing.
ENOUGH: Final = 8
# The provider's own words on a task, in seconds. Source: maxapi contract, 5: "2 minutes to 4 hours".
PROMISED: Final = (120.0, 14_400.0)

_EARLY: Final = log(0.1)
_LATE: Final = log(0.9)
_Z: Final = 1.28  # that many standard errors on both sides hold eight in ten
# Without a callback a result is found up to a quarter of its task's time late: docs/decisions/0009-when-to-ask.md.
_FOUND_LATE: Final = 1.25
# No pace is held for ever: what keeps it up for a while is seen again and again.
_SLOWER: Final = 1.25
_STEPS: Final = 24  # halvings: a range of hours to the millisecond
_POINTS: Final = 64  # of the last tasks to be submitted, that many stand for all
_AT_ONCE: Final = 4  # downloads


@dataclass(frozen=True, slots=True)
class Work:
    """What is left. `shares` are the models of the pending jobs with their shares, `ages` the running tasks' seconds.

    `running` counts them all; `ages` may be some of them. `per_minute` is the pace at which jobs are submitted where
    there is room, None if nothing holds it back; `stored_per_minute` how fast results come to disk, None if unknown.
    """

    pending: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)
    running: int = 0
    ages: Sequence[tuple[str, float]] = ()
    to_download: int = 0
    in_flight: int | None = None
    per_minute: float | None = None
    stored_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """The end comes between `earliest` and `latest`, in seconds from now.

    `promised` are models of which too little is known: for them the provider's own numbers stand. `overdue` counts
    running tasks that have taken longer than any that the ledger remembers; the range leaves them out.
    """

    earliest: float
    latest: float
    promised: tuple[str, ...] = ()
    overdue: int = 0


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why nobody can say when it ends."""

    reason: str


Outlook = Range | Unknown


def outlook(
    work: Work, took: Mapping[str, Sequence[float]], promised: tuple[float, float] | None = PROMISED
) -> Outlook:
    """When all that is left has ended. `took` are durations by model, in seconds.

    `promised` is the least and the most that a task takes of whose model too little is known; None if nothing is.
    """
    if work.pending and work.per_minute == 0:
        return Unknown("nothing is being submitted")
    models = {model for model in chain(work.shares, (model for model, _ in work.ages)) if model}
    unknown = tuple(sorted(model for model in models if len(took.get(model, ())) < ENOUGH))
    if unknown and promised is None:
        return Unknown(f"too few tasks of {', '.join(unknown)} have ended to tell")
    early = {model: _seconds(model, took, promised, late=False) for model in models}
    late = {model: _seconds(model, took, promised, late=True) for model in models}
    overdue = sum(age >= late[model][-1] for model, age in work.ages)
    earliest = max(_end(work, early, _EARLY, -1), _stored(work, work.to_download))
    latest = max(_end(work, late, _LATE, +1), _SLOWER * _stored(work, work.to_download + work.running + work.pending))
    return Range(earliest, max(earliest, latest), unknown, overdue)


def _seconds(
    model: str, took: Mapping[str, Sequence[float]], promised: tuple[float, float] | None, *, late: bool
) -> list[float]:
    known = took.get(model, ())
    if len(known) >= ENOUGH:
        return sorted(one * _FOUND_LATE if late else one for one in known)
    assert promised is not None
    return [promised[1] if late else promised[0]]


def _stored(work: Work, results: int) -> float:
    """How long downloads take for so many, if they are what holds the rest up."""
    if work.to_download <= _AT_ONCE or not work.stored_per_minute:
        return 0.0
    return results * 60 / work.stored_per_minute


def _end(work: Work, seconds: Mapping[str, Sequence[float]], chance: float, side: int) -> float:
    """The moment by which everything has ended with that chance, given as its logarithm."""
    starts = _starts(work, seconds, side)
    weight = _last_wave(work) / len(starts) if starts else 0.0
    ages = [(seconds[model], age) for model, age in work.ages if age < seconds[model][-1]]
    each = work.running / len(work.ages) if work.ages else 0.0
    shares = [(seconds[model], share) for model, share in work.shares.items()]

    def all_ended_by(moment: float) -> float:
        running = sum(_log(_given(known, age, moment)) for known, age in ages) * each
        if running == -inf:
            return running
        mixed = (sum(share * _ended(known, moment - start) for known, share in shares) for start in starts)
        return running + weight * sum(map(_log, mixed))

    longest = max((known[-1] for known in seconds.values()), default=0.0)
    lower, upper = 0.0, (starts[-1] if starts else 0.0) + longest
    for _ in range(_STEPS):
        middle = (lower + upper) / 2
        lower, upper = (lower, middle) if all_ended_by(middle) >= chance else (middle, upper)
    return upper if starts or ages else 0.0


def _starts(work: Work, seconds: Mapping[str, Sequence[float]], side: int) -> list[float]:
    """When the last wave of pending jobs is submitted, in seconds from now: some evenly chosen ones of it, in order."""
    if not work.pending or not work.shares:
        return []
    wave = _last_wave(work)
    points = min(wave, _POINTS)
    places = [work.pending - wave + (number + 1) * wave // points for number in range(points)]  # counted from 1
    pace = (_SLOWER if side > 0 else 1.0) * 60 / work.per_minute if work.per_minute else 0.0
    if work.in_flight is None:
        return [place * pace for place in places]
    room = max(0, work.in_flight - work.running)
    turn = _usual(work, seconds, side) / work.in_flight
    return [max(place * pace, max(0, place - room) * turn) for place in places]


def _last_wave(work: Work) -> int:
    """How many of the pending jobs may be running when the last of them is."""
    return work.pending if work.in_flight is None else min(work.pending, max(1, work.in_flight))


def _usual(work: Work, seconds: Mapping[str, Sequence[float]], side: int) -> float:
    """How long a pending job takes on average, on the safe side of what so few durations tell."""
    mean = sum(share * fmean(seconds[model]) for model, share in work.shares.items())
    error = sum(share * pstdev(seconds[model]) / sqrt(len(seconds[model])) for model, share in work.shares.items())
    return max(0.0, mean + side * _Z * error)


def _ended(known: Sequence[float], after: float) -> float:
    """The part of the durations that are no longer than this."""
    return bisect_right(known, after) / len(known)


def _given(known: Sequence[float], age: float, moment: float) -> float:
    """The same for a task that has lasted `age` already."""
    gone = _ended(known, age)
    return (_ended(known, age + moment) - gone) / (1 - gone)


def _log(chance: float) -> float:
    return log(chance) if chance > 0 else -inf
