"""What the library really does with a POST, and what the provider's adapter makes of it.

Each of these is a behaviour on which the promise rests that no job is billed twice.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest
import trustme

from seedbatch.domain.answers import Accepted, InDoubt, NotSent, Refusal, Refused, Throttled
from seedbatch.domain.secret import Secret
from seedbatch.provider import http
from seedbatch.provider.http import MaxApi

KEY = "sk-contract-key-0123456789"
OK_BODY = b'{"code":0,"msg":"ok","data":{"taskId":"t-1"}}'


def answer(body: bytes = OK_BODY, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(data: bytes):
    async def script(peer):
        await peer.request()
        await peer.say(data)

    return script


async def hangs(peer):
    await peer.request()
    await peer.everything()


def provider(url: str, **options) -> MaxApi:
    return MaxApi(url, Secret(KEY), **options)


async def submitted(url: str, submission, **options):
    async with provider(url, **options) as api:
        return await api.submit(submission)


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# -- the fence: the hook comes before the first byte --------------------------------------------------------------


async def test_what_the_headers_hook_raises_keeps_every_byte_back(serve):
    server = await serve(lambda peer: peer.everything())

    async def veto(*_):
        raise LookupError

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(veto)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        with pytest.raises(LookupError):
            await session.post(server.url, data=b"x" * 700)
    await server.ended.wait()
    assert bytes(server.peers[0].received) == b""


async def test_a_second_post_of_one_attempt_is_kept_back_even_if_redirects_were_followed(serve):
    elsewhere = await serve(says(answer()))
    server = await serve(says(answer(b"", "307 Temporary Redirect", f"Location: {elsewhere.url}/")))
    api = provider(server.url)
    sending = http._Sending()
    async with api._session(aiohttp.TCPConnector(), http._note_once) as session:
        with pytest.raises(http._SentBefore):
            await session.post(server.url, data=b"x" * 700, trace_request_ctx=sending)
    assert server.posts == 1
    assert elsewhere.posts == 0


# -- not sent -------------------------------------------------------------------------------------------------------


async def test_a_refused_connection_is_not_sent(submission):
    result = await submitted(f"http://127.0.0.1:{closed_port()}", submission)
    assert result == NotSent("the connection to 127.0.0.1 failed (Connection refused)")


async def test_a_name_that_does_not_resolve_is_not_sent(submission):
    result = await submitted("http://nowhere.invalid", submission)
    assert isinstance(result, NotSent)
    assert not result.hopeless


async def test_a_time_out_while_connecting_is_not_sent(submission):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        waiting = []
        for _ in range(4):  # fill the queue of a listener that accepts nobody
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(sock.getsockname())
            waiting.append(one)
        result = await submitted(f"http://127.0.0.1:{sock.getsockname()[1]}", submission, submit_timeout=0.2)
        for one in waiting:
            one.close()
    assert isinstance(result, NotSent)
    assert not result.hopeless


@pytest.fixture(scope="module")
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


async def test_a_trusted_certificate_is_accepted(serve, submission, authority):
    server = await serve(says(answer()), ssl=server_side(authority, "localhost"))
    result = await submitted(server.url, submission, ssl_context=client_side(authority))
    assert isinstance(result, Accepted)


@pytest.mark.parametrize("fault", ["untrusted", "wrong name"])
async def test_a_bad_certificate_is_not_sent_and_hopeless(serve, submission, authority, fault):
    name = "localhost" if fault == "untrusted" else "elsewhere.example"
    server = await serve(says(answer()), ssl=server_side(authority, name))
    trust = None if fault == "untrusted" else client_side(authority)
    result = await submitted(server.url, submission, ssl_context=trust)
    assert result == NotSent("the certificate of localhost is not trusted", hopeless=True)
    assert server.posts == 0


async def test_tls_to_a_port_without_it_is_not_sent_and_hopeless(serve, submission):
    async def plain(peer):
        await peer.take(1)
        await peer.say(answer(b"", "400 Bad Request"))

    server = await serve(plain)
    result = await submitted(server.url.replace("http:", "https:"), submission)
    assert isinstance(result, NotSent)
    assert result.hopeless
    assert server.posts == 0


async def test_a_peer_that_leaves_the_handshake_is_not_sent(serve, submission):
    async def leaves(peer):
        await peer.take(1)

    server = await serve(leaves)
    result = await submitted(server.url.replace("http:", "https:"), submission)
    assert isinstance(result, NotSent)
    assert not result.hopeless


async def test_a_handshake_that_hangs_is_not_sent(serve, submission):
    server = await serve(lambda peer: peer.everything())
    result = await submitted(server.url.replace("http:", "https:"), submission, submit_timeout=0.2)
    assert isinstance(result, NotSent)
    assert b"POST" not in bytes(server.peers[0].received)


async def test_a_submit_that_is_cancelled_before_its_first_byte_is_not_sent(serve, submission):
    connected = asyncio.Event()

    async def script(peer):
        connected.set()
        await peer.everything()  # the handshake never goes on

    server = await serve(script)
    async with provider(server.url.replace("http:", "https:")) as api:
        task = asyncio.create_task(api.submit(submission))
        await connected.wait()
        task.cancel()
        result = await task
    assert isinstance(result, NotSent)
    assert not result.hopeless
    assert server.posts == 0


async def test_a_time_out_in_all_says_nothing_of_what_was_sent_and_the_hook_does(serve):
    """Both end in a bare TimeoutError; only the trace tells them apart."""
    hung = await serve(lambda peer: peer.everything())
    seen = []
    for url in (hung.url, hung.url.replace("http:", "https:")):
        sent = []

        async def note(_session, _context, _params, sent=sent):
            sent.append(True)

        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(note)
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            with pytest.raises(TimeoutError) as caught:
                await session.post(url, data=b"x", timeout=aiohttp.ClientTimeout(total=0.2))
        seen.append((type(caught.value), bool(sent)))
    assert seen == [(TimeoutError, True), (TimeoutError, False)]


async def test_a_request_that_json_cannot_carry_is_not_sent_and_hopeless(serve, submission):
    server = await serve(says(answer()))
    submission.request.input["seed"] = float("inf")
    result = await submitted(server.url, submission)
    assert isinstance(result, NotSent)
    assert result.hopeless
    assert server.peers == []


# -- in doubt -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["reset", "close"])
@pytest.mark.parametrize("count", [0, 1, 50, 300, 900, 100_000])
async def test_a_connection_that_ends_after_any_number_of_bytes_is_in_doubt(serve, submission, count, end):
    async def script(peer):
        if count > 900:
            await peer.request()
        else:
            await peer.take(count)
        if end == "reset":
            peer.reset()

    server = await serve(script)
    result = await submitted(server.url, submission)
    assert isinstance(result, InDoubt)
    assert server.posts <= 1
    assert len(server.peers) == 1


async def test_a_large_request_that_is_cut_off_is_in_doubt(serve, submission):
    async def script(peer):
        await peer.take(50)
        peer.reset()

    server = await serve(script)
    submission.request.input["mediaUrls"] = ["https://media.example/" + "y" * 4_000_000]
    assert isinstance(await submitted(server.url, submission), InDoubt)
    assert len(server.peers) == 1


async def test_silence_after_the_request_is_in_doubt(serve, submission):
    server = await serve(hangs)
    result = await submitted(server.url, submission, submit_timeout=0.2)
    assert result == InDoubt("sent, but localhost did not answer in time")
    assert server.posts == 1


async def test_a_drip_ends_by_the_total_time(serve, submission):
    async def drips(peer):
        await peer.request()
        for byte in answer():
            await peer.say(bytes([byte]))
            await asyncio.sleep(0.05)

    server = await serve(drips)
    result = await asyncio.wait_for(submitted(server.url, submission, submit_timeout=0.2), 3)
    assert isinstance(result, InDoubt)


BROKEN = {
    "half a status line": b"HTTP/1.1 20",
    "half the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half the body": b"HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n" + OK_BODY[:20],
    "a refusal cut short": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 45\r\n\r\n{",
    "not HTTP": b"220 mail.example ESMTP\r\n",
    "a huge header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "bad chunking": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + OK_BODY + b"\r\n0\r\n\r\n",
    "chunks without an end": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"cod\r\n',
    "gzip that is none": answer(b"no gzip", "200 OK", "Content-Encoding: gzip"),
    "gzip cut short": answer(gzip.compress(OK_BODY)[:-10], "200 OK", "Content-Encoding: gzip"),
    "an encoding nobody asked for": answer(b"\x01\x02", "200 OK", "Content-Encoding: br"),
    "html": answer(b"<html>busy</html>", "502 Bad Gateway", "Content-Type: text/html"),
    "json of another kind": answer(b"[]"),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_answer_is_in_doubt(serve, submission, data):
    server = await serve(says(data))
    result = await submitted(server.url, submission)
    assert isinstance(result, InDoubt)
    assert server.posts == 1


@pytest.mark.parametrize("packed", [True, False])
async def test_a_flood_is_cut_off_at_a_mebibyte(serve, submission, packed):
    flood = OK_BODY[:-1] + b" " * 50_000_000 + b"}"
    body = gzip.compress(flood, 1) if packed else flood
    server = await serve(says(answer(body, "200 OK", "Content-Encoding: gzip" if packed else "X: y")))
    assert await submitted(server.url, submission) == InDoubt("sent, but the answer is larger than 1 MiB")


async def test_a_cancelled_submit_raises_and_sends_nothing_more(serve, submission):
    arrived = asyncio.Event()

    async def script(peer):
        await peer.request()
        arrived.set()
        await peer.everything()

    server = await serve(script)
    async with provider(server.url) as api:
        task = asyncio.create_task(api.submit(submission))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.ended.wait()
    assert server.posts == 1
    assert len(server.peers) == 1


# -- answers --------------------------------------------------------------------------------------------------------


async def test_what_is_sent(serve, submission):
    server = await serve(says(answer()))
    result = await submitted(server.url + "/gateway/", submission)
    assert isinstance(result, Accepted)
    head, _, body = bytes(server.peers[0].received).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert lines[0] == "POST /gateway/api/v1/task/submit HTTP/1.1"
    assert headers["authorization"] == f"bearer {KEY}"
    assert headers["connection"] == "close"
    assert headers["content-type"] == "application/json"
    assert "cookie" not in headers
    assert json.loads(body)["user_id"] == "attempt-1"


async def test_interim_answers_are_passed_over(serve, submission):
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    server = await serve(says(interim + answer()))
    assert isinstance(await submitted(server.url, submission), Accepted)


async def test_of_two_answers_the_first_counts(serve, submission):
    server = await serve(says(answer() + answer(b'{"code":0,"data":{"taskId":"t-2"}}')))
    result = await submitted(server.url, submission)
    assert isinstance(result, Accepted)
    assert result.task_id == "t-1"


async def test_a_compressed_answer_is_understood(serve, submission):
    server = await serve(says(answer(gzip.compress(OK_BODY), "200 OK", "Content-Encoding: gzip")))
    assert isinstance(await submitted(server.url, submission), Accepted)


async def test_the_content_type_does_not_matter(serve, submission):
    server = await serve(says(answer(OK_BODY, "200 OK", "Content-Type: text/html")))
    assert isinstance(await submitted(server.url, submission), Accepted)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_the_key_stays_here(serve, submission, status):
    elsewhere = await serve(says(answer()))
    server = await serve(says(answer(b"", f"{status} Elsewhere", f"Location: {elsewhere.url}/api/v1/task/submit")))
    result = await submitted(server.url, submission)
    assert isinstance(result, InDoubt)
    assert result.wrong_address
    assert elsewhere.peers == []
    assert server.posts == 1


async def test_each_submit_has_a_connection_of_its_own(serve, submission):
    async def keeps_open(peer):
        while await peer.request():
            await peer.say(answer())

    server = await serve(keeps_open)
    async with provider(server.url) as api:
        for _ in range(3):
            assert isinstance(await api.submit(submission), Accepted)
    assert len(server.peers) == 3
    assert server.posts == 3


async def test_an_early_refusal_of_a_large_request_is_a_refusal(serve, submission):
    async def script(peer):
        await peer.take(4096)
        await peer.say(answer(b'{"code":413,"msg":"too large"}', "413 Too Large"))
        await peer.everything()

    server = await serve(script)
    submission.request.input["mediaUrls"] = ["https://media.example/" + "y" * 4_000_000]
    result = await submitted(server.url, submission)
    assert isinstance(result, Refused)
    assert result.refusal is Refusal.INVALID


async def test_a_key_that_the_server_repeats_is_not_kept(serve, submission):
    server = await serve(says(answer(json.dumps({"code": 401, "msg": f"bad key {KEY}"}).encode(), "401 Unauthorized")))
    result = await submitted(server.url, submission)
    assert isinstance(result, Refused)
    assert KEY not in repr(result)


async def test_proxies_of_the_environment_are_not_used(serve, submission, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    server = await serve(says(answer()))
    assert isinstance(await submitted(server.url, submission), Accepted)


async def test_of_several_addresses_a_dead_one_is_passed_over(serve, submission):
    # localhost is ::1 and 127.0.0.1; the server listens on the second only
    server = await serve(says(answer()))
    assert isinstance(await submitted(server.url, submission), Accepted)
    assert server.posts == 1


async def test_it_opens_again_after_it_was_closed(serve, submission):
    server = await serve(says(answer()))
    api = provider(server.url)
    assert isinstance(await api.submit(submission), Accepted)
    await api.aclose()
    assert isinstance(await api.submit(submission), Accepted)
    await api.aclose()


async def test_a_date_to_come_back_at_is_read_by_the_clock_that_was_given(serve, submission):
    class Fixed:
        def now(self) -> datetime:
            return datetime(2026, 11, 23, 18, 7, tzinfo=UTC)

    late = "Retry-After: Mon, 23 Nov 2026 18:07:30 GMT"
    server = await serve(says(answer(b"", "429 Too Many Requests", late)))
    result = await submitted(server.url, submission, clock=Fixed())
    assert isinstance(result, Throttled)
    assert result.retry_after == 30
