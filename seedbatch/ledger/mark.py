"""The generation mark: a ledger that went back in time is noticed before it submits.

A backup that is put back knows nothing of what was submitted since it was made, and would submit it again. Each claim
raises a counter in the ledger by the submissions that it took and, after its commit, the same counter in a small file
beside it: a file that is ahead of its ledger says that the ledger is an older copy.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from seedbatch.domain.errors import LedgerError

_WIDTH: Final = 80  # bytes: one write in one sector


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose mark it is, and how many submissions were claimed: by that ledger, those since the generation `since`."""

    ledger: str
    generation: int
    since: int = 0

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> Mark:
        """The mark inside a ledger, from its table `meta`."""
        return cls(meta["ledger_id"], int(meta.get("generation", 0)), int(meta.get("since", 0)))


class MarkFile:
    """The file at `path`, shared by all processes of a ledger; made when it is not there.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def raise_to(self, mark: Mark) -> None:
        """Write a generation, unless another process has written a higher one meanwhile.

        Not synced: a sync would double the price of a claim, to guard against a power failure and an older copy at
        once. Killed processes and restored files leave alone what the kernel holds. Opening and closing do sync.

        Raises:
            LedgerError: it is another ledger's, or it cannot be written.
        """
        try:
            with self._held():
                known = _parsed(self.path, os.pread(self._handle, _WIDTH, 0))
                if known is not None and known.ledger != mark.ledger:
                    raise LedgerError(_another(self.path))
                if known is None or known.generation < mark.generation:
                    self._write(mark if known is None else replace(known, generation=mark.generation))
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def exchange(self, mark: Mark) -> None:
        """Write whatever stood there before, synced: by the word of a person who has the ledger rebuilt."""
        with self._held():
            self._write(mark)
        self.sync()

    def sync(self) -> None:
        """Wait until it is on the medium."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Sync, as well as it can be done, and close."""
        with suppress(OSError):
            self.sync()
        os.close(self._handle)

    def _write(self, mark: Mark) -> None:
        os.pwrite(self._handle, json.dumps(asdict(mark)).ljust(_WIDTH - 1).encode("ascii") + b"\n", 0)

    @contextmanager
    def _held(self) -> Iterator[None]:
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)


def mark_path(ledger: Path) -> Path:
    """Where a ledger's mark lies."""
    return ledger.with_name(f"{ledger.name}.generation")


def read_mark(ledger: Path) -> Mark | None:
    """The mark beside the ledger at a path; None if there is none.

    Raises:
        LedgerError: what is there is no mark.
    """
    path = mark_path(ledger)
    try:
        return _parsed(path, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror or error}") from error


def raise_generation(connection: sqlite3.Connection, by: int) -> int:
    """Raise the counter inside, in the transaction of a claim; returns the new generation."""
    ((generation,),) = connection.execute(
        "INSERT INTO meta (key, value) VALUES ('generation', CAST(? AS TEXT))"
        " ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + ? AS TEXT) RETURNING value",
        (by, by),
    ).fetchall()
    return int(generation)


def check_gone(ledger: Path, kind: str) -> None:
    """No ledger is made where one was lost; called under the write lock.

    Raises:
        LedgerError: a mark says that there was one, or a log that SQLite would take for the new one's.
    """
    log = ledger.with_name(f"{ledger.name}-wal")
    left = [path for path in (mark_path(ledger), log) if path.exists() and path.stat().st_size]
    if left:
        raise LedgerError(
            f"there was a ledger at {ledger}, and it is gone: a new one would pay again for what that one knew",
            hint=f"restore a backup, or {_rebuild(kind)}, or remove {' and '.join(map(str, left))} to begin anew",
        )


def check(ledger: Path, kind: str, inside: Mark) -> None:
    """Compare a ledger with the mark beside it, which is made if there is none; called under the write lock.

    Raises:
        LedgerError: it is an older copy, or another ledger stood here before.
    """
    outside = read_mark(ledger)
    if outside is not None and outside.ledger != inside.ledger:
        raise LedgerError(
            _another(mark_path(ledger)), hint=f"put that one back, or {_rebuild(kind)} to go on with this one"
        )
    if outside is not None and outside.generation > inside.generation:
        behind = outside.generation - inside.generation
        raise LedgerError(
            f"{ledger} is an older copy: it does not know the latest {behind:,} submissions, and applying would pay"
            " for them again",
            hint=f"put the latest ledger back, or {_rebuild(kind)}",
        )
    file = MarkFile(mark_path(ledger))
    try:
        file.raise_to(inside)
    finally:
        file.close()


def _another(mark: Path) -> str:
    ledger = mark.with_suffix("")
    return f"another ledger stood at {ledger} before, says {mark.name}: this one does not know what that one paid for"


def _rebuild(kind: str) -> str:
    return f"seedbatch ledger rebuild{' --sandbox' if kind == 'sandbox' else ''}"


def _parsed(path: Path, content: bytes) -> Mark | None:
    if not content:
        return None  # its maker died before it wrote
    try:
        facts = json.loads(content)
        return Mark(str(facts["ledger"]), int(facts["generation"]), int(facts["since"]))
    except (ValueError, TypeError, KeyError):
        raise LedgerError(
            f"{path} is damaged: nobody can tell whether the ledger is an older copy",
            hint="remove it if you are sure that the ledger is the latest one",
        ) from None
