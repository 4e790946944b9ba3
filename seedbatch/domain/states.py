"""The life of a job: one enum and one transition table.

The ledger's guards, its CHECK constraint, `docs/lifecycle.md` and the tests all read this table.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands; the state is the queue that its role works from."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    IN_DOUBT = "in_doubt"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    ABANDONED = "abandoned"


class FailureClass(StrEnum):
    """Why a job failed, as far as a machine must know it; the words beside it are for people."""

    MODERATION = "moderation"
    INVALID = "invalid"
    CREDITS = "credits"
    PROVIDER = "provider"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    NO_OUTPUT = "no_output"
    LOST = "lost"


_S = JobState

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    # to completed: its request was paid for already, and it shares that task's files
    _S.PENDING: frozenset({_S.SUBMITTING, _S.COMPLETED, _S.ABANDONED}),
    # back to pending: proof that nothing was sent, or an explicit refusal that concerns the account
    _S.SUBMITTING: frozenset({_S.PENDING, _S.RUNNING, _S.IN_DOUBT, _S.FAILED}),
    # the owner's late answer still counts; a person may settle it
    _S.IN_DOUBT: frozenset({_S.PENDING, _S.RUNNING, _S.FAILED, _S.ABANDONED}),
    _S.RUNNING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.ABANDONED}),
    _S.SUCCEEDED: frozenset({_S.COMPLETED, _S.EXPIRED, _S.ABANDONED}),
    _S.COMPLETED: frozenset(),
    # to pending: the manifest's retry policy, or a person's word
    _S.FAILED: frozenset({_S.PENDING}),
    _S.EXPIRED: frozenset({_S.PENDING}),
    _S.ABANDONED: frozenset({_S.PENDING}),
}

# Nothing more will happen without a person; in_doubt joins them where no callback can come.
SETTLED = frozenset({_S.COMPLETED, _S.FAILED, _S.EXPIRED, _S.ABANDONED})
HELD = frozenset({_S.FAILED, _S.EXPIRED, _S.ABANDONED})
# States that have exactly one open attempt; all others have none.
LIVE = frozenset({_S.SUBMITTING, _S.IN_DOUBT, _S.RUNNING})
# Their request was paid for, or may have been: another job that asks for the same shares the task.
PAID = LIVE | {_S.SUCCEEDED, _S.COMPLETED}


_SOURCES = {
    target: frozenset(state for state, targets in TRANSITIONS.items() if target in targets) for target in JobState
}


def sources(target: JobState) -> frozenset[JobState]:
    """The states from which a job may move to `target`."""
    return _SOURCES[target]
