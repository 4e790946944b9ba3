"""Processes that die, race, or meet a full disk: real processes on one folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forge import Forge
from result_host import Host, child, ended, mp4, plain, tree, wanted

from seedbatch.artifacts.store import ArtifactStore
from seedbatch.domain.answers import CannotStore, FetchLater, StoredFile

CLIP = mp4(400_000)


def arguments(
    root: Path, host: Host, *, name: str = "batch/river", part: str = "7-1", task: str = "task-1"
) -> list[str]:
    return [str(root), host.origin, host.url(), name, part, task]


Forked = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def forked(forge: Forge, tmp_path: Path) -> Forked:
    """The same in a process that begins at once: its exit code, and what it said."""
    words = tmp_path / "words"

    async def run(arguments: list[str], **order: Any) -> tuple[int, str]:
        place = {"folder": str(tmp_path), "environment": dict(os.environ), "words": str(words)}
        order = {"module": "unit.artifacts.fetcher", "arguments": arguments, **place, **order}
        code = await asyncio.to_thread(forge.run, order)
        return code, words.read_text()

    return run


def assert_nothing_or_whole(root: Path) -> None:
    final = root / "batch/river.mp4"
    if final.exists():
        assert final.read_bytes() == CLIP
        told = json.loads((root / "batch/river.json").read_text())
        assert (told["sha256"], told["task_id"]) == (hashlib.sha256(CLIP).hexdigest(), "task-1")


async def finish(root: Path, host: Host) -> None:
    """What the next run does: the same download, with the same temporary name."""
    async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as store:
        assert isinstance(await store.fetch(wanted(host.url())), StoredFile)
    assert tree(root) == {"batch/river.mp4", "batch/river.json"}
    assert_nothing_or_whole(root)


@pytest.mark.parametrize("sent", [0, 1, 4096, 150_000, len(CLIP) - 1])
async def test_killed_in_the_middle_of_the_body(host: Host, root: Path, sent: int):
    """H20."""
    reached = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(CLIP)}\r\n\r\n".encode() + CLIP[:sent])
        await writer.drain()
        reached.set()
        await asyncio.sleep(60)

    host.answers["/clip.mp4"] = answer
    process = child(arguments(root, host))
    await reached.wait()
    process.kill()
    await ended(process)
    assert tree(root) == {"batch/.river.7-1.part"}
    host.answers["/clip.mp4"] = plain(CLIP)
    await finish(root, host)


async def test_killed_before_every_change_of_the_folder(host: Host, root: Path, forked: Forked):
    """H21: each run dies one step later than the one before, until one comes through."""
    host.answers["/clip.mp4"] = plain(CLIP)
    for step in range(40):
        folder = root / str(step)
        code, output = await forked(arguments(folder, host), dies_before=step)
        assert_nothing_or_whole(folder)
        asked, whole = len(host.asked), (folder / "batch/river.mp4").exists()
        await finish(folder, host)
        if whole:
            assert len(host.asked) == asked, "a finished file is not asked for again"
        if code == 0:
            assert output.startswith("StoredFile")
            break
        assert code == -signal.SIGKILL
    else:
        pytest.fail("it never came through")
    assert step > 8, "the hook sees the steps"


async def test_a_complete_file_that_only_lacks_its_name_is_not_asked_for_again(host: Host, root: Path):
    """H21: killed between the two names."""
    async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as store:
        host.answers["/clip.mp4"] = plain(CLIP)
        assert isinstance(await store.fetch(wanted(host.url())), StoredFile)
        (root / "batch/river.mp4").rename(root / "batch/.river.7-1.part")
        assert isinstance(await store.fetch(wanted(host.url())), StoredFile)
    assert len(host.asked) == 1
    assert tree(root) == {"batch/river.mp4", "batch/river.json"}


async def test_a_damaged_leftover_is_fetched_anew(host: Host, root: Path):
    async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as store:
        host.answers["/clip.mp4"] = plain(CLIP)
        assert isinstance(await store.fetch(wanted(host.url())), StoredFile)
        (root / "batch/river.mp4").unlink()
        (root / "batch/.river.7-1.part").write_bytes(CLIP[:-1] + b"?")
        assert isinstance(await store.fetch(wanted(host.url())), StoredFile)
    assert len(host.asked) == 2
    assert_nothing_or_whole(root)


async def test_a_temporary_file_that_somebody_still_writes_is_left_alone(host: Host, root: Path):
    (root / "batch").mkdir(parents=True)
    part = root / "batch/.river.7-1.part"
    with part.open("wb") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as store:
            answer = await store.fetch(wanted(host.url()))
    assert answer == FetchLater("another process is downloading it", 5.0)
    assert part.exists()
    assert host.asked == []


async def test_what_lies_in_a_folder_is_only_judged_by_whoever_holds_its_lock(host: Host, root: Path):
    """H24: else the file of one task could come to lie beside the sidecar of another."""
    host.answers["/clip.mp4"] = plain(CLIP)
    (root / "batch").mkdir(parents=True)
    folder = os.open(root / "batch", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as store:
        fetching = asyncio.ensure_future(store.fetch(wanted(host.url())))
        done, _ = await asyncio.wait({fetching}, timeout=0.3)
        assert (done, host.asked, tree(root)) == (set(), [], set())
        os.close(folder)
        assert isinstance(await fetching, StoredFile)


async def test_processes_that_fetch_the_same_task_agree(host: Host, root: Path):
    """H27: one gives the name, the others find it; with one temporary name or with several."""
    host.answers["/clip.mp4"] = plain(CLIP)
    processes = [child(arguments(root, host, part=f"{n // 2}-1")) for n in range(6)]
    outputs = [(await ended(process)).split()[0] for process in processes]
    assert set(outputs) <= {"StoredFile", "FetchLater"}
    assert "StoredFile" in outputs
    await finish(root, host)


async def test_of_processes_with_different_tasks_one_gets_the_name(host: Host, root: Path):
    """H24: and the sidecar is that one's."""
    host.answers["/clip.mp4"] = plain(CLIP)
    processes = [child(arguments(root, host, part=f"{n}-1", task=f"task-{n}")) for n in range(5)]
    outputs = [(await ended(process)).split()[0] for process in processes]
    assert sorted(outputs) == ["CannotStore"] * 4 + ["StoredFile"]
    assert json.loads((root / "batch/river.json").read_text())["task_id"] == f"task-{outputs.index('StoredFile')}"
    assert tree(root) == {"batch/river.mp4", "batch/river.json"}


async def test_many_tasks_race_for_one_name_in_one_process(host: Host, root: Path):
    """H24."""
    host.answers["/clip.mp4"] = plain(CLIP)
    async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as store:
        answers = await asyncio.gather(
            *(store.fetch(wanted(host.url(), part=f"{n}-1", task_id=f"task-{n}")) for n in range(20))
        )
    stored = [n for n, answer in enumerate(answers) if isinstance(answer, StoredFile)]
    assert len(stored) == 1
    assert {type(answer) for n, answer in enumerate(answers) if n not in stored} == {CannotStore}, answers
    assert json.loads((root / "batch/river.json").read_text())["task_id"] == f"task-{stored[0]}"
    assert tree(root) == {"batch/river.mp4", "batch/river.json"}


async def test_a_limit_on_the_size_of_files(host: Host, root: Path):
    """H23: whatever write refuses, nothing stays behind."""
    host.answers["/clip.mp4"] = plain(CLIP)
    process = child(arguments(root, host), largest_file=100_000)
    assert (await ended(process)).startswith("CannotStore")
    assert tree(root) == set()
    await finish(root, host)


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True
    ).returncode:
        pytest.skip("only root may mount")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


async def test_a_full_disk(host: Host, root: Path):
    """H23: without a declared length it is only found while writing."""
    clip = mp4(3_000_000)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(clip) + clip + b"\r\n0\r\n\r\n"

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(chunked)
        await writer.drain()

    host.answers["/clip.mp4"] = answer
    with small_disk(root, "size=2m"):
        async with ArtifactStore(root, allow_origins=frozenset({host.origin}), reserve=0) as store:
            answer_ = await store.fetch(wanted(host.url()))
        assert isinstance(answer_, CannotStore)
        assert "No space left" in answer_.cause
        assert tree(root) == set()


async def test_a_disk_without_room_for_the_sidecar(host: Host, root: Path):
    """H23: the file fits, its sidecar does not."""
    clip = mp4(1024 * 1024 - 4096)
    host.answers["/clip.mp4"] = plain(clip)
    with small_disk(root, "size=1m"):
        async with ArtifactStore(root, allow_origins=frozenset({host.origin}), reserve=0) as store:
            answer = await store.fetch(wanted(host.url(), filler="x" * 100_000))
        assert isinstance(answer, CannotStore)
        assert tree(root) == set()


async def test_a_disk_that_is_read_only(host: Host, root: Path):
    host.answers["/clip.mp4"] = plain(CLIP)
    with small_disk(root, "ro"):
        async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as store:
            answer = await store.fetch(wanted(host.url()))
    assert isinstance(answer, CannotStore)
    assert "Read-only" in answer.cause
    assert host.asked == []


@pytest.mark.storm
async def test_killed_at_random(host: Host, root: Path, forked: Forked):
    """H20, H21: many kills at any time of a download that takes a while."""
    clip_parts = [CLIP[begin : begin + 20_000] for begin in range(0, len(CLIP), 20_000)]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(CLIP)}\r\n\r\n".encode())
        for part in clip_parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.002)

    host.answers["/clip.mp4"] = answer
    dice = random.Random(0)
    turns = kills = 0
    lasts = 0.0
    while kills < 150:
        # At any moment of a download: how long one lasts here and now, those left alone tell.
        alone = turns % 10 == 0
        begun = time.monotonic()
        code, output = await forked(arguments(root, host), killed_after=None if alone else dice.random() * lasts)
        turns += 1
        if code == -signal.SIGKILL:
            kills += 1
        else:
            assert (code, output.split()[0]) == (0, "StoredFile")
            lasts = time.monotonic() - begun
        assert_nothing_or_whole(root)
        if (root / "batch/river.mp4").exists():
            for name in tree(root):
                os.unlink(root / name)  # noqa: PTH108 - the next turn begins anew
    await finish(root, host)
