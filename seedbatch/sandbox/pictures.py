"""Outputs of image models: small pictures of the asked shape that no other task shares, as PNG, JPEG or WebP."""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from pathlib import Path
from typing import Final

_SHORTER_SIDE: Final = 64
_STRIPES: Final = 8
_LONGEST: Final = 4  # times the shorter side
_RATIO: Final = re.compile(r"([1-9][0-9]?):([1-9][0-9]?)")


def picture(folder: Path, mark: str, extension: str, ratio: str) -> Path:
    """The file of an output, drawn when first asked for; its colours and its comment are made of its name."""
    path = folder / f"{mark}.{extension}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{path.name}.{secrets.token_hex(4)}"  # two may ask at once
        part.write_bytes(_DRAWN[extension](*size_of(ratio), mark))
        part.replace(path)
    return path


def size_of(ratio: str) -> tuple[int, int]:
    """Width and height in pixels, both multiples of eight; a ratio that is none is a square."""
    found = _RATIO.fullmatch(ratio)
    wide, high = (int(found[1]), int(found[2])) if found else (1, 1)
    longer = 8 * round(_SHORTER_SIDE * min(_LONGEST, max(wide, high) / min(wide, high)) / 8)
    return (longer, _SHORTER_SIDE) if wide > high else (_SHORTER_SIDE, longer)


def _colours(mark: str) -> list[bytes]:
    """Eight colours of three bytes."""
    found = hashlib.sha256(mark.encode()).digest()
    return [found[3 * number : 3 * number + 3] for number in range(_STRIPES)]


def _png(width: int, height: int, mark: str) -> bytes:
    """Stripes; the mark is a comment."""
    colours = _colours(mark)
    row = b"\0" + b"".join(colours[column * _STRIPES // width] for column in range(width))
    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    chunks = ((b"IHDR", head), (b"tEXt", b"Comment\0" + mark.encode()), (b"IDAT", zlib.compress(row * height)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks) + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)


def _jpeg(width: int, height: int, mark: str) -> bytes:
    """Stripes, baseline (ITU T.81): every block of 8 by 8 has one colour, so only its mean is coded."""
    categories = bytes(range(9))  # of a difference of means: its number of bits
    head = (
        b"\x08"
        + height.to_bytes(2)
        + width.to_bytes(2)
        + b"\x03"
        + b"".join(bytes([one, 0x11, 0]) for one in (1, 2, 3))
    )
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
            _segment(0xFE, mark.encode()),
            _segment(0xDB, b"\0" + b"\x08" * 64),
            _segment(0xC0, head),
            _segment(0xC4, b"\0" + bytes([0, 0, 0, len(categories), *[0] * 12]) + categories),  # all of four bits
            _segment(0xC4, b"\x10" + bytes([1, *[0] * 15]) + b"\0"),  # one bit: the block ends here
            _segment(0xDA, b"\x03\1\0\2\0\3\0\0\x3f\0"),
            _scan(width // 8, height // 8, _colours(mark)),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(body)).to_bytes(2) + body


def _scan(columns: int, rows: int, colours: list[bytes]) -> bytes:
    bits, last = [], [128, 128, 128]
    for number in range(columns * rows):
        colour = colours[number % columns * _STRIPES // columns]
        for plane, (value, before) in enumerate(zip(colour, last, strict=True)):
            change = value - before
            size = abs(change).bit_length()
            bits.append(f"{size:04b}")
            if size:
                bits.append(f"{change if change > 0 else change + (1 << size) - 1:0{size}b}")
            bits.append("0")
            last[plane] = value
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\0")


def _webp(width: int, height: int, mark: str) -> bytes:
    """One colour, lossless (RFC 9649): each of the five codes has one symbol, so that pixels need no bits."""
    red, green, blue = _colours(mark)[0]
    fields = [(width - 1, 14), (height - 1, 14), (0, 1 + 3), (0, 1), (0, 1), (0, 1)]  # no transform, cache or groups
    for symbol in (green, red, blue, 255, 0):
        fields += [(1, 1), (0, 1), (1, 1), (symbol, 8)]
    stream, at = 0, 0
    for value, size in fields:
        stream |= value << at
        at += size
    body = b"WEBP" + _riff(b"VP8L", b"\x2f" + stream.to_bytes((at + 7) // 8, "little")) + _riff(b"note", mark.encode())
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _riff(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


_DRAWN: Final = {"png": _png, "jpg": _jpeg, "webp": _webp}
