from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from callers import FORGED, TOKEN, Inbox, Open, Peer, Site, emptied, head, post

from seedbatch.web.receiver import Allowance


@asynccontextmanager
async def inside(site: Site, number: int, local: str | None = None) -> AsyncIterator[list[Peer]]:
    """So many connections, each of which has been answered once and stays."""
    before = site.receiver._door._inside
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(site.peer(local)) for _ in range(number)]
        for peer in peers:
            assert (await peer.ask(post())).status == 200
        yield peers
    await emptied(site, before)


async def turned_away(site: Site, local: str | None = None) -> bool:
    """Whether a whole callback gets nothing but an end."""
    async with site.peer(local) as peer:
        with suppress(ConnectionError):
            await peer.send(post(b"late"))
        return await peer.rest() == b""


async def test_one_connection_too_many_is_ended_without_a_word(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox, connections=5)
    assert site.receiver.connections == 5
    async with inside(site, 5) as peers:
        for _ in range(3):
            began = time.monotonic()
            assert await turned_away(site)
            assert time.monotonic() - began < 5
        assert (await peers[0].ask(post(b"still here"))).status == 200
        peers[0].writer.close()
        await emptied(site, 4)
        assert (await site.ask(post(b"its place"))).status == 200
    assert b"late" not in inbox.bodies
    assert inbox.bodies[-2:] == [b"still here", b"its place"]


async def test_one_address_has_its_share_and_no_more(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox, per_address=3, spare_loopback=False)
    async with inside(site, 3, "127.0.0.2"), inside(site, 2, "127.0.0.3"):
        assert await turned_away(site, "127.0.0.2")
        async with inside(site, 1, "127.0.0.3"):
            assert await turned_away(site, "127.0.0.3")
        async with inside(site, 1, "127.0.0.3"), inside(site, 3, "127.0.0.4"):
            assert await turned_away(site, "127.0.0.2")
    async with inside(site, 3, "127.0.0.2"):
        assert await turned_away(site, "127.0.0.2")
    assert b"late" not in inbox.bodies


async def test_named_proxies_and_this_machine_bring_many(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox, per_address=3, spare_loopback=False, proxies=frozenset({"127.0.0.2"}))
    async with inside(site, 10, "127.0.0.2"), inside(site, 3, "127.0.0.3"):
        assert await turned_away(site, "127.0.0.3")
    site = await open_receiver(inbox, per_address=3)
    async with inside(site, 10), inside(site, 10, "127.0.0.2"):
        assert site.receiver.connections == Allowance().connections


async def test_connections_that_ended_leave_nothing_behind(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox, connections=20, per_address=20, spare_loopback=False, seconds=0.2)
    for raw in (post(last=True), head(path=f"/callbacks/{FORGED}"), b"no HTTP\r\n\r\n", head("Content-Length: 5\r\n")):
        for _ in range(3):
            await asyncio.gather(*(site.all_of(raw) for _ in range(20)))
    await emptied(site)
    assert site.receiver._front.connections == []
    assert site.receiver._door._by_place == {}


async def test_slow_peers_do_not_hold_up_real_callbacks(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox, seconds=1.5)
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(site.peer()) for _ in range(500)]
        raw = head("X: " + "a" * 500 + "\r\n")
        trickling = asyncio.create_task(trickle(slow, raw))
        took = await asyncio.gather(*(timed(site, b"%d" % n) for n in range(200)))
        assert max(took) < 5
        began = time.monotonic()
        assert set(await asyncio.gather(*(peer.rest() for peer in slow))) == {b""}
        assert time.monotonic() - began < 5
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)
    assert sorted(inbox.bodies) == sorted(b"%d" % n for n in range(200))


async def trickle(peers: list[Peer], raw: bytes) -> None:
    for n in range(len(raw)):
        for peer in peers:
            peer.writer.write(raw[n : n + 1])
        await asyncio.sleep(0.1)


async def timed(site: Site, body: bytes) -> float:
    began = time.monotonic()
    assert (await site.ask(post(body, last=True))).status == 200
    return time.monotonic() - began


async def test_a_thousand_connections_are_answered_again_and_again(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox, seconds=30)
    took: list[float] = []

    async def five(peer: Peer, number: int) -> None:
        for turn in range(5):
            began = time.monotonic()
            assert (await peer.ask(post(b"%d %d" % (number, turn)))).status == 200
            took.append(time.monotonic() - began)

    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(site.peer()) for _ in range(1_000)]
        await asyncio.gather(*(five(peer, number) for number, peer in enumerate(peers)))
    assert len(set(inbox.bodies)) == len(inbox.bodies) == 5_000
    assert max(took) < 5


LIMITED = f"""
import asyncio, os, resource, sys
sys.path.insert(0, {__file__.rpartition("/")[0]!r})
from callers import Inbox, opened

async def main(soft, hard):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    async with opened() as start:  # tells of any error in the loop: none to be told of a descriptor that is not there
        site = await start(Inbox(), seconds=60)
        print(site.address[1], site.receiver.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0], flush=True)
        most = 0
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        said = asyncio.create_task(reader.readline())
        while not said.done():
            most = max(most, len(os.listdir("/proc/self/fd")))
            await asyncio.sleep(0)
        print(most, len(site.receiver._front.connections), flush=True)

asyncio.run(main(*map(int, sys.argv[1:])))
"""


@asynccontextmanager
async def limited(soft: int, hard: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A receiver in a process with so many descriptors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIMITED, str(soft), str(hard), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.stdin.close()
        assert await process.wait() == 0


async def numbers(process: asyncio.subprocess.Process) -> list[int]:
    async with asyncio.timeout(30):
        return [int(word) for word in (await process.stdout.readline()).split()]


async def test_the_soft_limit_of_descriptors_is_raised_as_far_as_needed():
    async with limited(256, 4_096) as process:
        _, connections, soft = await numbers(process)
        assert connections == 2_000
        assert 2_128 < soft < 4_096


async def test_with_few_descriptors_there_are_fewer_connections_and_a_flood_leaves_the_rest_its_own():
    async with limited(256, 1_024) as process, AsyncExitStack() as stack:
        port, connections, soft = await numbers(process)
        assert soft == 1_024
        assert 256 < connections <= 1_024 - 128
        site = Site(None, ("127.0.0.1", port))
        peers: list[Peer] = []
        for _ in range(4):
            async with asyncio.TaskGroup() as group:
                joining = [group.create_task(stack.enter_async_context(site.peer())) for _ in range(300)]
            peers += [task.result() for task in joining]
        await asyncio.gather(*(ask(peer) for peer in peers))
        await process.stdin.drain()
        process.stdin.write(b"\n")
        most, left = await numbers(process)
        assert most <= 1_024 - 128
        assert left == connections


async def ask(peer: Peer) -> None:
    """A callback that is answered, or the end of a connection that was one too many."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        assert (await peer.ask(post())).status == 200


async def test_the_genuine_get_in_between_many_forged(open_receiver: Open, inbox: Inbox):
    site = await open_receiver(inbox)
    forged = asyncio.gather(*(many_forged(site, 100) for _ in range(10)))
    took = await asyncio.gather(*(timed(site, b"%d" % n) for n in range(50)))
    assert max(took) < 5
    assert await forged == [100] * 10
    assert sorted(inbox.bodies) == sorted(b"%d" % n for n in range(50))
    assert set(inbox.asked) == {TOKEN, FORGED}


async def many_forged(site: Site, number: int) -> int:
    return sum([(await site.ask(post(path=f"/callbacks/{FORGED}"))).status == 404 for _ in range(number)])
