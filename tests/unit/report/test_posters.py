"""Posters of real clips and images."""

from __future__ import annotations

import io

import av
import pytest
from PIL import Image

from seedbatch.report.posters import draw


def clip(path, frames, size=(320, 180)):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(picture.resize(size))))
        container.mux(stream.encode())
    return path


def plain(colour):
    return Image.new("RGB", (64, 64), colour)


def gradient():
    return Image.linear_gradient("L").convert("RGB")


def seen(poster) -> Image.Image:
    return Image.open(io.BytesIO(poster.jpeg))


def test_a_fade_from_black_is_passed_over(tmp_path):
    poster = draw(clip(tmp_path / "a.mp4", [plain("black")] * 12 + [gradient()] * 12), "video/mp4")
    assert (poster.width, poster.height, seen(poster).size) == (320, 180, (320, 180))
    assert poster.seconds == pytest.approx(1, abs=0.1)
    low, high = seen(poster).convert("L").getextrema()
    assert high - low > 150


def test_a_clip_that_is_black_throughout_has_a_black_poster(tmp_path):
    poster = draw(clip(tmp_path / "a.mp4", [plain("black")] * 5), "video/mp4")
    assert seen(poster).convert("L").getextrema()[1] < 20


def test_a_large_one_is_made_small_in_its_own_ratio(tmp_path):
    poster = draw(clip(tmp_path / "a.mp4", [gradient()], (608, 1080)), "video/mp4")
    assert (poster.width, poster.height) == (608, 1080)
    assert seen(poster).size == (270, 480)


def test_an_image_is_its_own_poster_without_its_transparency(tmp_path):
    picture = Image.new("RGBA", (1000, 500), (255, 0, 0, 0))
    picture.save(tmp_path / "a.png")
    poster = draw(tmp_path / "a.png", "image/png")
    assert (poster.width, poster.height, poster.seconds) == (1000, 500, 0)
    assert (seen(poster).size, seen(poster).mode) == ((480, 240), "RGB")
    assert seen(poster).getpixel((9, 9)) == pytest.approx((128, 128, 128), abs=4)


@pytest.mark.parametrize("kind", ["video/mp4", "image/png", "image/webp"])
@pytest.mark.parametrize("content", [b"", b"no clip", b"\0\0\0\x18ftypmp42" + b"\0" * 999])
def test_what_cannot_be_decoded_has_none(tmp_path, kind, content):
    (tmp_path / "a").write_bytes(content)
    assert draw(tmp_path / "a", kind) is None


def test_a_clip_that_was_cut_off_has_what_can_be_seen_or_none(tmp_path):
    path = clip(tmp_path / "a.mp4", [gradient()] * 24)
    path.write_bytes(path.read_bytes()[:-200])
    assert draw(path, "video/mp4") is None  # its index stood at the end
