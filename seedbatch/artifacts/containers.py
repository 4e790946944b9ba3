"""What a file really is, and whether it is whole: read from its own structure, never from its name or its headers.

A truncated transfer without a declared length looks like a success to every HTTP library; only the structure tells.
All functions are pure over a `read(offset, size)` and never raise for any content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from seedbatch.domain.answers import MediaKind

Read = Callable[[int, int], bytes]

SNIFF = 64  # bytes from the beginning that tell every format below
_JPEG_TAIL = 65_536  # bytes that a camera or an editor may append after the end of the picture
_MOST_BOXES = 200_000  # a hostile file of nothing but empty boxes must not occupy a thread
_IMAGE_BRANDS = frozenset({b"avif", b"avis"})
_PICTURES = frozenset({b"VP8 ", b"VP8L", b"ANMF"})  # of a WebP: lossy, lossless, a frame of an animation
_OTHER_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"heic", b"heix", b"mif1", b"msf1", b"crx ", b"jp2 ", b"jpx "})


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is stored: the extension without dot, the content type, and what kind of output it is."""

    extension: str
    content_type: str
    kind: MediaKind


MP4 = Format("mp4", "video/mp4", MediaKind.VIDEO)
MOV = Format("mov", "video/quicktime", MediaKind.VIDEO)
WEBM = Format("webm", "video/webm", MediaKind.VIDEO)
PNG = Format("png", "image/png", MediaKind.IMAGE)
JPEG = Format("jpg", "image/jpeg", MediaKind.IMAGE)
WEBP = Format("webp", "image/webp", MediaKind.IMAGE)
AVIF = Format("avif", "image/avif", MediaKind.IMAGE)
FORMATS = (MP4, MOV, WEBM, PNG, JPEG, WEBP, AVIF)


class Extent(Enum):
    """Whether a file reaches its own end.

    OPEN: nothing is missing that the structure could show, but it may go on; only a declared length speaks for it.
    CUT: it ends in the middle. BROKEN: it is not what its first bytes promise.
    """

    WHOLE = "whole"
    OPEN = "open"
    CUT = "cut"
    BROKEN = "broken"


def sniff(head: bytes) -> Format | None:
    """The format that the first `SNIFF` bytes (or all, if fewer) announce, None for anything that is not stored."""
    if head[4:8] == b"ftyp":
        return _branded(head[8:12])
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return WEBM if b"webm" in head else None
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    return None


def _branded(brand: bytes) -> Format | None:
    if brand == b"qt  ":
        return MOV
    if brand in _IMAGE_BRANDS:
        return AVIF
    return None if brand in _OTHER_BRANDS or len(brand) < 4 else MP4  # noqa: PLR2004 - a brand has four characters


def extent(form: Format, read: Read, size: int) -> Extent:
    """How far a file of `size` bytes reaches. `read(offset, n)` gives its bytes, fewer at the end."""
    if form in {MP4, MOV}:
        return _boxes(read, size, (b"moov", b"mdat"))
    if form is AVIF:
        return _boxes(read, size, (b"meta", b"mdat"))
    if form is WEBM:
        return _matroska(read, size)
    if form is PNG:
        return _png(read, size)
    if form is WEBP:
        return _riff(read, size)
    return _jpeg(read, size)


def _boxes(read: Read, size: int, needed: tuple[bytes, ...]) -> Extent:
    """Walk the top-level boxes of ISO/IEC 14496-12, section 4.2, to the exact end."""
    offset, seen, open_ended = 0, set[bytes](), False
    for _ in range(_MOST_BOXES):
        if offset == size:
            break
        header = read(offset, 16)
        length, name = int.from_bytes(header[:4]), header[4:8]
        least = 8
        if length == 1:
            length, least = int.from_bytes(header[8:16]), 16
        elif length == 0:  # this box, the last, reaches to the end of the file, wherever that is
            length, open_ended = size - offset, True
        if len(header) < least:
            return Extent.CUT
        if length < least:
            return Extent.BROKEN
        if offset + length > size:
            return Extent.CUT
        seen.add(name)
        offset += length
    else:
        return Extent.BROKEN
    if not seen.issuperset(needed):
        return Extent.CUT
    # A fragmented file is whole after each fragment, as far as its boxes can tell.
    return Extent.OPEN if open_ended or b"moof" in seen else Extent.WHOLE


def _matroska(read: Read, size: int) -> Extent:
    """The EBML header and one segment of known size, RFC 8794; a live muxer leaves that size unknown."""
    offset = 0
    for wanted in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        head = read(offset, 12)
        if len(head) < 5:  # noqa: PLR2004 - four bytes of identity and at least one of size
            return Extent.CUT
        if head[:4] != wanted:
            return Extent.BROKEN
        width = 9 - head[4].bit_length()
        if width > 8:  # noqa: PLR2004 - sizes have at most eight bytes
            return Extent.BROKEN
        if len(head) < 4 + width:
            return Extent.CUT
        mask = (1 << 7 * width) - 1
        length = int.from_bytes(head[4 : 4 + width]) & mask
        if length == mask:
            return Extent.OPEN if wanted[0] == 0x18 else Extent.BROKEN  # noqa: PLR2004 - the segment's identity
        offset += 4 + width + length
    # Tags or cues may follow the segment.
    return Extent.WHOLE if offset <= size else Extent.CUT


def _png(read: Read, size: int) -> Extent:
    """Walk the chunks of ISO/IEC 15948, section 5: the header first, the picture, the end."""
    offset, pictured = 8, False
    for number in range(_MOST_BOXES):
        header = read(offset, 8)
        if len(header) < 8:  # noqa: PLR2004 - length and type
            return Extent.CUT
        if (header[4:] == b"IHDR") != (number == 0):
            return Extent.BROKEN
        pictured = pictured or header[4:] == b"IDAT"
        offset += 12 + int.from_bytes(header[:4])
        if offset > size:
            return Extent.CUT
        if header[4:] == b"IEND":
            return Extent.WHOLE if pictured else Extent.BROKEN
    return Extent.BROKEN


def _riff(read: Read, size: int) -> Extent:
    """Walk the chunks of a WebP (RFC 9649) to a picture; some writers leave out the padding of an odd last one."""
    end = 8 + int.from_bytes(read(4, 4), "little")
    if end > size:
        return Extent.CUT
    offset = 12
    for _ in range(_MOST_BOXES):
        header = read(offset, 8)
        if offset + 8 > end or len(header) < 8:  # noqa: PLR2004 - name and length
            return Extent.BROKEN
        length = int.from_bytes(header[4:], "little")
        if offset + 8 + length > end:
            return Extent.BROKEN
        if header[:4] in _PICTURES:
            return Extent.WHOLE
        offset += 8 + length + length % 2
    return Extent.BROKEN


def _jpeg(read: Read, size: int) -> Extent:
    """Walk the segments to the scan, for a thumbnail in one of them has an end of its own; then look at the end."""
    offset = 2
    for _ in range(_MOST_BOXES):
        header = read(offset, 4)
        if len(header) < 4:  # noqa: PLR2004 - marker and length
            return Extent.CUT
        if header[0] != 0xFF:  # noqa: PLR2004 - every marker begins so
            return Extent.BROKEN
        if header[1] == 0xFF:  # noqa: PLR2004 - fill bytes may stand before a marker
            offset += 1
            continue
        offset += 2 + max(int.from_bytes(header[2:]), 2)
        if header[1] == 0xDA:  # noqa: PLR2004 - start of scan
            break
    else:
        return Extent.BROKEN
    tail = read(max(size - _JPEG_TAIL, offset), _JPEG_TAIL)
    if tail.endswith(b"\xff\xd9"):
        return Extent.WHOLE
    return Extent.OPEN if b"\xff\xd9" in tail else Extent.CUT
