"""What is in doubt, in words: when, why, what it may cost, and the exact commands that settle it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from seedbatch.cli.spending import monies
from seedbatch.cli.words import clean, count, moment_text
from seedbatch.domain.money import Money
from seedbatch.domain.records import RecordedJob

_MOST_SHOWN = 10


def doubt_lines(jobs: Sequence[RecordedJob], place: str) -> Iterator[str]:
    """A paragraph; nothing if nothing is in doubt. `place` are the flags that name the ledger."""
    if not jobs:
        return
    sums: Counter[str] = Counter()
    for job in jobs:
        if job.cost is not None:
            sums[job.cost.currency] += job.cost.micros
    cost = monies(Money(amount, currency) for currency, amount in sorted(sums.items()))
    unpriced = sum(job.cost is None for job in jobs)
    owed = f"; {cost} may be owed for them" if cost else ""
    owed += f", {unpriced:,} of unknown price" if unpriced and cost else ""
    yield ""
    what = count(len(jobs), "job")
    yield f"IN DOUBT: {what} may have been accepted and charged{owed}. Never sent again by themselves."
    for job in jobs[:_MOST_SHOWN]:
        key = shlex.quote(f"{job.batch}/{job.address}")
        when = moment_text(job.intended_at) if job.intended_at else ""
        price = f"  {job.cost}" if job.cost is not None else ""
        yield f"  {job.batch}/{job.address}  {when}{price}  {clean(job.reason)}"
        yield f'    {job.request.model}: "{_short(clean(job.request.prompt))}"'
        yield f"    → seedbatch resolve {key} --task-id ID{place}"
    if len(jobs) > _MOST_SHOWN:
        yield f"  … and {len(jobs) - _MOST_SHOWN:,} more (seedbatch list --state in_doubt{place})"
    yield (
        "  Look at that time in the provider's console. --task-id ID takes the task over that is there; or say --lost"
        " (there is none, its money is free again), or --resubmit (send it again, it may be billed twice)."
    )


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
