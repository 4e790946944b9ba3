"""When to look again: pure arithmetic over seconds and moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

# Multiples of the golden ratio fill an interval evenly, whatever run of ids they are taken at.
_GOLDEN: Final = 0.6180339887498949
_SOONEST: Final = 5.0  # images take ten seconds; source: maxapi contract, 3.4 and 8 (5)
_LINK_LIFETIME: Final = timedelta(days=7)  # source: maxapi contract, 4.4

# The times, in seconds, within which three in ten, and seven in ten, of a model's tasks end.
Usual = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a running task is asked about, in seconds.

    The first query comes `first` after the submission, each later one after half the task's age, at least
    `shortest` and at most `longest`. Where it `learns`, the first comes when three in ten of the model's tasks have
    ended, and while most of them end the gaps are no longer than that takes. `probe` is the first pause before a
    provider that gave doubtful answers is asked whether it is well again.
    """

    first: float = 120.0
    shortest: float = 30.0
    longest: float = 1_790.0  # a little less than half an hour: what is due may have to queue for its turn
    probe: float = 5.0
    learns: bool = False

    def first_query(self, accepted_at: datetime, attempt_id: int, usual: Usual | None = None) -> datetime:
        """When a new task is asked about; tasks that were submitted together are spread over a tenth of the time."""
        first = max(usual[0], _SOONEST) if usual and self.learns else self.first
        return accepted_at + timedelta(seconds=first * (1 + 0.1 * _spread(attempt_id)))

    def next_query(
        self,
        accepted_at: datetime,
        now: datetime,
        attempt_id: int,
        usual: Usual | None = None,
        called_at: datetime | None = None,
    ) -> datetime:
        """When a task that is still running is asked about again; soon, if a callback said that it has ended."""
        age = max(0.0, (now - accepted_at).total_seconds())
        gap = age / 2
        if usual and self.learns:
            lower, upper = usual
            gap = min(gap, max(upper - lower, age - lower))
        if called_at is not None:
            gap = min(gap, (now - called_at).total_seconds())
        gap = min(max(gap, self.shortest), self.longest)
        return now + timedelta(seconds=gap * (1 - 0.1 * _spread(attempt_id)))


# The provider asks not to be polled; a task takes two minutes to four hours. Source: maxapi contract, 5 and 8 (5).
PROVIDER: Final = Cadence(learns=True)
# The sandbox's tasks take seconds, and it minds no question.
SANDBOX: Final = Cadence(first=0.5, shortest=0.25, longest=2.0, probe=0.25)


def backoff(misses: int, *, first: float = 2.0, longest: float = 300.0) -> timedelta:
    """How long to wait after `misses` failures in a row (from 1): doubling from `first` seconds up to `longest`."""
    return timedelta(seconds=min(first * 2.0 ** min(misses - 1, 30), longest))


def link_expiry(updated_at: datetime | None, now: datetime) -> datetime:
    """When the links of a task that is terminal now die: seven days after the provider's last word on it."""
    since = now if updated_at is None else min(updated_at, now)
    return since + _LINK_LIFETIME


def _spread(number: int) -> float:
    return (number * _GOLDEN) % 1.0
