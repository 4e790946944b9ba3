"""The breaker: how many submissions may be risked while the provider answers in doubt, or not at all.

    closed --3 doubts in a row, 5 of the last 20, or 5 unsent in a row--> open --a good probe--> ready
    ready --one trial submission--> trial --a clean answer--> closed, --a doubt--> open, --the second doubt--> over
    trial --unsent--> open, --the third unsent--> over
    open --10 bad probes in a row (3 if the provider never answered in this run)--> over

A probe is a free query; it says that the provider answers, not that submitting works, which only a trial can tell. One
outage puts at most three, those on the wire beside them, and two trials in doubt.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from enum import Enum
from typing import Final

from seedbatch.engine.cadence import backoff

DOUBTS_IN_A_ROW: Final = 3
_DOUBTS_OF_RECENT: Final = 5
_RECENT: Final = 20
_UNSENT_IN_A_ROW: Final = 5
_DOUBTFUL_TRIALS: Final = 2
_UNSENT_TRIALS: Final = 3
_BAD_PROBES: Final = 10
_BAD_PROBES_FROM_THE_START: Final = 3


class Circuit(Enum):
    """What the breaker lets through."""

    CLOSED = "everything"
    OPEN = "nothing, until a probe is answered"
    READY = "one trial"
    TRIAL = "nothing, until the trial is answered"
    OVER = "nothing more in this run"


class Breaker:
    """Counts outcomes and says what may be risked next; no clock and no provider of its own.

    `earlier_doubts` are those in a row with which an earlier run left off: three of them open it from the start, and
    leave one trial. `first_probe` is the first pause before a probe, in seconds; they double up to five minutes. `met`
    says whether the provider gave a sign of life in this run.
    """

    def __init__(self, now: datetime, *, earlier_doubts: int = 0, first_probe: float = 5.0) -> None:
        self.circuit = Circuit.CLOSED
        self.cause = ""
        self.probe_at = now
        self._first_probe = first_probe
        self._doubts = 0
        self._unsent = 0
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._trial: int | None = None
        self._doubtful_trials = 0
        self._unsent_trials = 0
        self._bad_probes = 0
        self.met = False
        if earlier_doubts >= DOUBTS_IN_A_ROW:
            self.circuit = Circuit.OPEN
            self.cause = f"the last {earlier_doubts:,} submissions were left in doubt"
            self._doubtful_trials = _DOUBTFUL_TRIALS - 1

    def most(self, free: int) -> int:
        """How many of `free` submissions may begin now."""
        match self.circuit:
            case Circuit.CLOSED:
                return free
            case Circuit.READY:
                return min(free, 1)
            case _:
                return 0

    def began(self, attempt_id: int) -> None:
        """A submission is on its way; if a trial was due, this is it."""
        if self.circuit is Circuit.READY:
            self.circuit = Circuit.TRIAL
            self._trial = attempt_id

    def answered(self, attempt_id: int) -> None:
        """A clean answer, whatever it said: submitting works."""
        self.met = True
        self._doubts = self._unsent = 0
        self._recent.append(False)
        if attempt_id == self._trial:
            self.circuit = Circuit.CLOSED
            self._trial = None
            self._doubtful_trials = self._unsent_trials = self._bad_probes = 0
            self._recent.clear()

    def doubted(self, attempt_id: int, cause: str, now: datetime) -> None:
        """It may have been accepted, or may not."""
        self.met = True
        self._doubts += 1
        self._recent.append(True)
        if attempt_id == self._trial:
            self._doubtful_trials += 1
            self._open(cause, now)
            if self._doubtful_trials >= _DOUBTFUL_TRIALS:
                self._end(f"a trial after the outage was left in doubt as well ({cause})")
        elif self.circuit is Circuit.CLOSED and (
            self._doubts >= DOUBTS_IN_A_ROW or sum(self._recent) >= _DOUBTS_OF_RECENT
        ):
            self._open(cause, now)

    def unsent(self, attempt_id: int, cause: str, now: datetime) -> None:
        """Proof that nothing left: no risk, but no use either."""
        self._unsent += 1
        if attempt_id == self._trial:
            self._unsent_trials += 1
            self._open(cause, now)
            if self._unsent_trials >= _UNSENT_TRIALS:
                self._end(cause)
        elif self.circuit is Circuit.CLOSED and self._unsent >= _UNSENT_IN_A_ROW:
            self._open(cause, now)

    def probed(self, *, good: bool, cause: str, now: datetime) -> None:
        """A probe was answered, or was not."""
        if self.circuit is not Circuit.OPEN:
            return
        if good:
            self.met = True
            self._bad_probes = 0
            self.circuit = Circuit.READY
            return
        self._bad_probes += 1
        self.probe_at = now + backoff(self._bad_probes + 1, first=self._first_probe)
        if self._bad_probes >= (_BAD_PROBES if self.met else _BAD_PROBES_FROM_THE_START):
            self._end(cause)

    def _open(self, cause: str, now: datetime) -> None:
        self.circuit = Circuit.OPEN
        self.cause = cause
        self._trial = None
        self.probe_at = now + backoff(max(1, self._doubtful_trials + 1), first=self._first_probe)

    def _end(self, cause: str) -> None:
        self.circuit = Circuit.OVER
        self.cause = cause
