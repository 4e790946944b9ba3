"""The submit role: takes pending jobs and leaves them running, failed, pending again, or in doubt."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final, assert_never

from seedbatch.domain.answers import (
    Accepted,
    Evidence,
    InDoubt,
    NotSent,
    Refusal,
    Refused,
    SubmitAnswer,
    Throttled,
)
from seedbatch.domain.errors import Exit, LedgerError, StaleCaller
from seedbatch.domain.jobs import Limits
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.work import Caps, Failure, Submission
from seedbatch.engine.cadence import Cadence, backoff
from seedbatch.engine.crew import Crew, Hands, Stop
from seedbatch.engine.happenings import Kind
from seedbatch.ports import Provider, SubmitLedger

# After so many in a row the provider is taken to be out of order, and nothing more is risked in this run.
_DOUBTS_IN_A_ROW: Final = 3
_FAILURES_TO_SEND_IN_A_ROW: Final = 5
_UNNAMED_PAUSE: Final = 10.0
_REACH: Final = "check the network and MAXAPI_BASE_URL, then apply again: nothing was sent, nothing is lost"

_STOPS: Final = {
    Refusal.KEY: Stop(
        Exit.KEY, "the provider refused the API key", "check MAXAPI_API_KEY, then apply again: nothing is lost"
    ),
    Refusal.CREDITS: Stop(
        Exit.STOPPED, "the account's credits are spent", "top up, then apply again: it goes on where it stopped"
    ),
    Refusal.ADDRESS: Stop(
        Exit.PROVIDER, "there is no such API at the base URL", "check MAXAPI_BASE_URL, then apply again"
    ),
}


class Submitter:
    """Claims what the limits allow, sends each once, and writes down what is known afterwards."""

    def __init__(
        self,
        crew: Crew,
        ledger: SubmitLedger,
        provider: Provider,
        hands: Hands,
        limits: Limits,
        caps: Caps,
        cadence: Cadence,
    ) -> None:
        self._crew = crew
        self._ledger = ledger
        self._provider = provider
        self.hands = hands
        self._limits = limits
        self._caps = caps
        self._cadence = cadence
        self._doubts = 0
        self._unsent = 0
        self._not_before: datetime | None = None
        self.over = False

    async def look(self, now: datetime) -> datetime | None:
        """Begin what may begin; returns when to look again, None if only another change can tell."""
        if self.over or self._crew.halted or self.hands.free <= 0:
            return None
        if self._not_before is not None and self._not_before > now:
            return self._not_before
        claim = await self._ledger.claim_submissions(self._crew.scope, self._limits, self._caps, now, self.hands.free)
        for submission in claim.submissions:
            self.hands.begin(self._carry(submission))
        return now if claim.submissions and self.hands.free > 0 else claim.due

    async def _carry(self, submission: Submission) -> None:
        try:
            answer = await self._provider.submit(submission)
        except asyncio.CancelledError:
            cause = "this process was interrupted while the request was on the wire"
            await self._ledger.doubted(submission.attempt_id, cause, Evidence(), self._crew.now())
            raise
        try:
            await self._record(submission, answer)
        except StaleCaller:
            return  # a person, or another process, settled this attempt meanwhile

    async def _record(self, submission: Submission, answer: SubmitAnswer) -> None:
        match answer:
            case Accepted():
                await self._accepted(submission, answer)
            case NotSent():
                await self._not_sent(submission, answer)
            case Throttled():
                await self._throttled(submission, answer)
            case Refused():
                await self._refused(submission, answer)
            case InDoubt():
                await self._doubted(submission, answer)
            case _:
                assert_never(answer)

    async def _accepted(self, submission: Submission, answer: Accepted) -> None:
        now = self._crew.now()
        query_at = self._cadence.first_query(now, submission.attempt_id)
        try:
            state = await self._ledger.accepted(submission.attempt_id, answer.task_id, now, query_at)
        except LedgerError as error:
            raise LedgerError(
                f"{error.message}; task {answer.task_id} was accepted for {submission.name} and could not be recorded",
                hint="write this task id down: it is paid for",
            ) from error
        self._unsent = 0
        if state is JobState.IN_DOUBT:
            cause = f"the provider named the task {answer.task_id}, which another attempt already holds"
            self._note_doubt(submission, cause)
            return
        self._doubts = 0
        self._crew.report(Kind.SUBMITTED, submission.name, task_id=answer.task_id, tries=submission.tries)

    async def _not_sent(self, submission: Submission, answer: NotSent) -> None:
        now = self._crew.now()
        self._unsent += 1
        not_before = now + backoff(self._unsent)
        await self._ledger.not_sent(submission.attempt_id, answer.cause, now, not_before)
        self._not_before = not_before
        self._crew.report(Kind.NOT_SENT, submission.name, reason=answer.cause)
        if answer.hopeless or self._unsent >= _FAILURES_TO_SEND_IN_A_ROW:
            self._stop(Stop(Exit.PROVIDER, f"the provider cannot be reached: {answer.cause}", _REACH, left_work=True))

    async def _throttled(self, submission: Submission, answer: Throttled) -> None:
        now = self._crew.now()
        wait = timedelta(seconds=_UNNAMED_PAUSE if answer.retry_after is None else answer.retry_after)
        cause = answer.evidence.message or "the provider takes nothing now"
        await self._ledger.throttled(submission.attempt_id, cause, now, now + wait)
        self._not_before = now + wait
        self._crew.report(Kind.THROTTLED, submission.name, reason=cause, seconds=wait.total_seconds())

    async def _refused(self, submission: Submission, answer: Refused) -> None:
        self._doubts = self._unsent = 0
        now = self._crew.now()
        said = answer.evidence.message or f"HTTP {answer.evidence.status}"
        match answer.refusal:
            case Refusal.INVALID:
                failure = Failure(FailureClass.INVALID, f"refused by the provider: {said}")
            case Refusal.MODERATION:
                flagged = ", ".join(answer.categories) or said
                failure = Failure(FailureClass.MODERATION, f"flagged before generation, not charged: {flagged}")
            case Refusal.KEY | Refusal.CREDITS | Refusal.ADDRESS as refusal:
                await self._ledger.turned_away(submission.attempt_id, said, now)
                self._stop(_STOPS[refusal], everything=refusal is not Refusal.CREDITS)
                return
            case _:
                assert_never(answer.refusal)
        await self._ledger.refused(submission.attempt_id, failure, answer.evidence, now)
        self._crew.report(Kind.REFUSED, submission.name, reason=failure.reason, failure=failure.cls)

    async def _doubted(self, submission: Submission, answer: InDoubt) -> None:
        await self._ledger.doubted(submission.attempt_id, answer.cause, answer.evidence, self._crew.now())
        self._note_doubt(submission, answer.cause)
        if answer.wrong_address:
            self._stop(_STOPS[Refusal.ADDRESS], everything=True)

    def _note_doubt(self, submission: Submission, cause: str) -> None:
        self._doubts += 1
        self._crew.report(Kind.IN_DOUBT, submission.name, reason=cause)
        if self._doubts >= _DOUBTS_IN_A_ROW:
            reason = f"{self._doubts} submissions in a row were left in doubt ({cause})"
            self._stop(Stop(Exit.PROVIDER, reason, "look at what is in doubt first: seedbatch status", left_work=True))

    def _stop(self, stop: Stop, *, everything: bool = False) -> None:
        self.over = True
        self._crew.stop(stop, everything=everything)
