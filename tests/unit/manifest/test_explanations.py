"""Every code of a problem is explained, and every explanation is of a code; its examples do what it says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedbatch.manifest import load
from seedbatch.manifest.explanations import explanations, manifest_of
from seedbatch.models import Checker, schema_folder

PACKAGE = Path(__file__).parents[3] / "seedbatch"
CODE = re.compile(r"[a-z]+/[a-z][A-Za-z-]*")
KNOWN = explanations()
SHOWN = [code for code, one in KNOWN.items() if one.wrong]

# What a schema says in words of its own, since no other keyword fits: `schema/KEYWORD` for each that our schemas use.
WORDED = {
    *("additionalProperties", "unevaluatedProperties", "required", "enum", "const", "type", "pattern", "propertyNames"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "dependentRequired"),
    *(f"{bound}{what}" for bound in ("min", "max") for what in ("Items", "Contains", "Length", "Properties")),
}
NO_ASSERTIONS = {
    *("$schema", "$id", "$ref", "$defs", "$comment", "title", "description", "examples", "default", "format"),
    *("properties", "patternProperties", "items", "prefixItems", "contains", "allOf", "if", "then", "else"),
}


def codes_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value
        # The builder names its codes without their family.
        if path.name == "builder.py" and isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Wrong":
            yield f"yaml/{ast.literal_eval(node.args[1])}"


def keywords(schema: object) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        if name.startswith("x-"):
            continue
        yield name
        if name in {"properties", "patternProperties", "$defs"}:
            for one in value.values():
                yield from keywords(one)
        elif isinstance(value, dict) and name not in {"dependentRequired", "const"}:
            yield from keywords(value)
        elif name in {"allOf", "anyOf", "oneOf", "prefixItems"}:
            for one in value:
                yield from keywords(one)


def test_every_code_has_an_explanation_and_every_explanation_a_code():
    files = [*PACKAGE.glob("manifest/**/*.py"), *PACKAGE.glob("models/**/*.py")]
    used = {code for path in files for code in codes_in(path)}
    for path in schema_folder().rglob("*.schema.json"):
        found = set(keywords(json.loads(path.read_text(encoding="utf-8"))))
        used |= {f"schema/{word}" for word in found - WORDED - NO_ASSERTIONS}
    used |= {"schema/anyOf", "schema/oneOf"}
    missing, unused = used - set(KNOWN), set(KNOWN) - used
    assert not missing, f"add an entry to seedbatch/manifest/explanations.yaml for each of {sorted(missing)}"
    assert not unused, f"nothing tells {sorted(unused)}: remove them from seedbatch/manifest/explanations.yaml"


@pytest.mark.parametrize("code", KNOWN)
def test_an_explanation_is_complete(code):
    one = KNOWN[code]
    for text in (one.title, one.means, one.why, one.mend):
        assert text.strip() == text
        assert text
    assert not one.title.endswith(".")
    assert bool(one.wrong) == bool(one.right)
    assert len(one.wrong.splitlines()) <= 8


@pytest.mark.parametrize("code", SHOWN)
def test_the_wrong_example_has_this_problem_and_the_right_one_none(desk, code):
    one = KNOWN[code]
    for name, text in one.beside.items():
        desk.write(text, name)
    wrong, right = load([desk.write(manifest_of(one.wrong))]), load([desk.write(manifest_of(one.right))])
    told = wrong.warnings if one.warning else wrong.problems
    assert {problem.code for problem in told} == {code}
    assert (right.problems, right.warnings) == ((), ())
    assert bool(wrong.problems) != one.warning


# -- those that no short file shows ------------------------------------------------------------------------------------


def test_file_unreadable(desk):
    assert [problem.code for problem in load([desk.folder / "none.yaml"]).problems] == ["file/unreadable"]


def test_problems_more(desk):
    jobs = "".join(f'  - {{key: a{number}, prompt: "{{{{ citty }}}}"}}\n' for number in range(200))
    assert desk.codes(f"{desk.head}jobs:\n{jobs}")[-1] == "problems/more"


def test_yaml_encoding(desk):
    assert desk.codes(b"batch: caf\xe9\n") == ["yaml/encoding"]


def test_source_encoding_and_size(desk):
    manifest = desk.head + 'sources: [{csv: shots.csv, key: "{{ shot }}", prompt: "{{ text }}"}]\n'
    desk.write(b"shot,text\nriver,caf\xe9\n", "shots.csv")
    assert desk.codes(manifest) == ["source/encoding"]
    desk.write('shot,text\nriver,"' + "x" * 1_100_000, "shots.csv")
    assert desk.codes(manifest) == ["source/size"]


def test_job_json(desk):
    job = "jobs: [{key: a, prompt: p, input: {seed: 36893488147419103232}}]\n"
    assert desk.codes(desk.head.replace("seedance-2.0", "new") + job, allow_unknown_model=True) == ["job/json"]


def test_budget_currencies(desk):
    texts = [
        f"{desk.head}jobs: [{{key: {key}, prompt: p}}]\nbudget: {{max_cost: 1, currency: {currency}}}\n"
        for key, currency in (("a", "USD"), ("b", "EUR"))
    ]
    loaded = load([desk.write(text, f"{number}.yaml") for number, text in enumerate(texts)])
    assert [problem.code for problem in loaded.problems] == ["budget/currencies"]


@pytest.mark.parametrize(
    ("code", "schema", "value"),
    [
        ("schema/refused", {"properties": {"a": False}}, {"a": 1}),
        ("schema/anyOf", {"anyOf": [{"type": "string"}, {"minimum": 5}]}, 1),
        ("schema/not", {"not": {"const": 1}}, 1),
        ("schema/uniqueItems", {"uniqueItems": True}, [1, 1]),
        ("schema/json", {}, "\ud800"),
    ],
)
def test_what_a_schema_may_say(code, schema, value):
    assert [fault.code for fault in Checker(schema).faults(value)] == [code]


def test_schema_depth():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    schema = {"$ref": "#/$defs/list", "$defs": {"list": {"items": {"$ref": "#/$defs/list"}, "maxItems": 1}}}
    assert [fault.code for fault in Checker(schema).faults([deep, 1])] == ["schema/depth"]
