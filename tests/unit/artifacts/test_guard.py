from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from result_host import Host, moved, mp4, plain, wanted
from yarl import URL

from seedbatch.artifacts import guard
from seedbatch.artifacts.store import ArtifactStore
from seedbatch.domain.answers import FetchLater, FetchRefused, StoredFile

PRIVATE = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.1.2.3",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:7fff:fefe:fefe",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "172.15.0.1",
    "172.32.0.1",
    "100.63.0.1",
    "223.255.255.255",
    "2606:4700::1",
    "2a00:1450::5",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_socket_is_made_for_an_address_that_is_not_public(address: str):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(guard.AddressRefused):
        guard.public_socket((family, socket.SOCK_STREAM, 6, "", (address, 443)))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_socket_is_made_for_a_public_address(address: str):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    guard.public_socket((family, socket.SOCK_STREAM, 6, "", (address, 443))).close()


@pytest.mark.parametrize("address", ["", "localhost", "0x7f.1", "127.1", "2130706433", "1.2.3.4.5", "[::1]"])
def test_what_is_no_literal_is_not_public(address: str):
    assert not guard.is_public(address)


@given(st.ip_addresses())
def test_what_the_library_calls_private_never_passes(address: object):
    if not address.is_global or address.is_multicast:
        assert not guard.is_public(str(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "0.0.0.0",  # noqa: S104
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "169.254.169.254",
        "[fe80::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "224.0.0.1",
        "10.1.1.1",
    ],
)
async def test_no_spelling_of_a_private_host_is_reached(host: str, root):
    async with ArtifactStore(root, connect_timeout=5) as store:
        answer = await store.fetch(wanted(f"https://{host}:9/clip.mp4"))
    # Spellings that the system does not resolve cannot be reached either.
    assert isinstance(answer, FetchRefused) or (isinstance(answer, FetchLater) and "resolved" in answer.cause), answer


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.mp4",
        "ftp://example.com/a.mp4",
        "file:///etc/passwd",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "//example.com/a.mp4",
        "/etc/passwd",
        "",
        "https://",
        "https:///path",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/a\r\nHost: b",
        "https://example.com/\0",
        "https://example.com:99999/",
        "https://example.com:port/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://" + "a" * 20_000 + "/",
    ],
)
async def test_a_url_that_is_not_asked(url: str, root):
    async with ArtifactStore(root) as store:
        answer = await store.fetch(wanted(url))
    assert isinstance(answer, FetchRefused | FetchLater)
    assert "secret" not in answer.cause
    if isinstance(answer, FetchLater):
        assert "exa" in url
        assert "resolved" in answer.cause


@given(st.text(max_size=60), st.sampled_from(["https://", "https://host/", "https://host:1", "HTTPS://[", ""]))
def test_any_text_is_parsed_or_refused(text: str, before: str):
    try:
        url = guard.parse(before + text)
    except guard.UrlRefused:
        return
    assert url.scheme in {"http", "https"}
    assert url.raw_host
    assert url.raw_user is None


def test_a_signed_query_is_not_requoted():
    text = "https://cdn.example.com/a%2Fb.mp4?Signature=a%7Eb+c%2Bd&Expires=1"
    assert str(guard.parse(text)) == text


def test_an_international_host_is_encoded():
    assert guard.parse("https://bücher.example/ä.mp4").raw_host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Example.com/x", "https://example.com:443"),
        ("http://example.com:80", "http://example.com:80"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("http://127.0.0.1:81/x?y", "http://127.0.0.1:81"),
    ],
)
def test_origin(text: str, origin: str):
    assert guard.origin(URL(text)) == origin


class Names(AbstractResolver):
    """Resolves every name to what `script` says, in turn; the last answer stays."""

    def __init__(self, *script: list[str]) -> None:
        self.script = list(script)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:  # noqa: ARG002
        addresses = self.script[min(self.asked, len(self.script) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


NOWHERE = "192.31.196.1"  # public, and made to swallow what is sent to it (RFC 7535)


async def test_a_name_that_leads_to_private_addresses_is_refused(host: Host, root):
    async with ArtifactStore(root, resolver=Names(["127.0.0.1", "::1", "10.0.0.1"])) as store:
        answer = await store.fetch(wanted(f"https://cdn.example:{host.port}/clip.mp4"))
    assert isinstance(answer, FetchRefused)
    assert "not a public address" in answer.cause
    assert host.connections == 0


async def test_of_mixed_addresses_the_private_ones_are_never_reached(host: Host, root):
    names = Names([NOWHERE, "127.0.0.1"], ["127.0.0.1", NOWHERE])
    async with ArtifactStore(root, resolver=names, connect_timeout=0.3) as store:
        for name in ("a.example", "b.example"):
            answer = await store.fetch(wanted(f"https://{name}:{host.port}/clip.mp4"))
            assert isinstance(answer, FetchLater)
    assert host.connections == 0


async def test_a_name_that_changes_its_address_is_checked_at_each_connection(host: Host, root):
    names = Names([NOWHERE], ["127.0.0.1"])
    url = f"https://cdn.example:{host.port}/clip.mp4"
    answers = []
    for _ in range(2):
        async with ArtifactStore(root, resolver=names, connect_timeout=0.3) as store:
            answers.append(type(await store.fetch(wanted(url))))
    assert answers == [FetchLater, FetchRefused]
    assert host.connections == 0


async def test_an_allowed_origin_may_be_private_but_only_exactly_that_one(host: Host, root):
    host.answers["/clip.mp4"] = plain(mp4())
    allowed = frozenset({f"http://media.example:{host.port}/"})
    async with ArtifactStore(root, allow_origins=allowed, resolver=Names(["127.0.0.1"])) as store:
        assert isinstance(await store.fetch(wanted(f"http://media.example:{host.port}/clip.mp4")), StoredFile)
        for other in (
            f"https://media.example:{host.port}",
            "http://media.example",
            f"http://other.example:{host.port}",
        ):
            answer = await store.fetch(wanted(f"{other}/clip.mp4", "other"))
            assert isinstance(answer, FetchRefused)
    assert host.connections == 1


@pytest.mark.parametrize(
    "to",
    [
        "https://127.0.0.1:9/clip.mp4",
        "http://169.254.169.254/latest/meta-data/",
        "https://[::ffff:127.0.0.1]/",
        "file:///etc/passwd",
        "//localhost/clip.mp4",
        "https://user:secret@example.com/",
        "",
    ],
)
async def test_a_redirect_meets_the_same_rule(host: Host, root, to: str):
    host.answers["/clip.mp4"] = moved(to)
    async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as store:
        answer = await store.fetch(wanted(host.url()))
    assert isinstance(answer, FetchRefused)
    assert "secret" not in answer.cause
