"""What each family takes, refuses and warns of, from the provider's documentation."""

from __future__ import annotations

import pytest

from seedbatch.domain.jobs import Request
from seedbatch.models import catalogue

ONE, TWO, THREE, FOUR = ([f"https://x.example/{number}" for number in range(count)] for count in (1, 2, 3, 4))
VEO = {}
BANANA = {"ratio": "16:9", "resolution": "1k"}
SEEDREAM = {"ratio": "1:1", "resolution": "2k"}
VIDEO = {"ratio": "16:9", "resolution": "480p", "duration": 6}
GPT, GPT_OF = "gpt-image-2/text-to-image", "gpt-image-2/image-to-image"
LITE, STANDARD, PRO = (f"grok-imagine/text-to-image-{one}" for one in ("lite", "standard", "pro"))
GROK_OF, GROK_VIDEO = "grok-imagine/image-to-image", "grok-imagine/text-to-video"
JIMENG = {"ratio": "16:9"}
JIMENG_VIDEO = {"ratio": "16:9", "duration": 5}


def request(model, parameters):
    wanted = {"prompt": "p", **parameters}
    return Request(model, {name: value for name, value in wanted.items() if value is not ...})


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        *[(model, VEO) for model in ("veo3", "veo3_fast", "veo3_lite")],
        *[("veo3", {"ratio": ratio}) for ratio in ("16:9", "9:16")],
        *[("veo3_fast", {"resolution": resolution, "duration": 8}) for resolution in ("1080p", "4k")],
        *[("veo3_lite", {"duration": duration}) for duration in (4, 6, 8)],
        *[("veo3", {"imageUrls": images, "mode": "r2v"}) for images in (ONE, TWO, THREE)],
        *[("veo3_lite", {"imageUrls": images, "mode": "i2v-fl"}) for images in (ONE, TWO)],
        ("veo3_fast", {"imageUrls": ONE, "mode": "i2v"}),
        ("veo3", {"imageUrls": THREE}),
        ("nano-banana", {"ratio": "9:16"}),
        ("nano-banana", BANANA),
        ("nano-banana-2", {"ratio": "4:3", "resolution": "4k"}),
        ("nano-banana-pro", {**BANANA, "imageUrls": FOUR}),
        *[("seedream-4.5", {**SEEDREAM, "ratio": ratio}) for ratio in ("3:2", "2:3", "21:9")],
        *[(model, {**SEEDREAM, "n": 15}) for model in ("seedream-4.5", "seedream-4")],
        ("seedream-5-lite", {**SEEDREAM, "n": 4, "imageUrls": FOUR}),
        (GPT, {}),
        *[(GPT, {"ratio": ratio}) for ratio in ("5:4", "4:5", "2:1", "1:2", "21:9", "9:21")],
        *[(GPT, {"ratio": ratio, "resolution": "4k"}) for ratio in ("16:9", "9:16", "2:1", "1:2", "21:9", "9:21")],
        (GPT, {"ratio": "1:1", "resolution": "2k", "n": 10}),
        (GPT, {"resolution": "4k"}),
        (GPT_OF, {"imageUrls": FOUR}),
        (LITE, {"n": 4}),
        (STANDARD, {"n": 10, "ratio": "1:1", "resolution": "720p"}),
        (PRO, {}),
        *[(GROK_VIDEO, {**VIDEO, "duration": duration, "mode": "custom"}) for duration in (6, 10, 12, 16, 20)],
    ],
)
def test_what_is_documented_passes_without_a_word(model, parameters):
    assert catalogue().check(request(model, parameters)) == []
    assert catalogue().warnings(request(model, parameters)) == []


@pytest.mark.parametrize(
    ("model", "parameters", "place", "code", "words"),
    [
        ("veo3", {"ratio": "1:1"}, "ratio", "schema/enum", "allowed: 16:9, 9:16"),
        ("veo3", {"resolution": "720p"}, "resolution", "schema/enum", "allowed: 1080p, 4k"),
        ("veo3", {"duration": 5}, "duration", "schema/enum", "allowed: 4, 6, 8"),
        ("veo3", {"duration": "8"}, "duration", "schema/enum", '"8" is not allowed here'),
        ("veo3", {"prompt": ...}, "", "schema/required", "prompt is missing"),
        ("veo3", {"imageUrls": FOUR}, "imageUrls", "schema/size", "at most 3"),
        ("veo3", {"imageUrls": []}, "imageUrls", "schema/size", "it is empty"),
        ("veo3", {"imageUrls": ["data:image/png;base64,AA"]}, "imageUrls.0", "schema/pattern", "a public link"),
        ("veo3", {"mode": "i2v"}, "", "schema/required", "imageUrls is missing: mode needs it"),
        ("veo3", {"mode": "i2v", "imageUrls": TWO}, "imageUrls", "schema/size", "mode i2v takes one image"),
        ("veo3", {"mode": "i2v-fl", "imageUrls": THREE}, "imageUrls", "schema/size", "mode i2v-fl takes"),
        ("veo3", {"mediaUrls": ONE}, "mediaUrls", "schema/unknown-key", "here it is called imageUrls"),
        ("veo3", {"n": 2}, "n", "schema/unknown-key", 'there is no key "n" here'),
        ("veo3_lite", {"mode": "r2v", "imageUrls": ONE}, "mode", "schema/enum", "allowed for veo3_lite: i2v, i2v-fl"),
        ("veo3_lite", {"imageUrls": THREE}, "imageUrls", "schema/size", "which veo3_lite does not take"),
        ("nano-banana", {"ratio": "1:1"}, "ratio", "schema/enum", "allowed for nano-banana: 16:9, 9:16"),
        ("nano-banana", {**BANANA, "resolution": "4k"}, "resolution", "schema/enum", "allowed for nano-banana: 1k"),
        ("nano-banana", {}, "", "schema/required", "ratio is missing"),
        ("nano-banana-2", {"ratio": "1:1"}, "", "schema/required", "resolution is missing"),
        ("nano-banana-pro", {**BANANA, "resolution": "2K"}, "resolution", "schema/enum", "allowed: 1k, 2k, 4k"),
        ("nano-banana-2", {**BANANA, "mediaUrls": ONE}, "mediaUrls", "schema/unknown-key", "called imageUrls"),
        ("nano-banana-2", {**BANANA, "images": ONE}, "images", "schema/unknown-key", "called imageUrls"),
        ("nano-banana-2", {**BANANA, "n": 2}, "n", "schema/unknown-key", "known here"),
        ("seedream-4.5", {**SEEDREAM, "n": 16}, "n", "schema/range", "16 is more than 15"),
        ("seedream-5-lite", {**SEEDREAM, "n": 5}, "n", "schema/range", "5 is more than 4"),
        ("seedream-4", {**SEEDREAM, "n": 0}, "n", "schema/range", "0 is less than 1"),
        ("seedream-4", {**SEEDREAM, "ratio": "5:4"}, "ratio", "schema/enum", "allowed: 1:1, 4:3"),
        ("seedream-4", {"ratio": "1:1"}, "", "schema/required", "resolution is missing"),
        ("seedream-4", {**SEEDREAM, "imageUrls": [{"url": ONE[0]}]}, "imageUrls.0", "schema/type", "is no text"),
        ("seedream-4.6", {**SEEDREAM, "n": 1}, "n", "schema/refused", "know no n"),
        (GPT, {"resolution": "4k", "ratio": "1:1"}, "ratio", "schema/enum", "allowed at 4k: 16:9, 9:16, 2:1"),
        (GPT, {"ratio": 121}, "ratio", "schema/ratio-number", "unquoted ratio 2:1"),
        (GPT, {"n": 11}, "n", "schema/range", "11 is more than 10"),
        (GPT, {"imageUrls": ONE}, "imageUrls", "schema/refused", "images are for gpt-image-2/image-to-image"),
        (GPT_OF, {}, "", "schema/required", "imageUrls is missing"),
        (LITE, {"ratio": "1:1"}, "ratio", "schema/refused", "only -standard and -pro take it"),
        (LITE, {"resolution": "720p"}, "resolution", "schema/refused", "only -standard and -pro take it"),
        (LITE, {"n": 5}, "n", "schema/range", "5 is more than 4"),
        (STANDARD, {"ratio": "4:3"}, "ratio", "schema/enum", "allowed: 1:1, 16:9, 9:16"),
        (PRO, {"n": 11}, "n", "schema/range", "11 is more than 10"),
        (PRO, {"imageUrls": ONE}, "imageUrls", "schema/unknown-key", "known here: prompt, n, ratio, resolution"),
        (GROK_OF, {}, "", "schema/required", "imageUrls is missing"),
        (GROK_OF, {"imageUrls": THREE}, "imageUrls", "schema/size", "at most 2"),
        (GROK_OF, {"imageUrls": ONE, "ratio": "1:1"}, "ratio", "schema/refused", "1024x1024"),
        (GROK_VIDEO, {**VIDEO, "duration": 8}, "duration", "schema/enum", "allowed: 6, 10, 12, 16, 20"),
        (GROK_VIDEO, {**VIDEO, "resolution": "1080p"}, "resolution", "schema/enum", "allowed: 480p, 720p"),
        (GROK_VIDEO, {**VIDEO, "mode": "wild"}, "mode", "schema/enum", "allowed: fun, normal, spicy, custom"),
        (GROK_VIDEO, {**VIDEO, "ratio": ...}, "", "schema/required", "ratio is missing"),
        ("jimeng-4.6", {}, "", "schema/required", "ratio is missing"),
        ("jimeng-4.6", {**JIMENG, "imageUrls": ONE}, "imageUrls", "schema/unknown-key", "here it is called images"),
        ("jimeng-4.6", {"ratio": "wide"}, "ratio", "schema/pattern", "Width to height"),
        ("jimeng-video-3.0", {**JIMENG_VIDEO, "resolution": "720p"}, "resolution", "schema/unknown-key", "known here"),
        ("jimeng-video-3.0", {**JIMENG_VIDEO, "mediaUrls": ONE}, "mediaUrls", "schema/unknown-key", "imageUrls"),
        ("seedance-2.0-pro", {**JIMENG_VIDEO, "duration": 0}, "duration", "schema/range", "0 is less than 1"),
        ("seedance-2.0-pro", {**JIMENG_VIDEO, "prompt": "@4", "imageUrls": THREE}, "prompt", "model/reference", "@4"),
        ("seedance-2.0", {"imageUrls": ONE, **VIDEO}, "imageUrls", "schema/unknown-key", "here it is called mediaUrls"),
        ("seedance-2.0", {"images": ONE, **VIDEO}, "images", "schema/unknown-key", "here it is called mediaUrls"),
    ],
)
def test_what_is_refused_has_a_place_and_words(model, parameters, place, code, words):
    (fault,) = catalogue().check(request(model, parameters))
    assert fault.path == ("input", *(int(part) if part.isdigit() else part for part in place.split(".") if part))
    assert fault.code == code
    assert words in f"{fault.message}; {fault.hint}"


@pytest.mark.parametrize(
    ("model", "parameters", "place", "words"),
    [
        ("veo3", {"mode": "r2v", "imageUrls": ONE, "duration": 4}, "duration", "makes 8 seconds"),
        ("veo3_fast", {"imageUrls": THREE, "duration": 6}, "duration", "makes 8 seconds"),
        ("veo3", {"imageUrls": ONE, "duration": 4}, "duration", "mode: i2v-fl takes 4 and 6"),
        ("veo3", {"imageUrls": ONE, "mode": "i2v", "duration": 6}, "duration", "mode: i2v-fl takes 4 and 6"),
        ("veo3", {"imageUrls": ONE, "resolution": "4k"}, "resolution", "ignores resolution for a clip of a single"),
        ("veo3_fast", {"imageUrls": ONE, "mode": "i2v", "resolution": "1080p"}, "resolution", "ignores resolution"),
        ("veo3_lite", {"resolution": "4k"}, "resolution", "makes 720p"),
        ("veo3_lite", {"imageUrls": ONE, "resolution": "4k"}, "resolution", "makes 720p"),
        ("jimeng-4.6", {"ratio": "1:1"}, "ratio", "no ratio but 16:9"),
        ("jimeng-4.6", {**JIMENG, "resolution": "4k"}, "resolution", "no resolution but 2k"),
        ("seedance-2.0-pro", {**JIMENG_VIDEO, "duration": 10}, "duration", "no duration but 5"),
        ("seedream-4.6", SEEDREAM, "", "how many images"),
        ("sora", {}, "", "no schema knows sora"),
    ],
)
def test_what_is_allowed_and_surprising_is_told(model, parameters, place, words):
    told = catalogue().warnings(request(model, parameters))
    about = ("input", place) if place else ("model",)
    assert catalogue().check(request(model, parameters)) == []
    assert {fault.code for fault in told} == {"model/warning"}
    assert [fault.message for fault in told if fault.path == about and words in fault.message]
    assert {fault.path for fault in told} <= {about, ("model",)}


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("veo3_fast", {"imageUrls": ONE, "duration": 4}),  # only the quality tier makes 8 of one image
        ("veo3", {"imageUrls": ONE, "mode": "i2v-fl", "duration": 4, "resolution": "1080p"}),
        ("veo3", {"imageUrls": TWO, "duration": 6, "resolution": "4k"}),
        ("veo3", {"imageUrls": THREE, "duration": 8, "resolution": "4k"}),
        ("veo3", {"duration": 4, "resolution": "4k"}),
        ("veo3_lite", {"imageUrls": ONE, "duration": 4}),
    ],
)
def test_what_comes_as_asked_is_not_warned_of(model, parameters):
    assert catalogue().check(request(model, parameters)) == []
    assert catalogue().warnings(request(model, parameters)) == []


@pytest.mark.parametrize("name", catalogue().names)
def test_a_model_that_is_not_documented_today_is_told_so(name):
    status = catalogue().schema(name)["x-seedbatch"]["models"][name]["status"]
    told = [fault.message for fault in catalogue().warnings(request(name, JIMENG)) if fault.path == ("model",)]
    words = {"legacy": f"{name} is legacy", "other clients only": f"{name} is in no documentation"}
    assert ([] if status == "documented" else [words[status]]) == [one[: len(words[status])] for one in told[:1]]


@pytest.mark.parametrize("model", ["nano-banana-2", "seedream-4.5", GPT_OF, "veo3"])
def test_only_families_that_name_material_by_position_read_at_signs(model):
    parameters = {"prompt": "like @9", "imageUrls": TWO, **(SEEDREAM if "veo" not in model else {})}
    assert catalogue().check(request(model, parameters)) == []
