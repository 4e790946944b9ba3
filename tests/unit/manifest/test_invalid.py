"""Every invalid manifest stands beside the exact words that it gets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from seedbatch.domain.errors import Problem
from seedbatch.manifest import load

FOLDER = Path(__file__).parents[2] / "manifests" / "invalid"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def told(problems: Iterable[Problem]) -> str:
    """One paragraph a problem: place (of a source with its file), code, message, hint, and the line with a caret."""
    paragraphs = []
    for problem in problems:
        file = "" if problem.file.endswith(".yaml") else f"{Path(problem.file).name}:"
        lines = [f"{file}{problem.line}:{problem.column} {problem.code}", f"  {problem.message}"]
        if problem.hint:
            lines.append(f"  hint: {problem.hint}")
        if problem.source.strip():
            lines += [f"  | {problem.source}", f"  | {' ' * (problem.column - 1)}^"]
        paragraphs.append("\n".join(line.rstrip() for line in lines))
    return "\n\n".join(paragraphs) + "\n"


def test_each_case_has_its_words_and_each_words_a_case():
    words = sorted(path.stem for path in FOLDER.glob("*.txt"))
    assert words == CASES
    assert len(CASES) >= 25


@pytest.mark.parametrize("name", CASES)
def test_the_words_are_exact(name):
    path = FOLDER / f"{name}.yaml"
    loaded = load([path])
    assert loaded.batches == ()
    assert {Path(problem.file) for problem in loaded.problems} <= {path, *(FOLDER / "rows").iterdir()}
    assert told(loaded.problems) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_all_files_are_told_in_one_go():
    loaded = load([FOLDER / f"{name}.yaml" for name in CASES])
    files = {Path(problem.file) for problem in loaded.problems}
    assert {file.stem for file in files} >= {name for name in CASES if not name.startswith("rows-")}
    assert list(loaded.problems) == sorted(loaded.problems)
