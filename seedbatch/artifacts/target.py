"""The place of one download: from the look at what lies there to the verified file under its final name.

Order of the end: the file is synced, its sidecar is synced, the sidecar gets its name, the file gets its name, the
folder is synced. A kill between any two leaves either nothing at the final name or the whole file with its sidecar.
Everything here blocks and is called in a worker thread.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from seedbatch.artifacts import folder, names, shelf, sidecar
from seedbatch.artifacts.containers import FORMATS, Format
from seedbatch.artifacts.sidecar import Facts
from seedbatch.domain.answers import StoredFile
from seedbatch.domain.work import Download

_AT_ONCE = 1024 * 1024  # bytes
_CHECK_SPACE = 64 * 1024 * 1024  # bytes written between two looks at the free space
_START_WRITING = 2 * 1024 * 1024  # bytes written between two hints to the kernel
_PRIVATE = 0o600
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Occupied(Exception):
    """Something that must not be overwritten has a name that is needed."""


class Busy(Exception):
    """Another download, here or in another process, is writing the same temporary file."""


class Target:
    """Where one download goes.

    Its methods wait for one another, so that `close` may be called while another still runs. `mode` are the
    permissions of the finished file, `reserve` the bytes that stay free on the disk. `size` is what was written so
    far, `closed` whether all is done.
    """

    def __init__(self, root: Path, download: Download, *, mode: int, reserve: int) -> None:
        self._root = root
        *parents, self._stem = names.components(download.name)
        self._parents = tuple(parents)
        self._download = download
        self._mode = mode
        self._reserve = reserve
        self._part = names.part_of(self._stem, download.part)
        self._sidecar_part = names.sidecar_part_of(self._stem, download.part)
        self._turn = threading.Lock()
        self._folder = self._file = -1
        self._digest = hashlib.sha256()
        self._adopted = ""  # the digest of a file that came whole
        self._space_checked = self._hinted = 0
        self.closed = False
        self.size = 0

    def open(self) -> StoredFile | None:
        """Make the folder and the temporary file. Returns the artifact if an earlier try finished it.

        Raises:
            Occupied: the name is taken by something else.
            Busy: somebody is at it.
            OSError: the folder cannot be written.
        """
        with self._turn:
            if self.closed:  # cancelled before a worker came to it
                raise Busy("it was cancelled")
            self._folder = folder.open_folder(self._root, self._parents, create=True)
            with folder.locked(self._folder):
                self._file = self._claim_leftover()
                done, promised = self._look()
                if done is None and promised is not None and self._file >= 0 and _matches(self._file, promised):
                    done = self._finish(promised)
                self._forget_leftover()
                if done is None:
                    self._file = os.open(self._part, _NEW, _PRIVATE, dir_fd=self._folder)
                    folder.lock(self._file, wait=False)
                    return None
            self._close()
            return done.stored(self._parents)

    def expect(self, length: int) -> None:
        """Make sure that `length` more bytes fit.

        Raises:
            OSError: `ENOSPC`, they do not.
        """
        disk = os.fstatvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < length + self._reserve:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, blocks: Sequence[bytes]) -> None:
        """Append to the file and to its hash.

        Raises:
            OSError: the disk is full, a limit is reached, or it failed.
        """
        with self._turn:
            for block in blocks:
                self._digest.update(block)
                folder.write_all(self._file, block)
                self.size += len(block)
            self._hint()
            if self.size - self._space_checked >= _CHECK_SPACE:
                self._space_checked = self.size
                self.expect(0)

    def _hint(self) -> None:
        """Let the kernel begin to write now, so that the sync at the end finds little to do: a third faster."""
        if self.size - self._hinted >= _START_WRITING and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, self._hinted, self.size - self._hinted, os.POSIX_FADV_DONTNEED)
            self._hinted = self.size

    def adopt(self, source: Path, facts: Facts) -> bool:
        """Take a whole file from elsewhere: linked, or where there can be no link copied. Nothing else is written.

        Returns False if it is not what `facts` say of it.

        Raises:
            OSError: it is not there, or the folder cannot be written.
        """
        with self._turn:
            original = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if not _matches(original, facts):
                    return False
                self._link(source, original)
            finally:
                os.close(original)
            self._adopted = facts.sha256
            self.size = facts.bytes
            return _matches(self._file, facts)

    def _link(self, source: Path, original: int) -> None:
        folder.remove(self._folder, self._part)
        try:
            os.link(source, self._part, dst_dir_fd=self._folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in folder.NO_LINKS:
                raise
            self._hold(os.open(self._part, _NEW, _PRIVATE, dir_fd=self._folder))
            folder.lock(self._file, wait=False)
            for block in _blocks(original):
                folder.write_all(self._file, block)
        else:
            # Not locked: others may be linking the same file. Whoever takes the name away meanwhile is told of in time.
            self._hold(folder.open_regular(self._folder, self._part))

    def _hold(self, file: int) -> None:
        os.close(self._file)
        self._file = file

    def read(self, offset: int, size: int) -> bytes:
        """What was written there, fewer bytes at the end."""
        return os.pread(self._file, size, offset)

    def commit(self, form: Format) -> StoredFile:
        """Give the complete file its name. If another process was faster with the same task, that file is returned.

        Raises:
            Occupied: meanwhile something else took the name.
            Busy: the temporary file is no longer ours.
            OSError: it cannot be synced or named.
        """
        with self._turn:
            digest = self._adopted or self._digest.hexdigest()
            facts = Facts(f"{self._stem}.{form.extension}", self.size, digest, form.content_type)
            os.fchmod(self._file, self._mode)
            folder.sync(self._file)
            self._write_sidecar(facts)
            with folder.locked(self._folder):
                if not self._holds_part():
                    raise Busy("its temporary file was taken away")
                done, _ = self._look()
                if done is None:
                    self._name_sidecar()
                    done = self._finish(facts)
            self._close()
            return done.stored(self._parents)

    def close(self) -> None:
        """Remove what is temporary and let go; also after an error, also twice. Never raises."""
        with self._turn, contextlib.suppress(OSError):
            self._close()

    def _close(self) -> None:
        self.closed = True
        if self._folder < 0:
            return
        if self._file >= 0:
            with folder.locked(self._folder):
                if self._holds_part():
                    folder.remove(self._folder, self._part)
                    folder.remove(self._folder, self._sidecar_part)
        self._let_go()
        os.close(self._folder)
        self._folder = -1

    def _claim_leftover(self) -> int:
        """What a killed run left under our temporary name, -1 if nothing; its lock tells whether it is really dead."""
        try:
            leftover = folder.open_regular(self._folder, self._part, writable=True)
        except FileNotFoundError:
            return -1
        try:
            folder.lock(leftover, wait=False)
        except BlockingIOError:
            os.close(leftover)
            raise Busy("another process is downloading it") from None
        return leftover

    def _forget_leftover(self) -> None:
        if self._file >= 0:
            folder.remove(self._folder, self._part)
            self._let_go()
        folder.remove(self._folder, self._sidecar_part)

    def _let_go(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _holds_part(self) -> bool:
        """Whether our temporary name still leads to the file that we wrote."""
        try:
            there = os.stat(self._part, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._file))

    def _look(self) -> tuple[Facts | None, Facts | None]:
        """The finished artifact of this very task; else what a sidecar without file promises of it.

        Raises:
            Occupied: the name is taken.
        """
        try:
            found = sidecar.read(self._folder, self._stem)
        except ValueError as error:
            raise Occupied(self._told(str(error))) from None
        kin = [f"{self._stem}.{form.extension}" for form in FORMATS if form.kind is self._download.kind]
        lying = [name for name in kin if folder.present(self._folder, name)]
        ours = found is not None and found.tells_of(self._download.sidecar)
        if found is not None and found.facts.file in lying:
            if not ours:
                self._displace(found.facts.file)
                return None, None
            if not self._intact(found.facts):
                raise Occupied(self._told(f"{found.facts.file} was changed since it was downloaded"))
            return found.facts, None
        if lying:
            raise Occupied(self._told(f"{lying[0]} is there and is not ours"))
        return None, found.facts if found is not None and ours else None

    def _displace(self, name: str) -> None:
        """Take the name from an earlier revision that is kept under its own: a run died before `release`."""
        if not shelf.kept_elsewhere(self._folder, name):
            # Of a job called mood-2, say, where this is the second file of mood: moved away, it would be missed there.
            remedy = "give this job another output in the manifest, or move it away,"
            raise Occupied(self._told(f"{name} belongs to another task", remedy))
        shelf.withdraw(self._folder, name)

    def _told(self, what: str, remedy: str = "move it away") -> str:
        return f"{self._root.joinpath(*self._parents, what)}: {remedy} and run this again"

    def _intact(self, facts: Facts) -> bool:
        try:
            file = folder.open_regular(self._folder, facts.file)
        except OSError:
            return False
        try:
            return _matches(file, facts)
        finally:
            os.close(file)

    def _write_sidecar(self, facts: Facts) -> None:
        file = os.open(self._sidecar_part, _NEW, _PRIVATE, dir_fd=self._folder)
        try:
            folder.write_all(file, sidecar.render(self._download.sidecar, facts))
            os.fchmod(file, self._mode)
            folder.sync(file)
        finally:
            os.close(file)

    def _name_sidecar(self) -> None:
        """Name it; one that lies there belongs to no file any more, as `_look` found under the same lock."""
        final = names.sidecar_of(self._stem)
        if folder.present(self._folder, final):
            os.rename(self._sidecar_part, final, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            return
        try:
            folder.place(self._folder, self._sidecar_part, final)
        except FileExistsError:
            raise Occupied(self._told(f"{final} is there and is not ours")) from None

    def _finish(self, facts: Facts) -> Facts:
        try:
            folder.place(self._folder, self._part, facts.file)
        except FileExistsError:
            folder.remove(self._folder, names.sidecar_of(self._stem))
            raise Occupied(self._told(f"{facts.file} is there and is not ours")) from None
        folder.sync_folder(self._folder)
        return facts


def _matches(file: int, facts: Facts) -> bool:
    if os.fstat(file).st_size != facts.bytes:
        return False
    digest = hashlib.sha256()
    for block in _blocks(file):
        digest.update(block)
    return digest.hexdigest() == facts.sha256


def _blocks(file: int) -> Iterator[bytes]:
    offset = 0
    while block := os.pread(file, _AT_ONCE, offset):
        yield block
        offset += len(block)
