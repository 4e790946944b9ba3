"""What is shown of a model, read out of its schema."""

from __future__ import annotations

import pytest

from seedbatch.models import catalogue, sheet


def of(model):
    return sheet(catalogue().schema(model), model)


def facts(model):
    return {one.name: (one.allowed, one.required, one.default, one.sent) for one in of(model).parameters}


def test_rules_of_one_model_narrow_those_of_its_family():
    assert facts("seedance-2.0") == {
        "prompt": ("", True, None, None),
        "ratio": ("1:1, 4:3, 3:4, 16:9, 9:16", True, None, None),
        "resolution": ("480p, 720p, 1080p", True, None, None),
        "duration": ("4 to 15", True, None, None),
        "mediaUrls": ("1 to 12, at most 9 images", False, None, None),
        "fallback": ("", False, None, False),
    }
    assert facts("seedance-1.5-pro")["duration"] == ("5, 10", True, None, None)
    assert facts("seedance-1.5-pro")["mediaUrls"][0] == "1 to 2, at most 9 images"
    assert facts("nano-banana")["resolution"] == ("1k", False, "1k", None)
    assert facts("nano-banana-2")["resolution"] == ("1k, 2k, 4k", True, None, None)
    assert facts("seedream-5-lite")["n"] == ("1 to 4", False, 1, None)
    assert facts("grok-imagine/text-to-image-pro")["n"] == ("1 to 10", False, None, 1)
    assert facts("gpt-image-2/image-to-image")["imageUrls"] == ("at least 1", True, None, None)


def test_what_a_model_does_not_take_is_a_rule_and_no_parameter():
    assert list(facts("grok-imagine/text-to-image-lite")) == ["prompt", "n"]
    assert list(facts("gpt-image-2/text-to-image")) == ["prompt", "ratio", "resolution", "n"]
    rules = [one.text for one in of("grok-imagine/text-to-image-lite").rules]
    assert rules == [f"{name} is not accepted: only -standard and -pro take it." for name in ("ratio", "resolution")]


def test_rules_over_several_parameters_are_told_in_words():
    rules = [(one.text, bool(one.source)) for one in of("veo3").rules]
    assert rules == [
        ("mode needs imageUrls.", True),
        ("mode i2v takes one image.", True),
        ("mode i2v-fl takes one image or two.", True),
    ]
    assert any("4k" in one.text for one in of("gpt-image-2/text-to-image").rules)
    assert any("mediaUrls" in one.text for one in of("seedance-2.0").rules)


def test_warnings_are_those_of_the_model():
    def warned(model):
        return [one.text.partition(":")[0] for one in of(model).warnings]

    assert warned("veo3") == ["duration", "duration", "resolution"]
    assert warned("veo3_fast") == ["duration", "resolution"]
    assert warned("veo3_lite") == ["resolution"]
    assert warned("seedance-2.0-fast") == ["resolution", "fallback"]
    assert warned("seedance-2.0") == ["fallback"]


@pytest.mark.parametrize("name", catalogue().names)
def test_every_model_can_be_shown(name):
    shown = of(name)
    assert (shown.name, shown.kind in {"video", "image"}) == (name, True)
    assert all([shown.title, shown.era, shown.status, shown.source, shown.takes])
    for one in shown.parameters:
        assert one.description, one.name
        assert one.source, one.name
        assert one.type in {"string", "integer", "boolean", "array"}, one.name
    assert all(one.text and one.source for one in [*shown.rules, *shown.warnings, *shown.notes])


def test_a_few_words():
    assert of("seedance-2.0").takes == (
        "resolution 480p/720p/1080p, duration 4-15, up to 12 mediaUrls, fallback, 5 values of ratio"
    )
    assert of("veo3_lite").takes == (
        "resolution 1080p/4k, duration 4/6/8, up to 2 imageUrls, mode i2v/i2v-fl, ratio 16:9/9:16"
    )


def test_a_family_that_says_little_is_shown_all_the_same():
    schema = {"x-seedbatch": {"models": {"m": {}}}, "properties": {"input": {"properties": {
        "text": {}, "seed": {"type": "integer", "maximum": 9}, "size": {"enum": [1, 2]}, "old": False}}}}  # fmt: skip
    shown = sheet(schema, "m")
    assert [(one.name, one.type, one.type_words, one.allowed, one.required) for one in shown.parameters] == [
        ("text", "string", "text", "", False),
        ("seed", "integer", "whole number", "at most 9", False),
        ("size", "integer", "whole number", "1, 2", False),
    ]
    assert (shown.title, shown.kind, shown.takes) == ("", "", "text, seed at most 9, size 1/2")
    assert sheet({"x-seedbatch": {"models": {"m": {}}}}, "m").takes == "a prompt"
