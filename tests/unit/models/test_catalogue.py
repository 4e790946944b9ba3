from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import pytest

from seedbatch.domain.errors import UsageError
from seedbatch.domain.jobs import Request
from seedbatch.models import Catalogue, catalogue

BASE = {"prompt": "p", "ratio": "16:9", "resolution": "480p", "duration": 5}
HOST = "https://x.example"


def faults(model="seedance-2.0", **changes):
    wanted = {**BASE, **changes}
    request = Request(model, {name: value for name, value in wanted.items() if value is not ...})
    return [(".".join(map(str, fault.path)), fault.code) for fault in catalogue().check(request)]


def images(count):
    return [f"{HOST}/{number}.png" for number in range(count)]


@pytest.mark.parametrize("model", ["seedance-2.0", "seedance-2.0-fast"])
@pytest.mark.parametrize(
    ("duration", "fits"), [(3, False), (4, True), (15, True), (16, False), (4.5, False), ("5", False)]
)
def test_durations(model, duration, fits):
    assert (faults(model, duration=duration) == []) is fits


@pytest.mark.parametrize(("duration", "fits"), [(4, False), (5, True), (6, False), (10, True), (15, False)])
def test_durations_of_1_5_pro(duration, fits):
    assert (faults("seedance-1.5-pro", duration=duration) == []) is fits


@pytest.mark.parametrize("ratio", ["1:1", "4:3", "3:4", "16:9", "9:16"])
@pytest.mark.parametrize("resolution", ["480p", "720p", "1080p"])
def test_ratios_and_resolutions(ratio, resolution):
    assert faults(ratio=ratio, resolution=resolution) == []


@pytest.mark.parametrize(
    ("ratio", "code"),
    [
        ("21:9", "schema/enum"),
        ("adaptive", "schema/enum"),
        (969, "schema/ratio-number"),
        (556, "schema/ratio-number"),
        (61, "schema/ratio-number"),
        (7, "schema/enum"),
    ],
)
def test_other_ratios(ratio, code):
    assert faults(ratio=ratio) == [("input.ratio", code)]


@pytest.mark.parametrize("name", ["prompt", "ratio", "resolution", "duration"])
def test_required(name):
    assert faults(**{name: ...}) == [("input", "schema/required")]


@pytest.mark.parametrize("prompt", ["", "  \n", 5, None])
def test_a_prompt_says_something(prompt):
    assert faults(prompt=prompt) != []


@pytest.mark.parametrize("name", ["seed", "imageUrls", "callBackUrl", "Ratio"])
def test_unknown_parameters(name):
    assert faults(**{name: 1}) == [(f"input.{name}", "schema/unknown-key")]


@pytest.mark.parametrize(
    ("model", "urls", "fits"),
    [
        ("seedance-2.0", images(9), True),
        ("seedance-2.0", images(10), False),
        ("seedance-2.0", [*images(9), *[f"{HOST}/{n}.mp3" for n in range(3)]], True),
        ("seedance-2.0", [*images(9), *[f"{HOST}/{n}.mp3" for n in range(4)]], False),
        ("seedance-2.0", [], False),
        ("seedance-2.0", [f"{HOST}/a.{kind}" for kind in ("jpg", "jpeg", "png", "webp", "gif", "bmp")], True),
        ("seedance-2.0", [f"{HOST}/a.{kind}" for kind in ("mp4", "mov", "m4v", "mp3", "wav", "JPG")], True),
        ("seedance-2.0", [f"{HOST}/a.png?token=x.y#z"], True),
        ("seedance-2.0", [f"{HOST}/a.tiff"], False),
        ("seedance-2.0", [f"{HOST}/a"], False),
        ("seedance-2.0", [f"{HOST}/a?b.png"], False),
        ("seedance-2.0", [f"{HOST}/a.png\n"], False),
        ("seedance-2.0", ["file:///a.png"], False),
        ("seedance-2.0", ["data:image/png;base64,AA.png"], False),
        ("seedance-1.5-pro", images(2), True),
        ("seedance-1.5-pro", images(3), False),
        ("seedance-1.5-pro", [f"{HOST}/a.mp4"], False),
        ("seedance-1.5-pro", [f"{HOST}/a.wav"], False),
    ],
)
def test_materials(model, urls, fits):
    assert (faults(model, mediaUrls=urls) == []) is fits


@pytest.mark.parametrize(
    ("prompt", "count", "fits"),
    [
        ("the boat of @1", 1, True),
        ("the boat of @2", 1, False),
        ("@1 and @2 and @3", 3, True),
        ("@图2 @image3", 3, True),
        ("@图4", 3, False),
        ("@image0", 3, False),
        ("@1", 0, False),
        ("让@图1跑到@1旁边", 1, True),
        ("让@图2跑", 1, False),
        ("boat of @1, river of @2.", 1, False),
        ("mail me@1.example", 0, True),
        ("@2nd street", 0, True),
    ],
)
def test_references(prompt, count, fits):
    found = faults(prompt=prompt, **({"mediaUrls": images(count)} if count else {}))
    assert found == ([] if fits else [("input.prompt", "model/reference")])


def test_warnings():
    def warned(model, **changes):
        return [fault.path[-1] for fault in catalogue().warnings(Request(model, {**BASE, **changes}))]

    assert warned("seedance-2.0-fast", resolution="1080p") == ["resolution"]
    assert warned("seedance-2.0", resolution="1080p") == []
    assert warned("seedance-2.0", fallback=True) == ["fallback"]
    assert warned("seedance-2.0", fallback=False) == []
    assert warned("unknown") == ["model"]


def test_names():
    models = catalogue()
    assert models.names[0] == "gpt-image-2/text-to-image"
    assert len(models.names) == len(set(models.names)) == 38
    assert models.defaults("seedance-2.0") == {"fallback": False}
    assert models.defaults("grok-imagine/text-to-image-pro") == {"n": 1}
    assert models.defaults("unknown") == {}


def test_what_is_documented_today_comes_first():
    models = catalogue()
    status = [models.schema(name)["x-seedbatch"]["models"][name]["status"] == "documented" for name in models.names]
    assert status == sorted(status, reverse=True)


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("seadance-2.0-fats", "seedance-2.0-fast"),
        ("Veo3", "veo3"),
        ("veo", "veo3"),
        ("nanobanana", "nano-banana"),
        ("gpt-image-2", "gpt-image-2/text-to-image"),
        ("jimeng-4.2", "jimeng-4.6"),
        ("seedream-4.", "seedream-4.5"),  # and not 4.6, which is as near and gone
        ("kling", None),
        ("", None),
    ],
)
def test_the_nearest_name(model, near):
    assert catalogue().nearest(model) == near


def test_an_unknown_name_leads_to_the_list():
    with pytest.raises(UsageError) as caught:
        catalogue().schema("seedance")
    assert caught.value.hint == "did you mean seedance-2.0? seedbatch models lists them all"


def test_a_link_that_ends_in_a_line_break_is_told_so():
    (fault,) = catalogue().check(Request("seedance-2.0", {**BASE, "mediaUrls": [f"{HOST}/a.png\n"]}))
    assert (fault.path, fault.code) == (("input", "mediaUrls", 0), "schema/pattern")
    assert fault.message == f'"{HOST}/a.png\\n" does not have the right form'


def test_an_input_that_cannot_be_changed_is_an_input():
    assert catalogue().check(Request("seedance-2.0", MappingProxyType(BASE))) == []


def test_a_new_model_is_a_file(tmp_path: Path):
    schema = {
        "properties": {"input": {"required": ["text"], "additionalProperties": False,
                                 "properties": {"text": {"type": "string"}, "pictures": {"type": "array"}}}},
        "x-seedbatch": {
            "models": {"new/model": {}},
            "defaults": {"quality": "high"},
            "references": {"text": "text", "list": "pictures", "pattern": "#(\\d+)"},
            "warnings": [{"if": {"properties": {"input": {"required": ["pictures"]}}}, "path": ["input", "pictures"],
                          "message": "slow"}],
        },
    }  # fmt: skip
    (tmp_path / "new.schema.json").write_text(json.dumps(schema))
    models = Catalogue(tmp_path)
    assert models.names == ("new/model",)
    assert models.defaults("new/model") == {"quality": "high"}
    assert [fault.code for fault in models.check(Request("new/model", {"text": "#2", "pictures": ["x"]}))] == [
        "model/reference"
    ]
    assert [fault.message for fault in models.warnings(Request("new/model", {"text": "", "pictures": []}))] == ["slow"]
    assert [fault.code for fault in models.check(Request("new/model", {}))] == ["schema/required"]
