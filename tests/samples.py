"""Small jobs and batches for tests that are not about manifests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256

from seedbatch.domain.jobs import BatchSpec, JobSpec, Limits, Request
from seedbatch.domain.work import Caps, Submission
from seedbatch.ports import Ledger, Scope

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def spec(key: str, *, take: int = 1, address: str = "", prompt: str = "", output: str = "") -> JobSpec:
    request = Request("seedance-2.0", {"prompt": prompt or key, "ratio": "16:9", "duration": 5})
    return JobSpec(
        address=address or key,
        base=key,
        key=key,
        take=take,
        axes={},
        request=request,
        fingerprint=request.fingerprint,
        output=output or f"b/{key}-{take}",
        tags=("one",),
        file="m.yaml",
        line=3,
    )


def batch(*jobs: JobSpec, name: str = "b", attempts: int = 1) -> BatchSpec:
    return BatchSpec(name, jobs, attempts=attempts, manifest="m.yaml", digest="0" * 64, jobs_digest=jobs_digest(jobs))


def jobs_digest(jobs: Iterable[JobSpec]) -> str:
    """As a loader reckons it: equal only for equal jobs in the same order."""
    return sha256(repr(tuple(jobs)).encode()).hexdigest()


async def claim(
    ledger: Ledger, scope: Scope, limits: Limits, now: datetime, most: int
) -> tuple[list[Submission], datetime | None]:
    """A claim that no cap concerns."""
    found = await ledger.claim_submissions(scope, limits, Caps(), now, most)
    return list(found.submissions), found.due
