"""Folders below the root, held by descriptor: no symbolic link is followed and nothing outside can be named.

Everything here blocks and is called in a worker thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL}
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF}
_RENAME_NOREPLACE = 1


def open_folder(root: Path, parents: Sequence[str], *, create: bool) -> int:
    """A descriptor of the folder `parents` below `root`; with `create` both are made, durably.

    Raises:
        OSError: it cannot be made or opened; `ENOTDIR` or `ELOOP` if a file or a symbolic link is in the way.
    """
    if create:
        _make(root)
    folder = os.open(root, _FOLDER)
    for name in parents:
        try:
            inner = _enter(folder, name, create=create)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _make(root: Path) -> None:
    missing = [path for path in (root, *root.parents) if not path.exists()]
    root.mkdir(parents=True, exist_ok=True)
    for path in missing:
        parent = os.open(path.parent, _FOLDER)
        try:
            sync_folder(parent)
        finally:
            os.close(parent)


def _enter(folder: int, name: str, *, create: bool) -> int:
    if create:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
            sync_folder(folder)
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        raise OSError(error.errno, "is no folder but a file or a symbolic link", name) from None


@contextlib.contextmanager
def locked(folder: int) -> Iterator[None]:
    """Alone in this folder among all processes; the kernel lets go when a process dies.

    Without it, two tasks that were given one name could leave the file of one beside the sidecar of the other. Where
    the file system has no locks, the names themselves still cannot be overwritten.
    """
    held = lock(folder, wait=True)
    try:
        yield
    finally:
        if held:
            fcntl.flock(folder, fcntl.LOCK_UN)


def lock(descriptor: int, *, wait: bool) -> bool:
    """Lock a file or folder against all other descriptors of it. False where the file system has no locks.

    Raises:
        BlockingIOError: somebody else holds it and `wait` is false.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def place(folder: int, temporary: str, final: str) -> None:
    """Give `temporary` the name `final`, which must be free.

    Raises:
        FileExistsError: something, if only a dangling link, has that name; it is untouched.
    """
    try:
        os.link(temporary, final, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        rename_to_free(folder, temporary, final)
    else:
        os.unlink(temporary, dir_fd=folder)


def rename_to_free(folder: int, temporary: str, final: str) -> None:
    """What `place` does where there are no hard links, as on FAT.

    Raises:
        FileExistsError: as `place`.
    """
    if sys.platform == "linux" and _rename_noreplace(folder, temporary, final):
        return
    if present(folder, final):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), final)
    os.rename(temporary, final, src_dir_fd=folder, dst_dir_fd=folder)


def _rename_noreplace(folder: int, temporary: str, final: str) -> bool:
    """renameat2(2); False if the C library, the kernel or the file system does not know it."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    if function(folder, os.fsencode(temporary), folder, os.fsencode(final), _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
        return False
    raise OSError(code, os.strerror(code), final)


def present(folder: int, name: str) -> bool:
    """Whether anything has that name, a dangling link included."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def open_regular(folder: int, name: str, *, writable: bool = False) -> int:
    """A descriptor of a regular file, never through a link and never waiting at a pipe.

    Raises:
        OSError: it is absent, or something else has that name.
    """
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EEXIST, "is no regular file", name)
    return descriptor


def remove(folder: int, name: str) -> None:
    """Remove a name if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def write_all(file: int, data: bytes) -> None:
    """Write all of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def sync(file: int) -> None:
    """Wait until it is on the medium: on macOS, fsync alone leaves it in the drive's cache."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(file, full)
            return
    os.fsync(file)


def sync_folder(folder: int) -> None:
    """Wait until the names in a folder are on the medium, where the file system can tell."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
