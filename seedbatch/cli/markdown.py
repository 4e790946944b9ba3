"""A plan as the comment of a pull request: what it would do and cost, in a sentence, in a table, then folded.

GitHub refuses a comment of more than 65,536 characters, so the jobs in the folded parts become fewer until it fits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from seedbatch.cli.escaping import BACKTICKS, code, html_code
from seedbatch.cli.partings import parting_html, worth_showing
from seedbatch.cli.plans import closing
from seedbatch.cli.spending import costs_lines, monies
from seedbatch.cli.words import count
from seedbatch.domain.money import Money
from seedbatch.domain.states import HELD, JobState
from seedbatch.engine.forecast import Forecast
from seedbatch.engine.planned import Action, Plan, Planned

MOST_CHARACTERS: Final = 65_000  # and room for the mark by which a comment is found again
_MOST_SHOWN: Final = 50
_FEWER: Final = (_MOST_SHOWN, 20, 5, 1)
# What a reviewer wants to see first. Unchanged jobs are only counted.
_ORDER: Final = (
    *(Action.REGENERATE, Action.HELD, Action.CREATE, Action.RETRY, Action.REUSE),
    *(Action.COLLECT, Action.DOWNLOAD, Action.MOVE, Action.ORPHAN),
)
_LISTED: Final = (*_ORDER, *sorted(set(Action) - {*_ORDER, Action.UNCHANGED}))


def plan_markdown(plan: Plan, coming: Forecast, *, digest: str | None = None, note: str = "") -> str:
    """The comment; `digest` names the plan that a reviewer approves, `note` is a sentence of ours beside it."""
    seen = _look(plan)
    head = "".join(f"{line}\n" for line in _head(plan, coming, seen, note))
    foot = f"\nPlan digest: {code(digest)}\n" if digest else ""
    for most in _FEWER:
        text = head + "".join(_details(plan, coming, seen, most)) + foot
        if _length(text) <= MOST_CHARACTERS:
            return text
    return f"{head}\nThe jobs are left out: they are too many for a comment. `seedbatch plan` lists them.\n{foot}"


@dataclass(slots=True)
class _Seen:
    """What one reading of a plan tells: the first jobs of each kind, and sums."""

    examples: dict[tuple[str, Action], list[Planned]] = field(default_factory=dict)
    prices: dict[tuple[str, Action], Counter[str]] = field(default_factory=dict)
    in_doubt: int = 0
    held: int = 0
    elsewhere: int = 0

    def price(self, action: Action, batch: str | None = None) -> str:
        """What the jobs of one kind cost, of one batch or of all."""
        sums: Counter[str] = Counter()
        for (name, kind), own in self.prices.items():
            if kind is action and batch in {None, name}:
                sums.update(own)
        return monies(Money(sums[currency], currency) for currency in sorted(sums))


def _look(plan: Plan) -> _Seen:
    seen = _Seen()
    for job in plan.jobs:
        if job.action is Action.UNCHANGED:
            continue
        kind = job.batch, job.action
        examples = seen.examples.setdefault(kind, [])
        if len(examples) < _MOST_SHOWN:
            examples.append(job)
        if job.price is not None:
            seen.prices.setdefault(kind, Counter())[job.price.currency] += job.price.micros
        if job.action is Action.HELD:
            state = JobState.PENDING if job.known is None else job.known.state
            seen.in_doubt += state is JobState.IN_DOUBT
            seen.held += state in HELD
            seen.elsewhere += state not in HELD and state is not JobState.IN_DOUBT
    return seen


def _length(text: str) -> int:
    """As a browser counts: characters beyond the first plane are two."""
    return len(text.encode("utf-16-le", "replace")) // 2


def _head(plan: Plan, coming: Forecast, seen: _Seen, note: str) -> Iterator[str]:
    yield f"## {closing(plan, coming).removesuffix('.')}"
    yield ""
    if note:
        yield f"{note}\n"
    if warnings := list(_warnings(coming, seen)):
        yield "> [!WARNING]"
        yield from (f"> - {line}" for line in warnings)
        yield ""
    yield from _table(plan.counts, seen)
    yield ""
    yield from (f"- {line}" for line in _costs(coming))


def _warnings(coming: Forecast, seen: _Seen) -> Iterator[str]:
    if seen.in_doubt:
        them = "It" if seen.in_doubt == 1 else "They"
        yield f"**{count(seen.in_doubt, 'job')} in doubt.** {them} may have been charged: `seedbatch resolve KEY`."
    if seen.held:
        yield f"**{count(seen.held, 'job')} held.** Failed, expired or abandoned: `seedbatch retry KEY`."
    if seen.elsewhere:
        yield f"**{count(seen.elsewhere, 'clip')} paid for by others** and not here: `--shared DIR`."
    if unpriced := sum(coming.unpriced.values()):
        models = ", ".join(code(model) for model in sorted(coming.unpriced)[:5])
        more = ", …" if len(coming.unpriced) > 5 else ""  # noqa: PLR2004
        yield f"**{count(unpriced, 'request')} without a known price** ({models}{more}): not in the sum."
    if coming.kept is not None:
        yield f"**{count(coming.kept.count, 'request')} kept back** by a cap as it stands ({coming.kept.reason})."


def _table(counts: Mapping[Action, int], seen: _Seen) -> Iterator[str]:
    yield "| action | jobs | price |"
    yield "| --- | ---: | ---: |"
    for action in (*_LISTED, Action.UNCHANGED):
        if counts[action]:
            yield f"| {action} | {counts[action]:,} | {seen.price(action)} |"


def _costs(coming: Forecast) -> Iterator[str]:
    if coming.price:
        most = f", at most {monies(coming.worst)} with retries" if coming.worst != coming.price else ""
        yield f"Submitting all of it: {monies(coming.price)}{most}"
    # What has no price and what a cap keeps back is among the warnings.
    yield from costs_lines(coming, code)


def _details(plan: Plan, coming: Forecast, seen: _Seen, most: int) -> Iterator[str]:
    if rows := [coming.rows_to_add[model] for model in sorted(coming.unpriced) if model in coming.rows_to_add]:
        yield _rows_to_add(rows[:most])
    yield from (parting_html(parting, most) for parting in worth_showing(coming.by))
    for batch, counts in plan.by_batch.items():
        for action in _LISTED:
            if counts[action]:
                price = seen.price(action, batch)
                summary = f"{html_code(batch)}: {counts[action]:,} to {action}" + (f", {price}" if price else "")
                jobs = seen.examples[batch, action][:most]
                left = counts[action] - len(jobs)
                lines = [*map(_line, jobs), *([f"- … and {left:,} more"] if left else [])]
                opened = " open" if action is Action.REGENERATE else ""
                yield f"\n<details{opened}><summary>{summary}</summary>\n\n" + "\n".join(lines) + "\n\n</details>\n"


def _rows_to_add(rows: list[str]) -> str:
    text = "\n".join(rows)
    fence = "`" * max(3, 1 + max(map(len, BACKTICKS.findall(text)), default=0))
    return (
        f"\n<details><summary>Prices to add to seedbatch.toml</summary>\n\n{fence}toml\n{text}\n{fence}\n\n</details>\n"
    )


def _line(job: Planned) -> str:
    revision = f" (revision {job.revision})" if job.revision > 1 else ""
    price = f", {job.price}" if job.price is not None else ""
    return f"- {code(job.address)}{revision}: {code(job.reason)}{price}"
