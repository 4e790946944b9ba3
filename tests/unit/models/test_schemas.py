"""The schema files themselves, and the two libraries that read them."""

from __future__ import annotations

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
import yamlcore
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry

from seedbatch.models import Checker, schema_folder

ROOT = Path(__file__).parents[3]
SCHEMAS = sorted((ROOT / "schemas").rglob("*.json"))
MODELS = sorted((ROOT / "schemas" / "models").glob("*.json"))


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_folder_is_found():
    assert schema_folder().resolve() == ROOT / "schemas"


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_a_schema_is_one_and_stands_alone(path):
    schema = read(path)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].endswith(path.relative_to(ROOT / "schemas").as_posix())
    assert schema["title"]
    assert schema["description"]
    assert all(reference.startswith("#/") for reference in _references(schema))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_rule_of_a_model_has_its_source(path):
    schema = read(path)
    for name, rule in schema["properties"]["input"]["properties"].items():
        assert rule["x-source"], name
        assert rule["description"], name
    assert all(one["x-source"] for one in schema["$defs"].values())
    assert all("x-source" in rule for rule in _rules_of_one_model(schema))
    data = schema["x-seedbatch"]
    assert all({"era", "status", "source"} <= known.keys() for known in data["models"].values())
    assert set(data["models"]) == set(schema["properties"]["model"]["enum"])
    assert all(warning["source"] for warning in data["warnings"])
    assert data["references"]["source"]


def _rules_of_one_model(schema):
    found = [
        rule
        for one in schema["allOf"]
        for branch in ("then", "else")
        for rule in one[branch]["properties"]["input"]["properties"].values()
    ]
    assert found
    return found


def test_a_model_is_in_one_file():
    names = [name for path in MODELS for name in read(path)["x-seedbatch"]["models"]]
    assert sorted(names) == sorted(set(names))


def _references(node):
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == "$ref")
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


REQUEST = {
    "model": "seedance-2.0",
    "input": {"prompt": "p", "ratio": "16:9", "resolution": "480p", "duration": 5, "fallback": False,
              "mediaUrls": ["https://x.example/1.png", "https://x.example/2.mp4"]},
}  # fmt: skip
ODD = [
    *["16:9", "480p", "1080p", "seedance-1.5-pro", "seedance-2.0-fast", "https://x.example/a.wav", 5, 5.0, 10, [], {}],
    *[["https://x.example/1.png"] * 10, ["https://x.example/1.png?x=1"] * 3],
]
NUMBERS = st.integers(-3, 20) | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=3) | st.sampled_from(ODD)


def leaf(data):
    """A copy: what is drawn may be changed by the next mutation, and must be the same when it is drawn again."""
    return copy.deepcopy(data.draw(LEAVES))


def mutated(data, instance):
    instance = copy.deepcopy(instance)
    for _ in range(data.draw(st.integers(1, 3))):
        node = instance
        while True:
            names = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not names:
                break
            name = data.draw(st.sampled_from(names))
            if isinstance(node[name], dict | list) and node[name] and data.draw(st.booleans()):
                node = node[name]
                continue
            change = data.draw(st.sampled_from(["replace", "remove", "add"]))
            if change == "replace":
                node[name] = leaf(data)
            elif change == "remove":
                del node[name]
            elif isinstance(node, dict):
                node[data.draw(st.text("abkey", min_size=1, max_size=4))] = leaf(data)
            else:
                node.append(leaf(data))
            break
    return instance


def agree(schema, instance):
    ours = jsonschema_rs.Draft202012Validator(schema).is_valid(instance)
    assert ours == Draft202012Validator(schema, registry=Registry()).is_valid(instance)
    checker = Checker(schema)
    assert checker.is_valid(instance) == ours
    assert bool(checker.faults(instance)) != ours


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_both_libraries_agree_on_requests(data):
    schema = read(MODELS[0])
    agree(schema, REQUEST)
    agree(schema, mutated(data, REQUEST))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_both_libraries_agree_on_manifests(data):
    path = data.draw(st.sampled_from(sorted((ROOT / "manifests").glob("*.yaml"))))
    manifest = yaml.load(path.read_text(encoding="utf-8"), Loader=yamlcore.CoreLoader)  # noqa: S506 - the oracle
    schema = read(ROOT / "schemas" / "manifest.schema.json")
    agree(schema, manifest)
    agree(schema, mutated(data, manifest))


def test_no_schema_is_fetched():
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        schema = {"$ref": f"http://127.0.0.1:{server.server_port}/x.json"}
        with pytest.raises(Exception, match=r"x\.json"):
            Checker(schema)
        server.shutdown()
    assert asked == []
