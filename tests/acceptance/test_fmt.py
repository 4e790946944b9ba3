"""`seedbatch fmt`, on the installed command."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
COMMAND = Path(sys.executable).with_name("seedbatch")
CANONICAL = 'version: 1\nbatch: b\n\n# one\njobs:\n  - key: a\n    prompt: "a cat"  # two\n'
OTHER = "jobs:\n  # one\n- prompt: 'a cat' # two\n  key: a\nbatch: b\nversion: 1\n"
OTHER_CANONICAL = 'version: 1\nbatch: b\n\njobs:\n  # one\n  - key: a\n    prompt: "a cat"  # two\n'


def read(project, name):
    return (project.folder / name).read_bytes().decode()


def test_files_are_written_in_place(project):
    one, two = project.write("one.yaml", OTHER), project.write("two.yaml", CANONICAL)
    done = project.run("fmt", one, two)
    assert read(project, one) == OTHER_CANONICAL
    assert read(project, two) == CANONICAL
    assert done.stdout == ""
    assert done.stderr == "  formatted  one.yaml\n"
    assert project.run("fmt", one, two).stderr == ""
    assert sorted(path.name for path in project.folder.iterdir()) == ["one.yaml", "two.yaml"]


def test_check_names_what_differs_and_changes_nothing(project):
    one, two = project.write("one.yaml", OTHER), project.write("two.yaml", CANONICAL)
    done = project.run("fmt", "--check", one, two, code=2)
    assert done.stdout == "one.yaml\n"
    assert "1 file is not in canonical form" in done.stderr
    assert read(project, one) == OTHER
    assert project.run("fmt", "--check", two).stdout == ""


def test_diff_shows_what_would_change(project):
    name = project.write("m.yaml", "batch: b\nversion: 1\n")
    done = project.run("fmt", "--diff", name)
    assert done.stdout == "--- m.yaml\n+++ m.yaml (canonical)\n@@ -1,2 +1,2 @@\n+version: 1\n batch: b\n-version: 1\n"
    assert project.run("fmt", "--diff", "--check", name, code=2).stdout == done.stdout
    assert read(project, name) == "batch: b\nversion: 1\n"


def test_a_pipe(project):
    assert project.run("fmt", "-", input=OTHER, stdin=None).stdout == OTHER_CANONICAL
    assert project.run("fmt", "-", "--check", input=OTHER, stdin=None, code=2).stdout == "-\n"
    done = project.run("fmt", "-", input="a: [1", stdin=None, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("-:2:1: ") or done.stderr.startswith("-:1:4: ")
    assert "[yaml/syntax]" in done.stderr
    assert list(project.folder.iterdir()) == []


def test_what_is_no_yaml_is_told_as_validate_tells_it_and_left_alone(project):
    bad, good = project.write("bad.yaml", "a: 1\na: 2\n"), project.write("good.yaml", OTHER)
    done = project.run("fmt", bad, good, "none.yaml", code=2)
    told = project.run("validate", bad, code=2).stderr.partition("Error:")[0]
    assert told in done.stderr
    assert "none.yaml: there is no such file" in done.stderr
    assert "2 files could not be formatted" in done.stderr
    assert read(project, bad) == "a: 1\na: 2\n"
    assert read(project, good) == OTHER_CANONICAL
    assert "[manifest/shape]" in project.run("fmt", project.write("list.yaml", "- 1\n"), code=2).stderr


def test_windows_files_become_ours(project):
    name = project.write("m.yaml", b"\xef\xbb\xbf" + CANONICAL.replace("\n", "\r\n").encode())
    assert project.run("fmt", "--check", name, code=2).stdout == "m.yaml\n"
    project.run("fmt", name)
    assert read(project, name) == CANONICAL
    ending = project.write("ending.yaml", "a: 1\r\nb: 2")
    shown = project.run("fmt", "--diff", ending).stdout.splitlines()
    assert shown[3:] == ["-a: 1\ufffd", "+a: 1", " b: 2", "-\\ No newline at end of file"]


def test_permissions_and_links_are_kept(project):
    name = project.write("shots/m.yaml", OTHER)
    target = project.folder / name
    target.chmod(0o640)
    link = project.folder / "link.yaml"
    link.symlink_to("shots/m.yaml")
    project.run("fmt", "link.yaml")
    assert link.is_symlink()
    assert target.read_text() == OTHER_CANONICAL
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(target.parent.iterdir()) == [target]


def test_a_read_only_file_is_left_alone(project):
    name = project.write("m.yaml", OTHER)
    (project.folder / name).chmod(0o444)
    done = project.run("fmt", name, code=2)
    assert "m.yaml: it is read-only" in done.stderr
    assert "chmod u+w" in done.stderr
    assert read(project, name) == OTHER


def test_where_no_file_can_be_made_beside_it_nothing_is_lost(project):
    name = project.write("m.yaml", CANONICAL.replace("a cat", "'" * 5_000 + "a cat") + "\n\n")
    limited = f"ulimit -f 2; exec {COMMAND} fmt {name}"
    before = read(project, name)
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {limited}"], cwd=project.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "it cannot be written" in done.stderr
    assert read(project, name) == before
    assert list(project.folder.iterdir()) == [project.folder / name]


def test_a_hostile_file_cannot_command_a_terminal(project):
    name = project.write("m.yaml", "jobs: 1\n# \u202egnp.exe\nversion: 1\n")
    words = project.run("fmt", "--diff", name).stdout
    assert "\u202e" not in words
    assert "# \ufffdgnp.exe" in words


# -- pre-commit --------------------------------------------------------------------------------------------------------

HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", ["seedbatch-validate", "seedbatch-fmt"])
def test_the_hooks_do_as_they_say(project, name):
    hook = HOOKS[name]
    assert (hook["language"], hook["files"]) == ("python", r"^manifests/.*\.ya?ml$")
    program, *arguments = hook["entry"].split()
    assert program == "seedbatch"
    good = project.manifest("a cat", batch="good")
    project.run("fmt", good)
    project.run(*arguments, good, project.write("bad.yaml", "jobs: []\nversion: 1\n"), code=2)
    project.run(*arguments, good)
    assert set(HOOKS) == {"seedbatch-validate", "seedbatch-fmt"}
