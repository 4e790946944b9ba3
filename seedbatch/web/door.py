"""Who may come in: so many connections in all, so many from one address, and never more than there is room for."""

from __future__ import annotations

import ipaddress
import resource
from collections.abc import Collection
from typing import Final

BURST: Final = (
    16  # connections accepted in one turn of the loop: what is beyond a cap holds a descriptor for some turns
)

_OTHERS: Final = 128  # descriptors for the rest of the program: the ledger, submits, queries, downloads
_TURNS: Final = 4  # of the loop, from accepting a connection to the end of its descriptor if it is refused
_SPARED: Final = b""


class Door:
    """Counts connections, in all and by the address they come from. `most` may change.

    `proxies` are addresses that many senders share and that `per_address` does not hold for; with `spare_loopback`
    it does not hold for this machine either, where a tunnel or a proxy runs.

    Raises:
        ValueError: one of `proxies` is no IP address.
    """

    def __init__(self, most: int, per_address: int, proxies: Collection[str] = (), *, spare_loopback: bool) -> None:
        self.most = most
        self._per_address = per_address
        self._proxies = frozenset(_parsed(proxy) for proxy in proxies)
        self._spare_loopback = spare_loopback
        self._inside = 0
        self._by_place: dict[bytes, int] = {}

    def enter(self, address: str) -> bytes | None:
        """Let one connection in and return its place, for `leave`; None if it may not come in."""
        if self._inside >= self.most:
            return None
        place = self._place(address)
        if place != _SPARED:
            there = self._by_place.get(place, 0)
            if there >= self._per_address:
                return None
            self._by_place[place] = there + 1
        self._inside += 1
        return place

    def leave(self, place: bytes) -> None:
        """Count out a connection that `enter` let in."""
        self._inside -= 1
        if place == _SPARED:
            return
        self._by_place[place] -= 1
        if not self._by_place[place]:  # or the addresses of all who ever came would be remembered
            del self._by_place[place]

    def _place(self, address: str) -> bytes:
        parsed = _parsed(address)
        if parsed in self._proxies or (self._spare_loopback and parsed.is_loopback):
            return _SPARED
        # Who has one address of IPv6 has its /64.
        return parsed.packed if parsed.version == 4 else parsed.packed[:8]  # noqa: PLR2004


def room(wanted: int) -> int:
    """How many connections there are descriptors for, at most `wanted`, beside what the rest of the program needs.

    The process's soft limit is raised if that helps.
    """
    needed = wanted + _OTHERS + BURST * _TURNS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):  # some systems have a limit below the hard one, and do not tell it
        raised = soft
    return max(1, wanted - (needed - raised))


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6 and parsed.ipv4_mapped is not None:  # noqa: PLR2004
        return parsed.ipv4_mapped
    return parsed
