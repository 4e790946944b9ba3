from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from result_host import Host, mp4, plain, tree, wanted

from seedbatch.artifacts import folder, names, shelf
from seedbatch.artifacts.store import ArtifactStore
from seedbatch.domain.answers import CannotStore, StoredFile
from seedbatch.domain.errors import UsageError

CLIP, SECOND = mp4(), mp4()


@pytest.fixture
async def store(root: Path, host: Host):
    host.answers |= {"/clip.mp4": plain(CLIP), "/second.mp4": plain(SECOND)}
    async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as one:
        yield one


async def test_a_finished_file_is_taken_without_a_request(store: ArtifactStore, host: Host):
    first = await store.fetch(wanted(host.url()))
    assert await store.fetch(wanted(host.url(), part="another")) == first
    assert len(host.asked) == 1


async def test_a_finished_file_is_known_by_task_and_position(store: ArtifactStore, host: Host):
    await store.fetch(wanted(host.url(), position=1))
    assert isinstance(await store.fetch(wanted(host.url(), position=1)), StoredFile)
    assert isinstance(await store.fetch(wanted(host.url(), position=2)), CannotStore)
    assert len(host.asked) == 1


async def test_a_download_that_names_no_task_adopts_nothing(store: ArtifactStore, host: Host):
    await store.fetch(wanted(host.url(), task_id=None))
    assert isinstance(await store.fetch(wanted(host.url(), task_id=None)), CannotStore)


async def test_a_deleted_file_is_fetched_again(store: ArtifactStore, host: Host, root: Path):
    """H22."""
    await store.fetch(wanted(host.url()))
    (root / "batch/river.mp4").unlink()
    assert isinstance(await store.fetch(wanted(host.url())), StoredFile)
    assert (root / "batch/river.mp4").read_bytes() == CLIP


async def test_a_changed_file_is_never_overwritten(store: ArtifactStore, host: Host, root: Path):
    """H22."""
    await store.fetch(wanted(host.url()))
    (root / "batch/river.mp4").write_bytes(CLIP[:-1] + b"?")
    answer = await store.fetch(wanted(host.url()))
    assert isinstance(answer, CannotStore)
    assert "was changed since" in answer.cause
    assert (root / "batch/river.mp4").read_bytes() == CLIP[:-1] + b"?"


def plant(path: Path, what: str) -> None:
    match what:
        case "file":
            path.write_text("mine")
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("/nowhere")
        case "pipe":
            os.mkfifo(path)


@pytest.mark.parametrize("name", ["river.mp4", "river.json", "river.webm"])
@pytest.mark.parametrize("what", ["file", "folder", "link", "pipe"])
async def test_what_is_not_ours_is_never_touched(store: ArtifactStore, host: Host, root: Path, name: str, what: str):
    """H24."""
    (root / "batch").mkdir(parents=True)
    plant(root / "batch" / name, what)
    before = (root / "batch" / name).lstat()
    answer = await store.fetch(wanted(host.url()))
    assert isinstance(answer, CannotStore)
    assert name in answer.cause
    assert (root / "batch" / name).lstat() == before
    assert [path.name for path in (root / "batch").iterdir()] == [name]
    assert shelf.taken(root, ["batch/river", "batch/other"]) == ["batch/river"]


@pytest.mark.parametrize("name", ["river.mp4", "river.json"])
async def test_a_stranger_that_comes_during_the_download_is_not_overwritten(
    store: ArtifactStore, host: Host, root: Path, name: str
):
    """H24."""

    async def answer(writer: object) -> None:
        (root / "batch" / name).write_text("mine")
        await plain(CLIP)(writer)

    host.answers["/clip.mp4"] = answer
    assert isinstance(await store.fetch(wanted(host.url())), CannotStore)
    assert {path.name: path.read_text() for path in (root / "batch").iterdir()} == {name: "mine"}


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/x", "a//x", "", ".", "a/.", "a\\x", "a\nx", "a\0x", "\u202ex", "x" * 300, "\udc80"]
)
async def test_no_name_leaves_the_folder(store: ArtifactStore, host: Host, root: Path, name: str):
    answer = await store.fetch(wanted(host.url(), name))
    assert isinstance(answer, CannotStore)
    assert host.asked == []
    assert tree(root.parent) == set()
    with pytest.raises(ValueError, match=r"."):
        shelf.taken(root, [name])


async def test_a_long_name_is_a_plain_failure(store: ArtifactStore, host: Host, root: Path):
    answer = await store.fetch(wanted(host.url(), "n" * 254))
    assert isinstance(answer, CannotStore)
    assert tree(root) == set()


async def test_the_longest_name_that_fits(store: ArtifactStore, host: Host, root: Path):
    name = "ü" * 125
    assert isinstance(await store.fetch(wanted(host.url(), name, part="x" * 300)), StoredFile)
    assert tree(root) == {f"{name}.mp4", f"{name}.json"}


@pytest.mark.parametrize("inside", [True, False])
async def test_a_folder_that_is_a_link_is_not_entered(
    store: ArtifactStore, host: Host, root: Path, tmp_path: Path, inside: bool
):
    root.mkdir()
    other = (root if inside else tmp_path) / "other"
    other.mkdir()
    (root / "batch").symlink_to(other)
    answer = await store.fetch(wanted(host.url()))
    assert isinstance(answer, CannotStore)
    assert "batch: is no folder but a file or a symbolic link" in answer.cause
    assert list(other.iterdir()) == []
    assert shelf.taken(root, ["batch/river"]) == ["batch/river"]


async def test_a_root_that_is_a_link_is_the_users_choice(host: Host, root: Path, tmp_path: Path):
    host.answers["/clip.mp4"] = plain(CLIP)
    (tmp_path / "elsewhere").mkdir()
    root.symlink_to(tmp_path / "elsewhere")
    async with ArtifactStore(root, allow_origins=frozenset({host.origin})) as store:
        assert isinstance(await store.fetch(wanted(host.url())), StoredFile)


async def test_an_earlier_revision_gives_way(store: ArtifactStore, host: Host, root: Path):
    await store.fetch(wanted(host.url(), task_id="one"))
    assert await store.give_way("batch/river.mp4", 1) == "batch/river.rev1.mp4"
    assert await store.give_way("batch/river.mp4", 1) == "batch/river.rev1.mp4"
    await store.release("batch/river.mp4")
    assert await store.give_way("batch/river.mp4", 1) == "batch/river.rev1.mp4"
    await store.release("batch/river.mp4")
    assert tree(root) == {"batch/river.rev1.mp4", "batch/river.rev1.json"}
    assert isinstance(await store.fetch(wanted(host.url("/second.mp4"), task_id="two")), StoredFile)
    assert (root / "batch/river.mp4").read_bytes() == SECOND
    assert (root / "batch/river.rev1.mp4").read_bytes() == CLIP
    told = {path.name: json.loads(path.read_text()) for path in (root / "batch").glob("*.json")}
    assert {name: (one["task_id"], one["file"]) for name, one in told.items()} == {
        "river.json": ("two", "river.mp4"),
        "river.rev1.json": ("one", "river.rev1.mp4"),
    }


async def test_a_release_that_comes_late_removes_nothing_new(store: ArtifactStore, host: Host, root: Path):
    await store.fetch(wanted(host.url(), task_id="one"))
    await store.give_way("batch/river.mp4", 1)
    await store.release("batch/river.mp4")
    await store.fetch(wanted(host.url("/second.mp4"), task_id="two"))
    await store.release("batch/river.mp4")
    assert (root / "batch/river.mp4").read_bytes() == SECOND


async def test_a_release_that_a_crash_swallowed_is_made_up_for(store: ArtifactStore, host: Host, root: Path):
    await store.fetch(wanted(host.url(), task_id="one"))
    await store.give_way("batch/river.mp4", 1)
    assert isinstance(await store.fetch(wanted(host.url("/second.mp4"), task_id="two")), StoredFile)
    assert (root / "batch/river.mp4").read_bytes() == SECOND
    assert (root / "batch/river.rev1.mp4").read_bytes() == CLIP


async def test_a_file_that_is_kept_nowhere_else_is_not_released(store: ArtifactStore, host: Host, root: Path):
    await store.fetch(wanted(host.url()))
    await store.release("batch/river.mp4")
    await store.release("batch/absent.mp4")
    await store.release("no/such/folder.mp4")
    assert (root / "batch/river.mp4").read_bytes() == CLIP


async def test_giving_way_overwrites_nothing(store: ArtifactStore, host: Host, root: Path):
    await store.fetch(wanted(host.url()))
    (root / "batch/river.rev1.mp4").write_text("mine")
    with pytest.raises(FileExistsError):
        await store.give_way("batch/river.mp4", 1)
    assert (root / "batch/river.rev1.mp4").read_text() == "mine"
    with pytest.raises(FileNotFoundError):
        await store.give_way("batch/absent.mp4", 1)


def test_taken(root: Path):
    assert shelf.taken(root, ["a", "b/c"]) == []
    (root / "b").mkdir(parents=True)
    for name in ("a.mp4", "b/c.json", "b/d.txt", "River.MOV", "River.mov", "e.rev1.mp4", ".a.1.part"):
        (root / name).write_text("{}")
    assert shelf.taken(root, ["b/c", "a", "x", "b/d", "e", "river", "a/b", "a.mp4/b"]) == [
        "b/c",
        "a",
        "river",
        "a.mp4/b",
    ]


async def test_a_sidecar_whose_artifact_is_gone_takes_nothing(store: ArtifactStore, host: Host, root: Path):
    await store.fetch(wanted(host.url()))
    assert shelf.taken(root, ["batch/river"]) == ["batch/river"]
    (root / "batch/river.mp4").unlink()
    assert shelf.taken(root, ["batch/river"]) == []


def test_check_makes_the_folder_and_leaves_it_empty(root: Path):
    shelf.check(root / "a/b")
    shelf.check(root / "a/b")
    assert list((root / "a/b").iterdir()) == []


def test_check_tells_a_file_in_the_way(root: Path):
    root.write_text("")
    for path in (root, root / "below"):
        with pytest.raises(UsageError, match="a file is in the way"):
            shelf.check(path)


def test_check_tells_a_folder_that_cannot_be_written(root: Path):
    root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", root], check=False, capture_output=True).returncode:
        root.chmod(0o500)
    try:
        with pytest.raises(UsageError, match=r"cannot be written: (Read-only|Permission)"):
            shelf.check(root)
    finally:
        subprocess.run(["umount", root], check=False, capture_output=True)


def test_where_there_are_no_links_a_name_is_taken_by_renaming(tmp_path: Path):
    (tmp_path / "part").write_text("new")
    (tmp_path / "final").write_text("old")
    directory = folder.open_folder(tmp_path, (), create=False)
    with pytest.raises(FileExistsError):
        folder.rename_to_free(directory, "part", "final")
    assert (tmp_path / "final").read_text() == "old"
    folder.rename_to_free(directory, "part", "free")
    assert tree(tmp_path) == {"final", "free"}
    os.close(directory)


def test_where_there_are_no_links_a_revision_is_a_copy(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(CLIP)
    directory = folder.open_folder(tmp_path, (), create=False)
    shelf.copy(directory, "a.mp4", directory, "a.rev1.mp4", 0o644)
    with pytest.raises(FileExistsError):
        shelf.copy(directory, "a.mp4", directory, "a.rev1.mp4", 0o644)
    os.close(directory)
    assert tree(tmp_path) == {"a.mp4", "a.rev1.mp4"}
    assert (tmp_path / "a.rev1.mp4").read_bytes() == CLIP


@pytest.mark.parametrize(
    ("path", "revision", "name"),
    [("river.mp4", 1, "river.rev1.mp4"), ("a/b.c.mp4", 12, "a/b.c.rev12.mp4"), ("a/b-2.png", 3, "a/b-2.rev3.png")],
)
def test_revision_of(path: str, revision: int, name: str):
    assert names.revision_of(path, revision) == name


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *(("a.rev1.mp4", True), ("a.rev12.try3.mp4", True), ("a.mp4", False), ("a.rev.mp4", False)),
        *(("a.try2.mp4", False), ("a.rev1.try.mp4", False), ("a.rev1.mp4.mp4", False), ("b.rev1.mp4", False)),
    ],
)
def test_is_revision_of(name: str, is_one: bool):
    assert names.is_revision_of(name, "a", ".mp4") is is_one
    assert names.revision_of("a.mp4", 12, 3) == "a.rev12.try3.mp4"
