"""Where a download may connect to: the rule for URLs, and the rule for addresses, applied where the socket is made.

The URL is judged before a request; the address when its socket is created, so that a literal, a redirect, an odd
spelling or a resolver that answers differently the second time meet the same rule.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yarl import URL

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType

_LONGEST_URL = 16_384
_NEVER = re.compile(r"[\x00-\x1f\x7f\\]")
_PORTS = {"http": 80, "https": 443}

# `ipaddress.is_global` of Python 3.11 calls multicast, NAT64 and 6to4 global: the IANA registries are written out.
_REFUSED_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT
            "127.0.0.0/8",
            "169.254.0.0/16",  # link local; cloud metadata
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all unicast that IANA has given out; mapped and NAT64 lie outside
_REFUSED_V6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, carries any IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)


class UrlRefused(Exception):
    """A URL that must not be asked; the message says why and names no more of it than scheme and host."""


class AddressRefused(OSError):
    """No socket is made for an address that is not public; an `OSError`, so that the next address is tried."""


@dataclass(slots=True)
class Watch:
    """What became of the addresses of one request: those refused, and whether any was allowed."""

    refused: list[str] = field(default_factory=list)
    allowed: bool = False

    def begin(self) -> None:
        """Forget the hop before: what its host was allowed says nothing of the next."""
        self.refused.clear()
        self.allowed = False


# Connecting happens in tasks of the library's own, which inherit the context but no argument of ours.
watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


def is_public(address: str) -> bool:
    """Whether `address`, a literal as `getaddrinfo` gives it, is a public unicast address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _REFUSED_V4)
    return ip.scope_id is None and ip in _GLOBAL_V6 and not any(ip in network for network in _REFUSED_V6)


def public_socket(info: AddrInfoType) -> socket.socket:
    """A socket for exactly the address in `info`.

    Raises:
        AddressRefused: that address is not public.
    """
    family, kind, protocol, _, address = info
    host = str(address[0])
    seen = watch.get()
    if not is_public(host):
        if seen is not None:
            seen.refused.append(host)
        raise AddressRefused(f"{host} is not a public address")
    if seen is not None:
        seen.allowed = True
    return socket.socket(family, kind, protocol)


def origin(url: URL) -> str:
    """`scheme://host:port` in lower case, the port always written, IPv6 hosts in brackets."""
    host = (url.raw_host or "").lower()
    port = url.port or _PORTS.get(url.scheme, 0)
    return f"{url.scheme.lower()}://[{host}]:{port}" if ":" in host else f"{url.scheme.lower()}://{host}:{port}"


def parse(text: str, base: URL | None = None) -> URL:
    """The one reading of a URL that is both judged and asked; a relative one is joined to `base`.

    Raises:
        UrlRefused: too long, control characters, a backslash, userinfo, no host, or not http or https.
    """
    if len(text) > _LONGEST_URL:
        raise UrlRefused(f"its URL is longer than {_LONGEST_URL} characters")
    if _NEVER.search(text):
        raise UrlRefused("its URL holds control characters or a backslash")
    # What is ASCII already is sent byte for byte: requoting would break a signed query.
    ready = text.isascii() and " " not in text
    try:
        url = URL(text, encoded=ready)
        if base is not None:
            url = base.join(url)
        scheme, host, userinfo = url.scheme, url.raw_host, url.raw_user is not None or url.raw_password is not None
        url.port  # noqa: B018 - the port is parsed late, and a wrong one is an error here rather than at the socket
    except ValueError as error:
        raise UrlRefused(f"its URL cannot be read: {error}") from None
    if scheme not in _PORTS:
        raise UrlRefused(f"its URL is neither http nor https but {scheme[:20] or 'without a scheme'}")
    if userinfo or "@" in url.raw_authority:
        raise UrlRefused(f"its URL carries credentials for {host}")
    if not host:
        raise UrlRefused("its URL names no host")
    return url


def admit(url: URL, allowed: frozenset[str], before: URL | None) -> bool:
    """Whether `url` belongs to an allowed origin, for which the rule of public addresses does not hold.

    `before` is the URL that redirected to it.

    Raises:
        UrlRefused: plain http to an origin that is not allowed, or a redirect from https to http.
    """
    if before is not None and before.scheme == "https" and url.scheme != "https":
        raise UrlRefused(f"{before.raw_host} redirects from https to http")
    exempt = origin(url) in allowed
    if url.scheme != "https" and not exempt:
        raise UrlRefused(f"plain http to {url.raw_host} is not taken")
    return exempt
