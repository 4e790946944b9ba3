from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from seedbatch.manifest import commit_of


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit of `m.yaml` and `n.yaml`, and nobody's configuration."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(tmp_path / "none"))
    folder = tmp_path / "a folder"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for name in ("m.yaml", "n.yaml"):
        (folder / name).write_text("a: 1\n")
    commit(folder)
    return folder


def git(folder, *arguments):
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--message", "x")


def test_a_file_as_it_was_committed(repository):
    assert commit_of([repository / "m.yaml"]) == (git(repository, "rev-parse", "HEAD"), False)


def test_a_changed_file_is_dirty(repository):
    (repository / "m.yaml").write_text("a: 2\n")
    assert commit_of([repository / "m.yaml"]) == (git(repository, "rev-parse", "HEAD"), True)


def test_a_staged_change_is_dirty_too(repository):
    (repository / "m.yaml").write_text("a: 2\n")
    git(repository, "add", "m.yaml")
    assert commit_of([repository / "m.yaml"])[1]


def test_a_file_that_git_does_not_know_is_dirty(repository):
    (repository / "new.yaml").write_text("a: 1\n")
    assert commit_of([repository / "new.yaml"])[1]


def test_a_file_that_git_ignores_is_in_no_commit(repository):
    (repository / ".gitignore").write_text("local*.yaml\n")
    commit(repository)
    (repository / "local.yaml").write_text("a: 1\n")
    assert commit_of([repository / "local.yaml"])[1]


def test_other_files_do_not_matter(repository):
    (repository / "n.yaml").write_text("a: 2\n")
    assert not commit_of([repository / "m.yaml"])[1]
    assert commit_of([repository / "m.yaml", repository / "n.yaml"])[1]


def test_a_relative_path_is_seen_from_here(repository, monkeypatch):
    deeper = repository / "deeper"
    deeper.mkdir()
    monkeypatch.chdir(deeper)
    (deeper / "o.yaml").write_text("a: 1\n")
    commit(repository)
    assert commit_of([Path("o.yaml")]) == commit_of([deeper / "o.yaml"])
    assert commit_of([Path("../m.yaml")]) == (git(repository, "rev-parse", "HEAD"), False)


def test_a_name_that_looks_like_an_option_is_a_name(repository):
    path = repository / "--version"
    path.write_text("a: 1\n")
    commit(repository)
    assert commit_of([path]) == (git(repository, "rev-parse", "HEAD"), False)


def test_a_name_that_looks_like_a_pattern_is_a_name(repository):
    (repository / "[mn].yaml").write_text("a: 1\n")
    commit(repository)
    (repository / "m.yaml").write_text("a: 2\n")
    assert commit_of([repository / "[mn].yaml"]) == (git(repository, "rev-parse", "HEAD"), False)


def test_outside_a_repository_there_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "m.yaml").write_text("a: 1\n")
    assert commit_of([tmp_path / "m.yaml"]) == ("", False)


def test_a_repository_without_a_commit_has_none(tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "m.yaml").write_text("a: 1\n")
    assert commit_of([tmp_path / "m.yaml"]) == ("", False)


def test_without_git_there_is_nothing(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert commit_of([repository / "m.yaml"]) == ("", False)
