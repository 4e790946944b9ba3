"""What is done with files that lie in the output folder already. Everything here blocks."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from seedbatch.artifacts import folder, names, sidecar
from seedbatch.domain.errors import UsageError

_AT_ONCE = 1024 * 1024  # bytes
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def check(root: Path) -> None:
    """Make the folder and try to write there.

    Raises:
        UsageError: it cannot be made or written.
    """
    probe = f".{secrets.token_hex(8)}.check.part"
    try:
        directory = folder.open_folder(root, (), create=True)
        try:
            os.close(os.open(probe, _NEW, 0o600, dir_fd=directory))
            os.unlink(probe, dir_fd=directory)
        finally:
            os.close(directory)
    except OSError as error:
        in_the_way = error.errno in {errno.EEXIST, errno.ENOTDIR}
        cause = "a file is in the way" if in_the_way else error.strerror or str(error)
        raise UsageError(
            f"the output folder {root} cannot be written: {cause}",
            hint="choose another one with --output-dir",
        ) from None


def taken(root: Path, outputs: Iterable[str]) -> list[str]:
    """Those of the relative paths without extension at which a file already lies, in their order.

    Also taken: a path whose folder cannot be, because a file or a symbolic link is in the way. A sidecar of ours
    whose artifact is gone takes nothing.

    Raises:
        ValueError: a path is not a plain relative one.
    """
    wanted: dict[tuple[str, ...], dict[str, list[int]]] = {}
    every = list(outputs)
    for index, output in enumerate(every):
        *parents, stem = names.components(output)
        wanted.setdefault(tuple(parents), {}).setdefault(names.folded(stem), []).append(index)
    found = (
        index for parents, stems in wanted.items() for stem in _lying(root, parents, stems) for index in stems[stem]
    )
    return [every[index] for index in sorted(found)]


def _lying(root: Path, parents: tuple[str, ...], stems: Collection[str]) -> set[str]:
    """Those of the folded names without extension that are taken in one folder, which is listed once."""
    try:
        directory = folder.open_folder(root, parents, create=False)
    except FileNotFoundError:
        return set()
    except OSError:
        return set(stems)
    try:
        split = [name.rpartition(".") for name in _listed(directory)]
        taken = {names.folded(stem) for stem, _, extension in split if extension in names.EXTENSIONS}
        alone = [stem for stem, _, extension in split if extension == "json" and names.folded(stem) in stems]
        return taken.intersection(stems) | {names.folded(stem) for stem in alone if _is_foreign(directory, stem)}
    finally:
        os.close(directory)


def _listed(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def _is_foreign(directory: int, stem: str) -> bool:
    try:
        sidecar.read(directory, stem)
    except ValueError:
        return True
    return False


def give_way(root: Path, path: str, revision: int, tries: int, mode: int) -> str:
    """Link `path` and its sidecar to their names of that revision and try, or copy them where there are no links.

    Raises:
        FileExistsError: something else has that name.
        OSError: `path` is not there, or the folder cannot be written.
        ValueError: `path` is not a plain relative one.
    """
    *parents, old = names.components(path)
    new = names.revision_of(old, revision, tries)
    directory = folder.open_folder(root, parents, create=False)
    try:
        with folder.locked(directory):
            for name in (new, names.sidecar_of(PurePosixPath(new).stem)):
                folder.remove(directory, _newborn(name))  # what a death left
            if folder.present(directory, old) or not folder.present(directory, new):
                _link(directory, old, new, mode)
                _rename_in_sidecar(directory, old, new, mode)
            folder.sync_folder(directory)
    finally:
        os.close(directory)
    return "/".join((*parents, new))


def _link(directory: int, old: str, new: str, mode: int) -> None:
    try:
        os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except FileExistsError:
        if digest(directory, old) != digest(directory, new):
            raise
    except OSError as error:
        if error.errno not in folder.NO_LINKS:
            raise
        copy(directory, old, directory, new, mode)


def copy(source: int, old: str, target: int, new: str, mode: int) -> None:
    """A copy of a file in the same folder or another one, whole or not at all: where there can be no hard link.

    Raises:
        FileExistsError: `new` is taken.
    """
    original = folder.open_regular(source, old)
    try:
        with _synced(target, new, mode) as written:
            while block := os.read(original, _AT_ONCE):
                folder.write_all(written, block)
    finally:
        os.close(original)


def _newborn(name: str) -> str:
    return names.part_of(name, "new")


@contextlib.contextmanager
def _synced(directory: int, name: str, mode: int) -> Iterator[int]:
    """A descriptor to write to; after the block, what was written is synced and gets its name."""
    temporary = _newborn(name)
    target = os.open(temporary, _NEW, 0o600, dir_fd=directory)
    try:
        yield target
        os.fchmod(target, mode)
        folder.sync(target)
        folder.place(directory, temporary, name)
    finally:
        os.close(target)
        folder.remove(directory, temporary)


def _rename_in_sidecar(directory: int, old: str, new: str, mode: int) -> None:
    stem = PurePosixPath(new).stem
    try:
        known = sidecar.read(directory, PurePosixPath(old).stem)
    except ValueError:
        return
    if known is None or folder.present(directory, names.sidecar_of(stem)):
        return
    with _synced(directory, names.sidecar_of(stem), mode) as target:
        folder.write_all(target, sidecar.render(known.members, replace(known.facts, file=new)))


def release(root: Path, path: str) -> None:
    """Remove the name `path` and its sidecar, if it still is the file that was downloaded there.

    The file goes first: a sidecar without its file is replaced, a file without its sidecar is a stranger.

    Raises:
        OSError: the folder cannot be written.
        ValueError: `path` is not a plain relative one.
    """
    *parents, name = names.components(path)
    try:
        directory = folder.open_folder(root, parents, create=False)
    except FileNotFoundError:
        return
    try:
        with folder.locked(directory):
            if folder.present(directory, name) and kept_elsewhere(directory, name):
                withdraw(directory, name)
            folder.sync_folder(directory)
    finally:
        os.close(directory)


def withdraw(directory: int, name: str) -> None:
    """Remove an artifact and its sidecar."""
    stem = PurePosixPath(name).stem
    with contextlib.suppress(ValueError):
        known = sidecar.read(directory, stem)
        folder.remove(directory, name)
        if known is not None:
            folder.remove(directory, names.sidecar_of(stem))


def kept_elsewhere(directory: int, name: str) -> bool:
    """Whether the same content also lies under the name of one of its revisions, so that this one may go."""
    stem, extension = PurePosixPath(name).stem, PurePosixPath(name).suffix
    twins = [one for one in _listed(directory) if names.is_revision_of(one, stem, extension)]
    return any(_same(directory, name, twin) for twin in twins)


def _same(directory: int, one: str, other: str) -> bool:
    first, second = (os.stat(name, dir_fd=directory, follow_symlinks=False) for name in (one, other))
    if os.path.samestat(first, second):
        return True
    return first.st_size == second.st_size and digest(directory, one) == digest(directory, other)


def digest(directory: int, name: str) -> str:
    """The SHA-256 of a file, in hex."""
    with os.fdopen(folder.open_regular(directory, name), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
