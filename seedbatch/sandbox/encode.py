"""Encoding a clip: a gradient that drifts, a square that crosses it, a bar that tells the time."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, Final

FRAMES_PER_SECOND: Final = 24
_BAR: Final = 6


def available() -> bool:
    """Whether clips can be encoded here: the `video` extra is installed."""
    try:
        import av  # noqa: F401, PLC0415 - heavy, and optional
    except ImportError:
        return False
    return True


def encode(path: Path, width: int, height: int, seconds: float, *, preset: str = "ultrafast") -> None:
    """Write a silent H.264 MP4 of that size and length to `path`; its index comes first, for browsers."""
    import av  # noqa: PLC0415

    count = max(1, round(seconds * FRAMES_PER_SECOND))
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": preset, "crf": "30", "threads": "1"}
        frame = av.VideoFrame(width, height, "yuv420p")
        _colour(frame, zlib.crc32(f"{width}x{height}".encode()))
        for number in range(count):
            _draw(frame, number, count)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _colour(frame: Any, seed: int) -> None:
    """The two planes of colour: one tint for each shape."""
    for plane, value in zip(frame.planes[1:], (80 + seed % 96, 80 + (seed >> 8) % 96), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)


def _draw(frame: Any, number: int, count: int) -> None:
    plane = frame.planes[0]
    width, height, line = frame.width, frame.height, plane.line_size
    shift = number * 2
    row = bytes(40 + abs((column + shift) % 256 - 128) for column in range(width)) + bytes(line - width)
    image = bytearray(row * height)
    side = min(width, height) // 5
    left = (width - side) * number // max(1, count - 1)
    top = (height - side) // 2
    for line_number in range(top, top + side):
        start = line_number * line + left
        image[start : start + side] = b"\xeb" * side
    done = width * (number + 1) // count
    for line_number in range(height - _BAR, height):
        start = line_number * line
        image[start : start + done] = b"\xd0" * done
    plane.update(bytes(image))
