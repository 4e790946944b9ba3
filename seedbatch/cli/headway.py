"""How far the work is, in words and as JSON: states, pace, money against caps, the expected end, the next expiry."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from seedbatch.cli.spending import monies
from seedbatch.cli.words import clean, count, span
from seedbatch.domain.budget import Budget, Spent
from seedbatch.domain.jobs import Limits
from seedbatch.domain.money import amount_text
from seedbatch.domain.progress import Progress
from seedbatch.domain.states import JobState
from seedbatch.engine.outlook import PROMISED, Outlook, Range, Work, outlook

_MINUTE: Final = 60.0
_SOONEST: Final = 5.0  # seconds of a run before its pace says anything
_MOST_CAPS: Final = 2
_PLENTY: Final = 10**12
_LABELS: Final = {JobState.SUCCEEDED: "to download", JobState.IN_DOUBT: "in doubt"}


@dataclass(frozen=True, slots=True)
class Frame:
    """What the work keeps to: the limits, the caps that a manifest does not name, and whether jobs are submitted.

    `promised` are the least and the most seconds of a task of which nothing was learned; None if nobody says.
    """

    limits: Limits = field(default_factory=Limits)
    run: Budget = field(default_factory=Budget)
    day: Budget = field(default_factory=Budget)
    submits: bool = True
    promised: tuple[float, float] | None = PROMISED


class Headway:
    """What is told of one look after another. `since` is when the work began, in monotonic seconds; None: long ago."""

    def __init__(self, frame: Frame, since: float | None = None) -> None:
        self._frame = frame
        self._since = since
        self._stored: deque[tuple[float, int]] = deque()

    def outlook(self, progress: Progress, now: datetime, at: float) -> Outlook | None:
        """When the end is to be expected, by a look at `now`, `at` in monotonic seconds; None if nothing is left."""
        running = progress.counts.get(JobState.RUNNING, 0) + progress.counts.get(JobState.SUBMITTING, 0)
        pending = progress.counts.get(JobState.PENDING, 0) if self._frame.submits and progress.pending else 0
        pending = min(pending, _affordable(progress, self._frame))
        stored = self._stored_per_minute(progress, at)
        if not (running + pending + progress.counts.get(JobState.SUCCEEDED, 0)):
            return None
        work = Work(
            pending=pending,
            shares=progress.pending if pending else {},
            running=running,
            ages=[(model, max(0.0, (now - began).total_seconds())) for model, began in progress.running],
            to_download=progress.counts.get(JobState.SUCCEEDED, 0),
            in_flight=self._frame.limits.in_flight,
            per_minute=self._per_minute(progress, running, at),
            stored_per_minute=stored,
        )
        return outlook(work, progress.took, self._frame.promised)

    def _per_minute(self, progress: Progress, running: int, at: float) -> float | None:
        """The pace that is seen, where neither the places in flight nor the limit on it explain it."""
        named, places = self._frame.limits.submits_per_minute, self._frame.limits.in_flight
        lasted = math.inf if self._since is None else at - self._since
        if lasted < _SOONEST or (places is not None and running >= places - 1):
            return named
        # What was submitted before this run began does not tell its pace.
        submitted = progress.submitted if lasted >= _MINUTE else min(progress.submitted, progress.own.submissions)
        seen = submitted * _MINUTE / min(lasted, _MINUTE)
        return seen if named is None else min(named, seen)

    def _stored_per_minute(self, progress: Progress, at: float) -> float | None:
        """How fast results came to disk within the last minute of looking on."""
        completed = progress.counts.get(JobState.COMPLETED, 0)
        while self._stored and at - self._stored[0][0] > _MINUTE:
            self._stored.popleft()
        self._stored.append((at, completed))
        begun, before = self._stored[0]
        return None if at - begun < _SOONEST else (completed - before) * _MINUTE / (at - begun)

    def lines(self, progress: Progress, found: Outlook | None, now: datetime) -> Iterator[str]:
        """Each fact beside the counts, as far as there is something to say."""
        if progress.submitted or progress.counts.get(JobState.PENDING):
            most = self._frame.limits.submits_per_minute
            least = f" (at most {most:g})" if most is not None else ""
            yield f"pace: {count(progress.submitted, 'submission')} in the last minute{least}"
        if spent := spent_text(progress, self._frame):
            yield spent
        if found is not None:
            yield outlook_text(found)
        if progress.expiring is not None:
            yield f"next link to expire: {progress.expiring.name}, in {span(progress.expiring.at - now)}"


def _affordable(progress: Progress, frame: Frame) -> int:
    """How many more submissions the caps leave room for, at the prices of those that were made."""
    own, day = _room(frame.run, progress.own), _room(frame.day, progress.accounts.day)
    spent = progress.accounts.batches
    batches = sum(_room(budget, spent.get(name, Spent())) for name, budget in progress.accounts.budgets.items())
    return min(own, day, batches if progress.accounts.budgets else _PLENTY)


def _room(budget: Budget, spent: Spent) -> int:
    jobs = _PLENTY if budget.max_jobs is None else budget.max_jobs - spent.submissions
    cap, priced = budget.max_cost, spent.submissions - spent.unpriced
    used = 0 if cap is None else spent.exposure.get(cap.currency, 0)
    money = _PLENTY if cap is None or not used or priced <= 0 else (cap.micros - used) * priced // used
    return max(0, min(jobs, money))


def counts_text(counts: Mapping[JobState, int], only: tuple[JobState, ...] = tuple(JobState)) -> str:
    """`3 running, 1 to download, 8 completed`."""
    parts = [f"{counts[state]:,} {_LABELS.get(state, state)}" for state in only if counts.get(state)]
    return ", ".join(parts)


def outlook_text(found: Outlook) -> str:
    """`expected end: in 4 to 9 min`, with what it rests on where that is little; or why there is none."""
    if not isinstance(found, Range):
        return f"expected end: not known, {clean(found.reason)}"
    if found.overdue and found.latest == 0:
        return f"expected end: not known, {count(found.overdue, 'task')} overdue (longer than any that this ledger saw)"
    text = f"expected end: {range_text(found.earliest, found.latest)}"
    if found.promised:
        few = ", ".join(map(clean, found.promised))
        text += f" (too few of {few} were seen: the provider's own numbers)"
    if found.overdue:
        text += f", but for {found.overdue:,} overdue (longer than any that this ledger saw)"
    return text


def range_text(earliest: float, latest: float) -> str:
    """`in 20 to 50 s`, `in 4 to 9 min`, `in 2 min to 4 h`: the seconds rounded outwards, so that nothing is cut off."""
    if latest < 1:
        return "any moment"
    (low, low_unit), (high, unit) = _rounded(earliest, math.floor), _rounded(latest, math.ceil)
    if (low, low_unit) == (high, unit):
        return f"in about {high} {unit}"
    return f"in {low} to {high} {unit}" if low_unit == unit or low == "0" else f"in {low} {low_unit} to {high} {unit}"


def _rounded(seconds: float, whole: Callable[[float], int]) -> tuple[str, str]:
    """A number in the unit that suits it; hours and days by halves as long as they are few."""
    size, unit = next((size, unit) for least, size, unit in _UNITS if seconds >= least)
    number = seconds / size
    halves = size > _MINUTE and number < 10  # noqa: PLR2004
    return (f"{whole(number * 2) / 2:g}" if halves else f"{whole(number):,}"), unit


# From which seconds on, and how many of them are one.
_UNITS: Final = ((172_800.0, 86_400.0, "d"), (5_400.0, 3_600.0, "h"), (90.0, 60.0, "min"), (-math.inf, 1.0, "s"))


@dataclass(frozen=True, slots=True)
class _Cap:
    share: float
    words: str


def spent_text(progress: Progress, frame: Frame) -> str:
    """`may be owed: 12.50 of 40.00 USD (batch autumn)`, the cap that leaves least first; or else the sum."""
    caps = sorted(_caps(progress, frame), key=lambda cap: -cap.share)
    if caps:
        more = f", and {count(len(caps) - _MOST_CAPS, 'more cap')}" if len(caps) > _MOST_CAPS else ""
        return f"may be owed: {', '.join(cap.words for cap in caps[:_MOST_CAPS])}{more}"
    owed = monies(money for money in progress.accounts.exposure if money.micros)
    return f"may be owed: {owed}" if owed else ""


def _caps(progress: Progress, frame: Frame) -> Iterator[_Cap]:
    for name, budget in progress.accounts.budgets.items():
        yield from _of(budget, progress.accounts.batches.get(name, Spent()), f"batch {name}")
    yield from _of(frame.run, progress.own, "this run")
    yield from _of(frame.day, progress.accounts.day, "today, UTC")


def _of(budget: Budget, spent: Spent, whose: str) -> Iterator[_Cap]:
    if budget.max_cost is not None:
        cap, used = budget.max_cost, spent.exposure.get(budget.max_cost.currency, 0)
        yield _Cap(_share(used, cap.micros), f"{amount_text(used)} of {cap} ({whose})")
    if budget.max_jobs is not None:
        yield _Cap(
            _share(spent.submissions, budget.max_jobs),
            f"{spent.submissions:,} of {count(budget.max_jobs, 'submission')} ({whose})",
        )


def _share(used: int, most: int) -> float:
    return used / most if most else 1.0


def headway_json(progress: Progress, found: Outlook | None) -> dict[str, object]:
    """The same for machines; moments are ISO 8601, durations seconds from now."""
    from seedbatch.domain.moments import stamp

    end = None
    if isinstance(found, Range):
        end = {
            "earliest": round(found.earliest, 1),
            "latest": round(found.latest, 1),
            "promised": list(found.promised),
            "overdue": found.overdue,
        }
    expiring = progress.expiring
    return {
        "submitted_last_minute": progress.submitted,
        "expected_end": end,
        "next_expiry": expiring
        and {"batch": expiring.name.batch, "key": expiring.name.address, "expires_at": stamp(expiring.at)},
    }
