from __future__ import annotations

import math

import pytest
import yaml
import yamlcore
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seedbatch.manifest.scalars import NotJson, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16:9", "16:9"),
        ("1:30:00", "1:30:00"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("010", 10),
        ("0o14", 12),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("+5", 5),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("nuLL", "nuLL"),
        ("TRUE", True),
        ("tRue", "tRue"),
        ("=", "="),
        ("-", "-"),
        (".", "."),
        ("0b1", "0b1"),
        ("1e", "1e"),
    ],
)
def test_core_schema(text, value):
    found = plain(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("text", [".inf", "-.INF", "+.Inf", ".nan", ".NaN", "1e999", "-1e999"])
def test_what_json_cannot_hold_is_refused(text):
    with pytest.raises(NotJson):
        plain(text)


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="0123456789abcdefxoeEnulltrsANTRUE+-._:~ ", max_size=8).map(str.strip))
@example("0o8")
@example("0xg")
@example("+0o7")
@example("-0x1")
@example("1.e+5")
def test_yamlcore_reads_the_same(text):
    # The oracle resolves what it would resolve as a plain scalar; it builds numbers as we do.
    tag = yamlcore.CoreLoader.yaml_implicit_resolvers
    resolved = _resolve(tag, text)
    try:
        ours = plain(text)
    except NotJson:
        assert resolved == "tag:yaml.org,2002:float"
        return
    kinds = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}
    assert f"tag:yaml.org,2002:{kinds[type(ours)]}" == resolved
    if isinstance(ours, int | float) and not isinstance(ours, bool):
        theirs = yaml.load(f"- !!{kinds[type(ours)]} {text}", Loader=yamlcore.CoreLoader)[0]  # noqa: S506 - the oracle
        assert math.isclose(ours, theirs)


def _resolve(resolvers, text):
    for tag, pattern in resolvers.get(text[:1], []) + resolvers.get(None, []):
        if pattern.match(text):
            return tag
    return "tag:yaml.org,2002:str"
