"""Clips are real, whole, of the asked shape, and each task's own."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path

import av
import pytest

from seedbatch.sandbox import encode
from seedbatch.sandbox.clips import ClipShelf, size_of

RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4")


def boxes(data: bytes) -> list[str]:
    """The top-level boxes, which must fill the file to its end."""
    names, position = [], 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        assert size >= 8
        names.append(data[position + 4 : position + 8].decode("ascii"))
        position += size
    assert position == len(data)
    return names


@pytest.mark.parametrize("ratio", RATIOS)
async def test_a_clip_has_the_asked_shape(tmp_path, ratio):
    path = await ClipShelf(tmp_path).clip(ratio, "480p", 4, "task-1")
    with av.open(path) as clip:
        video = clip.streams.video[0]
        assert video.codec_context.name == "h264"
        assert video.codec_context.pix_fmt == "yuv420p"
        assert (video.width, video.height) == size_of(ratio, "480p")
        assert min(video.width, video.height) == 480
        assert clip.duration / av.time_base == pytest.approx(4, abs=0.1)
        frames = [hashlib.sha256(bytes(frame.planes[0])).digest() for frame in clip.decode(video)]
    assert len(frames) == 96
    assert len(set(frames)) > 48  # something moves
    names = boxes(path.read_bytes())
    assert names.index("moov") < names.index("mdat")


@pytest.mark.parametrize(
    ("ratio", "resolution", "size"),
    [
        ("16:9", "720p", (1280, 720)),
        ("9:16", "1080p", (1080, 1920)),
        ("4:3", "480p", (640, 480)),
        ("?", "?", (1280, 720)),
    ],
)
def test_sizes(ratio, resolution, size):
    assert size_of(ratio, resolution) == size


async def test_two_tasks_have_two_files_of_one_film(tmp_path):
    shelf = ClipShelf(tmp_path)
    one, two = [(await shelf.clip("1:1", "480p", 4, name)).read_bytes() for name in ("task-1", "task-2")]
    assert one != two
    assert one[: -len("task-1")] == two[: -len("task-2")]
    assert one.endswith(b"freetask-1")


async def test_twenty_at_once_encode_once(tmp_path, monkeypatch):
    encoded = []

    def counted(path, *shape):
        encoded.append(shape)
        real(path, *shape)

    real = encode.encode
    monkeypatch.setattr(encode, "encode", counted)
    shelf = ClipShelf(tmp_path)
    await asyncio.gather(*(shelf.clip("16:9", "480p", 4, f"task-{number}") for number in range(20)))
    assert encoded == [(854, 480, 4)]
    assert len(list(tmp_path.iterdir())) == 21


def test_without_the_extra_a_bundled_clip_stands_in(tmp_path):
    program = (
        "import sys, asyncio; sys.modules['av'] = None; from pathlib import Path;"
        "from seedbatch.sandbox.clips import ClipShelf;"
        "shelf = ClipShelf(Path(sys.argv[1]));"
        f"[print(asyncio.run(shelf.clip(ratio, '1080p', 15, ratio.replace(':', 'x')))) for ratio in {RATIOS!r}]"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    for ratio, path in zip(RATIOS, done.stdout.split(), strict=True):
        width, height = map(int, ratio.split(":"))
        with av.open(path) as clip:
            video = clip.streams.video[0]
            assert video.width / video.height == pytest.approx(width / height, rel=0.02)
            assert len(list(clip.decode(video))) == 48
        content = Path(path).read_bytes()
        assert len(content) < 60_000
        boxes(content)
