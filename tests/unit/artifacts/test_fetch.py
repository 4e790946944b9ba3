from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from result_host import (
    Answer,
    Host,
    avif,
    box,
    jpeg,
    listening,
    moved,
    mp4,
    plain,
    png,
    raw,
    tree,
    unframed,
    wanted,
    webm,
    webp,
)

from seedbatch.artifacts.store import ArtifactStore
from seedbatch.domain.answers import CannotStore, FetchLater, FetchRefused, FetchResult, Gone, MediaKind, StoredFile

CLIP = mp4()


def store_for(root: Path, host: Host, **options: Any) -> ArtifactStore:
    return ArtifactStore(root, allow_origins=frozenset({host.origin}), **options)


async def fetch(
    root: Path, host: Host, answer: Answer, *, kind: MediaKind = MediaKind.VIDEO, **options: Any
) -> FetchResult:
    host.answers["/clip.mp4"] = answer
    async with store_for(root, host, **options) as store:
        return await store.fetch(wanted(host.url(), kind=kind))


def assert_nothing_left(root: Path) -> None:
    assert tree(root) == set()


async def test_a_file_comes_in_whole_with_its_sidecar(host: Host, root: Path):
    answer = await fetch(root, host, plain(CLIP))
    digest = hashlib.sha256(CLIP).hexdigest()
    assert answer == StoredFile("batch/river.mp4", len(CLIP), digest, "video/mp4")
    assert (root / "batch/river.mp4").read_bytes() == CLIP
    assert tree(root) == {"batch/river.mp4", "batch/river.json"}
    text = (root / "batch/river.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "task_id": "task-1",
        "batch": "batch",
        "file": "river.mp4",
        "bytes": len(CLIP),
        "sha256": digest,
        "content_type": "video/mp4",
    }


async def test_permissions_follow_the_umask(host: Host, root: Path):
    before = os.umask(0o027)
    try:
        await fetch(root, host, plain(CLIP))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (root / "batch").iterdir()} == {0o640}


async def test_the_temporary_file_is_private_and_nothing_has_the_final_name_before_the_end(host: Host, root: Path):
    halfway, go_on = asyncio.Event(), asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(CLIP)}\r\n\r\n".encode() + CLIP[:5000])
        await writer.drain()
        halfway.set()
        await go_on.wait()
        writer.write(CLIP[5000:])
        await writer.drain()

    fetching = asyncio.ensure_future(fetch(root, host, answer))
    await halfway.wait()
    assert tree(root) == {"batch/.river.7-1.part"}
    assert (root / "batch/.river.7-1.part").stat().st_mode & 0o777 == 0o600
    go_on.set()
    assert isinstance(await fetching, StoredFile)


@pytest.mark.parametrize(
    ("data", "kind", "extension", "content_type"),
    [
        (mp4(moov_last=True, wide=True), MediaKind.VIDEO, "mp4", "video/mp4"),
        (mp4(brand=b"qt  "), MediaKind.VIDEO, "mov", "video/quicktime"),
        (webm(), MediaKind.VIDEO, "webm", "video/webm"),
        (png(), MediaKind.IMAGE, "png", "image/png"),
        (jpeg(), MediaKind.IMAGE, "jpg", "image/jpeg"),
        (webp(), MediaKind.IMAGE, "webp", "image/webp"),
        (avif(), MediaKind.IMAGE, "avif", "image/avif"),
    ],
)
async def test_the_extension_follows_the_content(
    host: Host, root: Path, data: bytes, kind: MediaKind, extension: str, content_type: str
):
    said = {"Content-Type": "application/x-sh", "Content-Disposition": 'attachment; filename="../../x.sh"'}
    answer = await fetch(root, host, plain(data, headers=said), kind=kind)
    assert isinstance(answer, StoredFile)
    assert (answer.path, answer.content_type) == (f"batch/river.{extension}", content_type)
    assert tree(root) == {f"batch/river.{extension}", "batch/river.json"}


@pytest.mark.parametrize("size", [4_000_000])
async def test_fewer_bytes_than_declared_come_again_later(host: Host, root: Path, size: int):
    """H1."""
    clip = mp4(size)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(clip)}\r\n\r\n".encode()
    async with store_for(root, host) as store:
        for cut in (0, 1, 4096, 70_000, 1_048_576, 2_500_000, len(clip) - 1):
            host.answers["/clip.mp4"] = raw(head + clip[:cut], reset=cut % 2 == 1)
            assert isinstance(await store.fetch(wanted(host.url())), FetchLater)
            assert_nothing_left(root)


async def test_cut_at_every_4_kib(host: Host, root: Path):
    """H1, H3: with and without a declared length."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CLIP)}\r\n\r\n".encode()
    async with store_for(root, host) as store:
        for cut in range(0, len(CLIP), 4096):
            for answer in (raw(head + CLIP[:cut]), unframed(CLIP[:cut]), unframed(CLIP[:cut], reset=True)):
                host.answers["/clip.mp4"] = answer
                assert isinstance(await store.fetch(wanted(host.url())), FetchLater), cut
    assert_nothing_left(root)


@pytest.mark.parametrize(
    "sent",
    [
        b"%x\r\n" % 5000 + CLIP[:3000],
        b"%x\r\n" % 5000 + CLIP[:5000] + b"\r\n",
        b"%x\r\n" % 5000 + CLIP[:5000],
        b"%x\r\n" % len(CLIP) + CLIP + b"\r\n",
        b"zz\r\n" + CLIP,
    ],
)
async def test_chunks_that_stop_come_again_later(host: Host, root: Path, sent: bytes):
    """H2; the fourth lacks only the last chunk."""
    answer = await fetch(root, host, raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + sent))
    assert isinstance(answer, FetchLater)
    assert_nothing_left(root)


async def test_without_length_and_chunks_the_container_tells_that_it_is_whole(host: Host, root: Path):
    """H3."""
    assert isinstance(await fetch(root, host, unframed(CLIP)), StoredFile)


async def test_an_open_end_needs_a_declared_length(host: Host, root: Path):
    live = box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", bytes(100)) + b"\0\0\0\0mdat" + bytes(5000)
    assert isinstance(await fetch(root, host, unframed(live)), FetchLater)
    assert isinstance(await fetch(root, host, plain(live)), StoredFile)


async def test_a_compressed_answer_is_refused(host: Host, root: Path):
    """H4."""
    answer = await fetch(root, host, plain(gzip.compress(CLIP), headers={"Content-Encoding": "gzip"}))
    assert isinstance(answer, FetchRefused)
    assert host.asked[0][1]["accept-encoding"] == "identity"
    assert_nothing_left(root)


@pytest.mark.parametrize(
    "page",
    [b"<!DOCTYPE html><title>Sign in</title>" * 9, b'{"error":"expired"}' * 9, b"<?xml version='1.0'?><Error/>" * 9],
)
async def test_a_page_is_no_video(host: Host, root: Path, page: bytes):
    """H5."""
    answer = await fetch(root, host, plain(page, headers={"Content-Type": "video/mp4"}))
    assert isinstance(answer, FetchRefused)
    assert "is no video" in answer.cause
    assert_nothing_left(root)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        box(b"ftyp", b"isom\0\0\0\0"),
        CLIP[:-1],
        CLIP + b"\0",
        box(b"ftyp", b"isom\0\0\0\0") + box(b"mdat", bytes(1000)),
        box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", bytes(9)) + (1000).to_bytes(4) + b"mdat" + bytes(900),
    ],
    ids=["empty", "one-byte", "only-ftyp", "short", "long", "no-moov", "mdat-too-large"],
)
async def test_what_is_complete_but_no_whole_container_is_refused(host: Host, root: Path, data: bytes):
    """H6."""
    assert isinstance(await fetch(root, host, plain(data)), FetchRefused)
    assert_nothing_left(root)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (png(), MediaKind.VIDEO),
        (avif(), MediaKind.VIDEO),
        (CLIP, MediaKind.IMAGE),
        (b"ID3\4" + bytes(200), MediaKind.VIDEO),
    ],
)
async def test_another_kind_than_promised_is_refused(host: Host, root: Path, data: bytes, kind: MediaKind):
    """H7."""
    assert isinstance(await fetch(root, host, plain(data), kind=kind), FetchRefused)
    assert_nothing_left(root)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_gone(host: Host, root: Path, status: int):
    """H8."""
    assert await fetch(root, host, plain(b"no", status=status)) == Gone(f"127.0.0.1 answered {status}")
    assert_nothing_left(root)


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 408, 416, 425, 429, 500, 502, 503, 504])
async def test_any_other_status_comes_again_later(host: Host, root: Path, status: int):
    """H11, and H14: nothing but a whole 200 is taken."""
    body = b"" if status in {204, 304} else CLIP
    answer = await fetch(root, host, plain(body, status=status))
    assert answer == FetchLater(f"127.0.0.1 answered {status}", None)
    assert_nothing_left(root)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "99999999999999999999"}, 900.0),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "\u0663"}, None),
        ({"Date": "Tue, 15 Nov 1994 08:12:31 GMT", "Retry-After": "Tue, 15 Nov 1994 08:12:41 GMT"}, 10.0),
        ({"Date": "Tue, 15 Nov 1994 08:12:31 GMT", "Retry-After": "Tue, 15 Nov 1994 08:12:01 GMT"}, 0.0),
        ({"Retry-After": "Tue, 15 Nov 1994 08:12:41 GMT"}, None),
    ],
)
async def test_retry_after(host: Host, root: Path, headers: dict[str, str], seconds: float | None):
    answer = await fetch(root, host, plain(b"", status=503, headers=headers))
    assert isinstance(answer, FetchLater)
    assert answer.retry_after == seconds


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(CLIP)}\r\n\r\n".encode())
    for byte in CLIP:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.01)


async def test_a_host_that_drips_is_broken_off(host: Host, root: Path):
    """H12."""
    answer = await fetch(root, host, drip, min_speed=10_000, window=0.2, read_timeout=5)
    assert isinstance(answer, FetchLater)
    assert "bytes a second" in answer.cause
    assert_nothing_left(root)


async def test_a_download_does_not_last_for_ever(host: Host, root: Path):
    answer = await fetch(root, host, drip, longest=0.2)
    assert isinstance(answer, FetchLater)
    assert "longer than" in answer.cause


async def test_a_host_that_stalls_is_broken_off(host: Host, root: Path):
    """H12."""

    async def stall(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(CLIP)}\r\n\r\n".encode() + CLIP[:9000])
        await writer.drain()
        await asyncio.sleep(60)

    answer = await fetch(root, host, stall, read_timeout=0.2)
    assert answer == FetchLater("the host was silent for too long")
    assert_nothing_left(root)


async def test_a_host_that_never_answers_is_broken_off(host: Host, root: Path):
    async def silence(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    assert isinstance(await fetch(root, host, silence, read_timeout=0.2), FetchLater)


async def test_what_is_declared_too_large_is_not_begun(host: Host, root: Path):
    """H13."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 107374182400\r\n\r\n"
    answer = await fetch(root, host, raw(head + CLIP))
    assert isinstance(answer, FetchRefused)
    assert_nothing_left(root)


async def test_an_endless_file_is_cut_at_the_cap(host: Host, root: Path):
    """H13."""

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + CLIP)
        while not writer.is_closing():
            writer.write(bytes(65536))
            await writer.drain()

    answer = await fetch(root, host, endless, max_bytes=3_000_000)
    assert answer == FetchRefused("it is larger than 3000000 bytes")
    assert_nothing_left(root)


async def test_what_would_fill_the_disk_is_not_begun(host: Host, root: Path):
    """H13, H23."""
    answer = await fetch(root, host, plain(CLIP), reserve=1 << 60)
    assert isinstance(answer, CannotStore)
    assert "No space left" in answer.cause
    assert_nothing_left(root)


async def test_redirects_are_followed_five_times(host: Host, root: Path):
    """H15."""
    host.answers |= {f"/{n}": moved(f"/{n - 1}", 301 + n % 2) for n in range(1, 7)} | {"/0": plain(CLIP)}
    async with store_for(root, host) as store:
        assert isinstance(await store.fetch(wanted(host.url("/5"))), StoredFile)
        answer = await store.fetch(wanted(host.url("/6"), "six"))
    assert answer == FetchRefused("127.0.0.1 redirects more than 5 times")


async def test_a_redirect_to_itself_ends(host: Host, root: Path):
    """H15."""
    assert isinstance(await fetch(root, host, moved("/clip.mp4", 307)), FetchRefused)
    assert len(host.asked) == 6


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_redirect_from_https_to_http_is_refused(host: Host, root: Path, authority: trustme.CA):
    """H15: even to an origin that is allowed."""
    host.answers["/clip.mp4"] = plain(CLIP)
    async with listening(Host(name="localhost"), server_side(authority, "localhost")) as secure:
        secure.answers |= {"/clip.mp4": moved(host.url()), "/whole.mp4": plain(CLIP)}
        both = frozenset({host.origin, secure.origin})
        async with ArtifactStore(root, allow_origins=both, tls=client_side(authority)) as store:
            assert isinstance(await store.fetch(wanted(secure.url("/whole.mp4"), "whole")), StoredFile)
            answer = await store.fetch(wanted(secure.url()))
    assert answer == FetchRefused("localhost redirects from https to http")
    assert host.connections == 0


@pytest.mark.parametrize(("issued_to", "trusted"), [("localhost", False), ("other.example", True)])
async def test_a_certificate_that_is_not_trusted_comes_again_later(
    root: Path, authority: trustme.CA, issued_to: str, trusted: bool
):
    """H18."""
    async with listening(Host(name="localhost"), server_side(authority, issued_to)) as secure:
        tls = client_side(authority) if trusted else None
        async with ArtifactStore(root, allow_origins=frozenset({secure.origin}), tls=tls) as store:
            answer = await store.fetch(wanted(secure.url()))
    assert isinstance(answer, FetchLater)
    assert "certificate of localhost is not trusted" in answer.cause
    assert secure.asked == []


async def test_a_result_host_learns_nothing_about_us(
    host: Host, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """H19."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("MAXAPI_API_KEY", "sk-secret")
    host.answers |= {
        "/first": plain(b"", status=302, headers={"Location": "/clip.mp4", "Set-Cookie": "session=1; Path=/"}),
        "/clip.mp4": plain(CLIP),
    }
    async with store_for(root, host) as store:
        assert isinstance(await store.fetch(wanted(host.url("/first"))), StoredFile)
    assert len(host.asked) == 2
    for _, headers in host.asked:
        assert set(headers) == {"host", "accept", "accept-encoding", "user-agent"}
        assert "secret" not in str(headers)


async def test_no_answer_tells_the_query_of_the_url(root: Path):
    async with ArtifactStore(root, allow_origins=frozenset({"http://127.0.0.1:9"})) as store:
        for url in ("http://127.0.0.1:9/a?Signature=secret", "http://127.0.0.1/a?Signature=secret", "https:///?secret"):
            answer = await store.fetch(wanted(url))
            assert "secret" not in str(answer)


@pytest.mark.parametrize(
    "path", ["/" + "a" * 8000, "/cl%C3%ADp.mp4?a=b%26c", "/clíp.mp4", "/a;b=1,2/~x", "/clip.mp4#t=3"]
)
async def test_odd_urls(host: Host, root: Path, path: str):
    """H25: what is ASCII arrives as it was, without its fragment."""
    async with store_for(root, host) as store:
        assert isinstance(await store.fetch(wanted(host.url(path))), Gone)
    asked = host.asked[0][0]
    assert asked == ("/cl%C3%ADp.mp4" if path == "/clíp.mp4" else path.partition("#")[0])


async def test_an_answer_that_is_no_http(host: Host, root: Path):
    assert isinstance(await fetch(root, host, raw(b"SSH-2.0-OpenSSH_9.2\r\n")), FetchLater)
    assert isinstance(await fetch(root, host, raw(b"")), FetchLater)
    assert isinstance(await fetch(root, host, raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000)), FetchLater)


async def test_nobody_listens(host: Host, root: Path, unused_tcp_port: int):
    url = f"http://127.0.0.1:{unused_tcp_port}/clip.mp4"
    async with ArtifactStore(root, allow_origins=frozenset({f"http://127.0.0.1:{unused_tcp_port}"})) as store:
        answer = await store.fetch(wanted(url))
    assert isinstance(answer, FetchLater)
    assert "cannot be reached" in answer.cause


async def test_a_server_of_aiohttp_in_chunks(root: Path):
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for begin in range(0, len(CLIP), 10_001):
            await response.write(CLIP[begin : begin + 10_001])
        return response

    app = web.Application()
    app.router.add_get("/clip.mp4", stream)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with ArtifactStore(root, allow_origins=frozenset({origin})) as store:
        answers = await asyncio.gather(
            *(store.fetch(wanted(f"{origin}/clip.mp4", f"n{n}", part=str(n))) for n in range(30))
        )
    await runner.cleanup()
    assert {type(answer) for answer in answers} == {StoredFile}
    assert all((root / f"n{n}.mp4").read_bytes() == CLIP for n in range(30))


async def test_cancelled_in_the_middle_leaves_nothing(host: Host, root: Path):
    halfway = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(CLIP)}\r\n\r\n".encode() + CLIP[:50_000])
        await writer.drain()
        halfway.set()
        await asyncio.sleep(60)

    fetching = asyncio.ensure_future(fetch(root, host, answer))
    await halfway.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert_nothing_left(root)


async def test_cancelled_at_any_moment_leaves_nothing_or_a_whole_file(host: Host, root: Path):
    clip = mp4(3_000_000)
    host.answers["/clip.mp4"] = plain(clip)
    async with store_for(root, host) as store:
        for turn in range(60):
            fetching = asyncio.ensure_future(store.fetch(wanted(host.url(), f"n{turn}", part=str(turn))))
            await asyncio.sleep(turn * 0.0005)
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
        names = {Path(name).stem for name in tree(root)}
        for name in names:
            assert tree(root) >= {f"{name}.mp4", f"{name}.json"}
            assert (root / f"{name}.mp4").read_bytes() == clip
        again = await asyncio.gather(*(store.fetch(wanted(host.url(), f"n{n}", part=str(n))) for n in range(60)))
    assert {type(answer) for answer in again} == {StoredFile}
