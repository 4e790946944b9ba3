"""A copy of a ledger that is in use: whole, checked and synced before it has its name."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from seedbatch.domain.errors import LedgerDamaged, LedgerError, UsageError
from seedbatch.ledger.schema import check_schema


def backup(ledger: Path, target: Path) -> int:
    """Copy the ledger to `target`, a new file of mode 0600; nobody who writes is kept waiting. Returns its bytes.

    Raises:
        UsageError: `target` is there already, or its folder is not.
        LedgerDamaged: what is there is no ledger, or the copy of it is not sound.
        LedgerError: there is none, it cannot be read, or the copy cannot be written.
    """
    ledger, target = ledger.absolute(), target.absolute()
    if not ledger.exists():
        raise LedgerError(f"there is no ledger at {ledger}", hint="name it with --ledger")
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already, and is left as it is", hint="name another file")
    # Under another name until it is done: no half copy is ever taken for a backup.
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise UsageError(f"no file can be made in {target.parent}: {error.strerror or error}") from error
    try:
        _copy(ledger, part)
        return _name(part, target)
    except sqlite3.OperationalError as error:
        raise LedgerError(f"the ledger {ledger} cannot be copied: {error}", hint="is there room for it?") from error
    except sqlite3.DatabaseError as error:
        raise LedgerDamaged(f"{ledger} is not a ledger, or it is damaged: {error}") from error
    except FileExistsError:
        raise UsageError(f"{target} is there already, and is left as it is", hint="name another file") from None
    except OSError as error:
        raise LedgerError(f"the copy {target} cannot be written: {error.strerror or error}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                part.with_name(f"{part.name}{suffix}").unlink()


def _copy(ledger: Path, part: Path) -> None:
    source = sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True, isolation_level=None)
    copy = sqlite3.connect(part, isolation_level=None)
    with closing(source), closing(copy):
        check_schema(source, ledger)
        source.backup(copy)  # in one step: a commit in between would make it begin again
        findings = [text for (text,) in copy.execute("PRAGMA integrity_check(3)")]
    if findings != ["ok"]:
        raise LedgerDamaged(
            f"the copy of {ledger} is not sound, and is not kept: {'; '.join(findings)[:300]}",
            hint="seedbatch ledger check tells what is wrong with the ledger",
        )


def _name(part: Path, target: Path) -> int:
    handle = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(handle)
        size = os.fstat(handle).st_size
    finally:
        os.close(handle)
    os.link(part, target)
    folder = os.open(target.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return size
