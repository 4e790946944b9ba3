"""What viewers of the live page are sent, of a real ledger that is written meanwhile."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import timedelta

import pytest
import pytest_asyncio
from samples import NOON, batch, claim, spec

from seedbatch.cli.onlooking import Herald
from seedbatch.cli.picking import Picker
from seedbatch.domain.jobs import Limits
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.sqlite import SqliteLedger
from seedbatch.report.poster_cache import PosterCache
from seedbatch.settings import load
from seedbatch.web import viewers as module
from seedbatch.web.lookout import Lookout
from seedbatch.web.viewers import Viewers


class Project:
    """A ledger, and what a test does to it."""

    def __init__(self, folder) -> None:
        self.path = folder / "state/ledger.db"
        self.ledger = None
        self.at = NOON

    async def want(self, *keys):
        if self.ledger is None:
            self.ledger = SqliteLedger(self.path, kind="real", folder=self.path.parent, now=NOON)
        await self.ledger.declare(batch(*map(spec, keys)), self.now())

    async def submit(self, most):
        found, _ = await claim(self.ledger, None, Limits(submits_per_minute=None), self.now(), most)
        return found

    async def accept(self, submission):
        await self.ledger.accepted(submission.attempt_id, f"task-{submission.attempt_id}", self.now(), self.at)

    async def lose(self):
        await self.ledger.aclose()
        self.ledger = None
        self.path.unlink()

    def now(self):
        self.at += timedelta(seconds=1)
        return self.at


@pytest_asyncio.fixture
async def project(tmp_path):
    made = Project(tmp_path)
    yield made
    if made.ledger is not None:
        await made.ledger.aclose()


@pytest_asyncio.fixture
async def lookout(project, tmp_path):
    def opening():
        return SqliteRecords(project.path) if project.path.exists() else None

    settings = load({}, {}, tmp_path)
    made = Lookout(project.path, opening, Picker(settings, None), Herald(settings), None)
    yield made
    await made.end()
    await made.close()


@pytest.fixture
def viewers(lookout, tmp_path):
    return Viewers(lookout, PosterCache(tmp_path / "posters"))


async def read(frames, until):
    """The frames up to one of that kind: each its kind, what it says, and its number."""
    told = []
    async for frame in frames:
        members = dict(line.partition(": ")[::2] for line in frame.decode().splitlines() if ": " in line)
        if "event" in members:
            told.append((members["event"], json.loads(members["data"]), members.get("id", "")))
            if members["event"] == until:
                return told
    raise AssertionError(f"it ended before {until}: {told}")


def jobs(told):
    return [(card["address"], card["state"]) for kind, cards, _ in told if kind == "cards" for card in cards]


async def test_a_page_that_was_there_before_the_ledger(project, lookout, viewers):
    await lookout.look()
    async with aclosing(viewers.follow("")) as frames:
        assert await read(frames, "progress") == [("progress", {"none": True}, "")]
        await project.want("a", "b")
        await lookout.look()
        told = await read(frames, "ready")
        assert jobs(told) == [("a", "pending"), ("b", "pending")]
        assert [says["counts"] for kind, says, _ in told if kind == "progress"] == [{"pending": 2}]


async def test_only_what_changed_is_sent(project, lookout, viewers):
    await project.want("a", "b", "c")
    await lookout.look()
    async with aclosing(viewers.follow("")) as frames:
        await read(frames, "ready")
        await project.submit(1)
        await lookout.look()
        assert jobs(await read(frames, "seen")) == [("a", "submitting")]


async def test_who_reads_slowly_gets_what_came_to_be(project, lookout, viewers):
    await project.want("a", "b", "c")
    await lookout.look()
    async with aclosing(viewers.follow("")) as slow, aclosing(viewers.follow("")) as quick:
        await read(slow, "ready")
        await read(quick, "ready")
        for submission in await project.submit(2):
            await lookout.look()
            await read(quick, "seen")
            await project.accept(submission)
        await lookout.look()
        await read(quick, "seen")
        told = await read(slow, "seen")
        assert jobs(told) == [("a", "running"), ("b", "running")]  # once, though each moved twice
        assert [kind for kind, _, _ in told].count("progress") == 1


async def test_it_goes_on_where_it_was(project, lookout, viewers):
    await project.want("a", "b")
    await lookout.look()
    async with aclosing(viewers.follow("")) as frames:
        *_, (_, _, number) = await read(frames, "ready")
    await project.submit(1)
    await lookout.look()
    async with aclosing(viewers.follow(number)) as frames:
        told = await read(frames, "seen")
        assert jobs(told) == [("a", "submitting")]
    async with aclosing(viewers.follow(told[-1][2])) as frames:
        assert [kind for kind, _, _ in await read(frames, "picks")] == ["progress", "picks"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(frames), 0.1)


@pytest.mark.parametrize("number", ["0123456789ab-3", "-", "x", "x-x", "0123456789ab-99999999999999999999", "\u202e-1"])
async def test_a_number_of_another_ledger_begins_anew(project, lookout, viewers, number):
    await project.want("a")
    await lookout.look()
    async with aclosing(viewers.follow(number)) as frames:
        kinds = {"again", "ready"}
        async for frame in frames:
            if (kind := frame.decode().partition("\n")[0].removeprefix("event: ")) in kinds:
                break
        assert kind in kinds


async def test_a_ledger_that_was_replaced_begins_anew(project, lookout, viewers):
    await project.want("a")
    await lookout.look()
    async with aclosing(viewers.follow("")) as frames:
        await read(frames, "ready")
        await project.lose()
        for leftover in project.path.parent.iterdir():
            leftover.unlink() if leftover.is_file() else None
        await lookout.look()  # nothing is there, and nothing is told
        await project.want("b")
        await lookout.look()
        await read(frames, "again")


async def test_who_missed_too_much_begins_anew(project, lookout, viewers, monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    await project.want("a", "b")
    await lookout.look()
    async with aclosing(viewers.follow("")) as frames:
        await read(frames, "ready")
        await project.want("a", "b", "c", "d", "e", "f")
        await lookout.look()
        await read(frames, "again")
    async with aclosing(viewers.follow("")) as frames:
        assert len(jobs(await read(frames, "ready"))) == 3


async def test_many_viewers_share_what_is_made_for_them(project, lookout, viewers):
    await project.want("a", "b")
    await lookout.look()
    streams = [viewers.follow("") for _ in range(50)]
    told = await asyncio.gather(*(read(frames, "ready") for frames in streams))
    assert {tuple(jobs(one)) for one in told} == {(("a", "pending"), ("b", "pending"))}
    assert len(viewers._frames) == 2  # the cards and the events, once each
    for frames in streams:
        await frames.aclose()


async def test_who_looks_when_it_ends_is_let_go(project, lookout, viewers):
    await project.want("a")
    await lookout.look()
    frames = viewers.follow("")
    await read(frames, "ready")
    waiting = asyncio.create_task(anext(frames, None))
    await asyncio.sleep(0)
    await lookout.end()
    assert await asyncio.wait_for(waiting, 5) is None
