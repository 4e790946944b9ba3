"""Taking over a task that a person found for an in-doubt attempt, once the provider has confirmed it."""

from __future__ import annotations

from typing import assert_never

from seedbatch.domain.answers import NotFound, QueryRefused, Refusal, TaskReport, Unanswered
from seedbatch.domain.errors import KeyRefused, ProviderUnavailable, StaleCaller, UsageError
from seedbatch.domain.records import RecordedJob
from seedbatch.engine.verdicts import agrees
from seedbatch.ports import Clock, Provider, WordLedger


async def adopt(
    ledger: WordLedger, provider: Provider, clock: Clock, job: RecordedJob, task_id: str, by: str
) -> TaskReport:
    """Ask for the task with our own key, compare what its echo tells with the request, and bind it to the job.

    Raises:
        UsageError: the provider does not know it, it is another request's, or another attempt holds it.
        KeyRefused, ProviderUnavailable: it could not be asked.
    """
    answer = await provider.query(task_id)
    match answer:
        case TaskReport():
            pass
        case NotFound():
            raise UsageError(
                f"the provider does not know a task {task_id}", hint="is it of the account that this key belongs to?"
            )
        case Unanswered(cause):
            raise ProviderUnavailable(f"the task could not be asked about: {cause}", hint="try again later")
        case QueryRefused(Refusal.KEY):
            raise KeyRefused("the provider refused the API key", hint="check MAXAPI_API_KEY")
        case QueryRefused():
            raise ProviderUnavailable("there is no such API at the base URL", hint="check MAXAPI_BASE_URL")
        case _:
            assert_never(answer)
    if not agrees(answer, job.request):
        raise UsageError(
            f"the task {task_id} is of another request: model or prompt differ", hint="seedbatch show tells the request"
        )
    try:
        await ledger.adopted(job.job_id, task_id, by, clock.now())
    except StaleCaller as error:
        raise UsageError(f"nothing was changed: {error.message}") from None
    return answer
