"""Runs over real parts: what each answer of the result host leads to."""

from __future__ import annotations

import pytest
from engine.workshop import assert_invariants

from seedbatch.domain.errors import Exit
from seedbatch.engine.happenings import Kind

FIVE = tuple(f"clip {number}" for number in range(5))
FIFTH_BACKOFF = 32  # seconds


@pytest.mark.parametrize("fault", ["truncated", "cut", "500"])
async def test_a_broken_download_is_fetched_later_whole(shop, fault):
    process = await shop.start(*FIVE, rules=[{"on": "file", "do": fault, "first": 4}])
    assert (await process.apply()).exit is Exit.OK
    # the library itself repeats a GET when a pooled connection turns out closed
    assert fault == "cut" or 1 <= process.count(Kind.NOT_FETCHED) <= 4
    assert len(list(shop.outputs.rglob("*.mp4"))) == 5
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("fault", ["redirect", {"slow": 0.2}])
async def test_detours_and_slow_hosts_are_borne(shop, fault):
    process = await shop.start(*FIVE, rules=[{"on": "file", "do": fault}])
    assert (await process.apply()).exit is Exit.OK
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("fault", ["403", "404"])
async def test_a_dead_link_with_nothing_fresher_is_expired(shop, fault):
    process = await shop.start("one", rules=[{"on": "file", "do": fault}])
    process.leap_of_a_download = FIFTH_BACKOFF
    assert (await process.apply()).exit is Exit.FAILED_JOBS
    assert shop.states() == {"expired": 1}
    assert (await process.apply()).exit is Exit.FAILED_JOBS  # held: not paid for again by itself
    assert len(shop.tasks()) == 1
    await process.aclose()
    assert_invariants(shop)


@pytest.mark.parametrize("fault", ["403", "404"])
async def test_a_host_that_errs_once_costs_no_clip(shop, fault):
    process = await shop.start(*FIVE, rules=[{"on": "file", "do": fault, "at": [2, 4]}])
    assert (await process.apply()).exit is Exit.OK
    assert shop.states() == {"completed": 5}
    await process.aclose()
    assert_invariants(shop)


async def test_a_host_that_errs_once_more_in_another_way_costs_no_clip(shop):
    rules = [{"on": "file", "do": "500", "first": 4}, {"on": "file", "do": "404", "at": [5]}]
    process = await shop.start("one", rules=rules)
    process.leap_of_a_download = FIFTH_BACKOFF
    assert (await process.apply()).exit is Exit.OK
    assert shop.states() == {"completed": 1}
    await process.aclose()
    assert_invariants(shop)


async def test_a_dead_link_is_exchanged_for_a_fresh_one(shop):
    process = await shop.start(*FIVE, speed=1)
    await process.apply(download=False, collect=False)
    shop.clock.leap(60)
    await process.apply(submit=False, download=False)
    assert shop.states() == {"succeeded": 5}
    await process.aclose()
    # The provider has another name now: a query names new links, and the first old one is dead.
    await shop.stack.aclose()
    address = await shop.start_sandbox({"on": "file", "do": "403", "first": 1})
    later = await shop.open(address.replace("127.0.0.1", "localhost"))
    assert (await later.apply()).exit is Exit.OK
    assert shop.ask("SELECT count(*) FROM events WHERE type = 'renewed'") == [(1,)]
    await later.aclose()
    assert_invariants(shop)


async def test_what_is_no_video_is_left_and_the_others_are_fetched(shop):
    process = await shop.start(*FIVE, rules=[{"on": "file", "do": "html"}])
    outcome = await process.apply()
    assert (outcome.exit, outcome.settled) == (Exit.PROVIDER, False)
    assert shop.states() == {"succeeded": 5}
    assert list(shop.outputs.rglob("*.mp4")) == []
    await process.aclose()
    assert_invariants(shop)


async def test_one_page_in_place_of_a_video_is_got_over(shop):
    process = await shop.start(*FIVE, rules=[{"on": "file", "do": "html", "at": [1]}])
    assert (await process.apply()).exit is Exit.OK
    await process.aclose()
    assert_invariants(shop)


async def test_two_outputs_are_two_files(shop):
    process = await shop.start("[two] a", "b", rules=[{"on": "file", "do": "truncated", "at": [2]}])
    assert (await process.apply()).exit is Exit.OK
    assert sorted(path.name for path in shop.outputs.rglob("*.mp4")) == ["j0-1-2.mp4", "j0-1.mp4", "j1-1.mp4"]
    await process.aclose()
    assert_invariants(shop)


async def test_a_file_in_the_way_keeps_only_its_own_job_from_disk(shop):
    process = await shop.start(*FIVE)
    stranger = shop.outputs / "b" / "j2-1.mp4"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"not ours")
    outcome = await process.apply()
    assert (outcome.exit, outcome.settled) == (Exit.RUNNING, False)
    assert shop.states() == {"completed": 4, "succeeded": 1}
    assert stranger.read_bytes() == b"not ours"
    stranger.unlink()
    shop.clock.leap(120)
    assert (await process.apply()).exit is Exit.OK
    assert len(shop.tasks()) == 5
    await process.aclose()
    assert_invariants(shop)


async def test_a_folder_that_takes_nothing_ends_downloads_and_nothing_else(shop):
    process = await shop.start(*FIVE, *(f"more {number}" for number in range(15)))
    shop.outputs.mkdir()
    (shop.outputs / "b").write_text("a file where the folder should be")
    outcome = await process.apply()
    assert (outcome.exit, shop.states()) == (Exit.RUNNING, {"succeeded": 20})
    assert 3 <= process.count(Kind.NOT_FETCHED) < 10
    (shop.outputs / "b").unlink()
    shop.clock.leap(120)
    assert (await process.apply()).exit is Exit.OK
    await process.aclose()
    assert_invariants(shop)


async def test_one_file_in_the_way_does_not_end_downloads_however_often_it_is_met(shop):
    process = await shop.start("a", "[slow] b", "[slow] c", speed=0.1)  # 20 to 50 s, 400 to 1,000 s
    stranger = shop.outputs / "b" / "j0-1.mp4"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"not ours")

    def tell(happening):
        process.told.append(happening)
        met = process.count(Kind.NOT_FETCHED)
        if happening.kind is Kind.SUBMITTED and process.count(Kind.SUBMITTED) == 3:
            shop.clock.leap(60)
        if happening.kind is Kind.NOT_FETCHED and met <= 4:
            shop.clock.leap(61 if met < 4 else 2000)

    outcome = await process.apply(tell=tell)
    assert process.count(Kind.NOT_FETCHED) >= 4
    assert (outcome.exit, shop.states()) == (Exit.RUNNING, {"completed": 2, "succeeded": 1})
    await process.aclose()
    assert_invariants(shop)
