"""The commands as people and scripts meet them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest
from acceptance.conftest import HEADER

from seedbatch import __version__
from seedbatch.cli.group import COMMANDS, LazyGroup

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("aiohttp", "jsonschema", "jsonschema_rs", "sqlite_utils", "rich", "yaml", "asyncio", "jinja2")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"]])
def test_help_imports_nothing_heavy(arguments):
    assert imported(arguments) == []


def test_completion_imports_nothing_heavy(monkeypatch):
    monkeypatch.setenv("_SEEDBATCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "seedbatch st")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert imported([]) == []


@pytest.mark.parametrize(
    ("command", "needed"),
    [("status", []), ("list", []), ("show river", []), ("plan m.yaml", ["jsonschema_rs", "yaml"])],
)
def test_who_only_reads_imports_nothing_of_what_writes_and_fetches(project, command, needed):
    project.apply(project.write("m.yaml", HEADER.format(batch="b") + "  - {key: river, prompt: A river}\n"))
    assert imported([*command.split(), "--sandbox"], project.folder) == needed


def imported(arguments, folder=None):
    program = (
        "import sys, atexit;"
        f"atexit.register(lambda: print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules]));"
        f"sys.argv = ['seedbatch', *{arguments!r}];"
        "from seedbatch.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    return json.loads(re.search(r"^HEAVY (.*)$", done.stdout, flags=re.MULTILINE).group(1).replace("'", '"'))


def test_the_version_is_said_once():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{__version__}"' in text
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_table_of_commands_says_what_they_say():
    group = LazyGroup()
    for name in COMMANDS:
        command = group.get_command(None, name)
        assert command.name == name
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, (name, parameter.name)


def test_completion(project):
    project.environment |= {"_SEEDBATCH_COMPLETE": "bash_complete", "COMP_WORDS": "seedbatch s", "COMP_CWORD": "1"}
    words = project.run(code=None).stdout
    assert [line.partition(",")[2] for line in words.splitlines()] == ["status", "show", "serve", "schema", "sandbox"]
    project.environment |= {"COMP_WORDS": "seedbatch apply --san", "COMP_CWORD": "2"}
    assert "--sandbox" in project.run(code=None).stdout


def test_a_first_manifest(project):
    done = project.run("init")
    assert "seedbatch apply manifests/first.yaml --sandbox" in done.stderr
    assert ".seedbatch/" in (project.folder / ".gitignore").read_text()
    project.run("validate", "manifests/first.yaml")
    manifest = project.folder / "manifests/first.yaml"
    schema = re.search(r"\$schema=(\S+)", manifest.read_text()).group(1)
    assert json.loads((manifest.parent / schema).read_text())["title"] == "seedbatch manifest"
    project.apply("manifests/first.yaml")
    manifest.write_text("mine")
    assert "is there" in project.run("init").stderr
    assert manifest.read_text() == "mine"
    assert (project.folder / ".gitignore").read_text().count(".seedbatch/") == 1


def test_events_are_json_with_a_summary_last(project):
    done = project.run(
        "apply", project.manifest("one", "two [fail]"), "--sandbox", "--yes", "--json", "--sandbox-speed=50", code=3
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert all({"version", "at", "type", "batch", "key"} <= set(event) for event in events)
    assert [event["type"] for event in events].count("submitted") == 2
    summary = events[-1]
    assert (summary["type"], summary["exit"], summary["settled"]) == ("summary", 3, True)
    assert summary["counts"]["completed"] == summary["counts"]["failed"] == 1
    assert done.stderr == ""


def test_reading_as_json(project):
    project.apply(project.manifest("one", "two [moderation]"), code=3)
    status = json.loads(project.run("status", "--sandbox", "--json").stdout)
    assert status["batches"][0]["counts"]["completed"] == 1
    assert (status["violations_today"], status["surcharge_percent"], status["in_doubt"]) == (1, 1, [])
    (one, two) = project.jobs()
    assert (one["state"], one["artifacts"][0]["content_type"]) == ("completed", "video/mp4")
    assert (two["failure"], two["artifacts"], two["cost"]) == ("moderation", [], None)
    story = json.loads(project.run("show", "j1", "--sandbox", "--json").stdout)
    assert story["story"][-1]["data"]["class"] == "moderation"
    plan = json.loads(project.run("plan", "test.yaml", "--sandbox", "--format", "json").stdout)
    assert plan["summary"]["counts"]["held"] == 1
    project.run("status", "--sandbox", "--exit-code", code=3)
    project.apply("test.yaml", code=3)
    assert project.submitted() == 2


def test_reading_without_a_ledger(project):
    for command in (["status"], ["list"], ["show", "x"], ["collect"]):
        done = project.run(*command)
        assert "There is no ledger" in done.stderr
        assert done.stdout == ""
    assert list(project.folder.iterdir()) == []
    project.apply(project.manifest("one"))
    assert "add --sandbox" in project.run("status").stderr


def test_a_reader_that_leaves_early_is_no_error(project):
    project.apply(project.manifest(*(f"clip {number}" for number in range(30))))
    shell = "seedbatch list --sandbox --json | head -1; echo ${PIPESTATUS[0]}"
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=project.folder, capture_output=True, text=True, check=True, env={"PATH": path}
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


def test_nobody_reading_the_events_changes_nothing(project):
    manifest = project.manifest("one", "two", "three")
    process = project.start("apply", manifest, "--sandbox", "--yes", "--json", "--sandbox-speed=2")
    process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert set(project.states().values()) == {"completed"}


def test_foreign_text_cannot_command_a_terminal(project):
    project.write(
        "m.yaml",
        "version: 1\nbatch: m\ndefaults: {model: seedance-2.0, input: {resolution: 480p, ratio: 16:9, duration: 5}}\n"
        'jobs: [{key: a, prompt: "\\e]0;owned\\a \\u202egnp.exe\\u2066 [reject]"}]\n',
    )
    project.apply("m.yaml", code=3)
    for command in (["show", "a"], ["list"], ["status"]):
        words = project.run(*command, "--sandbox").stdout
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\u2066]", words)


def test_the_schemas_and_the_gallery_are_in_the_wheel(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = "from seedbatch.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "schema", "seedance-2.0"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["title"] == "Seedance video"
    assert (tmp_path / "site/seedbatch/sandbox/bundled/16x9.mp4").exists()
    assert (tmp_path / "site/seedbatch/schemas/manifest.schema.json").exists()
    parts = {path.name for path in (ROOT / "seedbatch/report").iterdir() if path.is_file()}
    assert parts == {path.name for path in (tmp_path / "site/seedbatch/report").iterdir()}
    assert {"page.html", "gallery.css", "gallery.js"} <= parts
