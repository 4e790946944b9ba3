"""The canonical form: what it is, that it changes no meaning, and that it loses no comment."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seedbatch.manifest import load, starter
from seedbatch.manifest.builder import Builder, Wrong
from seedbatch.manifest.formatting import Unformattable, formatted

ROOT = Path(__file__).parents[3]
MANIFESTS = sorted((ROOT / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_the_manifests_of_this_repository_are_canonical(path):
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text, f"type: seedbatch fmt {path.relative_to(ROOT)}"


def test_the_first_manifest_is_canonical():
    text = starter("first")
    assert formatted(text) == text


def test_a_manifest_in_its_canonical_form():
    before = """\
# The campaign of this autumn.
output: "{{ batch }}/{{ key }}"
jobs:
    - prompt: >
          A river,
          a long one
      takes: 2
      # two of them
      key: river       # the first
    # What follows is not sure yet.

    - {prompt: 'A market', key: market, input: {ratio: 9:16}}
    # - key: later
limits: {in_flight: 4}
retry: {attempts: 2}


budget: {currency: USD, max_cost: 12.50}
matrix: {season: [spring,
                  autumn]}
vars:
  no: 1_000
  look: ["35 mm",   # film
         'soft "light"']
defaults:
    input: {resolution: 480p, ratio: 16:9}
    model: seedance-2.0   # the newest
batch: autumn
version: 1
# The end.
"""
    after = """\
# The campaign of this autumn.
version: 1
batch: autumn

defaults:
  model: seedance-2.0  # the newest
  input: {resolution: 480p, ratio: "16:9"}

vars:
  "no": "1_000"
  look:
    - "35 mm"  # film
    - 'soft "light"'

matrix: {season: [spring, autumn]}

jobs:
  # two of them
  - key: river  # the first
    prompt: >
      A river,
      a long one
    takes: 2
  # What follows is not sure yet.

  - {key: market, prompt: "A market", input: {ratio: "9:16"}}
  # - key: later

budget: {currency: USD, max_cost: 12.50}
limits: {in_flight: 4}
retry: {attempts: 2}
output: "{{ batch }}/{{ key }}"
# The end.
"""
    assert formatted(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("16:9", '"16:9"'),
        ("9:16", '"9:16"'),
        ("1:30:00", '"1:30:00"'),
        ("no", '"no"'),
        ("On", '"On"'),
        ("yes", '"yes"'),
        ("y", '"y"'),
        ("1_000", '"1_000"'),
        ("0b11", '"0b11"'),
        ("2024-01-01", '"2024-01-01"'),
        ("2024-01-01 10:00:00", '"2024-01-01 10:00:00"'),
        ("<<", '"<<"'),
        ("=", '"="'),
        ("! 16:9", '"16:9"'),
        ("!!str 12", '"12"'),
        ("'012'", '"012"'),
        ("'0o14'", '"0o14"'),
        ("'1e3'", '"1e3"'),
        ("'~'", '"~"'),
        ("''", '""'),
        ("' x '", '" x "'),
        ("'a: b'", '"a: b"'),
        ("'a #b'", '"a #b"'),
        ("'it''s'", '"it\'s"'),
        ("'say \"x\"'", "'say \"x\"'"),
        ("480p", "480p"),
        ("a:b", "a:b"),
        ("norway", "norway"),
        ('"kept"', '"kept"'),
        ('"\\u00e9\\t"', '"\\u00e9\\t"'),
        # Numbers stay numbers, in digits that every version reads alike.
        ("5", "5"),
        ("-5", "-5"),
        ("12.50", "12.50"),
        ("0x1F", "0x1F"),
        ("012", "12"),
        ("0o14", "12"),
        ("1e3", "1000.0"),
        ("1e300", "1.0e+300"),
        ("-.5", "-0.5"),
        ("true", "true"),
        ("Null", "Null"),
        ("~", "~"),
        ("", ""),
    ],
)
def test_quotes_stand_where_a_reader_would_err(before, after):
    text = f"vars:\n  x: {before}".rstrip() + "\n"
    found = formatted(text)
    assert found == f"vars:\n  x: {after}".rstrip() + "\n"
    assert same(yaml.safe_load(found), Builder(text).build())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: |+\n  x\n\n\nb: 1\n", "a: |+\n  x\n\n\nb: 1\n"),
        ("a: |\n  x", "a: |-\n  x\n"),
        ("a: |\n", 'a: ""\n'),
        ("a: |2-\n   x\n  y\n", "a: |2-\n   x\n  y\n"),
        ("a: >2\n   x\n  y\n", "a: |2\n   x\n  y\n"),
        ("a: >  # c\n      x\n      y\n\n        z\n", "a: >  # c\n  x\n  y\n\n    z\n"),
        ("a: |\n  # no comment\n# one\nb: 1\n", "a: |\n  # no comment\n\n# one\nb: 1\n"),
        ('a: "x\\ \n    y"\n', 'a: "x\\ \n  y"\n'),
        ("a: x\n   y # c\n", "a: x\n  y  # c\n"),
        ("a: 2024-01-01\n   10:00:00\n", 'a: "2024-01-01 10:00:00"\n'),
        ("? |\n  long\n: c\n", '"long\\n": c\n'),
        ("a: &x [1]\nb: *x\n", "a: &x [1]\nb: *x\n"),
        ("jobs: [&j {a: 1}, *j]\n", "jobs: [&j {a: 1}, *j]\n"),
        ("output: &o x\nbatch: *o\n", "output: &o x\nbatch: *o\n"),  # the anchor must come first
        ("a: &x # c\n  k: v\n", "a: &x\n  # c\n  k: v\n"),
        ("a: [&x, # c\n 1]\n", "a:\n  - &x  # c\n  - 1\n"),
        ("a:\n- - 1\n  - 2\n", "a:\n  - - 1\n    - 2\n"),
        ("a: [ # c\n ]\n", "# c\na: []\n"),
        ("a: {b, c: [d: e]}\n", "a: {b: null, c: [{d: e}]}\n"),
        ("{\"a\":1,'b':[x]}\n", '"a": 1\n"b": [x]\n'),
        ("%YAML 1.1\n--- # c\na: 1\n... # d\n", "# c\na: 1\n# d\n"),
        ("a: 1\r\n\r\n\r\nb: 2\r\n", "a: 1\n\nb: 2\n"),
        ("a:\t1\t# c\n", "a: 1  # c\n"),
        ("a: [\n  1, # one\n  2\n  # end\n]\n", "a:\n  - 1  # one\n  - 2\n  # end\n"),
        ("a:\n  - # c\n    b: 1\n    # d\n    c: 2\n", "a:\n  # c\n  - b: 1\n    # d\n    c: 2\n"),
        ("a:\n# c\n  - 1\n", "a:\n  # c\n  - 1\n"),
        ("# h\n\n# j\njobs: 1\nversion: 1\n", "# h\n\nversion: 1\n\n# j\njobs: 1\n"),
    ],
)
def test_every_form_of_yaml_survives(before, after):
    assert formatted(before) == after
    assert formatted(after) == after
    assert same(Builder(after).build(), Builder(before).build())


def test_what_is_too_wide_for_a_line_takes_several():
    wide = f"jobs:\n  - {{key: a, prompt: {'x' * 100}, tags: [b]}}\n"
    assert formatted(wide) == f"jobs:\n  - key: a\n    prompt: {'x' * 100}\n    tags: [b]\n"


def test_where_the_meaning_cannot_be_kept_the_text_is_refused():
    with pytest.raises(Unformattable):
        formatted("%TAG !e! tag:yaml.org,2002:\n---\na: !e!int 5\n")


# -- properties --------------------------------------------------------------------------------------------------------

TRICKY = [
    *("16:9", "no", "on", "yes", "y", "012", "0o14", "1_000", "1e3", "2024-01-01", "1:30:00", "~", "", " x ", "a: b"),
    *("a #b", "# c", "- x", "x\ny", "x\n\n  y\n", "\n", " \n x", "x\n\n\n", "{a}", "[b", "&a", "*a", "!t", "%x", "@1"),
    *("'", '"', "\\", "it's", 'say "x"', "é", "\U0001f30a", "\u2028", "\x85", "\t", "null", "true", "-", "?", ":", "="),
    *("<<", "0x1F", ".5", "+1", "A river, slow", "key: 'x' # y", "a\n# b\nc", "...", "---", "a" * 200, "x  y", "\x7f"),
]
texts = st.one_of(st.sampled_from(TRICKY), st.text(max_size=12).filter(lambda text: "\x00" not in text))
texts = texts.filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text))
numbers = st.one_of(st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False))
values = st.recursive(
    st.one_of(texts, numbers, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


class Scribe:
    """Writes a value as YAML, in a hand that chance guides; `comments` are all that it wrote beside it."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.comments: list[str] = []

    def document(self, value: dict) -> str:
        lines = [*self._above(0), *self._block(value, 0), *self._above(0)]
        ending = self._chance.choice(["\n", "\n", "\r\n"])
        return self._chance.choice(["", "---\n"]) + ending.join(lines) + self._chance.choice(["", ending, ending * 3])

    def _block(self, value, indent: int) -> list[str]:
        lines = []
        pairs = value.items() if isinstance(value, dict) else ((None, one) for one in value)
        for name, inner in pairs:
            lines += self._above(indent)
            head = " " * indent + ("-" if name is None else f"{self._quoted(name)}:")
            lines += self._value(head, inner, indent)
        return lines + self._above(indent)

    def _value(self, head: str, value, indent: int) -> list[str]:
        if isinstance(value, (dict, list)) and value and self._chance.random() < 0.7:
            step = self._chance.choice([1, 2, 4]) if head.endswith(":") else self._chance.choice([2, 3])
            return [head + self._behind(), *self._block(value, indent + step)]
        if isinstance(value, (dict, list)):
            return [f"{head} {self._flow(value, indent)}{self._behind()}"]
        if isinstance(value, str):
            return self._text(head, value, indent)
        return [f"{head} {json.dumps(value)}{self._behind()}"]

    def _text(self, head: str, text: str, indent: int) -> list[str]:
        body = text.rstrip("\n")
        ends = len(text) - len(body)
        chomping = "" if ends else "-"
        lines = [(" " * (indent + 3) + line if line else "") for line in body.split("\n")]
        words = text.split(" ")
        wrapped = [" " * (indent + 5) + word for word in words]
        is_ascii = all(one == "\n" or 32 <= ord(one) < 127 for one in text)
        is_block = body.strip() and is_ascii and ends < 2
        can_wrap = len(words) > 1 and all(words) and is_plain(text) and all(is_plain(word) for word in words)
        forms = [
            lambda: [f"{head} {self._quoted(text)}{self._behind()}"],
            text and is_plain(text) and (lambda: [f"{head} {text}{self._behind()}"]),
            "\n" not in text and is_ascii and (lambda: [f"{head} '{text.replace(chr(39), chr(39) * 2)}'"]),
            is_block and (lambda: [f"{head} |3{chomping}", *lines]),
            is_block and body[0] not in " \n" and (lambda: [f"{head} |{chomping}{self._behind()}", *lines]),
            can_wrap and (lambda: [f"{head} {words[0]}", *wrapped[1:]]),
            can_wrap and (lambda: [f"{head} >-{self._behind()}", *wrapped]),
        ]  # fmt: skip
        return self._chance.choice([form for form in forms if form])()

    def _flow(self, value, indent: int) -> str:
        if isinstance(value, dict):
            parts = [f"{self._quoted(name)}: {self._flow(inner, indent)}" for name, inner in value.items()]
        elif isinstance(value, list):
            parts = [self._flow(inner, indent) for inner in value]
        else:
            return self._quoted(value) if isinstance(value, str) else json.dumps(value)
        inside = ""
        for part in parts:
            wraps = self._chance.random() < 0.2
            inside += part + self._chance.choice([",", " , "])
            inside += (self._behind() + "\n" + " " * (indent + 6)) if wraps else ""
        return f"{{{inside}}}" if isinstance(value, dict) else f"[{inside}]"

    def _quoted(self, text: str) -> str:
        escaped = "".join(
            one if 32 <= ord(one) < 127 and one not in '"\\' else f"\\U{ord(one):08x}" for one in text
        )  # fmt: skip
        return f'"{escaped}"'

    def _comment(self) -> str:
        self.comments.append(f"# {len(self.comments)} {self._chance.choice(['a', 'b: c', '- d', '#', 'é'])}")
        return self.comments[-1]

    def _behind(self) -> str:
        return f"  {self._comment()}" if self._chance.random() < 0.15 else ""

    def _above(self, indent: int) -> list[str]:
        lines = []
        while self._chance.random() < 0.25:
            deep = " " * max(0, indent + self._chance.choice([-1, 0, 0, 0, 2]))
            lines.append(deep + self._comment() if self._chance.random() < 0.6 else "")
        return lines


def is_plain(text: str) -> bool:
    """Whether text without quotes is that text to our reader, whatever stands around it."""
    try:
        found = [Builder(one).build() for one in (f"[{text}]", f"- {text}\n", f"k: {text}\n")]
    except Wrong:
        return False
    return "#" not in text and "\n" not in text and found == [[text], [text], {"k": text}]


def same(one, other) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def check(text: str) -> str:
    """What must hold of any text that can be read."""
    value = Builder(text).build()
    found = formatted(text)
    assert same(Builder(found).build(), value)
    assert formatted(found) == found
    assert same(yaml.safe_load(found), value)  # YAML 1.1
    assert found.endswith("\n")
    assert "\r" not in found
    return found


@settings(max_examples=80)
@given(st.dictionaries(texts, values, min_size=1, max_size=5), st.integers(0, 2**32))
@example({"jobs": [{"prompt": "x\n\n\n", "key": "no"}], "version": 1}, 7)
def test_any_value_in_any_hand(value, seed):
    scribe = Scribe(seed)
    text = scribe.document(value)
    assert same(Builder(text).build(), value), text  # the scribe knows its letters
    found = check(text)
    lines = Counter(line.strip() for line in found.splitlines())
    for comment in scribe.comments:
        assert any(line == comment or line.endswith(f"  {comment}") for line in lines), comment


prompts = st.sampled_from(
    [*(one for one in TRICKY if not {"{", "@"} & {*one} and one.strip()), "A river in {{ season }}"]
)
jobs = st.fixed_dictionaries(
    {"prompt": prompts},
    optional={
        "input": st.fixed_dictionaries({}, optional={"ratio": st.sampled_from(["16:9", "9:16"])}),
        "tags": st.lists(prompts, max_size=3),
        "takes": st.integers(1, 2),
        "matrix": st.just({"season": ["spring", "no", "012"]}),
    },
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(jobs, min_size=1, max_size=4), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_same_jobs_with_the_same_fingerprints(tmp_path_factory, entries, seed, chance):
    manifest = {
        "version": 1,
        "batch": "b",
        "matrix": {"season": ["on", "autumn"], "angle": ["1:1", "y"]},
        "defaults": {"model": "seedance-2.0", "input": {"resolution": "480p", "ratio": "16:9", "duration": 5}},
        "output": "{{ batch }}/{{ key }}",
        "jobs": [{"key": f"k{number}", **entry} for number, entry in enumerate(entries)],
    }
    names = list(manifest)
    chance.shuffle(names)
    text = Scribe(seed).document({name: manifest[name] for name in names})
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    before = wanted(path)
    path.write_text(formatted(text), encoding="utf-8")
    assert wanted(path) == before
    assert before


def wanted(path: Path):
    loaded = load([path])
    assert loaded.problems == ()
    return [
        (job.address, job.fingerprint, job.output, job.tags, dict(job.axes)) for job in loaded.batches[0].jobs
    ]  # fmt: skip


PIECES = [
    *TRICKY,
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    ": ",
    "# c\n",
    " # c",
    "? ",
    "|\n  ",
    ">-\n  ",
    "[",
    "]",
    "{",
    "}",
    ", ",
]


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from(MANIFESTS), st.sampled_from(PIECES))
def test_a_manifest_with_a_slip_of_the_pen(seed, path, piece):
    """Where it can still be read, it is formatted and means the same, or is refused."""
    chance = random.Random(seed)
    text = path.read_text(encoding="utf-8")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text))
        text = text[:at] + piece + text[at + chance.choice([0, 0, 1, 5]) :]
    try:
        readable = isinstance(Builder(text).build(), dict)
    except Wrong:
        return
    if readable:
        check(text)
