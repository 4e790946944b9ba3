"""Clips for finished tasks: encoded once for each shape, then made unique for each task."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from seedbatch.sandbox import encode

_SHORTER_SIDES: Final = {"480p": 480, "720p": 720, "1080p": 1080}
_RATIOS: Final = {"16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1), "4:3": (4, 3), "3:4": (3, 4)}
_BUNDLED: Final = Path(__file__).with_name("bundled")


class ClipShelf:
    """Real H.264 clips of the asked ratio, resolution and length, kept in `folder`.

    Without the `video` extra, a bundled clip of the same ratio stands in: two seconds, 240 lines.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._encodes = encode.available()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="clips")
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def clip(self, ratio: str, resolution: str, duration: float, name: str) -> Path:
        """The file called `name` (a task's id and a number): a copy of its shape's clip with the name inside."""
        path = self._folder / f"{name}.mp4"
        if path.exists():
            return path
        shape = await self._shape(ratio, resolution, duration)
        await asyncio.to_thread(_write, path, lambda to: to.write_bytes(shape.read_bytes() + _free_box(name)))
        return path

    async def _shape(self, ratio: str, resolution: str, duration: float) -> Path:
        ratio = ratio if ratio in _RATIOS else "16:9"
        if not self._encodes:
            return _BUNDLED / f"{ratio.replace(':', 'x')}.mp4"
        width, height = size_of(ratio, resolution)
        path = self._folder / f"shape-{width}x{height}-{duration:g}s.mp4"
        async with self._locks[path]:
            if not path.exists():
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(
                    self._worker, _write, path, lambda to: encode.encode(to, width, height, duration)
                )
        return path


def size_of(ratio: str, resolution: str) -> tuple[int, int]:
    """Width and height in pixels, both even."""
    short = _SHORTER_SIDES.get(resolution, 720)
    width, height = _RATIOS.get(ratio, (16, 9))
    scale = short / min(width, height)
    return 2 * round(width * scale / 2), 2 * round(height * scale / 2)


def bundle() -> None:
    """Make the bundled clips anew."""
    _BUNDLED.mkdir(exist_ok=True)
    for ratio in _RATIOS:
        width, height = size_of(ratio, "480p")
        half = (2 * round(width / 4), 2 * round(height / 4))
        path = _BUNDLED / f"{ratio.replace(':', 'x')}.mp4"
        encode.encode(path, *half, 2.0, preset="veryslow")


def _write(path: Path, fill: Callable[[Path], object]) -> None:
    """Under another name first: a clip is whole or absent, also when several processes make it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fill(part)
        os.replace(part, path)  # noqa: PTH105 - atomic by name
    finally:
        part.unlink(missing_ok=True)


def _free_box(name: str) -> bytes:
    """A box that players skip; it makes each task's file another file."""
    content = name.encode()
    return (8 + len(content)).to_bytes(4, "big") + b"free" + content
