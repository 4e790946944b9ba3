"""Who may ask the live page what: decided from the address it is bound to and the headers of a request.

A browser carries out what any page on the web says. So a name that somebody else owns and points here gets nothing
(`Host`), and what changes something must come from this very page (`Origin`, a header of its own, JSON): a form or an
image on another page can send neither.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_HTTP: Final = 80
_LARGEST_PORT: Final = 65_535
MARK: Final = ("X-Seedbatch", "pick")
# What the page may do: run its own scripts, show its own files, and listen to its own server.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# What a file may do that came from a provider: nothing, also where it is opened by itself.
FILE_POLICY: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets in who names the address that the page is bound to."""

    host: str
    port: int

    def admits(self, named: str | None) -> bool:
        """Whether a `Host` header means this page: loopback, the bound address, and if all are bound any address.

        A name is let in only if it is `localhost`: whoever owns another one could point it here.
        """
        split = _split(named or "")
        if split is None or split[1] != self.port:
            return False
        host = split[0]
        if is_loopback(host) or host == self.host.lower():
            return True
        bound = _address(self.host)
        return bound is not None and bound.is_unspecified and _address(host) is not None


def is_own(headers: Mapping[str, str]) -> bool:
    """Whether a request to change something comes from the page itself. Its `Host` has passed the gate."""
    name, value = MARK
    return (
        headers.get("Origin", "").lower() == f"http://{headers.get('Host', '').lower()}"
        and headers.get(name) == value
        and headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/json"
    )


def _split(named: str) -> tuple[str, int] | None:
    """Host, without the brackets of an IPv6 address, and port; None if it is neither."""
    host, port = named.lower(), ""
    if not host.endswith("]") and ":" in host:
        host, _, port = host.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if (":" in bare) != (host == f"[{bare}]") or not bare:
        return None
    if not port:
        return bare, _HTTP
    if not (port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT):
        return None
    return bare, int(port)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
