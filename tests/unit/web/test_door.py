from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.web.door import Door


def door(most: int = 100, per_address: int = 2, *proxies: str, spare_loopback: bool = True) -> Door:
    return Door(most, per_address, proxies, spare_loopback=spare_loopback)


def entered(door: Door, *addresses: str) -> list[bool]:
    return [door.enter(address) is not None for address in addresses]


def test_one_address_has_its_share():
    assert entered(door(), *["192.0.2.1"] * 3, "192.0.2.2") == [True, True, False, True]


def test_all_have_theirs():
    assert entered(door(2), "192.0.2.1", "192.0.2.2", "192.0.2.3", "127.0.0.1") == [True, True, False, False]


def test_a_network_of_one_peer_is_one_address():
    assert entered(door(), "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1") == [True, True, False, True]


def test_an_address_written_otherwise_is_the_same():
    assert entered(door(), "192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201") == [True, True, False]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_spared_unless_told_otherwise(address: str):
    assert entered(door(), *[address] * 5) == [True] * 5
    assert entered(door(spare_loopback=False), *[address] * 3) == [True, True, False]


def test_a_proxy_is_spared_and_its_neighbours_are_not():
    kept = door(100, 2, "192.0.2.1", "2001:db8::1")
    assert entered(kept, *["192.0.2.1", "2001:db8:0::1", "::ffff:192.0.2.1"] * 3) == [True] * 9
    assert entered(kept, *["2001:db8::2"] * 3) == [True, True, False]


def test_a_link_local_address_with_its_interface():
    assert entered(door(), "fe80::1%eth0", "fe80::1%eth0", "fe80::1%eth0") == [True, True, False]


def test_a_proxy_that_is_no_address():
    with pytest.raises(ValueError, match=r"10\.0\.0"):
        door(1, 1, "10.0.0.0/8")


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["192.0.2.1", "192.0.2.2", "127.0.0.1", "2001:db8::1"]))))
def test_whoever_comes_and_goes_it_counts_those_inside(steps: list[tuple[bool, str]]):
    kept, inside = door(5, 2), []
    for coming, address in steps:
        mine = [one for one in inside if one[0] == address]
        if coming:
            place = kept.enter(address)
            assert (place is None) == (len(inside) == 5 or (len(mine) == 2 and address != "127.0.0.1"))
            inside += [(address, place)] if place is not None else []
        elif mine:
            inside.remove(mine[0])
            kept.leave(mine[0][1])
    for _, place in inside:
        kept.leave(place)
    assert kept._inside == 0
    assert kept._by_place == {}
