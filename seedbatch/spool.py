"""Many values in little memory: beyond some thousands they lie in a file without a name, and are read back in order."""

from __future__ import annotations

import hashlib
import marshal
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, BinaryIO, Final, Generic, TypeVar

from seedbatch.domain.errors import UsageError

T = TypeVar("T")

_BLOCK: Final = 500
_MOST_IN_MEMORY: Final = 20_000


class Spool(Generic[T]):
    """Values in the order in which they were added; any number of readers, each from the beginning.

    `pack` makes of a value what marshal knows (text, numbers, lists, mappings of them), `unpack` the value again. The
    file lies in the folder for temporary files (TMPDIR), and is gone with its last reader.
    """

    def __init__(self, pack: Callable[[T], Any], unpack: Callable[[Any], T]) -> None:
        self._pack = pack
        self._unpack = unpack
        self._latest: list[T] = []
        self._blocks: list[tuple[int, int]] = []
        self._file: BinaryIO | None = None
        self._end = 0
        self._count = 0
        self._written = hashlib.sha256()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, value: object) -> bool:
        return any(one == value for one in self)

    def __iter__(self) -> Iterator[T]:
        latest = tuple(self._latest)  # what is added while somebody reads is for the next reader
        for start, size in tuple(self._blocks):
            assert self._file is not None
            # Our own bytes, from a file that nobody else can open.
            for packed in marshal.loads(os.pread(self._file.fileno(), size, start)):  # noqa: S302
                yield self._unpack(packed)
        yield from latest

    def add(self, value: T) -> None:
        """Keep one more.

        Raises:
            UsageError: there is no room for it.
        """
        self._latest.append(value)
        self._count += 1
        if self._count >= _MOST_IN_MEMORY and len(self._latest) >= _BLOCK:
            self._write()

    def add_block(self, block: bytes, count: int) -> None:
        """Keep `count` more, of which marshal has already written the packed list.

        Raises:
            UsageError: there is no room for them.
        """
        self._write()
        self._write_block(block)
        self._count += count

    def digest(self) -> str:
        """Equal for two spools only if they hold equal values: what holds the same may still have another one."""
        found = self._written.copy()
        found.update(marshal.dumps([self._pack(one) for one in self._latest]))
        return found.hexdigest()

    def _write(self) -> None:
        for start in range(0, len(self._latest), _BLOCK):
            self._write_block(marshal.dumps([self._pack(one) for one in self._latest[start : start + _BLOCK]]))
        self._latest = []

    def _write_block(self, block: bytes) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this object
            written = os.pwrite(self._file.fileno(), block, self._end)
            while written < len(block):
                written += os.pwrite(self._file.fileno(), block[written:], self._end + written)
            self._written.update(block)
            self._blocks.append((self._end, len(block)))
            self._end += len(block)
        except OSError as error:
            raise UsageError(
                f"so many jobs need room in {tempfile.gettempdir()}, and it cannot be written: {error.strerror}",
                hint="name a folder with room in TMPDIR",
            ) from error


def kept(values: Iterable[T], pack: Callable[[T], Any], unpack: Callable[[Any], T]) -> Collection[T]:
    """The values, to be read again and again: a tuple, or a spool where they are very many."""
    spool = Spool(pack, unpack)
    for value in values:
        spool.add(value)
    return spool if len(spool) >= _MOST_IN_MEMORY else tuple(spool)
