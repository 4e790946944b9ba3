"""An edit of manifests as words, as JSON, and as the comment of a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seedbatch.cli.escaping import code, html_code
from seedbatch.cli.markdown import MOST_CHARACTERS
from seedbatch.cli.spending import money_json, monies
from seedbatch.cli.words import clean, count
from seedbatch.domain.money import Money, amount_text
from seedbatch.engine.comparison import Comparison, Edit, Kind

_MARKS: Final = {Kind.ADDED: "+", Kind.CHANGED: "~", Kind.MOVED: ">", Kind.REMOVED: "-", Kind.COSMETIC: "="}
_COLOURS: Final = {Kind.ADDED: "green", Kind.CHANGED: "yellow", Kind.MOVED: "cyan", Kind.REMOVED: "red"}
_MEANINGS: Final = {
    Kind.ADDED: "a new request",
    Kind.CHANGED: "the next revision",
    Kind.MOVED: "asked for under another name before: free where the ledger holds it",
    Kind.REMOVED: "nothing is deleted, nothing is refunded",
    Kind.COSMETIC: "free",
}
_MOST_SHOWN: Final = 20
_FEWER: Final = (50, 20, 5, 1)


@dataclass(frozen=True, slots=True)
class Report:
    """What is compared, and with what: another commit, or what lies here if `until` is empty.

    `absent` manifests are new since then; `gone` ones are not there any more.
    """

    ref: str
    commit: str
    dirty: bool
    absent: tuple[Path, ...]
    gone: tuple[Path, ...]
    comparison: Comparison
    until: str = ""
    until_commit: str = ""


# -- words ------------------------------------------------------------------------------------------------------------


def _outcome(report: Report) -> str:
    """The edit in one sentence, without its end."""
    found = report.comparison
    counts = ", ".join(f"{found.counts[kind]:,} {kind}" for kind in Kind if found.counts[kind])
    if not counts:
        counts = (
            "only formatting, comments, order or settings, which are free" if _differs(found) else "nothing changed"
        )
    since = f"{clean(report.ref)} ({report.commit[:7]})"
    if report.until:
        return f"From {since} to {clean(report.until)} ({report.until_commit[:7]}): {counts}"
    return f"Since {since}: {counts}"


def _differs(found: Comparison) -> bool:
    return found.files or bool(found.settings)


def _cost_text(found: Comparison) -> str:
    """What the edit costs, and what all jobs cost together, before and now."""
    moved = found.counts[Kind.MOVED]
    if not found.requests:
        asked = f"The edit asks for no new request{'.' if moved else ': it costs nothing.'}"
    else:
        price = f" for {monies(found.price)}" if found.price else ""
        unpriced = f", {found.unpriced:,} without a known price" if found.unpriced and found.price else ""
        asked = f"The edit asks for {count(found.requests, 'new request')}{price}{unpriced}."
    if moved:
        asked += " What moved costs nothing where the ledger holds it already."
    sums = [_sum_text(found, currency) for currency in sorted({*found.before, *found.now})]
    return asked + (f" All jobs together: {'; '.join(sums)}." if sums and found.before != found.now else "")


def _sum_text(found: Comparison, currency: str) -> str:
    before, now = found.before.get(currency, 0), found.now.get(currency, 0)
    sign = "+" if now >= before else "-"
    difference = f"{sign}{amount_text(abs(now - before))}"
    return f"{amount_text(before)} → {amount_text(now)} {currency} ({difference})"


def report_lines(report: Report, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Lines with their colour (or nothing): the outcome, the edits by batch, and what they cost."""
    found = report.comparison
    yield f"{_outcome(report)}.", "bold"
    yield from ((f"  {line}", "") for line in _notes(report))
    yield from edit_lines(found.edits, found.settings, verbose=verbose)
    yield f"\n{_cost_text(found)}", ""


def edit_lines(
    edits: Sequence[Edit], settings: Mapping[str, Sequence[str]], *, verbose: bool
) -> Iterator[tuple[str, str]]:
    """Lines with their colour (or nothing): what changes by batch, at most twenty of a kind unless `verbose`."""
    for batch, kinds in _by_batch(edits, settings).items():
        yield f"{clean(batch)}:", "bold"
        for words in settings.get(batch, ()):
            yield f"  * {words}", ""
        for kind, found in kinds.items():
            shown = found if verbose else found[:_MOST_SHOWN]
            for edit in shown:
                price = f"  {edit.price}" if edit.price is not None else ""
                mark = f"{_MARKS[kind]} {kind:<8}"
                yield f"  {mark}  {clean(edit.address)}  {clean(edit.reason)}{price}", _COLOURS.get(kind, "")
            if len(shown) < len(found):
                yield f"    … and {len(found) - len(shown):,} more {kind} (--verbose shows all)", ""


def _notes(report: Report) -> Iterator[str]:
    for path in report.absent:
        yield f"{clean(str(path))} was not there: all of it is new"
    for path in report.gone:
        yield f"{clean(str(path))} is not there any more"


def _by_batch(edits: Sequence[Edit], settings: Mapping[str, object]) -> dict[str, dict[Kind, list[Edit]]]:
    batches: dict[str, dict[Kind, list[Edit]]] = {batch: {} for batch in settings}
    for kind in Kind:
        for edit in edits:
            if edit.kind is kind:
                batches.setdefault(edit.batch, {}).setdefault(kind, []).append(edit)
    return batches


# -- a comment --------------------------------------------------------------------------------------------------------


def report_markdown(report: Report) -> str:
    """The comment: it fits, whatever the edit."""
    found = report.comparison
    head = [f"## {_heading(report)}", "", _cost_text(found), ""]
    head += [f"- {_note}" for _note in _notes_in_markdown(report)]
    head += ["", "| edit | jobs | means |", "| --- | ---: | --- |"] if found.edits else []
    head += [f"| {kind} | {found.counts[kind]:,} | {_MEANINGS[kind]} |" for kind in Kind if found.counts[kind]]
    text = "\n".join(head) + "\n"
    for most in _FEWER:
        whole = text + "".join(_details(found, most))
        if len(whole.encode("utf-16-le", "replace")) // 2 <= MOST_CHARACTERS:
            return whole
    return f"{text}\nThe jobs are left out: they are too many for a comment. `seedbatch plan --compare` lists them.\n"


def _heading(report: Report) -> str:
    words = _outcome(report).rpartition(": ")[2]
    if report.until:
        return f"From {code(report.ref)} to {code(report.until)}: {words}"
    return f"Since {code(report.ref)}: {words}"


def _notes_in_markdown(report: Report) -> Iterator[str]:
    yield from (f"{code(str(path))} was not there: all of it is new" for path in report.absent)
    yield from (f"{code(str(path))} is not there any more" for path in report.gone)
    for batch, words in report.comparison.settings.items():
        yield from (f"{code(batch)}: {one}" for one in words)


def _details(found: Comparison, most: int) -> Iterator[str]:
    for batch, kinds in _by_batch(found.edits, found.settings).items():
        for kind, edits in kinds.items():
            lines = [
                f"- {code(edit.address)}: {code(edit.reason)}" + (f", {edit.price}" if edit.price is not None else "")
                for edit in edits[:most]
            ]
            lines += [f"- … and {len(edits) - most:,} more"] if len(edits) > most else []
            opened = " open" if kind is Kind.CHANGED else ""
            summary = f"{html_code(batch)}: {len(edits):,} {kind}"
            yield f"\n<details{opened}><summary>{summary}</summary>\n\n" + "\n".join(lines) + "\n\n</details>\n"


# -- JSON -------------------------------------------------------------------------------------------------------------


def report_json(report: Report) -> dict[str, object]:
    """The object of `docs/json-output.md`."""
    found = report.comparison
    return {
        "version": 1,
        "ref": report.ref,
        "commit": report.commit,
        "until": report.until or None,
        "until_commit": report.until_commit or None,
        "dirty": report.dirty,
        "absent": [str(path) for path in report.absent],
        "gone": [str(path) for path in report.gone],
        "jobs": [
            {
                "batch": edit.batch,
                "key": edit.address,
                "edit": str(edit.kind),
                "reason": edit.reason,
                "model": edit.model,
                "price": money_json(edit.price),
            }
            for edit in found.edits
        ],
        "settings": {batch: list(words) for batch, words in found.settings.items()},
        "summary": {
            "counts": {str(kind): found.counts[kind] for kind in Kind},
            "requests": found.requests,
            "price": money_json(found.price[0]) if len(found.price) == 1 else None,
            "unpriced": found.unpriced,
            "before": _only(found.before),
            "now": _only(found.now),
        },
    }


def _only(sums: Mapping[str, int]) -> dict[str, object] | None:
    ((currency, amount),) = sums.items() if len(sums) == 1 else (("", 0),)
    return money_json(Money(amount, currency)) if currency else None
