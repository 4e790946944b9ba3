"""The documents say what the program does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from seedbatch.cli.group import COMMANDS
from seedbatch.domain.errors import PRECEDENCE, Exit
from seedbatch.engine.happenings import Kind
from seedbatch.engine.planned import Action
from seedbatch.manifest import load
from seedbatch.models import price_table
from seedbatch.settings import KEY_FILE_VARIABLE, KEY_VARIABLE

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_command_is_in_the_readme():
    section = text("README.md").partition("## Commands")[2].partition("\n## ")[0]
    named = {
        name
        for cell in re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
        for name in re.findall(r"`(\w+)", cell)
    }
    assert named == set(COMMANDS)


def test_every_exit_code_is_explained():
    codes = re.findall(r"^\| (\d+) \|", text("docs/exit-codes.md"), flags=re.MULTILINE)
    assert [int(code) for code in codes] == [int(code) for code in Exit]
    order = re.search(r"the first of ([\d, ]+) is the answer", text("docs/exit-codes.md")).group(1)
    assert [int(code) for code in order.split(",")] == [int(code) for code in PRECEDENCE]


def test_every_event_and_action_is_described():
    page = text("docs/json-output.md")
    for word in (*Kind, *Action):
        assert f"`{word}`" in page


def test_the_key_is_spoken_of_by_its_right_name():
    for variable in (KEY_VARIABLE, KEY_FILE_VARIABLE):
        assert variable in text("README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readmes_manifest_is_valid(tmp_path):
    path = tmp_path / "autumn.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", text("README.md"), flags=re.DOTALL).group(1))
    loaded = load([path])
    assert loaded.problems == loaded.warnings == ()
    assert len(loaded.batches[0].jobs) == 4


def test_the_documented_price_table_is_valid():
    rows = tomllib.loads(re.search(r"```toml\n(.*?)```", text("docs/money.md"), flags=re.DOTALL).group(1))["prices"]
    price = price_table(rows, "docs/money.md").price("seedance-2.0-fast", {"resolution": "480p", "duration": 5})
    assert str(price) == "0.25 USD"
