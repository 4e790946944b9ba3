from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_host import avif, box, jpeg, mp4, png, webm, webp

from seedbatch.artifacts import containers
from seedbatch.artifacts.containers import AVIF, FORMATS, JPEG, MOV, MP4, PNG, WEBM, WEBP, Extent, Format


def extent(form: Format, data: bytes) -> Extent:
    return containers.extent(form, lambda offset, size: data[offset : offset + size], len(data))


def chunk(name: bytes, body: bytes = b"") -> bytes:
    """One of a PNG; its check sum is nobody's question here."""
    return len(body).to_bytes(4) + name + body + bytes(4)


def riff(*parts: bytes) -> bytes:
    """A WebP of chunks: name, content, name, content."""
    body = b"WEBP"
    for name, content in zip(parts[::2], parts[1::2], strict=True):
        body += name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


FTYP = box(b"ftyp", b"isom\0\0\2\0")
WHOLE = {
    "mp4": (MP4, mp4()),
    "mp4-moov-last": (MP4, mp4(moov_last=True)),
    "mp4-wide-mdat": (MP4, mp4(wide=True)),
    "mp4-with-free-boxes": (MP4, FTYP + box(b"free", bytes(9)) + box(b"moov", bytes(50)) + box(b"mdat", bytes(10))),
    "mov": (MOV, mp4(brand=b"qt  ")),
    "webm": (WEBM, webm()),
    "png": (PNG, png()),
    "jpg": (JPEG, jpeg()),
    "webp": (WEBP, webp()),
    "avif": (AVIF, avif()),
}


@pytest.mark.parametrize(("form", "data"), WHOLE.values(), ids=WHOLE)
def test_a_whole_file_is_known_and_whole(form: Format, data: bytes):
    assert containers.sniff(data[: containers.SNIFF]) is form
    assert extent(form, data) is Extent.WHOLE


@pytest.mark.parametrize(("form", "data"), WHOLE.values(), ids=WHOLE)
def test_no_strict_prefix_is_taken(form: Format, data: bytes):
    step = max(len(data) // 3000, 1)
    cuts = {*range(0, len(data), step), *range(min(len(data), 1200)), *range(len(data) - 20, len(data))}
    assert {cut for cut in cuts if extent(form, data[:cut]) in {Extent.WHOLE, Extent.OPEN}} == set()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", Extent.CUT),
        (b"\0", Extent.CUT),
        (FTYP, Extent.CUT),
        (FTYP + box(b"mdat", bytes(100)), Extent.CUT),
        (FTYP + box(b"moov", bytes(100)), Extent.CUT),
        (FTYP + box(b"moov", bytes(9)) + (1000).to_bytes(4) + b"mdat" + bytes(991), Extent.CUT),
        (FTYP + box(b"moov", bytes(9)) + box(b"mdat", bytes(9)) + b"\0\0\0", Extent.CUT),
        (FTYP + box(b"moov", bytes(9)) + (1).to_bytes(4) + b"mdat" + (15).to_bytes(8), Extent.BROKEN),
        (FTYP + (7).to_bytes(4) + b"moov" + bytes(50), Extent.BROKEN),
        (FTYP + box(b"moov", bytes(9)) + (1).to_bytes(4) + b"mdat" + (2**63).to_bytes(8), Extent.CUT),
        (FTYP + box(b"moov", bytes(9)) + (0).to_bytes(4) + b"mdat" + bytes(500), Extent.OPEN),
        (FTYP + box(b"moov", bytes(9)) + box(b"moof", bytes(9)) + box(b"mdat", bytes(9)), Extent.OPEN),
        (FTYP + box(b"free") * 250_000, Extent.BROKEN),
    ],
)
def test_boxes(data: bytes, found: Extent):
    assert extent(MP4, data) is found


def test_a_live_webm_cannot_be_told_from_a_truncated_one():
    assert extent(WEBM, webm(live=True)) is Extent.OPEN


def test_bytes_after_the_end_of_a_jpeg_are_an_open_end():
    assert extent(JPEG, jpeg() + b"\0" * 40) is Extent.OPEN


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"<!DOCTYPE html><html>",
        b'{"error": "expired"}',
        b"<?xml version='1.0'?><Error>",
        b"ID3\x04 an mp3",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"GIF89a",
        b"\x7fELF",
        b"#!/bin/sh",
        box(b"ftyp", b"M4A \0\0\0\0"),
        b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska",
        b"\0\0\0\x18ftyp",
    ],
)
def test_what_is_not_stored(head: bytes):
    assert containers.sniff(head) is None


@pytest.mark.parametrize(
    ("form", "data", "found"),
    [
        (PNG, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"IEND"), Extent.BROKEN),  # no picture in it
        (PNG, b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", bytes(9)) + chunk(b"IEND"), Extent.BROKEN),
        (PNG, b"\x89PNG\r\n\x1a\n" + 2 * chunk(b"IHDR", bytes(13)) + chunk(b"IEND"), Extent.BROKEN),
        (PNG, png() + b"more", Extent.WHOLE),
        (WEBP, riff(b"VP8 ", bytes(10)), Extent.WHOLE),
        (WEBP, riff(b"VP8X", bytes(10), b"ALPH", bytes(3), b"VP8 ", bytes(10)), Extent.WHOLE),
        (WEBP, riff(b"VP8X", bytes(10), b"ANIM", bytes(6), b"ANMF", bytes(30)), Extent.WHOLE),
        (WEBP, riff(b"VP8L", bytes(11)), Extent.WHOLE),
        (WEBP, riff(b"VP8L", bytes(11))[:-1], Extent.CUT),
        (WEBP, riff(b"VP8X", bytes(10)), Extent.BROKEN),
        (WEBP, riff(), Extent.BROKEN),
        (WEBP, b"RIFF" + (12).to_bytes(4, "little") + b"WEBPVP8 " + (90).to_bytes(4, "little"), Extent.BROKEN),
        (WEBP, b"RIFF" + (1).to_bytes(4, "little") + b"WEBP", Extent.BROKEN),
    ],
)
def test_chunks(form: Format, data: bytes, found: Extent):
    assert extent(form, data) is found


heads = st.sampled_from([data[:size] for _, data in WHOLE.values() for size in (8, 12, 40, 200)])
names = st.sampled_from([b"moov", b"mdat", b"moof", b"free", b"IEND", b"uuid"])
sizes = st.one_of(st.integers(0, 40), st.sampled_from([2**31, 2**32 - 1]))
boxes = st.builds(lambda size, name, body: size.to_bytes(4) + name + body, sizes, names, st.binary(max_size=40))


@given(heads, st.lists(st.one_of(boxes, st.binary(max_size=30)), max_size=12), st.sampled_from(FORMATS))
def test_nothing_makes_it_raise(head: bytes, pieces: list[bytes], form: Format):
    data = head + b"".join(pieces)
    containers.sniff(data)
    assert extent(form, data) in Extent


@given(st.data())
def test_no_prefix_of_generated_boxes_is_taken_before_the_last_needed_one(data: st.DataObject):
    order = data.draw(st.permutations([b"moov", b"mdat", *data.draw(st.lists(st.just(b"free"), max_size=3))]))
    parts = [box(name, os.urandom(data.draw(st.integers(0, 60))), wide=data.draw(st.booleans())) for name in order]
    needed = max(order.index(b"moov"), order.index(b"mdat"))
    whole = FTYP + b"".join(parts[: needed + 1])
    assert extent(MP4, whole) is Extent.WHOLE
    assert all(extent(MP4, whole[:cut]) is Extent.CUT for cut in range(len(whole)))
