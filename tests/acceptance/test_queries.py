"""The questions of docs/queries.md, asked of a real ledger; and its views, beside what the program says."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from acceptance.conftest import PRICES, ROOT, Project

from seedbatch.domain.records import Standing

VIEWS = ("clips", "spending", "failures", "latency")
SECTIONS = re.findall(
    r"^## (.+?)\n\n```sql\n(.+?)```\n\n(.+?)(?=^## |\Z)",
    (ROOT / "docs/queries.md").read_text(encoding="utf-8"),
    flags=re.MULTILINE | re.DOTALL,
)
QUESTIONS = {title: sql for title, sql, _ in SECTIONS}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A ledger in which everything that the page asks about has happened."""
    project = Project(tmp_path_factory.mktemp("asked"))
    project.environment |= {"SEEDBATCH_RECONCILE_FIRST": "1", "SEEDBATCH_RECONCILE_EVERY": "1"}
    project.write("seedbatch.toml", PRICES)
    dropping = project.write("dropping.yaml", "rules: [{on: callback, do: drop, at: [1, 2]}]\n")
    prompts = ("one", "two", "bad [fail]", "bad [moderation]", "bad [reject]")
    film = project.manifest(*prompts, batch="film")
    project.apply(film, "--listen", "127.0.0.1:0", f"--sandbox-faults={dropping}", code=3)
    project.run("retry", "film/j2", "--sandbox", "--yes")
    project.apply(film, code=3)
    cutting = project.write("cutting.yaml", "rules: [{on: submit, do: cut-after-accept, at: [1]}]\n")
    lost = project.manifest("lost", batch="lost")
    project.apply(lost, f"--sandbox-faults={cutting}", code=7)
    project.run("resolve", "lost/j0", "--resubmit", "--sandbox", "--yes")
    project.apply(lost)
    project.apply(project.manifest("far", batch="far"), "--no-download", code=None)
    return project


@pytest.fixture
def ask(project):
    path = project.folder / ".seedbatch/sandbox.db"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield lambda sql: connection.execute(sql).fetchall()


def test_the_page_asks_ten_questions():
    assert len(QUESTIONS) == 10


@pytest.mark.parametrize(("title", "sql", "words"), SECTIONS, ids=list(QUESTIONS))
def test_a_question_is_answered_with_the_columns_that_are_named(ask, title, sql, words):
    if "die within a day" in title:
        sql = sql.replace("'+1 day'", "'+8 days'")  # the sandbox's links last as long as the provider's
    rows = ask(sql)
    assert rows, title
    assert rows[0].keys() == re.findall(r"`(\w+)`", words.partition(":")[0])


def test_the_answers_are_right(ask):
    costs = {row["batch"]: row for row in ask(QUESTIONS["What did each batch cost?"])}
    # Two clips, a failure twice, and what moderation took at a tenth; flagged at submit: nothing.
    assert costs["film"]["cost"] == pytest.approx(4 * 0.25 + 0.025)
    assert (costs["film"]["submissions"], costs["film"]["surcharge"]) == (5, 0.025)
    assert (costs["lost"]["submissions"], costs["lost"]["cost"]) == (2, 0.5)
    prompts = {row["prompt"]: row for row in ask(QUESTIONS["Which prompts fail most?"])}
    assert (prompts["bad [fail]"]["failures"], prompts["bad [fail]"]["classes"]) == (2, "provider")
    assert prompts["bad [reject]"]["classes"] == "moderation"
    (again, lost) = ask(QUESTIONS["What was submitted more than once, on purpose?"])
    assert {(row["batch"], row["key"], row["submissions"], row["cost"]) for row in (again, lost)} == {
        ("film", "j2", 2, 0.5), ("lost", "j0", 2, 0.5),
    }  # fmt: skip
    assert {row["key"] for row in ask(QUESTIONS["Which takes were never completed?"]) if row["batch"] == "film"} == {
        "j2", "j3", "j4",
    }  # fmt: skip
    days = ask(QUESTIONS["Which callbacks did not come?"])  # two of them, where midnight came between
    assert [sum(day[name] for day in days) for name in ("results", "without_callback")] == [4, 2]
    (moderation,) = ask(QUESTIONS["What did moderation take?"])
    assert (moderation["violations"], moderation["surcharge"]) == (1, 0.025)
    (latency,) = ask(QUESTIONS["How long do results take?"])
    assert latency["tasks"] == 4
    assert 0 < latency["median"] <= latency["p95"] <= latency["longest"]


def test_the_views_say_what_the_program_says(project, ask):
    records = project.records()
    with closing(records):
        jobs = {(job.batch, job.address): job for job in records.jobs() if job.standing is Standing.CURRENT}
        exposure = records.accounts(datetime.now(UTC)).exposure
    clips = {(row["batch"], row["key"]): row for row in ask("SELECT * FROM clips")}
    assert clips.keys() == jobs.keys()
    for name, job in jobs.items():
        row = clips[name]
        assert (row["state"], row["failure"], row["reason"] or "") == (job.state, job.failure, job.reason)
        assert (row["attempts"], row["task_id"], row["prompt"]) == (job.attempts, job.task_id, job.request.prompt)
        assert (row["cost_micros"], row["files"]) == (job.cost and job.cost.micros, len(job.artifacts))
        if job.artifacts:
            assert (project.folder / ".seedbatch" / row["file"]).resolve() == Path(job.artifacts[0].path)
    ((spent,),) = ask("SELECT sum(cost_micros) FROM spending")
    assert [spent] == [money.micros for money in exposure]
    assert project.run("ledger", "check", "--sandbox").stdout.startswith("ledger ok")


def test_the_views_show_nothing_secret(ask):
    hidden = {value for row in ask("SELECT token, owner, reference FROM attempts") for value in row if value}
    hidden |= {url for (url,) in ask("SELECT url FROM outputs")}
    assert len(hidden) > 10
    for view in VIEWS:
        assert not hidden & {value for row in ask(f"SELECT * FROM {view}") for value in row}  # noqa: S608


def test_the_views_and_their_columns_are_described(ask):
    page = (ROOT / "docs/ledger.md").read_text(encoding="utf-8")
    described = yaml.safe_load((ROOT / "docs/examples/datasette.yaml").read_text(encoding="utf-8"))
    for database in ("ledger", "sandbox"):
        assert set(described["databases"][database]["tables"]) == set(VIEWS)
    for view in VIEWS:
        columns = [row["name"] for row in ask(f"PRAGMA table_info({view})")]
        section = re.search(rf"^### `{view}`\n(.*?)(?=^##)", page, flags=re.MULTILINE | re.DOTALL)
        assert re.findall(r"^\| `(\w+)` \|", section.group(1), flags=re.MULTILINE) == columns
        told = described["databases"]["ledger"]["tables"][view]
        assert set(told["columns"]) == set(columns)
        assert told["title"]
        assert told["description"]
    assert {row["name"] for row in ask("SELECT name FROM sqlite_master WHERE type = 'view'")} == set(VIEWS)
