"""The page itself: a heading that is there before any script ran, and the names of what it loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.moments import stamp
from seedbatch.domain.money import Money
from seedbatch.domain.states import JobState
from seedbatch.report.cards import Entry, shown
from seedbatch.report.folder import named

_HERE: Final = Path(__file__).parent
# In the order in which they need one another.
SCRIPTS: Final = ("words", "filter", "layout", "sheet", "clips", "viewer", "attention", "charts", "gallery")
LIVE: Final = ("picks", "live")  # what a page needs besides that has a server
_MOST_NAMED: Final = 2


@dataclass(frozen=True, slots=True)
class Heading:
    """Whose ledger it is (`real`, `sandbox`), the flags that other commands need to mean it, and when this was."""

    kind: str
    place: str
    now: datetime


def assets(*, live: bool = False) -> dict[str, bytes]:
    """Style and scripts, by a name that tells the content."""
    found = {}
    names = (*SCRIPTS, *LIVE) if live else SCRIPTS
    for stem, extension in (("gallery", "css"), *((name, "js") for name in names)):
        content = (_HERE / f"{stem}.{extension}").read_bytes()
        found[named("assets", stem, extension, content)] = content
    return found


def render(heading: Heading, entries: Sequence[Entry], *, assets: Sequence[str], data: Sequence[str]) -> bytes:
    """`index.html`."""
    return _filled(
        assets,
        live=False,
        title=_title(entries),
        facts=_facts(entries),
        sandbox=heading.kind == "sandbox",
        place=heading.place,
        written=stamp(heading.now),
        total=len(entries),
        data=list(data),
    )


def render_live(place: str, *, assets: Sequence[str]) -> bytes:
    """The same page, empty: a server tells it what to show. `place` are the flags of its ledger."""
    return _filled(assets, live=True, title="Contact sheet", facts=[], sandbox=False, place=place, total=0, data=[])


def _filled(assets: Sequence[str], **values: Any) -> bytes:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - heavy

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((_HERE / "page.html").read_text(encoding="utf-8"))
    styles = [name for name in assets if name.endswith(".css")]
    scripts = [name for name in assets if name.endswith(".js")]
    return template.render(styles=styles, scripts=scripts, **values).encode()


def _title(entries: Sequence[Entry]) -> str:
    names = list(dict.fromkeys(shown(entry.job.batch) for entry in entries))
    if not names:
        return "Contact sheet"
    some = ", ".join(names[:_MOST_NAMED])
    return some if len(names) <= _MOST_NAMED else f"{some} and {len(names) - _MOST_NAMED} more"


def _facts(entries: Sequence[Entry]) -> list[str]:
    """`24 jobs`, `20 completed`, `3.20 USD at most`."""
    counts: Counter[JobState] = Counter(entry.job.state for entry in entries)
    facts = [f"{len(entries):,} {'job' if len(entries) == 1 else 'jobs'}"]
    facts += [f"{counts[state]:,} {_word(state)}" for state in JobState if counts[state]]
    cost = costs(entries)
    facts += (
        [f"{' and '.join(str(Money(cost[currency], currency)) for currency in sorted(cost))} at most"] if cost else []
    )
    return facts


def costs(entries: Sequence[Entry]) -> Mapping[str, int]:
    """What may be owed for these jobs and their earlier revisions, in micro-units by currency."""
    sums: Counter[str] = Counter()
    for entry in entries:
        for job in entry.revisions:
            if job.cost is not None:
                sums[job.cost.currency] += job.cost.micros
    return sums


def _word(state: JobState) -> str:
    return str(state).replace("_", " ")
