"""Data as scripts: whatever a prompt says, the script says it and nothing else."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.report.scripts import script, scripts


def read(content: bytes) -> object:
    """What an engine makes of it: a string literal in single quotes, then JSON."""
    literal = re.fullmatch(r"gallery\.receive\('(.*)'\);\n", content.decode()).group(1)
    assert re.fullmatch(r"(?:[^'\\\n\r\u2028\u2029<]|\\['\\]|\\u[0-9a-f]{4})*", literal)
    escape = re.compile(r"\\(?:(['\\])|u([0-9a-f]{4}))")
    return json.loads(escape.sub(lambda found: found[1] or chr(int(found[2], 16)), literal))


@given(st.recursive(st.text() | st.integers() | st.booleans() | st.none(), st.lists))
def test_what_is_written_is_what_is_read(value):
    assert read(script(value)) == value


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!--", "'); alert(1); ('", "\\'", "\u2028\u2029", "\r\n", "\\u003c"]
)
def test_what_would_end_the_script_does_not(text):
    assert read(script([text])) == [text]


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, [0]), (1, [1]), (120, [120]), (121, [120, 1]), (1200, [120, 1000, 80])]
)
def test_the_first_script_is_small_and_all_are_there(count, sizes):
    found = [read(one) for one in scripts(list(range(count)))]
    assert [len(one) for one in found] == sizes
    assert [one for part in found for one in part] == list(range(count))
