"""The schema files themselves, and the two libraries that read them."""

from __future__ import annotations

import copy
import json
import threading
from functools import cache
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
    assert schema["properties"]["model"]["x-source"]
    assert schema["properties"]["input"]["x-source"]
    assert all(one["x-source"] for one in schema.get("$defs", {}).values())
    for branch in schema.get("allOf", ()):
        told = "description" in branch and "x-source" in branch
        assert told or "input" not in branch["if"]["properties"], "what depends on input needs words"
        assert all("x-source" in rule or told for rule in _rules_of(branch))
    data = schema["x-seedbatch"]
    assert set(data["models"]) == set(schema["properties"]["model"]["enum"])
    assert all(one["source"] for one in [*data["warnings"], *data.get("notes", ())])
    assert "references" not in data or data["references"]["source"]


def _rules_of(branch):
    inputs = [branch[one]["properties"]["input"] for one in ("then", "else") if one in branch]
    return [rule for one in inputs for rule in one.get("properties", {}).values()]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_says_what_it_is(path):
    for known in read(path)["x-seedbatch"]["models"].values():
        needed = {"kind", "era", "status", "source"}
        assert needed <= known.keys() <= needed | {"note", "files"}
        assert known.get("files", 2) >= 2
        assert known["kind"] in {"video", "image"}
        assert known["status"] in {"documented", "legacy", "other clients only"}
        assert set(known["era"].split(", ")) <= {"A", "B", "C", "none"}
        # What the newest pages do not list is legacy, but for Seedance: pages of its own, and no other word of its end.
        if known["status"] == "documented":
            assert "C" in known["era"] or path.name == "seedance.schema.json"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_other_names_of_the_list_lead_to_its_own(path):
    parameters = read(path)["properties"]["input"]["properties"]
    lists = {name for name in parameters if name in {"images", "imageUrls", "mediaUrls"}}
    assert len(lists) <= 1
    for name in lists:
        assert {name, *parameters[name]["x-instead-of"]} == {"images", "imageUrls", "mediaUrls"}


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


IMAGES = [f"https://x.example/{number}.png" for number in range(3)]
# One request of each family that is full of what its rules speak of.
REQUESTS = {
    "seedance": ("seedance-2.0", {"ratio": "16:9", "resolution": "480p", "duration": 5, "fallback": False,
                                  "mediaUrls": [*IMAGES, "https://x.example/2.mp4"]}),
    "veo": ("veo3", {"mode": "i2v-fl", "duration": 4, "resolution": "1080p", "imageUrls": IMAGES[:2]}),
    "nano-banana": ("nano-banana-2", {"ratio": "4:3", "resolution": "4k", "imageUrls": IMAGES}),
    "seedream": ("seedream-4.5", {"ratio": "21:9", "resolution": "4k", "n": 15, "imageUrls": IMAGES}),
    "gpt-image-2": ("gpt-image-2/image-to-image", {"ratio": "2:1", "resolution": "4k", "n": 10, "imageUrls": IMAGES}),
    "grok-imagine-text-to-image": ("grok-imagine/text-to-image-pro", {"ratio": "1:1", "resolution": "720p", "n": 4}),
    "grok-imagine-image-to-image": ("grok-imagine/image-to-image", {"imageUrls": IMAGES[:2]}),
    "grok-imagine-text-to-video": ("grok-imagine/text-to-video", {"ratio": "1:1", "resolution": "480p", "duration": 6,
                                                                  "mode": "fun"}),
    "jimeng-video": ("jimeng-video-3.0", {"ratio": "16:9", "duration": 5, "imageUrls": IMAGES}),
    "jimeng-image": ("jimeng-4.6", {"ratio": "16:9", "resolution": "2k", "images": IMAGES}),
}  # fmt: skip
NAMES = sorted(name for path in MODELS for name in read(path)["x-seedbatch"]["models"])
VALUES = [
    "16:9",
    "1:1",
    "480p",
    "1080p",
    "1k",
    "4k",
    "i2v",
    "r2v",
    "https://x.example/a.wav",
    5,
    5.0,
    8,
    10,
    16,
    [],
    {},
]
ODD = [*VALUES, *NAMES, IMAGES[:1], [IMAGES[0]] * 10, ["https://x.example/1.png?x=1"] * 3]
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


@cache
def readers(path):
    """The two libraries, and the checker that uses both."""
    schema = read(path)
    return (
        jsonschema_rs.Draft202012Validator(schema),
        Draft202012Validator(schema, registry=Registry()),
        Checker(schema),
    )


def agree(path, instance):
    fast, slow, checker = readers(path)
    ours = fast.is_valid(instance)
    assert ours == slow.is_valid(instance)
    assert checker.is_valid(instance) == ours
    assert bool(checker.faults(instance)) != ours
    return ours


def test_each_family_has_its_request():
    assert {path.name.removesuffix(".schema.json") for path in MODELS} == set(REQUESTS)
    for path in MODELS:
        assert agree(path, request_of(path))


def request_of(path):
    model, parameters = REQUESTS[path.name.removesuffix(".schema.json")]
    return {"model": model, "input": {"prompt": "p", **parameters}}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_both_libraries_agree_on_requests(path, data):
    request = request_of(path)
    models = read(path)["x-seedbatch"]["models"]
    request["model"] = data.draw(st.sampled_from(sorted(models)))
    agree(path, request)
    agree(path, mutated(data, request))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_both_libraries_agree_on_manifests(data):
    path = data.draw(st.sampled_from(sorted((ROOT / "manifests").glob("*.yaml"))))
    manifest = yaml.load(path.read_text(encoding="utf-8"), Loader=yamlcore.CoreLoader)  # noqa: S506 - the oracle
    schema = ROOT / "schemas" / "manifest.schema.json"
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
