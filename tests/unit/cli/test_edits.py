"""An edit as a comment: it fits, and obeys nothing that stands in it."""

from __future__ import annotations

from pathlib import Path

from seedbatch.cli.edits import Report, report_lines, report_markdown
from seedbatch.cli.markdown import MOST_CHARACTERS
from seedbatch.domain.money import Money
from seedbatch.engine.comparison import Comparison, Edit, Kind

PRICE = Money(250_000, "USD")


def report(*edits: Edit, settings=None, **options) -> Report:
    found = Comparison(edits, settings or {}, files=True, before={"USD": 1}, now={"USD": 250_001})
    return Report(options.pop("ref", "main"), "c" * 40, False, (), (), found, **options)


def test_it_always_fits():
    for batches, each, reason in ((1, 5_000, "x" * 400), (40, 60, "𝄞" * 300), (3_000, 1, "new")):
        edits = [
            Edit(f"b{batch}", f"j{number}", Kind.ADDED, reason, "m", PRICE)
            for batch in range(batches)
            for number in range(each)
        ]
        text = report_markdown(report(*edits))
        assert len(text.encode("utf-16-le")) // 2 <= MOST_CHARACTERS
        assert f"{batches * each:,} added" in text.splitlines()[0]


def test_names_and_paths_stand_in_code():
    hostile = "`@team` <!-- x"
    told = Report(hostile, "c" * 40, False, (Path(hostile),), (Path(hostile),), report().comparison)
    text = report_markdown(told)
    assert text.count("`` `@team` <!-- x ``") == 3
    assert text.splitlines()[0].startswith("## Since `` `@team`")


def test_the_words_say_how_much_more_it_costs():
    lines = [line for line, _ in report_lines(report(Edit("b", "j", Kind.ADDED, "new", "m", PRICE)), verbose=False)]
    assert lines[0] == "Since main (ccccccc): 1 added."
    assert lines[-1].endswith("for 0.25 USD. All jobs together: 0.000001 → 0.250001 USD (+0.25).")
    both = report(until="next", until_commit="d" * 40)
    assert next(report_lines(both, verbose=False))[0].startswith("From main (ccccccc) to next (ddddddd): only")


def test_no_more_than_twenty_of_a_kind_unless_asked_for():
    edits = [Edit("b", f"j{number}", Kind.REMOVED, "no longer wanted", "m") for number in range(30)]
    lines = [line for line, _ in report_lines(report(*edits), verbose=False)]
    assert "    … and 10 more removed (--verbose shows all)" in lines
    assert sum(line.startswith("  -") for line, _ in report_lines(report(*edits), verbose=True)) == 30


def test_what_moved_is_free_only_where_the_ledger_holds_it():
    moved = Edit("b", "j", Kind.MOVED, "asks for what b/i asked for", "m")
    lines = [line for line, _ in report_lines(report(moved), verbose=False)]
    words = "The edit asks for no new request. What moved costs nothing where the ledger holds it already."
    assert lines[-1].strip().startswith(words)
    assert "costs nothing where" not in report_markdown(report(Edit("b", "j", Kind.ADDED, "new", "m", PRICE)))
