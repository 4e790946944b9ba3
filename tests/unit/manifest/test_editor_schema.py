"""The schema for editors: as strict as it can be before templates and merging, and never stricter than `validate`."""

from __future__ import annotations

import json
import random
from pathlib import Path

import jsonschema_rs
import pytest
from jsonschema import Draft202012Validator

from seedbatch.manifest import canonical_schema
from seedbatch.manifest.builder import Builder, Wrong
from seedbatch.manifest.editor_schema import _inputs, editor_schema
from seedbatch.manifest.explanations import explanations, manifest_of
from seedbatch.manifest.loading import load
from seedbatch.models import catalogue

ROOT = Path(__file__).parents[3]
SCHEMA = canonical_schema(None)
HEAD = "version: 1\nbatch: b\ndefaults: {model: seedance-2.0, input: {resolution: 480p, ratio: 16:9, duration: 5}}\n"


def fits(text: str, schema=SCHEMA) -> bool:
    return Draft202012Validator(schema).is_valid(Builder(text).build())


def test_it_is_sound_and_stands_alone():
    Draft202012Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    assert "$id" not in SCHEMA
    assert "x-" not in {name[:2] for name in SCHEMA["$defs"]["model"]}
    for reference in set(text.split('"$ref": "')[1:]):
        name = reference.partition('"')[0]
        assert name.removeprefix("#/$defs/") in SCHEMA["$defs"], name


@pytest.mark.parametrize("path", sorted((ROOT / "manifests").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_fit(path):
    assert fits(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("code", [code for code, one in explanations().items() if one.right])
def test_what_is_right_fits(code):
    assert fits(manifest_of(explanations()[code].right))


def test_it_offers_every_model():
    assert SCHEMA["$defs"]["model"]["enum"] == list(catalogue().names)
    lenient = editor_schema(allow_unknown_model=True)
    other = HEAD + "jobs: [{key: a, prompt: p, model: another, input: {size: huge}}]\n"
    assert not fits(other)
    assert fits(other, lenient)
    assert not fits(other.replace("another", "seedance-2.0"), lenient)


@pytest.mark.parametrize(
    "job",
    [
        "{key: a, prompt: p, input: {duration: 60}}",
        "{key: a, prompt: p, input: {duration: fast}}",
        "{key: a, prompt: p, input: {ratio: 16:10}}",
        "{key: a, prompt: p, input: {durations: 5}}",
        "{key: a, prompt: p, model: seedance-1.5-pro, input: {duration: 6}}",
        "{key: a, prompt: p, model: seedance-1.5-pro, input: {mediaUrls: [https://a.example/b.mp4]}}",
        "{key: a, prompt: p, tkaes: 2}",
        "{prompt: p}",
    ],
)
def test_what_validate_refuses_it_refuses(desk, job):
    assert not fits(f"{HEAD}jobs: [{job}]\n")
    assert desk.load(f"{HEAD}jobs: [{job}]\n").problems


@pytest.mark.parametrize(
    "job",
    [
        '{key: a, prompt: p, input: {duration: "{{ seconds }}", ratio: "{{ r }}"}}',
        '{key: a, prompt: "p @1", input: {mediaUrls: ["{{ images }}/a.jpg"]}}',
        "{key: a, prompt: p, input: {fallback: null}}",
        "{key: a, prompt: p, model: seedance-1.5-pro, input: {duration: 10}}",
        "{key: a, input: {prompt: p}}",
    ],
)
def test_what_validate_takes_it_takes(desk, job):
    names = "vars: {seconds: 5, r: 9:16, images: https://a.example}\n"
    assert fits(f"{HEAD}{names}jobs: [{job}]\n")
    assert desk.load(f"{HEAD}{names}jobs: [{job}]\n").problems == ()


def test_it_is_never_stricter_than_validate():
    """Of all that stands in the tests: what can be loaded fits."""
    paths = sorted((ROOT / "tests").rglob("*.yaml"))
    for path in paths:
        if not load([path]).problems:
            assert fits(path.read_text(encoding="utf-8")), path
    refused = 0
    for path in (ROOT / "tests/manifests/invalid").glob("*.yaml"):
        try:
            refused += not fits(path.read_text(encoding="utf-8"))
        except (Wrong, UnicodeDecodeError):
            refused += 1
    assert refused > len(list((ROOT / "tests/manifests/invalid").glob("*.yaml"))) // 2


def values_of(rule, definitions) -> list:
    """Some values that a parameter may take, and some that it may not."""
    while "$ref" in rule:
        rule = {**definitions[rule["$ref"].rpartition("/")[2]], **{k: v for k, v in rule.items() if k != "$ref"}}
    types = rule.get("type", [])
    found = [
        *rule.get("enum", ()),
        rule.get("minimum", 5),
        rule.get("maximum", 5),
        True,
        "16:9",
        "2k",
        "https://a.example/b.png",
    ]
    return found if "array" not in types else [[one] for one in values_of(rule.get("items", {}), definitions)]


def test_it_takes_what_any_model_takes():
    chance = random.Random(1)
    editor = jsonschema_rs.validator_for(SCHEMA)
    for model in catalogue().names:
        schema = catalogue().schema(model)
        rules = schema["properties"]["input"]["properties"]
        needed = schema["properties"]["input"].get("required", ())
        model_takes = jsonschema_rs.validator_for(dict(schema))
        choices = {name: values_of(rule, schema.get("$defs", {})) for name, rule in rules.items() if rule}
        taken = 0
        for _ in range(3_000):
            written = [name for name in choices if name in needed or chance.random() < 0.3]
            wanted = {name: chance.choice(choices[name]) for name in written}
            if not model_takes.is_valid({"model": model, "input": wanted}):
                continue
            taken += 1
            job = {"key": "a", "model": model, "input": wanted}
            assert editor.is_valid({"version": 1, "batch": "b", "jobs": [job]}), job
            defaults = {"model": model, "input": wanted}
            assert editor.is_valid({"version": 1, "batch": "b", "defaults": defaults, "jobs": [{"key": "a"}]}), job
        assert taken, model


def test_a_condition_on_a_parameter_is_asked_only_where_it_is_written():
    family = {
        "properties": {"input": {"properties": {"size": {"enum": ["s", "l"]}, "time": {"type": "integer"}}}},
        "allOf": [
            {
                "if": {"properties": {"model": {"const": "m"}, "input": {"properties": {"size": {"const": "l"}}}}},
                "then": {"properties": {"input": {"properties": {"time": {"maximum": 5}}, "required": ["time"]}}},
                "else": {"properties": {"input": {"properties": {"time": {"maximum": 9}}}}},
            }
        ],
    }
    schema = {"allOf": _inputs(family, "m")}
    other = {"allOf": _inputs(family, "n")}
    for value, wanted in (
        ({"size": "l", "time": 6}, False),
        ({"size": "l", "time": 5}, True),
        ({"size": "s", "time": 9}, True),
        ({"size": "s", "time": 10}, False),
        ({"time": 10}, True),  # the defaults may say l or s
        ({"size": "{{ size }}", "time": 10}, True),
        ({"size": "l"}, True),
    ):
        assert Draft202012Validator(schema).is_valid(value) == wanted, value
    assert not Draft202012Validator(other).is_valid({"time": 10})
