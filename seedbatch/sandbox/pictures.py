"""Outputs of image models: a small PNG that no other task shares."""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path
from typing import Final

_SIDE: Final = 64


def picture(folder: Path, mark: str) -> Path:
    """The PNG of an output, drawn when first asked for: stripes whose colours and comment are made of its name."""
    path = folder / f"{mark}.png"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{mark}.{os.getpid()}.part"
        part.write_bytes(_png(mark))
        part.replace(path)
    return path


def _png(mark: str) -> bytes:
    colours = hashlib.sha256(mark.encode()).digest()
    row = b"\0" + b"".join(bytes(colours[3 * (x // 8) : 3 * (x // 8) + 3]) for x in range(_SIDE))
    head = _SIDE.to_bytes(4) + _SIDE.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    chunks = ((b"IHDR", head), (b"tEXt", b"Comment\0" + mark.encode()), (b"IDAT", zlib.compress(row * _SIDE)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks) + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)
