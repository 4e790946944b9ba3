from __future__ import annotations

import pytest

from seedbatch.domain.answers import TaskReport, TaskStatus
from seedbatch.domain.states import FailureClass as F
from seedbatch.engine.verdicts import Empty, Failed, StillRunning, Succeeded, judge

URL = ("https://x.example/1.mp4",)
REASONS = (None, "CONTENT_MODERATION", "INSUFFICIENT_POINTS", "INVALID_PARAMETERS", "SOMETHING_NEW")
CLASSES = {
    "CONTENT_MODERATION": F.MODERATION,
    "INSUFFICIENT_POINTS": F.CREDITS,
    "INVALID_PARAMETERS": F.INVALID,
    "SOMETHING_NEW": F.PROVIDER,
}
LIVELY = (TaskStatus.PENDING, TaskStatus.PROCESSING, TaskStatus.SUBMITTED)
UNKNOWN = ("", "QUEUED", "success", "Failure", "ERROR", "DONE", "EXPIRED", "REJECTED", "?" * 500)


def verdict(status, reason, urls, empties):
    return judge(TaskReport("t1", status, urls=urls, failure_reason=reason), empties)


@pytest.mark.parametrize("empties", [0, 2, 3, 99])
@pytest.mark.parametrize("urls", [(), URL, URL * 2])
@pytest.mark.parametrize("reason", REASONS)
class TestEveryCombination:
    @pytest.mark.parametrize("status", [*LIVELY, *UNKNOWN])
    def test_only_documented_words_are_terminal(self, status, reason, urls, empties):
        assert verdict(status, reason, urls, empties) == StillRunning(status)

    def test_a_success_has_outputs_or_is_looked_at_again(self, reason, urls, empties):
        found = verdict(TaskStatus.SUCCESS, reason, urls, empties)
        if urls:
            assert found == Succeeded()
        elif empties < 3:
            assert found == Empty()
        else:
            assert isinstance(found, Failed)
            assert (found.failure.cls, found.failure.retryable) == (F.NO_OUTPUT, False)

    @pytest.mark.parametrize("status", [TaskStatus.FAILURE, TaskStatus.TIMEOUT])
    def test_a_failure_is_classed_by_its_reason(self, status, reason, urls, empties):
        found = verdict(status, reason, urls, empties)
        assert isinstance(found, Failed)
        silent = F.TIMEOUT if status is TaskStatus.TIMEOUT else F.PROVIDER
        assert found.failure.cls is CLASSES.get(reason, silent)
        assert found.failure.retryable is (reason is None)
        assert reason is None or reason in found.failure.reason

    def test_a_cancelled_task_is_not_retried(self, reason, urls, empties):
        found = verdict(TaskStatus.CANCELLED, reason, urls, empties)
        assert isinstance(found, Failed)
        assert (found.failure.cls, found.failure.retryable) == (F.CANCELLED, False)
