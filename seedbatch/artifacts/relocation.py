"""A file that moves to another path of its folder, with its sidecar. Everything here blocks.

Order: the new sidecar, the new name, synced; then the old name goes. A kill between any two leaves the file whole under
at least one of them, and the same call ends it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from seedbatch.artifacts import folder, names, shelf, sidecar
from seedbatch.artifacts.sidecar import Facts
from seedbatch.domain.fingerprint import Json
from seedbatch.domain.work import Relocation

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def relocate(one: Relocation, mode: int) -> None:
    """Move a file; `mode` are the permissions of the new sidecar.

    Raises:
        FileNotFoundError: it lies at neither path.
        FileExistsError: something else has the new one.
        OSError: a folder cannot be written.
        ValueError: a path is not a plain relative one.
    """
    *old_parents, old = names.components(one.file.path)
    *new_parents, new = names.components(one.path)
    root = Path(one.folder)
    with ExitStack() as stack:
        source = stack.enter_context(_opened(root, old_parents, create=False))
        target = stack.enter_context(_opened(root, new_parents, create=True))
        # Always in one order: two that move files both ways between two folders would wait for each other.
        for _, descriptor in sorted({_identity(source): source, _identity(target): target}.items()):
            stack.enter_context(folder.locked(descriptor))
        if one.path == one.file.path:
            os.stat(old, dir_fd=source, follow_symlinks=False)
            return
        if not _lies_there(target, new, one.sidecar):
            os.stat(old, dir_fd=source, follow_symlinks=False)
            _write_sidecar(source, old, target, new, one, mode)
            _link(source, old, target, new, mode)
            folder.sync_folder(target)
        _withdraw(source, old, target, new, one.sidecar)


@contextmanager
def _opened(root: Path, parents: Sequence[str], *, create: bool) -> Iterator[int]:
    descriptor = folder.open_folder(root, parents, create=create)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _lies_there(target: int, new: str, members: Mapping[str, Json]) -> bool:
    """Whether an earlier try brought it there.

    Raises:
        FileExistsError: something else has the name, or would share its sidecar.
    """
    stem = PurePosixPath(new).stem
    try:
        known = sidecar.read(target, stem)
    except ValueError as error:
        raise FileExistsError(errno.EEXIST, str(error)) from None
    if known is not None and folder.present(target, known.facts.file):
        if known.tells_of(members) and known.facts.file == new:
            return True
        raise FileExistsError(errno.EEXIST, f"{known.facts.file} is there, and belongs to another task")
    if folder.present(target, new):
        raise FileExistsError(errno.EEXIST, f"{new} is there and is not ours")
    return False


def _write_sidecar(source: int, old: str, target: int, new: str, one: Relocation, mode: int) -> None:
    members = one.sidecar
    with suppress(ValueError):  # what it told beside
        known = sidecar.read(source, PurePosixPath(old).stem)
        members = {**(known.members if known else {}), **members}
    facts = Facts(new, one.file.bytes, one.file.sha256, one.file.content_type)
    stem = PurePosixPath(new).stem
    temporary = names.sidecar_part_of(stem, "move")
    folder.remove(target, temporary)  # what a death left
    descriptor = os.open(temporary, _NEW, 0o600, dir_fd=target)
    try:
        folder.write_all(descriptor, sidecar.render(members, facts))
        os.fchmod(descriptor, mode)
        folder.sync(descriptor)
        # One that lies there belongs to no file any more.
        os.rename(temporary, names.sidecar_of(stem), src_dir_fd=target, dst_dir_fd=target)
    finally:
        os.close(descriptor)
        folder.remove(target, temporary)


def _link(source: int, old: str, target: int, new: str, mode: int) -> None:
    """Give the file its new name as well; where a file system has no links, instead of the old one."""
    try:
        os.link(old, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in folder.NO_LINKS:
            raise
        try:
            os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
        except OSError as again:
            if again.errno != errno.EXDEV:
                raise
            shelf.copy(source, old, target, new, mode)


def _withdraw(source: int, old: str, target: int, new: str, members: Mapping[str, Json]) -> None:
    """Let go of the old name; and of its sidecar, where a death came between the two."""
    if folder.present(source, old):
        if not _same(source, old, target, new):
            return  # another file's by now
        shelf.withdraw(source, old)
    else:
        stem = PurePosixPath(old).stem
        with suppress(ValueError):
            known = sidecar.read(source, stem)
            if known is not None and known.facts.file == old and known.tells_of(members):
                folder.remove(source, names.sidecar_of(stem))
    folder.sync_folder(source)


def _same(source: int, old: str, target: int, new: str) -> bool:
    first, second = os.stat(old, dir_fd=source, follow_symlinks=False), os.stat(new, dir_fd=target)
    if os.path.samestat(first, second):
        return True
    return first.st_size == second.st_size and shelf.digest(source, old) == shelf.digest(target, new)
