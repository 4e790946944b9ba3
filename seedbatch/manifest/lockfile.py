"""`seedbatch.lock`: what a team paid for, beside the manifest and kept in git. `docs/lock.md` describes it.

One task a line, in a fixed order, so that two branches that add lines merge by keeping those of both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.errors import UsageError
from seedbatch.domain.locked import Locked, LockedFile
from seedbatch.domain.moments import moment, stamp

_HEAD: Final = "# seedbatch.lock 1: what was paid for, one task a line; made by seedbatch lock, kept in git."
_VERSION: Final = re.compile(r"# seedbatch\.lock (\d+)\b")
_MARKERS: Final = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_KINDS: Final = ("video/", "image/")


def lock_name(*, sandbox: bool) -> str:
    """What the file is called: tasks of the sandbox are nobody's money."""
    return "seedbatch.sandbox.lock" if sandbox else "seedbatch.lock"


def read_lock(path: Path) -> list[Locked]:
    """The tasks of a lock file, in its order.

    Raises:
        UsageError: it cannot be read, a merge was left in it, or a line is none of ours; the message tells the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="see to that, or say --no-reuse") from error
    tasks: list[Locked] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.startswith(_MARKERS):
            hint = "keep the lines of both sides, and remove those with <<<<<<<, ======= and >>>>>>>"
            raise UsageError(f"{path}:{number}: a merge was left unfinished here", hint=hint)
        if match := _VERSION.match(text):
            if match[1] != "1":
                raise UsageError(f"{path}:{number}: a newer seedbatch wrote it", hint="pip install --upgrade seedbatch")
        elif text and not text.startswith("#"):
            tasks.append(_task(text, f"{path}:{number}"))
    return tasks


def lock_text(tasks: Iterable[Locked]) -> str:
    """The file that holds these tasks."""
    lines = (_line(task) for task in sorted(set(tasks)))
    return "\n".join((_HEAD, *lines, ""))


def _line(task: Locked) -> str:
    members = {
        "fingerprint": task.fingerprint,
        "take": task.take,
        "task_id": task.task_id,
        "accepted_at": stamp(task.accepted_at),
        "ended_at": stamp(task.ended_at),
        "files": [
            {"sha256": file.sha256, "bytes": file.bytes, "content_type": file.content_type} for file in task.files
        ],
    }
    return json.dumps(members, separators=(",", ":"))


def _task(text: str, place: str) -> Locked:
    try:
        members: dict[str, Any] = json.loads(text)
        task = Locked(
            _digest(members["fingerprint"]),
            _count(members["take"]),
            str(members["task_id"]),
            moment(members["accepted_at"]),
            moment(members["ended_at"]),
            tuple(
                LockedFile(_digest(file["sha256"]), _count(file["bytes"]), _kind(file["content_type"]))
                for file in members["files"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        task = None
    if task is None or not task.files or not task.task_id:
        raise UsageError(f"{place}: that is no line of a lock file", hint="take it from git again: git checkout FILE")
    return task


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError
    return value


def _kind(value: object) -> str:
    if not isinstance(value, str) or not value.startswith(_KINDS):
        raise ValueError
    return value
