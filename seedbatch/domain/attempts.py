"""The tries at a job, as those who read the ledger see them; what allowed each, and what is known of its request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from seedbatch.domain.money import Money
from seedbatch.domain.records import Occurrence
from seedbatch.domain.states import JobState


@dataclass(frozen=True, slots=True)
class Received:
    """A callback's body that came at an attempt's token; `verdict` is empty while it is unread."""

    at: datetime
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordedAttempt:
    """One try. `run` is the number of the run that made it, where runs were recorded already.

    `price` is what was reserved for it, `cost` what may be owed now for it and for `extras` (tasks beyond its own);
    None where no price is known. `asked`: a callback was asked for. `reference` was sent as `user_id`.
    """

    number: int
    run: int | None
    reference: str
    intended_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    task_id: str | None
    outcome: str | None
    doubt: str
    status: str
    took: float | None
    price: Money | None
    cost: Money | None
    asked: bool
    received: tuple[Received, ...] = ()
    extras: tuple[str, ...] = ()

    @property
    def by_others(self) -> bool:
        """Whether another ledger made it, as a lock file tells: nothing was sent from here, and nothing is owed."""
        return self.reference.startswith("locked-")

    @property
    def sent(self) -> str:
        """What is known of its request: `no`, `yes`, or `unknown` while nothing proves either."""
        if self.outcome == "not_sent" or self.by_others:
            return "no"
        answered = self.task_id is not None or self.outcome in {"throttled", "turned_away", "refused"}
        return "yes" if answered else "unknown"

    @property
    def learned_by(self) -> str | None:
        """What told first that its task had ended: a `callback` (then a query confirmed it) or a `query` alone."""
        if self.ended_at is None or self.outcome not in {"succeeded", "failed"} or self.by_others:
            return None
        believed = (one for one in self.received if one.verdict in _BELIEVED)
        return "callback" if any(one.at <= self.ended_at for one in believed) else "query"

    @property
    def refund_unknown(self) -> bool:
        """Whether its task failed and is counted in full: the provider does not document refunds."""
        if self.outcome != "failed" or self.cost is None or self.price is None:
            return False
        return self.cost.micros >= self.price.micros > 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a job is wanted: `file` and `line`; the commit of its manifest (empty outside a repository).

    `run` is the one that declared this revision first, where runs were recorded already. `tries` is `retry.attempts`.
    """

    file: str
    line: int
    commit: str
    dirty: bool
    run: int | None
    tries: int


_BELIEVED: Final = frozenset({"heard", "adopted", "known", "surfaced", "extra"})
_FREE_AGAIN: Final = {
    "not_sent": "nothing had been sent",
    "throttled": "the provider had not accepted it",
    "turned_away": "the provider had refused the account, not the request",
}


def permission(story: Sequence[Occurrence], number: int, tries: int) -> str:
    """What allowed attempt `number` of a job: whatever made the job pending before its intent.

    `tries` is what the manifest says in `retry.attempts` now.
    """
    last: Occurrence | None = None
    for event in story:
        if event.type == "locked" and event.attempt == number:
            return "nobody here: others paid for it"
        if event.type == "intended" and event.attempt == number:
            break
        if event.to_state is JobState.PENDING:
            last = event
    by = "" if last is None else str(last.data.get("by", ""))
    match last.type if last is not None else "":
        case "retried" if by == "manifest":
            return f"the manifest's retry.attempts ({tries}), for a failure that may be retried"
        case "retried":
            return f"the word of {by}" if by else "a person's word"
        case "resubmitted":
            return f"the word of {by}, who accepted that it may be billed twice"
        case str(kind) if kind in _FREE_AGAIN:
            return f"{_FREE_AGAIN[kind]}: it counts as no try"
        case _:
            return "the manifest"
