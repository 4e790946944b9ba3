"""`plan --compare`: what an edit of manifests means, read from git, without a ledger."""

from __future__ import annotations

import json

import pytest

SOURCE = """\
version: 1
batch: rows
defaults: {model: seedance-2.0-fast, input: {resolution: 480p, ratio: 1:1, duration: 5}}
sources: [{csv: rows/a.csv, key: "{{ id }}", prompt: "{{ text }}"}]
"""


@pytest.fixture
def repository(priced):
    """A manifest of four jobs, committed."""
    project = priced
    project.git("init", "-q", "-b", "main")
    project.manifest("one", "two", "three", "four")
    project.git("add", ".")
    project.git("commit", "-qm", "first")
    return project


def compared(project, *arguments: str, paths=("test.yaml",), ref="HEAD") -> dict:
    return json.loads(project.run("plan", *paths, "--compare", ref, "--format", "json", *arguments).stdout)


def edits(found: dict) -> dict[str, tuple[str, str]]:
    return {job["key"]: (job["edit"], job["reason"]) for job in found["jobs"]}


def edited(project) -> None:
    """One job less, one more, one with another request, one with another name, one with a tag."""
    text = (project.folder / "test.yaml").read_text()
    text = text.replace('{key: j0, prompt: "one"}', '{key: j0, prompt: "one", input: {ratio: 16:9}}')
    text = text.replace('{key: j1, prompt: "two"}', '{key: j1, prompt: "two", tags: [hero]}')
    text = text.replace("key: j2", "key: renamed").replace('{key: j3, prompt: "four"}', '{key: new, prompt: "five"}')
    project.write("test.yaml", text)


def test_what_an_edit_adds_changes_removes_and_costs(repository):
    edited(repository)
    found = compared(repository)
    assert edits(found) == {
        "j0": ("changed", "ratio 1:1 → 16:9"),
        "j1": ("cosmetic", "tags"),
        "renamed": ("moved", "asks for what test/j2 asked for"),
        "new": ("added", "new"),
        "j2": ("removed", "no longer wanted"),
        "j3": ("removed", "no longer wanted"),
    }
    usd = {"currency": "USD"}
    assert found["summary"]["price"] == {"micros": 500_000, **usd}
    assert (found["summary"]["before"], found["summary"]["now"]) == ({"micros": 1_000_000, **usd},) * 2
    assert (found["dirty"], found["commit"]) == (True, repository.git("rev-parse", "HEAD"))
    assert not (repository.folder / ".seedbatch").exists()


def test_the_same_in_words_and_as_a_comment(repository):
    edited(repository)
    done = repository.run("plan", "test.yaml", "--compare", "HEAD")
    assert "The manifests differ from their commit" in done.stderr
    assert "1 added, 1 changed, 1 moved, 2 removed, 1 cosmetic." in done.stdout
    assert "  ~ changed   j0  ratio 1:1 → 16:9  0.25 USD" in done.stdout
    assert "The edit asks for 2 new requests for 0.50 USD." in done.stdout
    comment = repository.run("plan", "test.yaml", "--compare", "main", "--format", "markdown").stdout
    assert comment.startswith("## Since `main`: 1 added, 1 changed, 1 moved, 2 removed, 1 cosmetic\n")
    assert "| cosmetic | 1 | free |" in comment
    assert "- `j0`: `ratio 1:1 → 16:9`, 0.25 USD" in comment


def test_what_costs_nothing_is_told_as_free(repository):
    text = (repository.folder / "test.yaml").read_text()
    repository.write("test.yaml", f"# a comment\n{text}")
    done = repository.run("plan", "test.yaml", "--compare", "HEAD", "--detailed-exitcode")
    assert "only formatting, comments, order or settings, which are free" in done.stdout
    assert "The edit asks for no new request: it costs nothing." in done.stdout
    repository.git("checkout", "-q", "test.yaml")
    assert "nothing changed" in repository.run("plan", "test.yaml", "--compare", "HEAD").stdout
    edited(repository)
    repository.run("plan", "test.yaml", "--compare", "HEAD", "--detailed-exitcode", code=10)


def test_a_budget_is_told_as_well(repository):
    text = (repository.folder / "test.yaml").read_text()
    repository.write("test.yaml", text + "budget: {max_cost: 40, currency: USD}\nretry: {attempts: 2}\n")
    found = compared(repository)
    assert found["settings"] == {"test": ["budget none → 40.00 USD", "retry.attempts 1 → 2"]}
    assert "* budget none → 40.00 USD" in repository.run("plan", "test.yaml", "--compare", "HEAD").stdout


def test_rows_are_read_from_the_commit_too(repository):
    repository.write("m/rows.yaml", SOURCE)
    repository.write("m/rows/a.csv", "id,text\na,one\nb,two\n")
    repository.git("add", ".")
    repository.git("commit", "-qm", "rows")
    repository.write("m/rows/a.csv", "id,text\na,one\nb,other\nc,three\n")
    found = compared(repository, paths=("m/rows.yaml",))
    assert edits(found) == {"b": ("changed", "prompt two → other"), "c": ("added", "new")}
    assert edits(compared(repository, paths=("./m/../m/rows.yaml",))) == edits(found)


def test_a_manifest_that_is_new_and_one_that_is_gone(repository):
    repository.manifest("five", batch="other")
    found = compared(repository, paths=("test.yaml", "other.yaml"))
    assert found["absent"] == ["other.yaml"]
    assert edits(found) == {"j0": ("added", "new")}
    (repository.folder / "test.yaml").unlink()
    found = compared(repository, paths=("test.yaml", "other.yaml"))
    assert found["gone"] == ["test.yaml"]
    assert [job["edit"] for job in found["jobs"]] == ["added", *["removed"] * 4]
    assert "there is no such file" in repository.run("plan", "never.yaml", "--compare", "HEAD", code=2).stderr


def test_what_cannot_be_compared_is_told(repository, tmp_path_factory):
    assert "no commit 'nowhere'" in repository.run("plan", "test.yaml", "--compare", "nowhere", code=2).stderr
    assert "no commit '--help'" in repository.run("plan", "test.yaml", "--compare=--help", code=2).stderr
    done = repository.run("plan", "test.yaml", "--compare", "HEAD", "--select", "j0", code=2)
    assert "--compare looks at whole manifests" in done.stderr
    outside = tmp_path_factory.mktemp("outside")
    (outside / "m.yaml").write_text((repository.folder / "test.yaml").read_text())
    done = repository.run("plan", str(outside / "m.yaml"), "--compare", "HEAD", code=2)
    assert "not a git repository" in done.stderr
    done = repository.run("plan", "test.yaml", str(outside / "m.yaml"), "--compare", "HEAD", code=2)
    assert "lies outside the repository" in done.stderr
    repository.environment["PATH"] = "/nonexistent"
    assert "git is not installed" in repository.run("plan", "test.yaml", "--compare", "HEAD", code=2).stderr


def test_a_commit_whose_manifest_was_wrong(repository):
    good = (repository.folder / "test.yaml").read_text()
    repository.write("test.yaml", good.replace("key: j0", "kye: j0"))
    repository.git("commit", "-qam", "wrong")
    repository.write("test.yaml", good)
    done = repository.run("plan", "test.yaml", "--compare", "HEAD", code=2)
    assert "HEAD:test.yaml:7:6: " in done.stderr
    assert "the manifests of HEAD cannot be read" in done.stderr
    assert "seedbatch-" not in done.stderr  # the folder in which it was read


def test_nothing_outside_the_repository_is_read(repository, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.csv"
    secret.write_text("id,text\na,secret\n")
    for named in (str(secret), "../" * 20 + str(secret).lstrip("/"), "rows/link.csv"):
        repository.write("m.yaml", SOURCE.replace("rows/a.csv", named))
        link = repository.folder / "rows/link.csv"
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(secret)
        repository.git("add", ".")
        repository.git("commit", "-qm", "leak", "--allow-empty")
        done = repository.run("plan", "m.yaml", "--compare", "HEAD", code=2)
        assert "secret\n" not in done.stdout + done.stderr
        assert done.stdout == ""


def test_hostile_prompts_change_nothing_of_a_comment(repository):
    text = (repository.folder / "test.yaml").read_text()
    repository.write("test.yaml", text.replace("key: j0", "key: x, tags: ['</code>@team | <!--']"))
    repository.git("branch", "we`ird")
    comment = repository.run("plan", "test.yaml", "--compare", "we`ird", "--format", "markdown").stdout
    assert comment.startswith("## Since ``we`ird``: ")
    assert "@team" not in comment
