"""`seedbatch explain`, and where a person is told of it."""

from __future__ import annotations

import json
from pathlib import Path

from acceptance.test_terminal import seen

from seedbatch.manifest.explanations import explanations

ROOT = Path(__file__).parent.parent.parent
WRONG = "version: 1\nbatch: b\njobs:\n  - {key: a, prompt: p, takes: 0}\n"


def test_the_page_is_what_the_command_prints(project):
    page = (ROOT / "docs/problems.md").read_text(encoding="utf-8")
    hint = "type: seedbatch explain --format markdown > docs/problems.md"
    assert project.run("explain", "--format", "markdown").stdout == page, hint


def test_one_code_at_length(project):
    words = project.run("explain", "schema/range").stdout
    for expected in ("schema/range: A number is too small or too large", "Instead of:", "duration: 60", "duration: 15"):
        assert expected in words


def test_all_codes_with_their_titles(project):
    lines = project.run("explain").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(explanations())
    assert all(line.endswith(one.title) for line, one in zip(lines, explanations().values(), strict=True))
    found = [json.loads(line) for line in project.run("explain", "--format", "json").stdout.splitlines()]
    assert [one["code"] for one in found] == list(explanations())
    assert {one["level"] for one in found} == {"error", "warning"}


def test_an_unknown_code_names_the_nearest(project):
    for typed, near in (("schema/enmu", "schema/enum"), ("undefined", "template/undefined")):
        done = project.run("explain", typed, code=2)
        assert f"did you mean {near}?" in done.stderr
        assert done.stdout == ""
    assert "lists all" in project.run("explain", "\x1b[31mzzz", code=2).stderr


def test_codes_are_completed(project):
    project.environment |= {
        "_SEEDBATCH_COMPLETE": "bash_complete", "COMP_WORDS": "seedbatch explain budget", "COMP_CWORD": "2",
    }  # fmt: skip
    assert project.run(code=None).stdout.split() == ["plain,budget/amount", "plain,budget/currencies"]


def test_a_terminal_is_told_how_to_learn_more(project):
    name = project.write("m.yaml", WRONG)
    words, _ = seen(project, "validate", name)
    assert words.endswith("nothing was submitted\r\n  → seedbatch explain schema/range\r\n")
    project.run("explain", "schema/range")


def test_where_it_is_noise_it_is_not_said(project):
    assert "explain" not in project.run("validate", project.write("m.yaml", WRONG), code=2).stderr
    assert "explain" not in seen(project, "validate", "none.yaml")[0]
