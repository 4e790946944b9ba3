"""The emergency record: task ids that the provider named and the ledger could not take.

A full disk must not lose what was paid for. So a file beside the ledger is filled while there is room, and a task id
overwrites a part of it: that needs no new block. It is read when the ledger is opened again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from seedbatch.domain.errors import LedgerError, StaleCaller
from seedbatch.domain.moments import moment, stamp
from seedbatch.ledger.attempts import accepted
from seedbatch.ledger.locks import WriteLock
from seedbatch.ledger.opening import connect_sealing
from seedbatch.ledger.rows import note

_SLOT: Final = 512  # bytes: what a disk writes whole or not at all
_SLOTS: Final = 128
# Not zeros: some disks and file systems keep no room for those.
_BLANK: Final = b" " * (_SLOT - 1) + b"\n"

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """A task that was named for an attempt. `owner` submitted it: numbers alone may mean another attempt in a copy."""

    attempt_id: int
    owner: str
    task_id: str
    at: datetime
    query_at: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of the record that is not blank; `kept` is None where its content cannot be read."""

    number: int
    content: bytes
    kept: Kept | None

    def __str__(self) -> str:
        if self.kept is None:
            return f"slot {self.number + 1} cannot be read"
        return f"task {self.kept.task_id} of attempt {self.kept.attempt_id}, which this ledger does not hold"


class EmergencyRecord:
    """128 slots of 512 bytes in the file at `path`, shared by all processes of a ledger; made when it is not there.

    Raises:
        OSError: it cannot be made; the disk is full, for example.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with self._held():
                self._fill()
        except BaseException:
            os.close(self._handle)
            raise

    def keep(self, kept: Kept) -> None:
        """Write one task id, synced when this returns.

        Raises:
            OSError: it could not be written, or all slots are taken.
        """
        content = _rendered(kept)
        if len(content) > _SLOT:
            raise OSError("it is too long")
        with self._held():
            if os.fstat(self._handle).st_nlink == 0:
                raise OSError("the file was removed")  # nobody would ever read it
            number = next((number for number in range(_SLOTS) if self._read(number) == _BLANK), None)
            if number is None:
                raise OSError("it is full")
            self._write(number, content)

    def slots(self) -> list[Slot]:
        """Everything that is not blank."""
        with self._held():
            whole = os.pread(self._handle, _SLOT * _SLOTS, 0)
        contents = [whole[start : start + _SLOT] for start in range(0, len(whole), _SLOT)]
        return [Slot(number, content, _parsed(content)) for number, content in enumerate(contents) if content != _BLANK]

    def clear(self, slots: Iterable[Slot]) -> None:
        """Forget what the ledger holds now. A slot that was used anew meanwhile is left alone."""
        with self._held():
            for slot in slots:
                if self._read(slot.number) == slot.content:
                    self._write(slot.number, _BLANK)

    def close(self) -> None:
        """Close the file; it stays, with its blanks, for the next time."""
        os.close(self._handle)

    def _fill(self) -> None:
        """Write all its blanks, not only its size: a hole would need its block when there is none."""
        size = os.fstat(self._handle).st_size
        if size >= _SLOT * _SLOTS:
            return
        for number in range(size // _SLOT, _SLOTS):
            os.pwrite(self._handle, _BLANK, number * _SLOT)
        if os.fstat(self._handle).st_size < _SLOT * _SLOTS:
            raise OSError("there is no room for the emergency record")
        os.fsync(self._handle)
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _read(self, number: int) -> bytes:
        return os.pread(self._handle, _SLOT, number * _SLOT)

    def _write(self, number: int, content: bytes) -> None:
        os.pwrite(self._handle, content, number * _SLOT)
        os.fsync(self._handle)

    @contextmanager
    def _held(self) -> Iterator[None]:
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)


def emergency_path(ledger: Path) -> Path:
    """Where a ledger's emergency record lies."""
    return ledger.with_name(f"{ledger.name}.emergency")


def take_up(connection: sqlite3.Connection, kept: Kept, now: datetime) -> bool:
    """Record one kept task in a transaction; whether the ledger knows it now, so that its slot may be cleared.

    May be repeated: what is known already is left as it is.
    """
    known = "SELECT 1 FROM attempts WHERE task_id = ?1 UNION ALL SELECT 1 FROM extras WHERE task_id = ?1"
    if connection.execute(known, (kept.task_id,)).fetchone():
        return True
    row = connection.execute(
        "SELECT job_id FROM attempts WHERE id = ? AND owner = ?", (kept.attempt_id, kept.owner)
    ).fetchone()
    if row is None:
        return False
    try:
        accepted(connection, kept.attempt_id, kept.task_id, kept.at, kept.query_at)
    except StaleCaller:
        return False  # it ended otherwise, yet its task is known nowhere: a person must see it
    data = {"task_id": kept.task_id, "kept_at": stamp(kept.at)}
    note(connection, now, "recovered", row[0], attempt_id=kept.attempt_id, data=data)
    return True


def recover(path: Path, lock: WriteLock, record: EmergencyRecord, now: datetime) -> tuple[Slot, ...]:
    """Take up all that is kept beside the ledger at `path`; returns the slots that stay.

    Raises:
        LedgerError: the ledger still cannot be written.
    """
    slots = record.slots()
    if not slots:
        return ()
    try:
        with lock.held(), closing(connect_sealing(path)) as connection:
            done = [slot for slot in slots if slot.kept is not None and _taken_up(connection, slot.kept, now)]
        record.clear(done)
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(
            f"{record.path} holds tasks that were paid for, and the ledger cannot take them: {error}",
            hint="free some space, then run it again",
        ) from error
    return tuple(slot for slot in slots if slot not in done)


def warn_of(record: EmergencyRecord, left: Iterable[Slot]) -> None:
    """Tell a person of slots that nothing can be done with: unless logging is set up otherwise, on stderr."""
    for slot in left:
        _log.warning("%s: %s; it is kept there", record.path, slot)


def _taken_up(connection: sqlite3.Connection, kept: Kept, now: datetime) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = take_up(connection, kept, now)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return done


def _rendered(kept: Kept) -> bytes:
    facts = {
        "attempt": kept.attempt_id,
        "owner": kept.owner,
        "task_id": kept.task_id,
        "at": stamp(kept.at),
        "query_at": stamp(kept.query_at),
    }
    return json.dumps({**facts, "sum": _sum(facts)}).encode("ascii").ljust(_SLOT - 1) + b"\n"


def _parsed(content: bytes) -> Kept | None:
    try:
        facts = json.loads(content)
        if facts.pop("sum") != _sum(facts):
            return None
        return Kept(facts["attempt"], facts["owner"], facts["task_id"], moment(facts["at"]), moment(facts["query_at"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _sum(facts: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("ascii")).hexdigest()[:16]
