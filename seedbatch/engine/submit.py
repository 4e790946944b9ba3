"""The submit role: takes pending jobs and leaves them running, failed, pending again, or in doubt."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from seedbatch.domain.answers import (
    Accepted,
    Evidence,
    InDoubt,
    NotFound,
    NotSent,
    QueryRefused,
    Refusal,
    Refused,
    SubmitAnswer,
    TaskReport,
    Throttled,
    Unanswered,
)
from seedbatch.domain.calls import Binding
from seedbatch.domain.errors import Exit, LedgerError, StaleCaller
from seedbatch.domain.health import NOBODY
from seedbatch.domain.jobs import Limits
from seedbatch.domain.states import FailureClass
from seedbatch.domain.tokens import Mint
from seedbatch.domain.work import Barrier, Caps, Claim, Failure, Submission
from seedbatch.engine.breaker import Breaker, Circuit
from seedbatch.engine.cadence import Cadence, backoff
from seedbatch.engine.crew import Crew, Hands, Stop
from seedbatch.engine.happenings import Kind
from seedbatch.engine.verdicts import agrees
from seedbatch.ports import Provider, SubmitLedger

# A provider that takes nothing is asked again so often in a row, each time after the pause that it names.
_THROTTLED_IN_A_ROW: Final = 10
_UNNAMED_PAUSE: Final = 10.0
_SLOWEST: Final = 1.0  # submissions a minute
_REACH: Final = "check the network and MAXAPI_BASE_URL, then apply again: nothing is sent twice, nothing is lost"

_STOPS: Final = {
    Refusal.KEY: Stop(
        Exit.KEY, "the provider refused the API key", "check MAXAPI_API_KEY, then apply again: nothing is lost"
    ),
    Refusal.CREDITS: Stop(
        Exit.STOPPED, "the account's credits are spent", "top up, then apply again: it goes on where it stopped"
    ),
    Refusal.CALLBACK: Stop(
        Exit.PROVIDER,
        "the provider refuses the callback URL",
        "check --public-url: the internet must reach it; or apply again without it: nothing is lost",
    ),
    Refusal.ADDRESS: Stop(
        Exit.PROVIDER, "there is no such API at the base URL", "check MAXAPI_BASE_URL, then apply again"
    ),
}


class Submitter:
    """Claims what limits and caps allow, sends each once, and writes down what is known afterwards.

    `latest` is what the ledger last said to a claim, `over` that nothing more is submitted in this run.
    """

    def __init__(
        self,
        crew: Crew,
        ledger: SubmitLedger,
        provider: Provider,
        hands: Hands,
        limits: Limits,
        caps: Caps,
        cadence: Cadence,
        breaker: Breaker,
        mint: Mint | None = None,
    ) -> None:
        self._crew = crew
        self._ledger = ledger
        self._provider = provider
        self.hands = hands
        self._limits = limits
        self._caps = caps
        self._cadence = cadence
        self._breaker = breaker
        self._mint = mint
        self._pace = limits.submits_per_minute
        self._unsent = 0
        self._throttled = 0
        self._not_before: datetime | None = None
        self._told: set[Barrier] = set()
        self.latest = Claim()
        self.over = False

    async def look(self, now: datetime) -> datetime | None:
        """Begin what may begin; returns when to look again, None if only another change can tell."""
        if self.over or self._crew.halted or self.hands.free <= 0:
            return None
        self.latest = Claim()  # as long as the ledger is not asked, nothing is known to be kept back
        if self._breaker.circuit is Circuit.OPEN:
            return self._probe_when_due(now)
        if self._not_before is not None and self._not_before > now:
            return self._not_before
        most = self._breaker.most(self.hands.free)
        if most == 0:
            return None
        limits = replace(self._limits, submits_per_minute=self._pace)
        claim = await self._ledger.claim_submissions(self._crew.scope, limits, self._caps, now, most, self._mint)
        self.latest = claim
        self._tell_bars(claim)
        for submission in claim.submissions:
            self._breaker.began(submission.attempt_id)
            self.hands.begin(self._carry(submission))
        return now if claim.submissions and self._breaker.most(self.hands.free) > 0 else claim.due

    def _tell_bars(self, claim: Claim) -> None:
        """Each kind once, until it lifts."""
        for bar in claim.bars:
            if bar.barrier not in self._told:
                self._crew.report(Kind.BARRED, barrier=bar.barrier, reason=bar.reason)
        self._told = {bar.barrier for bar in claim.bars}

    # -- one submission -------------------------------------------------------------------------------------------

    async def _carry(self, submission: Submission) -> None:
        try:
            answer = await self._provider.submit(submission)
        except asyncio.CancelledError:
            cause = "this process was interrupted while the request was on the wire"
            with suppress(StaleCaller):  # its callback came before its answer
                await self._ledger.doubted(submission.attempt_id, cause, Evidence(), self._crew.now())
            raise
        try:
            await self._record(submission, answer)
        except StaleCaller:
            # A callback was faster, or a person: the breaker must not wait for an answer that was overtaken.
            self._breaker.answered(submission.attempt_id)

    async def _record(self, submission: Submission, answer: SubmitAnswer) -> None:
        match answer:
            case Accepted():
                await self._accepted(submission, answer)
            case NotSent():
                await self._not_sent(submission, answer)
            case Throttled():
                await self._throttle(submission, answer)
            case Refused():
                await self._refused(submission, answer)
            case InDoubt():
                await self._doubted(submission, answer)
            case _:
                assert_never(answer)

    async def _accepted(self, submission: Submission, answer: Accepted) -> None:
        binding = await self._keep(submission, answer.task_id)
        if binding is Binding.IN_DOUBT:
            cause = f"the provider named the task {answer.task_id}, which another attempt already holds"
            self._note_doubt(submission, cause)
            return
        self._answered(submission)
        self._quicken()
        if binding is Binding.EXTRA:
            reason = f"a second task of one submission, {answer.task_id}: it is charged as well"
            self._crew.report(Kind.EXTRA, submission.name, task_id=answer.task_id, reason=reason)
            return
        self._crew.report(Kind.SUBMITTED, submission.name, task_id=answer.task_id, tries=submission.tries)

    def _quicken(self) -> None:
        """After a throttling the pace comes back step by step."""
        named = self._limits.submits_per_minute
        if self._pace is not None and named is not None:
            self._pace = min(self._pace + named / 10, named)

    async def _keep(self, submission: Submission, task_id: str) -> Binding:
        now = self._crew.now()
        usual = self._crew.experience.usual(submission.request.model)
        query_at = self._cadence.first_query(now, submission.attempt_id, usual)
        try:
            return await self._ledger.accepted(submission.attempt_id, task_id, now, query_at)
        except LedgerError as error:
            raise LedgerError(
                f"{error.message}; task {task_id} was accepted for {submission.name}", hint=error.hint
            ) from error

    async def _not_sent(self, submission: Submission, answer: NotSent) -> None:
        now = self._crew.now()
        self._unsent += 1
        self._not_before = now + backoff(self._unsent)
        await self._ledger.not_sent(submission.attempt_id, answer.cause, now, self._not_before)
        self._crew.report(Kind.NOT_SENT, submission.name, reason=answer.cause)
        self._breaker.unsent(submission.attempt_id, answer.cause, now)
        self._end_if_over()
        if answer.hopeless:
            self._stop(Stop(Exit.PROVIDER, f"the provider cannot be reached: {answer.cause}", _REACH, left_work=True))

    async def _throttle(self, submission: Submission, answer: Throttled) -> None:
        now = self._crew.now()
        wait = timedelta(seconds=_UNNAMED_PAUSE if answer.retry_after is None else answer.retry_after)
        cause = answer.evidence.message or "the provider takes nothing now"
        await self._ledger.throttled(submission.attempt_id, cause, now, now + wait)
        self._not_before = now + wait
        self._breaker.answered(submission.attempt_id)
        self._crew.report(Kind.THROTTLED, submission.name, reason=cause, seconds=wait.total_seconds())
        self._throttled += 1
        self._pace = None if self._pace is None else max(self._pace / 2, _SLOWEST)
        if self._throttled >= _THROTTLED_IN_A_ROW:
            reason = f"the provider took nothing {self._throttled} times in a row: {cause}"
            self._stop(Stop(Exit.PROVIDER, reason, "apply again later: nothing is lost", left_work=True))

    async def _refused(self, submission: Submission, answer: Refused) -> None:
        self._answered(submission)
        now = self._crew.now()
        said = answer.evidence.message or f"HTTP {answer.evidence.status}"
        match answer.refusal:
            case Refusal.INVALID:
                failure = Failure(FailureClass.INVALID, f"refused by the provider: {said}")
            case Refusal.MODERATION:
                flagged = ", ".join(answer.categories) or said
                failure = Failure(FailureClass.MODERATION, f"flagged before generation, not charged: {flagged}")
            case Refusal.KEY | Refusal.CREDITS | Refusal.ADDRESS | Refusal.CALLBACK as refusal:
                await self._ledger.turned_away(submission.attempt_id, said, now)
                self._stop(_STOPS[refusal], everything=refusal in {Refusal.KEY, Refusal.ADDRESS})
                return
            case _:
                assert_never(answer.refusal)
        await self._ledger.refused(submission.attempt_id, failure, answer.evidence, now)
        self._crew.failed(submission.name)
        self._crew.report(Kind.REFUSED, submission.name, reason=failure.reason, failure=failure.cls)

    async def _doubted(self, submission: Submission, answer: InDoubt) -> None:
        await self._ledger.doubted(submission.attempt_id, answer.cause, answer.evidence, self._crew.now())
        self._note_doubt(submission, answer.cause)
        if answer.wrong_address:
            self._stop(_STOPS[Refusal.ADDRESS], everything=True)
        elif answer.task_id is not None:
            await self._identify(submission, answer.task_id)

    async def _identify(self, submission: Submission, task_id: str) -> None:
        """A contradictory answer named a task: an authenticated query tells whether it is this one."""
        report = await self._provider.query(task_id)
        if not isinstance(report, TaskReport) or not agrees(report, submission.request):
            return
        if await self._keep(submission, task_id) is Binding.RUNNING:
            self._crew.report(Kind.ADOPTED, submission.name, task_id=task_id)

    # -- the breaker ----------------------------------------------------------------------------------------------

    def _answered(self, submission: Submission) -> None:
        self._unsent = self._throttled = 0
        self._breaker.answered(submission.attempt_id)

    def _note_doubt(self, submission: Submission, cause: str) -> None:
        self._unsent = 0
        self._crew.report(Kind.IN_DOUBT, submission.name, reason=cause)
        self._breaker.doubted(submission.attempt_id, cause, self._crew.now())
        self._end_if_over()

    def _probe_when_due(self, now: datetime) -> datetime | None:
        if not self.hands.idle:
            return None  # what is still on the wire, or a probe, says more than another one
        if self._breaker.probe_at > now:
            return self._breaker.probe_at
        self.hands.begin(self._probe())
        return None

    async def _probe(self) -> None:
        answer = await self._provider.query(NOBODY)
        match answer:
            case TaskReport() | NotFound():
                good, cause = True, ""
            case Unanswered():
                good, cause = False, answer.cause
            case QueryRefused():
                self._stop(_STOPS[answer.refusal], everything=True)
                return
            case _:
                assert_never(answer)
        self._breaker.probed(good=good, cause=cause, now=self._crew.now())
        self._crew.report(Kind.PROBED, good=good, reason=cause or "the provider answers; one trial follows")
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self._breaker.circuit is Circuit.OVER:
            how = "is out of order" if self._breaker.met else "cannot be reached"
            reason = f"the provider {how}: {self._breaker.cause}"
            self._stop(Stop(Exit.PROVIDER, reason, _REACH, left_work=True))

    def _stop(self, stop: Stop, *, everything: bool = False) -> None:
        self.over = True
        self._crew.stop(stop, everything=everything)
