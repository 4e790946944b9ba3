"""What an answer about a task means: a pure function from values to values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seedbatch.domain.answers import TaskReport, TaskStatus
from seedbatch.domain.jobs import Request
from seedbatch.domain.states import FailureClass
from seedbatch.domain.work import Failure

# A success without outputs may be a lag of the provider's records; after so many looks it is the truth.
_LOOKS_AT_NOTHING: Final = 3


@dataclass(frozen=True, slots=True)
class StillRunning:
    """Neither success nor failure: every word that is not documented as terminal."""

    status: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Terminal success with at least one output."""


@dataclass(frozen=True, slots=True)
class Empty:
    """A success that offers nothing, this time."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Terminal failure."""

    failure: Failure


Verdict = StillRunning | Succeeded | Empty | Failed


def judge(report: TaskReport, empties: int) -> Verdict:
    """What a report says about its task; `empties` counts the successes without outputs before it.

    Which words are terminal, and which failures may be retried: maxapi contract, 4.2 to 4.4.
    """
    match report.status:
        case TaskStatus.SUCCESS if report.urls:
            return Succeeded()
        case TaskStatus.SUCCESS if empties < _LOOKS_AT_NOTHING:
            return Empty()
        case TaskStatus.SUCCESS:
            return Failed(Failure(FailureClass.NO_OUTPUT, "the task succeeded but offers no output"))
        case TaskStatus.TIMEOUT if report.failure_reason is None:
            reason = "the provider gave up on the task after its own time limit"
            return Failed(Failure(FailureClass.TIMEOUT, reason, retryable=True))
        case TaskStatus.FAILURE | TaskStatus.TIMEOUT:
            return Failed(_failure(report.failure_reason))
        case TaskStatus.CANCELLED:
            return Failed(Failure(FailureClass.CANCELLED, "the task was cancelled at the provider"))
        case status:
            return StillRunning(status)


def agrees(report: TaskReport, request: Request) -> bool:
    """Whether a task may be the one that a request made: model and prompt are the same where the echo has them.

    The echo is neither complete nor minimal, so equality is never demanded. Source: maxapi contract, 4.1.
    """
    wanted = {"model": request.model, "prompt": request.prompt}
    return all(name not in report.echo or report.echo[name] == value for name, value in wanted.items())


def _failure(reason: str | None) -> Failure:
    match reason:
        case None:
            return Failure(FailureClass.PROVIDER, "the provider failed and gave no reason", retryable=True)
        case "CONTENT_MODERATION":
            return Failure(FailureClass.MODERATION, "CONTENT_MODERATION: the result was rejected after generation")
        case "INSUFFICIENT_POINTS":
            return Failure(FailureClass.CREDITS, "INSUFFICIENT_POINTS: the account's credits are spent")
        case "INVALID_PARAMETERS":
            return Failure(FailureClass.INVALID, "INVALID_PARAMETERS: the provider does not take these parameters")
        case _:
            return Failure(FailureClass.PROVIDER, reason)
