"""Callbacks in words: results that came without one, tasks beyond what was submitted, and bodies that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seedbatch.cli.words import clean, count, moment_text
from seedbatch.domain.records import ExtraTask, Standings

_MOST_SHOWN = 10


def call_lines(standings: Standings, place: str) -> Iterator[str]:
    """Paragraphs, each only if there is something to say. `place` are the flags that name the ledger."""
    yield from extra_lines(standings.extras)
    if standings.strays:
        yield ""
        yield f"STRAY: {count(len(standings.strays), 'callback')} for submissions that this ledger does not know:"
        for stray in standings.strays[:_MOST_SHOWN]:
            names = f"task {stray.task_id}" if stray.task_id else clean(stray.body[:60])
            yield f"  {moment_text(stray.received_at)}  {names}"
        yield "  Made with this API key, by another project or by a ledger that is lost. Their bodies are kept"
        yield f"  → seedbatch status{place} --json shows them whole"
    if standings.without_webhook:
        asked = standings.with_webhook + standings.without_webhook
        results = count(asked, "result")
        yield ""
        yield f"{standings.without_webhook:,} of {results} came without a callback, and were found by asking."
        if not standings.with_webhook:
            yield f"  → no callback ever came: seedbatch doctor{place} tests the public URL"


def extra_lines(extras: Sequence[ExtraTask]) -> Iterator[str]:
    """A paragraph about tasks beyond what was submitted, if there are any."""
    if not extras:
        return
    yield ""
    yield f"EXTRA: {count(len(extras), 'task')} beyond what was submitted, charged as well:"
    for extra in extras[:_MOST_SHOWN]:
        cost = f"  {extra.cost}" if extra.cost is not None else ""
        yield f"  {extra.batch}/{extra.address}  {moment_text(extra.found_at)}{cost}  task {extra.task_id}"
    yield f"  The provider took one request for two; ask its support about {'them' if len(extras) > 1 else 'it'}."
