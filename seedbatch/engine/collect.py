"""The collect role: asks about running tasks and leaves their jobs succeeded or failed."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, assert_never

from seedbatch.domain.answers import NotFound, QueryRefused, Refusal, TaskReport, Unanswered
from seedbatch.domain.errors import Exit, StaleCaller
from seedbatch.domain.states import FailureClass
from seedbatch.domain.work import Failure, RunningTask
from seedbatch.engine.cadence import Cadence, backoff, link_expiry
from seedbatch.engine.crew import Crew, Glance, Hands, Stop
from seedbatch.engine.happenings import Kind
from seedbatch.engine.verdicts import Empty, Failed, StillRunning, Succeeded, judge
from seedbatch.ports import CollectLedger, Provider

# So many results without a callback, and none with one, are no accident.
_SILENCE: Final = 3


class Collector:
    """Queries what is due, one task at a time each."""

    def __init__(self, crew: Crew, ledger: CollectLedger, provider: Provider, hands: Hands, cadence: Cadence) -> None:
        self._crew = crew
        self._ledger = ledger
        self._provider = provider
        self.hands = hands
        self._cadence = cadence
        self._glance = Glance(cadence.shortest)
        self.out_of_credits = False
        self.unanswered = 0
        self.answered = 0
        # Attempts whose callbacks were asked for and that ended: how many with one, and which without.
        self.called = 0
        self.uncalled: set[int] = set()

    async def look(self, now: datetime) -> datetime | None:
        """Begin what is due; returns when to look again."""
        if self._crew.halted or self.hands.free <= 0:
            return None
        if waits := self._glance.waits(now):
            return waits
        # Whatever the run's scope: a task of another batch that nobody asks about would keep its place in flight.
        tasks, due = await self._ledger.claim_queries(None, now, self.hands.free)
        for task in tasks:
            self.hands.begin(self._ask(task))
        return self._glance.took(now, due)

    def stir(self) -> None:
        """Look at once: a task became due."""
        self._glance.stir()

    async def hear(self, task: RunningTask, report: TaskReport) -> None:
        """Take what a query of somebody else's said about a task that this process claimed."""
        with suppress(StaleCaller):
            await self._heard(task, report)
        self.stir()

    async def _ask(self, task: RunningTask) -> None:
        answer = await self._provider.query(task.task_id)
        try:
            match answer:
                case TaskReport():
                    self.answered += 1
                    await self._heard(task, answer)
                case NotFound():
                    self.answered += 1
                    await self._later(task, "the provider does not know this task, or does not yet")
                case Unanswered():
                    self.unanswered += 1
                    await self._later(task, answer.cause, answer.retry_after)
                case QueryRefused():
                    await self._later(task, answer.evidence.message or f"HTTP {answer.evidence.status}")
                    self.refused(answer)
                case _:
                    assert_never(answer)
        except StaleCaller:
            return  # another process, or a person, was faster
        finally:
            self._glance.stir()

    async def _heard(self, task: RunningTask, report: TaskReport) -> None:
        now = self._crew.now()
        verdict = judge(report, task.empties)
        if isinstance(verdict, Succeeded | Failed):
            self._ended(task, report)
        match verdict:
            case StillRunning(status):
                usual = self._crew.experience.usual(task.model)
                query_at = self._cadence.next_query(task.accepted_at, now, task.attempt_id, usual, task.called_at)
                await self._ledger.still_running(task.attempt_id, status, now, query_at)
            case Succeeded():
                await self._ledger.succeeded(task.attempt_id, report, now, link_expiry(report.updated_at, now))
                self._crew.deliveries.stir()
                self._crew.report(Kind.SUCCEEDED, task.name, task_id=task.task_id, outputs=len(report.urls))
            case Empty():
                wait = backoff(task.empties + 1, first=self._cadence.shortest, longest=self._cadence.longest)
                await self._ledger.empty(task.attempt_id, report.status, now, now + wait)
                reason = "the task succeeded, but offers no output yet"
                self._crew.report(Kind.UNANSWERED, task.name, task_id=task.task_id, reason=reason)
            case Failed(failure):
                await self._failed(task, failure, report, now)

    def _ended(self, task: RunningTask, report: TaskReport) -> None:
        if report.took is not None:
            self._crew.experience.add(task.model, report.took)
        self.called += task.called_at is not None
        if not task.awaits_call:
            return
        self.uncalled.add(task.attempt_id)
        if len(self.uncalled) == _SILENCE and not self.called:
            reason = f"{_SILENCE} results came without their callbacks: does the public URL reach the listener?"
            self._crew.report(Kind.UNCALLED, reason=reason)

    async def _failed(self, task: RunningTask, failure: Failure, report: TaskReport, now: datetime) -> None:
        again = failure.retryable and task.tries < task.tries_allowed
        retry_at = now + backoff(task.tries, first=self._cadence.shortest) if again else None
        await self._ledger.task_failed(task.attempt_id, failure, report, now, retry_at)
        kind = Kind.RETRIED if again else Kind.FAILED
        if not again:
            self._crew.failed(task.name)
        self._crew.report(
            kind, task.name, task_id=task.task_id, reason=failure.reason, failure=failure.cls, tries=task.tries
        )
        if failure.cls is FailureClass.CREDITS:
            self.out_of_credits = True
            self._crew.stop(Stop(Exit.STOPPED, failure.reason, "top up, then apply again"))

    async def _later(self, task: RunningTask, cause: str, retry_after: float | None = None) -> None:
        now = self._crew.now()
        wait = backoff(task.misses + 1, first=self._cadence.shortest, longest=self._cadence.longest)
        if retry_after is not None:
            wait = max(wait, timedelta(seconds=retry_after))
        await self._ledger.unanswered(task.attempt_id, cause, now, now + wait)
        self._crew.report(Kind.UNANSWERED, task.name, task_id=task.task_id, reason=cause)

    def refused(self, answer: QueryRefused) -> None:
        """Asking again will not help: everything stops."""
        if answer.refusal is Refusal.KEY:
            stop = Stop(Exit.KEY, "the provider refused the API key", "check MAXAPI_API_KEY: nothing is lost")
        else:
            stop = Stop(Exit.PROVIDER, "there is no such API at the base URL", "check MAXAPI_BASE_URL")
        self._crew.stop(stop, everything=True)
