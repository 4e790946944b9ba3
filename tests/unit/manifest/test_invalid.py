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
    """One paragraph a problem: place, code, message, hint, and the line with a caret below it."""
    paragraphs = []
    for problem in problems:
        lines = [f"{problem.line}:{problem.column} {problem.code}", f"  {problem.message}"]
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
    assert {problem.file for problem in loaded.problems} == {str(path)}
    assert told(loaded.problems) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_all_files_are_told_in_one_go():
    loaded = load([FOLDER / f"{name}.yaml" for name in CASES])
    assert {Path(problem.file).stem for problem in loaded.problems} >= set(CASES)
    assert list(loaded.problems) == sorted(loaded.problems)
