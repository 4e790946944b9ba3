"""One run: the roles side by side over one ledger, until there is nothing left to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from seedbatch.domain.errors import PRECEDENCE, Exit, LedgerError
from seedbatch.domain.jobs import Limits
from seedbatch.domain.records import BatchTally
from seedbatch.domain.runs import Bill
from seedbatch.domain.states import HELD, JobState
from seedbatch.domain.tokens import Mint
from seedbatch.domain.work import Caps, JobName
from seedbatch.engine.breaker import Breaker
from seedbatch.engine.cadence import PROVIDER, Cadence
from seedbatch.engine.collect import Collector
from seedbatch.engine.crew import Crew, Hands, Stop
from seedbatch.engine.download import Downloader
from seedbatch.engine.experience import RECENT, Experience
from seedbatch.engine.happenings import Kind, Witness
from seedbatch.engine.hear import Hearer
from seedbatch.engine.reception import Reception
from seedbatch.engine.relocate import relocate
from seedbatch.engine.reuse import Reuser
from seedbatch.engine.submit import Submitter
from seedbatch.ports import Clock, Ledger, Provider, Scope, Store

_QUERIES_AT_ONCE: Final = 16
_CALLS_AT_ONCE: Final = 16
_DOWNLOADS_AT_ONCE: Final = 4
# What other processes leave behind is found by looking, not by being told.
_LONGEST_PAUSE: Final = 5.0
_RESCUE_EVERY: Final = timedelta(seconds=30)
# Tasks take longer than that, so that a callback meets a reception that knows its token, whoever submitted it.
_REFRESH_EVERY: Final = timedelta(seconds=5)
_GRACE: Final = 30.0


class Until(Enum):
    """What ends a run."""

    SETTLED = "nothing more happens without a person"
    SUBMITTED = "nothing more may be submitted now"
    ROUND = "everything that is due was looked at once"
    INTERRUPTED = "somebody ends it"


@dataclass(frozen=True, slots=True)
class Errand:
    """What a run is for. `scope` names batches; None means all of the ledger.

    `chosen` are the jobs of these batches that are submitted, downloaded and waited for; None means all of them.
    `mint` makes callback addresses, where callbacks can come; then jobs in doubt are waited for until `doubt_wait`
    seconds after their submission.
    """

    scope: Scope
    limits: Limits
    until: Until = Until.SETTLED
    submit: bool = True
    collect: bool = True
    download: bool = True
    fail_fast: bool = False
    caps: Caps = field(default_factory=Caps)
    cadence: Cadence = PROVIDER
    mint: Mint | None = None
    doubt_wait: float = 0.0
    chosen: Collection[JobName] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    tallies: tuple[BatchTally, ...]
    stops: tuple[Stop, ...]
    interrupted: bool
    settled: bool
    without_webhook: int = 0
    bill: Bill = field(default_factory=Bill)

    @property
    def counts(self) -> Counter[JobState]:
        """Jobs by state, over all batches of the scope."""
        return _counts(self.tallies)

    @property
    def exit(self) -> Exit:
        """The exit code that tells this outcome."""
        counts = self.counts
        codes = {stop.exit for stop in self.stops}
        if self.interrupted:
            codes.add(Exit.INTERRUPTED)
        if counts[JobState.IN_DOUBT]:
            codes.add(Exit.IN_DOUBT)
        if any(counts[state] for state in HELD):
            codes.add(Exit.FAILED_JOBS)
        if not self.settled:
            codes.add(Exit.RUNNING)
        return next((code for code in PRECEDENCE if code in codes), Exit.OK)


class Run:
    """Carries out one errand. `interrupt` and `called` may be called at any time, from the loop's thread.

    `reception` is what a receiver beside it asks.
    """

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        store: Store,
        clock: Clock,
        errand: Errand,
        tell: Witness,
        reception: Reception | None = None,
    ) -> None:
        self._ledger = ledger
        self._provider = provider
        self._store = store
        self._errand = errand
        self._crew = Crew(clock, errand.scope, tell, chosen=errand.chosen)
        self._reception = reception
        self._interrupted = False
        self._rescued_at: datetime | None = None
        self._refreshed_at: datetime | None = None
        self._told_of_waiting = False
        self._roles: tuple[
            Submitter | Hearer | Collector | Downloader | Reuser, ...
        ] = ()  # none yet, if it is interrupted first

    async def go(self) -> Outcome:
        """Work until the errand is done or interrupted.

        Raises:
            BaseExceptionGroup: something unexpected happened in a role; what was on the wire is recorded.
        """
        if self._errand.chosen is not None:
            await self._ledger.choose(self._errand.chosen)
        doubts = await self._ledger.doubts_in_a_row() if self._errand.submit else 0
        if self._errand.cadence.learns:
            self._crew.experience = Experience(await self._ledger.durations(RECENT))
        async with asyncio.TaskGroup() as group:
            self._enlist(group, doubts)
            try:
                await relocate(self._crew, self._ledger, self._store, lambda: self._interrupted)
                await self._work()
            except LedgerError as error:
                self._crew.ledger_failed(error)
            await self._wind_down()
        return await self._outcome()

    def interrupt(self) -> None:
        """First: begin nothing new and let requests on the wire finish. Second: break them off."""
        if self._interrupted:
            for role in self._roles:
                role.hands.cancel()
        self._interrupted = True
        self._crew.wake.set()

    def called(self) -> None:
        """Something new lies in the inbox."""
        self._crew.calls.stir()
        self._crew.wake.set()

    def _enlist(self, group: asyncio.TaskGroup, doubts: int) -> None:
        errand, crew = self._errand, self._crew
        breaker = Breaker(crew.now(), earlier_doubts=doubts, first_probe=errand.cadence.probe)
        submitting = errand.limits.submitting or _QUERIES_AT_ONCE
        self._submitter = Submitter(
            crew,
            self._ledger,
            self._provider,
            Hands(group, crew, submitting if errand.submit else 0),
            errand.limits,
            errand.caps,
            errand.cadence,
            breaker,
            errand.mint,
        )
        self._collector = Collector(
            crew,
            self._ledger,
            self._provider,
            Hands(group, crew, _QUERIES_AT_ONCE if errand.collect else 0),
            errand.cadence,
        )
        self._downloader = Downloader(
            crew,
            self._ledger,
            self._provider,
            self._store,
            Hands(group, crew, _DOWNLOADS_AT_ONCE if errand.download else 0),
        )
        self._hearer = Hearer(
            crew,
            self._ledger,
            self._provider,
            Hands(group, crew, _CALLS_AT_ONCE if errand.collect else 0),
            self._collector,
        )
        self._reuser = Reuser(
            crew,
            self._ledger,
            self._ledger,
            self._store,
            Hands(group, crew, _DOWNLOADS_AT_ONCE if errand.download else 0),
            seeks=errand.submit and errand.caps.reuse,
        )
        # Who hears comes before who asks: what a callback makes due is asked about in the same turn.
        self._roles = (self._submitter, self._hearer, self._collector, self._downloader, self._reuser)

    async def _work(self) -> None:
        while not self._interrupted:
            self._crew.wake.clear()
            now = self._crew.now()
            await self._rescue(now)
            await self._refresh(now)
            self._fail_fast()
            dues = await asyncio.gather(*(role.look(now) for role in self._roles))
            self._submitter.over |= self._collector.out_of_credits
            # Something that ended while the roles looked may have made what they saw untrue: look again.
            unchanged = not self._crew.wake.is_set()
            if unchanged and self._idle and await self._done(dues, now):
                return
            await self._pause([due for due in dues if due is not None], now)

    @property
    def _idle(self) -> bool:
        return all(role.hands.idle for role in self._roles)

    def _fail_fast(self) -> None:
        if self._errand.fail_fast and self._crew.failures and not self._submitter.over:
            self._submitter.over = True
            reason = "a job failed, and nothing more is submitted after the first failure (--fail-fast)"
            self._crew.stop(Stop(Exit.FAILED_JOBS, reason, "see seedbatch list --state failed", left_work=True))

    async def _rescue(self, now: datetime) -> None:
        if self._rescued_at is not None and now - self._rescued_at < _RESCUE_EVERY:
            return
        self._rescued_at = now
        for name in await self._ledger.rescue(now):
            self._crew.report(Kind.IN_DOUBT, name, reason="the process that was submitting it ended")

    async def _refresh(self, now: datetime) -> None:
        if self._reception is None or (self._refreshed_at is not None and now - self._refreshed_at < _REFRESH_EVERY):
            return
        self._refreshed_at = now
        await self._reception.refresh()

    async def _done(self, dues: Sequence[datetime | None], now: datetime) -> bool:
        if self._crew.halted:
            return True
        submit_due, *collect_dues = dues
        match self._errand.until:
            case Until.SUBMITTED:
                return submit_due is None or self._barred
            case Until.ROUND:
                return all(due is None or due > now for due in collect_dues)
            case Until.SETTLED:
                # What shares the task of another job is submitted by nobody, and linked once that one is completed.
                shared = await self._ledger.waiting(self._errand.scope) if self._errand.caps.reuse else 0
                left = self._left(_counts(await self._ledger.tally(self._errand.scope)), shared)
                return left == 0 and not await self._awaits_calls(now)
            case Until.INTERRUPTED:
                return False

    async def _awaits_calls(self, now: datetime) -> bool:
        """Whether a job is in doubt whose callback may still come."""
        if self._errand.mint is None or not self._errand.collect:
            return False
        since = now - timedelta(seconds=self._errand.doubt_wait)
        awaited = await self._ledger.awaited(self._errand.scope, since)
        if awaited and not self._told_of_waiting:
            self._told_of_waiting = True
            wait = self._errand.doubt_wait
            most = f"{wait / 3600:g} h" if wait >= 3600 else f"{wait:g} s"  # noqa: PLR2004 - an hour
            reason = f"for the callbacks of {awaited:,} in doubt, at most {most} after each was sent; Ctrl-C ends it"
            self._crew.report(Kind.AWAITED, awaited=awaited, reason=reason)
        return awaited > 0

    @property
    def _barred(self) -> bool:
        """Whether caps keep back all that is left, and nothing in flight ends in this run that could lift them."""
        claim = self._submitter.latest
        waits = claim.submissions or claim.due is not None or (claim.in_flight and self._errand.collect)
        return bool(claim.bars) and not waits

    def _left(self, counts: Counter[JobState], shared: int) -> int:
        """How many jobs this run may still move."""
        left = counts[JobState.SUBMITTING]
        if self._errand.submit and not self._submitter.over and not self._barred:
            left += max(0, counts[JobState.PENDING] - shared)
        if self._errand.collect:
            left += counts[JobState.RUNNING]
        if self._errand.download and not self._downloader.over:
            left += max(0, counts[JobState.SUCCEEDED] - len(self._downloader.left))
        return left

    async def _pause(self, dues: Sequence[datetime], now: datetime) -> None:
        seconds = min([(due - now).total_seconds() for due in dues], default=_LONGEST_PAUSE)
        # Not wait_for: before Python 3.12 it may swallow the cancellation that a bug in another task brings.
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(seconds, 0.0), _LONGEST_PAUSE)):
                await self._crew.wake.wait()

    async def _wind_down(self) -> None:
        if self._interrupted:
            self._downloader.hands.cancel()  # a file that is not whole yet is fetched again
            self._reuser.hands.cancel()
        tasks = [task for role in self._roles for task in role.hands.tasks]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_GRACE)
        for task in late:
            task.cancel()

    async def _outcome(self) -> Outcome:
        tallies = tuple(await self._ledger.tally(self._errand.scope))
        counts = _counts(tallies)
        unfinished = sum(
            counts[state] for state in (JobState.PENDING, JobState.SUBMITTING, JobState.RUNNING, JobState.SUCCEEDED)
        )
        bars = self._submitter.latest.bars if self._barred else ()
        barred = [Stop(Exit.STOPPED, bar.reason, bar.hint, left_work=True) for bar in bars]
        stops = [stop for stop in (*self._crew.stops, *barred) if counts[JobState.PENDING] or not stop.left_work]
        if self._collector.unanswered and not self._collector.answered and self._errand.until is Until.ROUND:
            reason = "the provider answered none of the queries"
            stops.append(Stop(Exit.PROVIDER, reason, "check the network, then collect again: nothing is lost"))
        # They wait for a person, as what failed does.
        held = await self._ledger.held(self._errand.scope) if counts[JobState.PENDING] else 0
        if held:
            reason = f"{held:,} pending, for others paid for the same requests, and their clips are not here"
            hint = "name the folder that holds them with --shared DIR; --no-reuse pays for them again"
            stops.append(Stop(Exit.FAILED_JOBS, reason, hint))
        return Outcome(
            tallies,
            tuple(stops),
            self._interrupted,
            settled=unfinished == held,
            # Some came while their task was being asked about.
            without_webhook=await self._ledger.uncalled(self._collector.uncalled),
            bill=await self._ledger.bill(),
        )


def _counts(tallies: Sequence[BatchTally]) -> Counter[JobState]:
    counts: Counter[JobState] = Counter()
    for tally in tallies:
        counts.update(tally.counts)
    return counts
