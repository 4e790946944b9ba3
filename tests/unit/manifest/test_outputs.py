from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.manifest.outputs import Unusable, file_name, meeting_point


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("batch/river", "batch/river"),
        ("b/river[ratio=16:9,season=spring]#2", "b/river-ratio=16-9,season=spring--take2"),
        ("river#12", "river-take12"),
        ("a#b", "a-b"),
        ("Zoë & co", "Zo----co"),
        ("a\\b", "a-b"),
        ("x.final", "x.final"),
    ],
)
def test_names(output, name):
    assert file_name(output) == name


@pytest.mark.parametrize(
    "output", ["", "/a", "..", "../a", "a/../b", "a/..", "./a", "a//b", "a/", ".hidden", "a/.b", "x" * 201, "a/" * 600]
)
def test_what_cannot_be_a_path_below_the_folder(output):
    with pytest.raises(Unusable):
        file_name(output)


@given(st.text(max_size=60) | st.text("./\\#a~:", max_size=20))
def test_nothing_leaves_the_folder(output):
    try:
        name = file_name(output)
    except Unusable:
        return
    assert re.fullmatch(r"[A-Za-z0-9._=,/-]+", name)
    assert not PurePosixPath(name).is_absolute()
    assert not any(part.startswith(".") for part in name.split("/"))


def test_names_meet_where_file_systems_say_so():
    assert meeting_point("Shots/River") == meeting_point("shots/river")
    assert meeting_point("e\u0301") == meeting_point("\u00e9")
