"""Files of picks: what is read, where a pick goes, and that nothing else in the file changes."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.errors import UsageError
from seedbatch.manifest.picks import Picks, changed, read_picks, without_picks

COMMENTED = """\
# Our choice of Tuesday.
version: 1   # the only one
picks:
  # heroes
  - demo/market#2
  - demo/river[ratio=16:9,season=spring]   # the client's favourite

  # fillers
  - demo/sky
# the end
"""


def lines_of_difference(before, after):
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def stored(tmp_path, text):
    path = tmp_path / "picks.yaml"
    path.write_bytes(text.encode())
    return read_picks(path)


def test_no_file_is_no_picks(tmp_path):
    picks = read_picks(tmp_path / "picks.yaml")
    assert picks.names == ()
    assert changed(picks, adding=["demo/river#2"]).endswith("version: 1\npicks:\n  - demo/river#2\n")


def test_a_pick_is_one_line_and_comments_stay(tmp_path):
    picks = stored(tmp_path, COMMENTED)
    assert picks.names == ("demo/market#2", "demo/river[ratio=16:9,season=spring]", "demo/sky")
    more = changed(picks, adding=["demo/rose#10", "demo/rose#2", "demo/sky"])
    assert lines_of_difference(COMMENTED, more) == ["+   - demo/rose#2", "+   - demo/rose#10"]
    assert more.index("rose#10") < more.index("# fillers")
    fewer = changed(picks, removing=["demo/market#2"])
    assert lines_of_difference(COMMENTED, fewer) == ["-   - demo/market#2"]
    assert changed(picks, adding=["demo/a"]).index("demo/a") < COMMENTED.index("# heroes") + len("demo/a")
    assert stored(tmp_path, more).names == (
        *("demo/market#2", "demo/river[ratio=16:9,season=spring]", "demo/rose#2", "demo/rose#10", "demo/sky"),
    )


def test_the_last_pick_may_go_and_come_back(tmp_path):
    one = changed(Picks("picks.yaml"), adding=["demo/river#2"])
    none = changed(stored(tmp_path, one), removing=["demo/river#2"])
    assert stored(tmp_path, none).names == ()
    assert changed(stored(tmp_path, none), adding=["demo/river#2"]) == one


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\npicks: []  # none\n", "version: 1\npicks:", "picks:\nversion: 1\n", "version: 1\r\npicks:\r\n",
        "# only words", "\n", "version: 1\npicks:\n- demo/zoo\n", "\ufeffversion: 1\npicks: null\n",
        "# picks: []\nversion: 1\npicks: ~",
    ],
)  # fmt: skip
def test_a_pick_finds_its_place(tmp_path, text):
    picks = stored(tmp_path, text)
    after = changed(picks, adding=["demo/b", "demo/a"])
    assert stored(tmp_path, after).names == ("demo/a", "demo/b", *picks.names)
    assert ("\r\n" in text) == ("\r\n" in after)
    for comment in ("# none", "# only words", "# picks: []"):
        assert (comment in text) == (comment in after)


ADDRESSES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


@given(st.sets(ADDRESSES.map(lambda text: f"demo/{text}"), max_size=6), st.data())
def test_any_address_is_kept(tmp_path_factory, names, data):
    path = tmp_path_factory.mktemp("any")
    order = data.draw(st.permutations(sorted(names)))
    text = changed(Picks("picks.yaml"), adding=order)
    assert changed(Picks("picks.yaml"), adding=sorted(names)) == text
    picks = stored(path, text)
    assert set(picks.names) == names
    gone = data.draw(st.sets(st.sampled_from(order))) if order else set()
    assert set(stored(path, changed(picks, removing=gone)).names) == names - gone


def test_what_a_merge_left_twice_is_one_pick(tmp_path):
    picks = stored(tmp_path, "version: 1\npicks:\n  - a/b\n  - a/b\n")
    assert stored(tmp_path, changed(picks, removing=["a/b"])).names == ()


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\npicks: [demo/a, demo/c]\n",
        "version: 1\npicks:\n  - >-\n    demo/a\n  - demo/c\n",
        "{version: 1, picks: [demo/a]}\n",
    ],
)
def test_what_is_not_one_pick_a_line_is_read_and_left_alone(tmp_path, text):
    picks = stored(tmp_path, text)
    assert "demo/a" in picks.names
    with pytest.raises(UsageError, match="not written one pick a line, so it is left as it is"):
        changed(picks, removing=["demo/a"])


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("version: 1\npicks:\n<<<<<<< HEAD\n  - a/b\n=======\n  - a/c\n>>>>>>> x\n", ":3:1: a merge was left", "both"),
        ("version: 1\npicks:\n  - river\n", ":3:5: this is no pick\n    |   - river\n    |     ^", "BATCH/ADDRESS"),
        ("version: 1\npicks:\n  - a/b\n  - 12\n", ":4:5: this is no pick", "BATCH/ADDRESS"),
        ("version: 1\npicks:\n  a/b: yes\n", ":3:3: picks are a list", "BATCH/ADDRESS"),
        ("version: 2\npicks: []\n", ":1:10: the version of picks is 1", "newer"),
        ("picks: []\n", ":1:1: the version of picks is 1", "version: 1"),
        ("version: 1\npick:\n", ":2:1: 'pick' is nothing", "did you mean picks?"),
        ("- a/b\n", ":1:1: this is no file of picks", "version: 1"),
        ("version: 1\npicks: [\n", ":3:1: ", ""),
        ("version: 1\nversion: 1\n", ":2:1: ", ""),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, said, hint):
    with pytest.raises(UsageError) as refused:
        stored(tmp_path, text)
    assert f"picks.yaml{said}" in refused.value.message
    assert hint in refused.value.hint


def test_what_cannot_be_read_is_told(tmp_path):
    (tmp_path / "picks.yaml").write_bytes(b"version: 1\npicks:\n  - caf\xe9/a\n")
    with pytest.raises(UsageError, match=r"picks\.yaml:3:8: this is not UTF-8"):
        read_picks(tmp_path / "picks.yaml")
    with pytest.raises(UsageError, match="this is a folder"):
        read_picks(tmp_path)
    picks = tmp_path / "picks.yaml"
    picks.write_text("version: 1\npicks:\n  - \x1b[31m\u202e/\n<<<<<<< \u202e\n")
    with pytest.raises(UsageError) as refused:
        read_picks(picks)
    assert "\u202e" not in refused.value.message


def test_a_pattern_of_paths_means_manifests(tmp_path):
    assert without_picks([tmp_path / "a.yaml", tmp_path / "picks.yaml"]) == (tmp_path / "a.yaml",)
    assert without_picks([tmp_path / "picks.yaml"]) == (tmp_path / "picks.yaml",)
