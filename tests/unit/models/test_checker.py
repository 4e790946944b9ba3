from __future__ import annotations

import subprocess
import sys

import pytest

from seedbatch.models import Checker, catalogue, manifest_schema

MANIFEST = {"version": 1, "batch": "b", "jobs": [{"key": "k"}]}


def told(schema, instance):
    return [(fault.path, fault.code, fault.message, fault.hint) for fault in Checker(schema).faults(instance)]


def codes(schema, instance):
    return [(fault.path, fault.code) for fault in Checker(schema).faults(instance)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"version": 2}, [(("version",), "schema/enum")]),
        ({"batch": "a b"}, [(("batch",), "schema/pattern")]),
        ({"batch": "b\n"}, [(("batch",), "schema/pattern")]),
        ({"batch": "b" * 101}, [(("batch",), "schema/size")]),
        ({"job": []}, [(("job",), "schema/unknown-key")]),
        ({"sources": []}, [(("sources",), "schema/size")]),
        ({"defaults": {"inputs": {}}}, [(("defaults", "inputs"), "schema/unknown-key")]),
        ({"vars": {"a-b": 1, "loop": 1}}, [(("vars", "a-b"), "schema/name"), (("vars", "loop"), "schema/name")]),
        ({"matrix": {"ratio": []}}, [(("matrix", "ratio"), "schema/size")]),
        ({"matrix": {"ratio": [["1:1"]]}}, [(("matrix", "ratio", 0), "schema/type")]),
        ({"matrix": {"include": [{}]}}, [(("matrix", "include", 0), "schema/size")]),
        ({"matrix": {"exclude": {"a": 1}}}, [(("matrix", "exclude"), "schema/type")]),
        ({"takes": 0}, [(("takes",), "schema/range")]),
        ({"takes": 1001}, [(("takes",), "schema/range")]),
        ({"takes": True}, [(("takes",), "schema/type")]),
        ({"limits": {"submitting": 0}}, [(("limits", "submitting"), "schema/range")]),
        ({"limits": {"in_flight": 1.5}}, [(("limits", "in_flight"), "schema/type")]),
        ({"limits": {"submits_per_minute": 0}}, [(("limits", "submits_per_minute"), "schema/range")]),
        ({"retry": {"attempts": 0}}, [(("retry", "attempts"), "schema/range")]),
        ({"retry": {"attempts": 11}}, [(("retry", "attempts"), "schema/range")]),
        ({"output": ""}, [(("output",), "schema/size")]),
        ({"jobs": []}, [(("jobs",), "schema/size")]),
        ({"jobs": [{}]}, [(("jobs", 0), "schema/required")]),
        ({"jobs": [{"key": 1}]}, [(("jobs", 0, "key"), "schema/type")]),
        ({"jobs": [{"key": "k", "tags": "hero"}]}, [(("jobs", 0, "tags"), "schema/type")]),
        ({"jobs": [{"key": "k", "prompt": ""}]}, [(("jobs", 0, "prompt"), "schema/size")]),
    ],
)
def test_what_a_manifest_may_not_say(change, expected):
    assert codes(manifest_schema(), {**MANIFEST, **change}) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"vars": {"a": [1, {"b": None}]}},
        {"matrix": {"ratio": ["1:1", 1, 1.5, True, None], "include": [{"ratio": "4:3"}], "exclude": [{"ratio": 1}]}},
        {"takes": 1000, "retry": {"attempts": 10}, "output": "{{ key }}"},
        {"limits": {"submitting": 1, "in_flight": 1, "submits_per_minute": 0.5}},
        {"jobs": [{"key": "{{ city }}", "input": {"seed": None, "any": [{}]}, "tags": [], "matrix": {}, "takes": 1}]},
    ],
)
def test_what_a_manifest_may_say(change):
    assert codes(manifest_schema(), {**MANIFEST, **change}) == []


def test_everything_that_is_missing():
    assert [message for _, _, message, _ in told(manifest_schema(), {})] == [
        "{} fits none of the allowed forms",  # neither jobs nor sources
        "version is missing",
        "batch is missing",
    ]
    odd = {"required": ["it's", 'a "b"', "c"]}
    assert [message for _, _, message, _ in told(odd, {"c": 1})] == ["it's is missing", 'a "b" is missing']


@pytest.mark.parametrize("instance", [{"version": 1, "bach": "b", "jobs": []}])
def test_each_unknown_key_has_its_place_and_its_nearest_spelling(instance):
    found = {path: hint for path, code, _, hint in told(manifest_schema(), {**instance, "zzz": 1}) if "key" in code}
    assert found[("bach",)] == "did you mean batch?"
    assert found[("zzz",)].startswith("known here: version, batch, ")


def test_faults_stand_in_the_order_of_their_places():
    found = codes(manifest_schema(), {**MANIFEST, "jobs": [{"key": 1}] * 13})
    assert [path[1] for path, _ in found] == list(range(13))


@pytest.mark.parametrize(
    ("number", "ratio"),
    [(969, "16:9"), (556, "9:16"), (61, "1:1"), (1269, "21:9"), (243, "4:3"), (184, "3:4"), (121, "2:1"), (62, "1:2")],
)
def test_a_ratio_that_became_a_number(number, ratio):
    schema = {"enum": ["16:9", "9:16", "1:1", "21:9", "4:3", "3:4", "2:1", "1:2"]}
    ((_, code, message, hint),) = told(schema, number)
    assert code == "schema/ratio-number"
    assert f"unquoted ratio {ratio} to base sixty" in message
    assert f'"{ratio}"' in hint


@pytest.mark.parametrize(("schema", "value"), [({"enum": [1, 2]}, 969), ({"enum": ["16:9"]}, 968)])
def test_another_number_is_only_not_allowed(schema, value):
    assert codes(schema, value) == [((), "schema/enum")]


def test_a_value_is_shown_short_and_on_one_line():
    ((_, _, message, _),) = told({"enum": ["a"]}, "x" * 5000)
    assert message == f'"{"x" * 80}…" is not allowed here'
    ((_, _, message, _),) = told({"pattern": "^a$"}, "a\n")
    assert message == '"a\\n" does not have the right form'


@pytest.mark.parametrize(
    ("schema", "instance", "expected"),
    [
        ({"patternProperties": {"^x-": {}}, "properties": {"abc": {}}, "additionalProperties": False},
         {"x-a": 1, "abd": 1}, [(("abd",), "schema/unknown-key", 'there is no key "abd" here', "did you mean abc?")]),
        ({"allOf": [{"properties": {"abc": {}}}], "unevaluatedProperties": False},
         {"abc": 1, "abd": 1}, [(("abd",), "schema/unknown-key", 'there is no key "abd" here', "did you mean abc?")]),
        ({"additionalProperties": False}, {"a": 1},
         [(("a",), "schema/unknown-key", 'there is no key "a" here', "")]),
        ({"properties": {"seed": False}}, {"seed": 1},
         [(("seed",), "schema/refused", "seed is not accepted here", "")]),
        ({"properties": {"seed": {"not": {}, "description": "only m-2 takes it"}}}, {"seed": 1},
         [(("seed",), "schema/refused", "seed is not accepted here", "only m-2 takes it")]),
        ({"properties": {"images": {"x-instead-of": ["mediaUrls"]}, "mediaUrl": {}}, "additionalProperties": False},
         {"mediaUrls": 1},
         [(("mediaUrls",), "schema/unknown-key", 'there is no key "mediaUrls" here', "here it is called images")]),
        ({"enum": ["a", "b"], "x-when": "at 4k"}, "c",
         [((), "schema/enum", '"c" is not allowed here', "allowed at 4k: a, b")]),
        ({"anyOf": [{"type": "string"}, {"type": "array"}], "description": "text or a list"}, 1,
         [((), "schema/anyOf", "1 fits none of the allowed forms", "text or a list")]),
        ({"oneOf": [{"type": "integer"}, {"minimum": 0}]}, 1,
         [((), "schema/oneOf", "1 fits more than one of the allowed forms", "")]),
        ({"not": {"const": 1}}, 1, [((), "schema/not", "1 is not allowed here", "")]),
        ({"uniqueItems": True}, ["a", "a"], [((), "schema/uniqueItems", "it holds the same twice", "")]),
        ({"dependentRequired": {"a": ["b", "c"]}}, {"a": 1, "c": 1},
         [((), "schema/required", "b is missing: a needs it", "")]),
        ({"minProperties": 1}, {}, [((), "schema/size", "it is empty", "")]),
        ({"maxProperties": 1}, {"a": 1, "b": 2}, [((), "schema/size", "it is too long: 2, at most 1", "")]),
        ({"multipleOf": 5}, 7, [((), "schema/range", "7 is no multiple of 5", "")]),
    ],
)  # fmt: skip
def test_words_for_what_a_new_family_may_say(schema, instance, expected):
    assert told(schema, instance) == expected


@pytest.mark.parametrize(
    ("instance", "code"),
    [({"a": "\ud800"}, "schema/json"), ({1: "a"}, "schema/json"), ({"a": {1, 2}}, "schema/json")],
)
def test_what_json_cannot_hold_is_invalid(instance, code):
    checker = Checker({"additionalProperties": {"pattern": "^."}})
    assert not checker.is_valid(instance)
    assert [fault.code for fault in checker.faults(instance)] == [code]


def test_depth_is_a_fault():
    deep = {}
    for _ in range(3000):
        deep = {"a": deep}
    assert codes({"type": "string"}, deep) == [((), "schema/depth")]


def test_words_are_loaded_only_for_what_fails():
    code = """
import sys
from seedbatch.domain.jobs import Request
from seedbatch.models import catalogue
fits = {"prompt": "p", "ratio": "16:9", "resolution": "480p", "duration": 5}
assert not catalogue().check(Request("seedance-2.0", fits))
assert not {"jsonschema", "referencing"} & sys.modules.keys()
assert catalogue().check(Request("seedance-2.0", {**fits, "duration": 3}))
assert {"jsonschema", "referencing"} <= sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_catalogue_is_read_once():
    assert catalogue() is catalogue()
