"""Posters: the first frame of a clip that shows something, or an image made small. Needs the `video` extra."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

_LONGEST: Final = 480  # pixels of the longer side: sharp on a dense display at the largest size of the sheet
_QUALITY: Final = 80
_LOOKED_AT: Final = 60  # frames; a fade from black rarely takes longer than two seconds
_EVEN: Final = 6.0  # standard deviation of brightness below which a frame is plain black, white or grey


@dataclass(frozen=True, slots=True)
class Poster:
    """A JPEG, and what was learned of its file: pixels, and seconds (0 for an image)."""

    jpeg: bytes
    width: int
    height: int
    seconds: float


def available() -> bool:
    """Whether posters can be made here: the `video` extra is installed."""
    try:
        import av  # noqa: F401, PLC0415 - heavy, and optional
        import PIL  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True


def draw(path: Path, content_type: str) -> Poster | None:
    """The poster of a file; None if it cannot be decoded, for whatever reason: a decoder's own errors are many."""
    try:
        return _of_clip(path) if content_type.startswith("video/") else _of_image(path)
    except Exception:  # noqa: BLE001 - a file from outside must not end the report
        return None


def _of_image(path: Path) -> Poster:
    from PIL import Image, ImageOps  # noqa: PLC0415

    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened)
        return _poster(picture, 0.0)


def _of_clip(path: Path) -> Poster | None:
    import av  # noqa: PLC0415

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # several clips are decoded side by side instead
        seconds = float(container.duration or 0) / av.time_base
        picture = _decent(container.decode(stream))
    return None if picture is None else _poster(picture, seconds)


def _decent(frames: Iterator[Any]) -> Image | None:
    """The first frame with something to see, else the one with most of it."""
    from PIL import ImageStat  # noqa: PLC0415

    best, most = None, -1.0
    for frame in islice(frames, _LOOKED_AT):
        picture = frame.to_image()
        (contrast,) = ImageStat.Stat(picture.convert("L").resize((64, 64))).stddev
        if contrast > _EVEN:
            return picture  # type: ignore[no-any-return]
        if contrast > most:
            best, most = picture, contrast
    return best


def _poster(picture: Image, seconds: float) -> Poster:
    width, height = picture.size
    picture.thumbnail((_LONGEST, _LONGEST))
    small = picture if picture.mode == "RGB" else _on_grey(picture)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=_QUALITY)
    return Poster(written.getvalue(), width, height, seconds)


def _on_grey(picture: Image) -> Image:
    """Without transparency: on a grey that neither a light nor a dark motif drowns in."""
    from PIL import Image  # noqa: PLC0415

    whole = picture.convert("RGBA")
    ground = Image.new("RGBA", whole.size, (128, 128, 128, 255))
    return Image.alpha_composite(ground, whole).convert("RGB")
