"""Selections: what is written down, what is meant, and what is refused with a finger on the place."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.errors import UsageError
from seedbatch.domain.selection import (
    Choice,
    Condition,
    Facts,
    Kind,
    Pattern,
    Selection,
    Wild,
    choice,
    label_names,
    matches,
    parse,
    pattern,
    pick_of,
    unknown_label,
)
from seedbatch.domain.states import FailureClass, JobState

RIVER = Facts(
    batch="autumn",
    address="river[ratio=16:9,season=spring]#2",
    model="seedance-2.0-fast",
    tags=("hero", "two words"),
    axes={"ratio": "16:9", "season": "spring", "lucky": None, "tag": "axis"},
    input={"prompt": "a river", "duration": 5, "fallback": False, "scale": 0.5, "ratio": "9:16", "images": ["x"]},
    state=JobState.FAILED,
    failure=FailureClass.TIMEOUT,
    reason="the provider gave up after 4 hours",
    vars={"style": "noir", "city": "x" * 201},
)


@pytest.mark.parametrize(
    "text",
    [
        "river*",
        "river",
        "key:river",
        "key:r?ver*",
        "river[ratio=16:9,season=spring]",
        "river[ratio=16:9,season=spring]#2",
        "*#2",
        "tag:hero",
        'tag:"two words"',
        "tag:two\\ words",
        "tag:two*",
        "state:failed",
        "state:fail*",
        "reason:timeout",
        "reason:*hours",
        "model:seedance*",
        "batch:autumn",
        "ratio=16:9",
        "ratio=9:16",
        "season=spr*",
        "duration=5",
        "fallback=false",
        "scale=0.5",
        "lucky=null",
        "tag=axis",
        "tag:nobody tag:hero",
        "tag:hero,state:failed",
        "  tag:hero\t",
    ],
)
def test_what_means_a_job(text):
    assert matches(parse(text), RIVER)


@pytest.mark.parametrize(
    "text",
    [
        "rive",
        "key:ver*",
        "River",
        "river[ratio=9:16]",
        "tag:her",
        "tag:axis",
        "state:pending",
        "reason:moderation",
        "reason:hours*",
        "model:seedance",
        "batch:aut",
        "ratio=16?90",
        "prompt=*",
        "images=*",
        "tag:hero,state:pending",
        'lucky=""',
        'season=""',
        'tag:"h\\*"',
    ],
)
def test_what_does_not(text):
    assert not matches(parse(text), RIVER)


def test_a_job_that_nobody_recorded_will_be_pending():
    facts = Facts("b", "a", "m")
    assert matches(parse("state:pending"), facts)
    assert not matches(parse("reason:*"), facts)


def test_a_choice_leaves_out_what_is_excluded():
    assert Choice().everything
    assert Choice().takes(RIVER)
    assert choice(["tag:nobody", "tag:hero"]).takes(RIVER)
    assert not choice(["tag:nobody"]).takes(RIVER)
    assert choice([], ["tag:nobody"]).takes(RIVER)
    assert not choice(["tag:hero"], ["tag:nobody", "state:failed"]).takes(RIVER)
    assert choice(["ratio=1 tag:hero"], ["season=x"]).kinds == {Kind.LABEL, Kind.TAG}
    assert [label.name for label in choice(["ratio=1 tag:hero"], ["season=x"]).labels] == ["ratio", "season"]


@pytest.mark.parametrize(
    ("text", "place", "said", "hint"),
    [
        ("staet:failed", "staet", "nothing that can be asked about", "did you mean state?"),
        ("tag:a State:failed", "State", "nothing that can be asked about", "did you mean state?"),
        ("state:failled", "failled", "no state is called 'failled'", "did you mean failed?"),
        ("state:in-doubt", "in-doubt", "no state", "did you mean in_doubt?"),
        ("state:done*", "done*", "no state", "there are: pending"),
        ("reason:modertion", "modertion", "no class of failure", "did you mean moderation?"),
        ("reason:late", "late", "no class of failure", "as in reason:*timeout*"),
        ("ratio:16:9", "ratio", "nothing that can be asked about", "for an axis, a var or a parameter: ratio=16:9"),
        ("ratio!=16:9", "ratio!", "no name", "--exclude ratio="),
        ("=5", "=", "no name", "for example ratio=16:9"),
        ("tag:", "tag:", "nothing follows", 'write ""'),
        ("tag:,state:failed", "tag:", "nothing follows", 'write ""'),
        ("tag:hero,", ",", "must follow this comma", "a comma means both"),
        ("tag:hero, state:failed", ",", "must follow this comma", "a space means either"),
        (",tag:hero", ",", "missing before this comma", ""),
        ('tag:"two words', '"two words', "this quote is never closed", ""),
        ("river[ratio=16:9", "[ratio=16:9", "this bracket is never closed", "write \\["),
        ("river\\", "\\", "nothing follows this backslash", "write two"),
        ("tag:a\0b", "\0b", "no control characters", ""),
        ("tag:\udce9", "\udce9", "no control characters", ""),
    ],
)
def test_what_is_refused_is_pointed_at(text, place, said, hint):
    with pytest.raises(UsageError) as refused:
        parse(text)
    head, line, carets = refused.value.message.split("\n")
    assert said in head
    at = carets.index("^") - carets.index("|") - 2
    assert text[at:].startswith(place)
    assert re.sub("[\0\udce9]", "�", text) == line.partition("| ")[2]
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("a" * 10_001, "10,001 characters"),
        ("a " * 201, "201 conditions"),
    ],
)
def test_what_is_refused_as_a_whole(text, said):
    with pytest.raises(UsageError, match=said):
        parse(text)


def test_several_options_have_one_bound():
    assert choice(["a " * 100, "b " * 100]).select is not None
    with pytest.raises(UsageError, match="--exclude: 202 conditions"):
        choice([], ["a " * 101, "b " * 101])


def test_a_name_that_no_job_has():
    (condition,) = parse("raito=16:9").labels
    assert "did you mean ratio=16:9?" in unknown_label(condition, {"ratio", "season"}).hint
    (condition,) = parse("state=failed").labels
    assert "did you mean state:failed?" in unknown_label(condition, {"ratio"}).hint
    (condition,) = parse("x=1").labels
    assert unknown_label(condition, {"ratio", "season"}).hint == "there are: ratio, season"
    assert unknown_label(condition, ()).hint == "no job has any axis, var or parameter"
    assert label_names(RIVER.axes, RIVER.input, RIVER.vars) == {
        *("ratio", "season", "lucky", "tag", "duration", "fallback", "scale", "style", "city"),
    }


# -- whatever is written ------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
PATTERNS = st.lists(TEXT | st.sampled_from(Wild), max_size=5).map(pattern)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
CONDITIONS = (
    st.builds(Condition, st.sampled_from([Kind.KEY, Kind.TAG, Kind.MODEL, Kind.BATCH]), PATTERNS)
    | st.builds(Condition, st.just(Kind.LABEL), PATTERNS, NAMES)
    | st.builds(Condition, st.just(Kind.STATE), st.sampled_from(JobState).map(lambda state: Pattern((str(state),))))
    | st.builds(Condition, st.just(Kind.REASON), st.sampled_from(FailureClass).map(lambda one: Pattern((str(one),))))
    | st.just(Condition(Kind.PICKED))
)
SELECTIONS = st.lists(st.lists(CONDITIONS, min_size=1, max_size=4).map(tuple), min_size=1, max_size=4).map(
    lambda alternatives: Selection(tuple(alternatives))
)


def parsed(text):
    try:
        return parse(text)
    except UsageError as error:
        return error


@given(SELECTIONS)
def test_what_is_printed_is_read_again(selection):
    assert parse(str(selection)) == selection


@given(st.text() | st.text('ab:=,*?"\\[] \n#.state', max_size=60))
def test_any_text_is_a_selection_or_refused(text):
    found = parsed(text)
    if isinstance(found, UsageError):
        assert len(found.message) < 400
        return
    assert parse(str(found)) == found
    matches(found, RIVER)


@given(PATTERNS, TEXT)
def test_a_pattern_means_what_its_simplest_reading_says(wanted, text):
    assert wanted.matches(text) == simply(wanted.parts, text)


def simply(parts, text):
    if not parts:
        return text == ""
    first, *rest = parts
    if first is Wild.ANY:
        return any(simply(rest, text[start:]) for start in range(len(text) + 1))
    if first is Wild.ONE:
        return text != "" and simply(rest, text[1:])
    return text.startswith(first) and simply(rest, text[len(first) :])


def test_nothing_takes_long():
    address = "a" * 200 + "b"
    begun = time.process_time()
    for text in (
        "*a" * 4_999,
        "*?a" * 3_333,
        "a*" * 4_999,
        "?" * 9_999,
        "(" * 10_000,
        "tag:" * 2_500,
        '"' * 9_998,
        "\\[" * 5_000,
        "[" + "]" * 9_999,
    ):
        matches(parse(text), Facts("b", address, "m"))
    for text in ("=" * 10_000, "a," * 5_000, ":" * 10_000):
        assert len(parsed(text).message) < 400
    assert time.process_time() - begun < 5


def test_picked_is_a_word_of_its_own():
    picks = frozenset({pick_of("autumn", RIVER.address), pick_of("autumn", "market#1")})
    assert choice(["picked"]).asks_for_picks
    assert choice(["tag:hero picked"]).picking(picks).takes(RIVER)
    assert choice(["picked,tag:hero"]).picking(picks).takes(RIVER)
    assert not choice([], ["picked"]).picking(picks).takes(RIVER)
    assert not choice(["picked"]).takes(RIVER)
    assert choice(["picked"]).picking(picks).takes(replace(RIVER, address="market"))
    assert not choice(["picked"]).picking(picks).takes(replace(RIVER, batch="spring"))
    # A job of that name is still named by its kind, and whatever is only like the word is one of keys.
    for text in ("key:picked", "picked*", '"picked"', "picked[ratio=16:9]", "picked#2"):
        assert not choice([text]).asks_for_picks
    with pytest.raises(UsageError, match="word of its own"):
        choice(["picked:yes"])
