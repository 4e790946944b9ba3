"""Where the sandbox listens, and which addresses it may call: internal ones are not for the provider."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from typing import Final

BACKLOG: Final = 1024
# All unicast that is given out: mapped and NAT64 addresses, which carry an IPv4 address, lie outside.
_GIVEN_OUT: Final = ipaddress.IPv6Network("2000::/3")


def is_public(address: str) -> bool:
    """Whether a literal address is a public one; False for everything that is no literal address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.is_global and ip in _GIVEN_OUT and ip.sixtofour is None
    return ip.is_global and not ip.is_multicast  # which Python 3.11 calls global


def listen(host: str, port: int, last: int | None) -> socket.socket:
    """A socket that listens; port 0 takes the port of the last start if it is free.

    Raises:
        OSError: the address cannot be listened at.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    if port == 0 and last is not None:
        with suppress(OSError):
            return socket.create_server((host, last), family=family, backlog=BACKLOG)
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def origin(host: str, port: int) -> str:
    """The base URL of what listens there."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
