"""A ledger looked at by somebody who changes nothing in it: no table, no lock file, no mark."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from seedbatch.domain.errors import LedgerDamaged, LedgerError
from seedbatch.domain.health import LedgerState
from seedbatch.ledger.check import findings, live_rows
from seedbatch.ledger.emergency import emergency_path
from seedbatch.ledger.mark import Mark, check_gone, mark_path, read_mark
from seedbatch.ledger.opening import Kind
from seedbatch.ledger.schema import check_schema, is_older

_CHECKED_BYTES: Final = 16 * 1024 * 1024  # as when it is opened for writing
_PATIENCE: Final = 1.0  # seconds; a writer holds the lock for some milliseconds at a time
_PAUSE: Final = 0.01


def inspect(path: Path, kind: Kind) -> LedgerState:
    """What opening the ledger for writing would find, without doing it: no trouble is raised, all of it is told."""
    try:
        if not _is_there(path):
            check_gone(path, kind)
            return LedgerState(str(path), there=False)
        return _looked_at(path, kind)
    except LedgerError as error:
        message, hint = error.message, error.hint
    except sqlite3.OperationalError as error:
        message, hint = f"the ledger {path} cannot be read: {error}", _NAME_ANOTHER
    except (sqlite3.DatabaseError, ValueError, KeyError) as error:
        message, hint = f"{path} is not a ledger, or it is damaged: {error}", _RESTORE
    except OSError as error:
        message, hint = f"the ledger {path} cannot be opened: {error.strerror or error}", _NAME_ANOTHER
    return LedgerState(str(path), there=True, trouble=message, hint=hint)


def received(path: Path, digest: str) -> bytes | None:
    """The body that came at a token, given as its digest; None if none came, or nothing can tell."""
    try:
        with closing(_connect(path)) as connection:
            row = connection.execute("SELECT body FROM callbacks WHERE token = ?", (digest,)).fetchone()
    except sqlite3.Error:
        return None
    if row is None:
        return None
    return row[0] if isinstance(row[0], bytes) else str(row[0]).encode("utf-8")


_NAME_ANOTHER: Final = "name another one with --ledger"
_RESTORE: Final = "restore it from a backup, or name another one with --ledger"


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _looked_at(path: Path, kind: Kind) -> LedgerState:
    if path.is_dir():
        raise LedgerDamaged(f"{path} is a folder, not a ledger", hint="name a file with --ledger")
    if path.stat().st_size == 0:
        raise LedgerDamaged(f"{path} is empty: no ledger", hint="if it never was one, remove it")
    # Before what is inside: a run that goes on meanwhile raises that first, and must not look like an older copy.
    outside = read_mark(path)
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN")  # one moment of it, whoever writes meanwhile
        check_schema(connection, path)
        _check_rows(connection, path)
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        _check_kind(path, meta, kind)
        _check_mark(path, outside, Mark.of(meta), kind)
        older = is_older(connection)
        called, uncalled = (None, None) if older else _calls(connection)
    if not os.access(path, os.W_OK):
        raise LedgerError(f"the ledger {path} may not be written by this user", hint=f"ls -l {path}")
    return LedgerState(
        str(path),
        there=True,
        older=older,
        kept=_kept(path),
        held=_is_held(path),
        called=called,
        uncalled=uncalled,
    )


def _connect(path: Path) -> sqlite3.Connection:
    # As the reading commands do: a folder that cannot be written has no room for the shared-memory file.
    mode = "mode=ro" if os.access(path.parent, os.W_OK) else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _check_rows(connection: sqlite3.Connection, path: Path) -> None:
    """Everything of a small ledger; of a large one the rows on which a submission or a bill may depend."""
    small = path.stat().st_size <= _CHECKED_BYTES
    found = [str(one) for one in islice(findings(connection) if small else live_rows(connection), 3)]
    if found:
        raise LedgerDamaged(
            f"{path} is damaged, or was edited by other means: {'; '.join(found)[:300]}",
            hint="seedbatch ledger check tells everything that is wrong with it",
        )


def _check_kind(path: Path, meta: Mapping[str, str], kind: Kind) -> None:
    if meta["kind"] != kind:
        way = "add --sandbox" if meta["kind"] == "sandbox" else "leave --sandbox out"
        raise LedgerError(f"{path} is a ledger of the {meta['kind']} provider", hint=f"{way}, or name another one")


def _check_mark(path: Path, outside: Mark | None, inside: Mark, kind: Kind) -> None:
    rebuild = f"seedbatch ledger rebuild{' --sandbox' if kind == 'sandbox' else ''}"
    if outside is None:
        return
    if outside.ledger != inside.ledger:
        raise LedgerError(
            f"another ledger stood at {path} before, says {mark_path(path).name}: this one does not know what that one"
            " paid for",
            hint=f"put that one back, or {rebuild} to go on with this one",
        )
    if outside.generation > inside.generation:
        behind = outside.generation - inside.generation
        raise LedgerError(
            f"{path} is an older copy: it does not know the latest {behind:,} submissions",
            hint=f"put the latest ledger back, or {rebuild}",
        )


def _calls(connection: sqlite3.Connection) -> tuple[int, int]:
    ((called, uncalled),) = connection.execute(
        "SELECT count(*) FILTER (WHERE called_at IS NOT NULL), count(*) FILTER (WHERE called_at IS NULL)"
        " FROM attempts WHERE token IS NOT NULL AND outcome IN ('failed', 'succeeded')"
    )
    return int(called), int(uncalled)


def _kept(path: Path) -> int:
    """How many slots of the emergency record are not blank: each ends with a line break."""
    try:
        return sum(1 for slot in emergency_path(path).read_bytes().split(b"\n") if slot.strip())
    except FileNotFoundError:
        return 0


def _is_held(path: Path) -> bool:
    """Whether somebody holds the write lock all the time: a stopped process does."""
    try:
        handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    end = time.monotonic() + _PATIENCE
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    return True
                time.sleep(_PAUSE)
            else:
                return False
    finally:
        os.close(handle)
