"""The hear role: reads what came at tokens. A body is a hint: what it says is asked of the provider, with our key."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, assert_never

from seedbatch.domain.answers import NotFound, QueryRefused, TaskReport, Unanswered
from seedbatch.domain.calls import Call, Called, Verdict
from seedbatch.domain.health import is_doctors
from seedbatch.engine.cadence import backoff
from seedbatch.engine.collect import Collector
from seedbatch.engine.crew import Crew, Hands
from seedbatch.engine.happenings import Kind
from seedbatch.engine.verdicts import agrees
from seedbatch.ports import HearLedger, Provider

# Whoever learned a token can cause one query in so long, and no more.
GAP: Final = timedelta(seconds=30)
# A task that was just accepted may not be found yet; one that is not found after so many looks does not exist.
_LOOKS_FOR_A_TASK: Final = 5


class Hearer:
    """Reads each callback once, and hands what it learns to the collector."""

    def __init__(self, crew: Crew, ledger: HearLedger, provider: Provider, hands: Hands, collector: Collector) -> None:
        self._crew = crew
        self._ledger = ledger
        self._provider = provider
        self.hands = hands
        self._collector = collector

    async def look(self, now: datetime) -> datetime | None:
        """Begin to read what is unread; returns when to look again, None if nothing waits."""
        if self._crew.halted or self.hands.free <= 0:
            return None
        if waits := self._crew.calls.waits(now):
            return waits
        calls, due = await self._ledger.claim_calls(now, self.hands.free, GAP)
        for call in calls:
            self.hands.begin(self._hear(call))
        return self._crew.calls.took(now, due)

    async def _hear(self, call: Call) -> None:
        hint = self._provider.hint(call.body)
        attempt = call.attempt
        if attempt is None and is_doctors(call.body):
            await self._ledger.read(call, Verdict.KNOWN, None, "a test by seedbatch doctor", self._crew.now())
        elif attempt is None:
            reason = "no submission of this ledger has this token"
            await self._ledger.read(call, Verdict.UNKNOWN, hint.task_id, reason, self._crew.now())
            self._crew.report(Kind.MISCALLED, task_id=hint.task_id, reason=f"a callback came, and {reason}")
        elif attempt.task_id is not None and hint.task_id in {None, attempt.task_id}:
            await self._repeated(call, attempt)
        elif hint.task_id is None:
            await self._refuse(call, attempt, None, "it names no task")
        else:
            await self._inquire(call, attempt, hint.task_id)
        self._crew.calls.stir()

    async def _repeated(self, call: Call, attempt: Called) -> None:
        """The task is the one that the attempt has: all there is to do is to ask about it, now."""
        if not attempt.open:
            await self._ledger.read(call, Verdict.KNOWN, attempt.task_id, "", self._crew.now())
            return
        await self._ledger.heard(call, self._crew.now())
        self._collector.stir()

    async def _inquire(self, call: Call, attempt: Called, task_id: str) -> None:
        answer = await self._provider.query(task_id)
        match answer:
            case TaskReport() if agrees(answer, attempt.request):
                await self._confirmed(call, attempt, answer)
            case TaskReport():
                await self._refuse(call, attempt, task_id, f"the task {task_id} is of another request")
            case NotFound() if call.misses + 1 >= _LOOKS_FOR_A_TASK:
                await self._refuse(call, attempt, task_id, f"the provider does not know a task {task_id}")
            case NotFound():
                await self._later(call, task_id, "the provider does not know this task, or does not yet")
            case Unanswered():
                await self._later(call, task_id, answer.cause, answer.retry_after)
            case QueryRefused():
                await self._later(call, task_id, answer.evidence.message or f"HTTP {answer.evidence.status}")
                self._collector.refused(answer)
            case _:
                assert_never(answer)

    async def _confirmed(self, call: Call, attempt: Called, report: TaskReport) -> None:
        bound = await self._ledger.named(call, report.task_id, self._crew.now())
        task_id = report.task_id
        match bound.verdict:
            case Verdict.ADOPTED if bound.task is not None:
                self._crew.report(Kind.ADOPTED, attempt.name, task_id=task_id, reason="its callback came")
                await self._collector.hear(bound.task, report)
            case Verdict.EXTRA:
                reason = f"a second task of one submission, {task_id}: it is charged as well"
                self._crew.report(Kind.EXTRA, attempt.name, task_id=task_id, reason=reason)
            case Verdict.SURFACED:
                reason = f"it did make a task, {task_id}, which is charged; the job stays {bound.state}"
                self._crew.report(Kind.EXTRA, attempt.name, task_id=task_id, reason=reason)
            case _:
                self._collector.stir()

    async def _later(self, call: Call, task_id: str, cause: str, retry_after: float | None = None) -> None:
        wait = max(backoff(call.misses + 1, first=GAP.total_seconds()), timedelta(seconds=retry_after or 0))
        await self._ledger.read_later(call, task_id, cause, self._crew.now() + wait)

    async def _refuse(self, call: Call, attempt: Called, task_id: str | None, reason: str) -> None:
        await self._ledger.read(call, Verdict.REFUSED, task_id, reason, self._crew.now())
        self._crew.report(Kind.MISCALLED, attempt.name, reason=f"a callback is not believed: {reason}")
