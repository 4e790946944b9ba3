"""The sandbox knows every model of the provider's documentation, and takes and refuses as it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from unit.sandbox.driving import Drive

from seedbatch.sandbox.made import made
from seedbatch.sandbox.models import MODELS
from seedbatch.sandbox.pictures import picture, size_of
from seedbatch.sandbox.prices import price
from seedbatch.sandbox.rules import Order, Refused, judge

ONE, TWO, THREE = ([f"https://x.example/{number}.png" for number in range(count)] for count in (1, 2, 3))
NEED_IMAGES = {"gpt-image-2/image-to-image", "grok-imagine/image-to-image"}


def verdict(model, **parameters):
    return judge({"model": model, "input": {"prompt": "p", **parameters}})


def test_it_knows_all_of_them():
    names = set(MODELS)
    assert {"seedance-2.0", "veo3_lite", "nano-banana-pro", "seedream-4.6", "gpt-image-2/image-to-image"} <= names
    assert {"grok-imagine/image-to-image", "seedance-2.0-pro", "jimeng-video-3.5-pro", "jimeng-xl-pro"} <= names
    assert len(names) == 38
    assert all(model.name == name for name, model in MODELS.items())


@pytest.mark.parametrize("name", MODELS)
def test_a_prompt_is_enough(name):
    order = verdict(name, **({"imageUrls": ONE} if name in NEED_IMAGES else {}))
    assert isinstance(order, Order)
    assert (order.model, order.kind, order.echo["model"]) == (name, MODELS[name].kind, name)
    assert order.outputs == (4 if name == "seedream-4.6" else 1)


@pytest.mark.parametrize(
    ("model", "parameters", "words"),
    [
        ("veo3", {"ratio": "1:1"}, "input.ratio must be one of 16:9, 9:16"),
        ("veo3", {"duration": 5}, "input.duration must be one of 4, 6, 8"),
        ("veo3", {"imageUrls": [*THREE, *ONE]}, "holds at most 3"),
        ("veo3", {"mode": "r2v"}, "takes 1 to 3 images"),
        ("veo3", {"mode": "i2v", "imageUrls": TWO}, "takes 1 to 1 images"),
        ("veo3", {"mode": "i2v-fl", "imageUrls": THREE}, "takes 1 to 2 images"),
        ("veo3_lite", {"mode": "r2v", "imageUrls": ONE}, "does not support r2v"),
        ("veo3_lite", {"imageUrls": THREE}, "does not support r2v"),
        ("nano-banana", {"resolution": "4k"}, "input.resolution must be one of 1k"),
        ("nano-banana-2", {"resolution": "8k"}, "input.resolution must be one of 1k, 2k, 4k"),
        ("seedream-5-lite", {"n": 5}, "input.n must be one of 1, 2, 3, 4"),
        ("seedream-4", {"n": True}, "input.n must be one of"),
        ("gpt-image-2/text-to-image", {"resolution": "4k", "ratio": "1:1"}, "at 4k"),
        ("gpt-image-2/image-to-image", {}, "input.imageUrls is required"),
        ("grok-imagine/text-to-image-lite", {"ratio": "1:1"}, "does not accept input.ratio"),
        ("grok-imagine/image-to-image", {"imageUrls": ONE, "resolution": "720p"}, "does not accept input.resolution"),
        ("grok-imagine/image-to-image", {"imageUrls": THREE}, "holds at most 2"),
        ("grok-imagine/image-to-image", {"imageUrls": []}, "input.imageUrls is required"),
        ("grok-imagine/text-to-video", {"mode": "wild"}, "input.mode must be one of"),
        ("jimeng-4.6", {"ratio": "wide"}, "input.ratio is not valid"),
        ("jimeng-4.6", {"images": ["a.png"]}, "input.images must be a list"),
        ("jimeng-video-3.0", {"duration": 0}, "input.duration is not valid"),
        ("jimeng-video-3.0", {"duration": 5.0}, "input.duration is not valid"),
    ],
)
def test_what_it_refuses(model, parameters, words):
    refused = verdict(model, **parameters)
    assert isinstance(refused, Refused)
    assert words in refused.message


def test_a_field_that_a_model_does_not_know_changes_nothing():
    order = verdict("seedream-4.6", n=2)
    assert (order.outputs, order.echo["n"]) == (4, 2)


@pytest.mark.parametrize(
    ("model", "unknown"),
    [
        ("nano-banana", {"n": "many"}),
        ("jimeng-4.6", {"n": 10**30, "duration": []}),
        ("grok-imagine/text-to-image-lite", {"duration": {}}),
        ("seedream-4.6", {"n": 15}),
        ("jimeng-video-3.0", {"resolution": "1080p"}),
    ],
)
async def test_nor_does_it_change_the_bill(drive: Drive, model: str, unknown: dict[str, object]):
    for more in ({}, unknown):
        status, body = await drive.post({"model": model, "input": {"prompt": "p", **more}})
        assert (status, body["code"]) == (200, 0)
    first, second = (line.units for line in drive.lines())
    assert first == second > 0


def test_seedance_of_the_oldest_pages_has_no_materials():
    assert not MODELS["seedance-2.0-pro"].seedance
    assert isinstance(verdict("seedance-2.0-pro", imageUrls=["https://x.example/without-extension"]), Order)


@pytest.mark.parametrize(
    ("model", "asked", "resolution", "duration"),
    [
        ("veo3", {"duration": 4, "resolution": "4k"}, "4k", 4),
        ("veo3", {"duration": 4, "resolution": "4k", "imageUrls": ONE}, "720p", 8),
        ("veo3_fast", {"duration": 4, "resolution": "4k", "imageUrls": ONE}, "720p", 4),
        ("veo3", {"duration": 4, "resolution": "4k", "imageUrls": ONE, "mode": "i2v-fl"}, "4k", 4),
        ("veo3", {"duration": 4, "resolution": "4k", "imageUrls": TWO}, "4k", 4),
        ("veo3_fast", {"duration": 6, "resolution": "1080p", "imageUrls": THREE}, "1080p", 8),
        ("veo3_fast", {"duration": 6, "resolution": "1080p", "imageUrls": ONE, "mode": "r2v"}, "1080p", 8),
        ("veo3_lite", {"duration": 4, "resolution": "4k"}, "720p", 4),
        ("seedance-2.0", {"duration": 4, "resolution": "1080p", "imageUrls": ONE}, "1080p", 4),
    ],
)
def test_what_is_silently_made_of_it(model, asked, resolution, duration):
    found = made(model, asked)
    assert (found["resolution"], found["duration"]) == (resolution, duration)


async def test_the_echo_says_what_was_asked_and_the_bill_what_was_made(drive: Drive):
    asked = {"prompt": "p", "duration": 4, "resolution": "4k", "imageUrls": ONE}
    _, body = await drive.post({"model": "veo3", "input": asked})
    echo = (await drive.task(body["data"]["taskId"]))["input"]
    assert (echo["duration"], echo["resolution"]) == (4, "4k")
    assert [line.units for line in drive.lines()] == [price("veo3", "video", {"duration": 8, "resolution": "720p"})]


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
@pytest.mark.parametrize("ratio", ["1:1", "16:9", "9:21", "99:1", "wide"])
def test_a_picture_is_real_and_of_the_asked_shape(tmp_path: Path, extension: str, ratio: str):
    path = picture(tmp_path, "task-1", extension, ratio)
    other = picture(tmp_path, "task-2", extension, ratio)
    assert path.name == f"task-1.{extension}"
    assert path.read_bytes() != other.read_bytes()
    with Image.open(path) as found:
        found.load()
        assert found.size == size_of(ratio)
        assert found.format == {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[extension]
        colours = found.convert("RGB").getcolors(256 * 64)
    assert len(colours or ()) == (1 if extension == "webp" else 8)


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("1:1", (64, 64)), ("16:9", (112, 64)), ("3:4", (64, 88)), ("99:1", (256, 64)), ("", (64, 64)), ("0:1", (64, 64))],
)
def test_sizes_of_pictures(ratio: str, size: tuple[int, int]):
    assert size_of(ratio) == size
