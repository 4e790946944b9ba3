"""Rebuilding: a ledger that is lost, or an older copy, learns from the sidecars beside the files what was paid for.

Reading first, then one transaction: whoever kills it and runs it again ends at the same place. Files are only read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sqlite3
import stat
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.answers import StoredFile
from seedbatch.domain.errors import LedgerDamaged, LedgerError, LedgerLocked, UsageError
from seedbatch.domain.fingerprint import fingerprint
from seedbatch.domain.moments import moment, stamp
from seedbatch.domain.states import JobState
from seedbatch.ledger import words
from seedbatch.ledger.artifacts import keep, lies_at
from seedbatch.ledger.attempts import accepted, doubt, ended_elsewhere, offered_somewhere
from seedbatch.ledger.emergency import EmergencyRecord, Slot, emergency_path, recover
from seedbatch.ledger.locks import WriteLock, is_dead
from seedbatch.ledger.mark import Mark, MarkFile, mark_path, read_mark
from seedbatch.ledger.opening import Kind, connect_sealing, create, upgrade
from seedbatch.ledger.rows import move, note, to_json

_BY: Final = "seedbatch ledger rebuild"
_LARGEST: Final = 64 * 1024 * 1024  # bytes of a sidecar
_MOVE_AWAY: Final = "move it away and run this again: a new one is made of what the files tell"


@dataclass(frozen=True, slots=True)
class Clip:
    """A sidecar of ours. `path` is where its file is or should be, below the output folder.

    `whole`: the file is there, with its size and its hash. `mark` is that of the ledger it was written from, at that
    moment, and `kind` its kind.
    """

    path: str
    whole: bool
    mark: Mark
    kind: str
    batch: str
    address: str
    base: str
    take: int
    revision: int
    model: str
    input: Mapping[str, Any]
    fingerprint: str
    attempt: int
    task_id: str
    position: int
    outputs: int
    accepted_at: datetime
    finished_at: datetime
    manifest: Mapping[str, Any]
    bytes: int
    sha256: str
    content_type: str

    @property
    def name(self) -> tuple[str, str, int, datetime]:
        """Whose clip it is, and since when: the order in which revisions came."""
        return self.batch, self.base, self.take, self.accepted_at


@dataclass(frozen=True, slots=True)
class Task:
    """What the sidecars tell of one task, by position."""

    clips: tuple[Clip, ...]

    @property
    def facts(self) -> Clip:
        """What all of them say of the task."""
        return self.clips[0]

    @property
    def complete(self) -> bool:
        """Whether every output is on disk."""
        whole = {clip.position for clip in self.clips if clip.whole}
        return whole == set(range(1, self.facts.outputs + 1))


@dataclass(frozen=True, slots=True)
class Found:
    """All that lies in an output folder; `unclear` are sidecars that tell too little."""

    clips: tuple[Clip, ...]
    unclear: tuple[str, ...]

    @property
    def tasks(self) -> list[Task]:
        """The clips by task, and of several sidecars of one output the one whose file is there."""
        best: defaultdict[str, dict[int, Clip]] = defaultdict(dict)
        for clip in self.clips:
            held = best[clip.task_id].get(clip.position)
            if held is None or (clip.whole, -len(clip.path)) > (held.whole, -len(held.path)):
                best[clip.task_id][clip.position] = clip
        tasks = (Task(tuple(clip for _, clip in sorted(clips.items()))) for clips in best.values())
        return sorted(tasks, key=lambda task: task.facts.name)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuilding found and did, counted in tasks.

    `made`: there was no ledger. `known` were in it already; `completed` are now, `asked_again` are running now,
    because a file is missing or was changed (`damaged`); `left` are files of jobs that hold another task's.
    `recovered` came from the emergency record, `kept` is what stays there. `missing` counts the submissions that the
    lost ledger made and nothing tells of: they may be running, paid for, or never have been accepted.
    """

    ledger: Path
    folder: Path
    made: bool
    known: int
    completed: int
    asked_again: int
    left: tuple[str, ...]
    damaged: tuple[str, ...]
    unclear: tuple[str, ...]
    recovered: int
    kept: tuple[str, ...]
    generation: int
    missing: int


class _Fate(StrEnum):
    KNOWN = "known"
    COMPLETED = "completed"
    ASKED_AGAIN = "asked_again"
    LEFT = "left"


def rebuild(path: Path, *, kind: Kind, folder: Path, now: datetime) -> Rebuilt:
    """Record in the ledger at `path`, which is made if it is gone, what the files below `folder` tell.

    Raises:
        UsageError: there is neither a ledger nor a sidecar.
        LedgerLocked: another process uses the ledger.
        LedgerError: it cannot be written, or it is damaged.
    """
    path, folder = path.absolute(), folder.absolute()
    found = read_folder(folder, kind)
    made = not path.exists()
    if made and not found.clips:
        raise UsageError(
            f"there is no ledger at {path}, and no sidecar of its clips below {folder}",
            hint="name the folder that holds the clips with --output-dir",
        )
    with _translated(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(WriteLock(path.with_name(f"{path.name}.lock"))) as lock:
            with lock.held():
                _refuse_company(path)
                if made:
                    _set_aside(path)
                    create(path, kind, secrets.token_hex(6), now)
                upgrade(path, kind)
            with closing(EmergencyRecord(emergency_path(path))) as record:
                before = record.slots()
                recover(path, lock, record, now)
                with lock.held():
                    _refuse_company(path)
                    fates, mark, missing = _carry_over(path, found, os.path.relpath(folder, path.parent), now)
                left = recover(path, lock, record, now)  # what the files told may be what it waited for
    return _told(path, folder, found, fates, made=made, slots=(before, left), mark=mark, missing=missing)


def _told(
    path: Path,
    folder: Path,
    found: Found,
    fates: Mapping[str, _Fate],
    *,
    made: bool,
    slots: tuple[Sequence[Slot], Sequence[Slot]],
    mark: Mark,
    missing: int,
) -> Rebuilt:
    counts = Counter(fates.values())
    before, left = slots
    clips = [clip for task in found.tasks for clip in task.clips]
    return Rebuilt(
        ledger=path,
        folder=folder,
        made=made,
        known=counts[_Fate.KNOWN],
        completed=counts[_Fate.COMPLETED],
        asked_again=counts[_Fate.ASKED_AGAIN],
        left=tuple(str(folder / clip.path) for clip in clips if fates[clip.task_id] is _Fate.LEFT),
        damaged=tuple(str(folder / clip.path) for clip in clips if not clip.whole),
        unclear=found.unclear,
        recovered=len(before) - len(left),
        kept=tuple(map(str, left)),
        generation=mark.generation,
        missing=missing,
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except LedgerDamaged as error:
        raise LedgerDamaged(error.message, hint=_MOVE_AWAY) from error
    except sqlite3.IntegrityError:
        raise  # a bug
    except (sqlite3.OperationalError, OSError) as error:
        raise LedgerError(f"the ledger {path} cannot be rebuilt: {error}") from error
    except sqlite3.DatabaseError as error:
        raise LedgerDamaged(f"{path} is not a ledger, or it is damaged: {error}", hint=_MOVE_AWAY) from error


def _refuse_company(path: Path) -> None:
    owners = path.parent / "owners"
    names = [entry.name for entry in owners.iterdir()] if owners.exists() else []
    if any(not name.startswith(".") and not is_dead(owners, name) for name in names):
        raise LedgerLocked(f"another process uses a ledger in {path.parent}", hint="stop it, then run this again")


def _set_aside(path: Path) -> None:
    """A log whose ledger is gone would be taken for the new one's."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        log.rename(path.with_name(f"{log.name}.lost"))


# -- what the folder tells ----------------------------------------------------------------------------------------


def read_folder(folder: Path, kind: str) -> Found:
    """Every sidecar below a folder that a ledger of this kind wrote; no link is followed."""
    clips: list[Clip] = []
    unclear: list[str] = []
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if not name.endswith(".json"):
                continue
            members = _json(Path(place, name))
            if not {"task_id", "fingerprint", "sha256"} <= members.keys():
                continue
            clip = _clip(folder, Path(place), name.removesuffix(".json"), members)
            if clip is None:
                unclear.append(str(Path(place, name)))
            elif clip.kind == kind:
                clips.append(clip)
    return Found(tuple(clips), tuple(unclear))


def _json(path: Path) -> Mapping[str, Any]:
    try:
        with _regular(path) as file:
            members = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


@contextmanager
def _regular(path: Path) -> Iterator[Any]:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("no regular file")
        yield file


def _clip(folder: Path, place: Path, stem: str, members: Mapping[str, Any]) -> Clip | None:
    """None if a member is missing, or is not what seedbatch writes."""
    try:
        issuer, manifest = members["ledger"], members["manifest"]
        name = str(members["file"])
        numbers: dict[str, Any] = {
            key: int(members[key]) for key in ("take", "revision", "attempt", "position", "outputs", "bytes")
        }
        texts: dict[str, Any] = {
            key: str(members[key]) for key in ("batch", "base", "model", "task_id", "sha256", "content_type")
        }
        if min(numbers.values()) < 1 or not all(texts.values()) or "/" in name or len(texts["sha256"]) != 64:  # noqa: PLR2004
            return None
        if fingerprint(texts["model"], members["input"]) != members["fingerprint"]:
            return None
        # A person may have renamed both files.
        names = dict.fromkeys((name, f"{stem}.{name.rpartition('.')[2]}"))
        whole = [one for one in names if _is_whole(place / one, numbers["bytes"], texts["sha256"])]
        return Clip(
            **numbers,
            **texts,
            path=(place / (whole or [name])[0]).relative_to(folder).as_posix(),
            whole=bool(whole),
            mark=Mark(str(issuer["id"]), int(issuer["generation"]), int(issuer["since"])),
            kind=str(issuer["kind"]),
            address=str(members["key"]),
            input=members["input"],
            fingerprint=members["fingerprint"],
            accepted_at=moment(members["accepted_at"]),
            finished_at=moment(members["finished_at"]),
            manifest={key: manifest.get(key) or "" for key in ("path", "digest", "commit", "dirty", "file", "line")},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _is_whole(path: Path, size: int, sha256: str) -> bool:
    try:
        with _regular(path) as file:
            return os.fstat(file.fileno()).st_size == size and hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


# -- what the ledger learns ---------------------------------------------------------------------------------------


def _carry_over(path: Path, found: Found, folder: str, now: datetime) -> tuple[dict[str, _Fate], Mark, int]:
    """One transaction for all of it, and after its commit the mark outside."""
    outside = read_mark(path)
    tasks = found.tasks
    fates: dict[str, _Fate] = {}
    with closing(connect_sealing(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        before = _attempts(connection)
        lying = {(clip.task_id, clip.position, clip.path) for clip in found.clips if clip.whole}
        # Of several copies of a file that is not where it was, the one with the shortest path.
        for clip in sorted(found.clips, key=lambda clip: (len(clip.path), clip.path)):
            _follow(connection, clip, _of_this_job(connection, clip), lying, folder, now)
        for clip in [clip for task in tasks for clip in task.clips]:
            _follow(connection, clip, _of_this_task(connection, clip), lying, folder, now)
        for task in tasks:
            fates[task.facts.task_id] = _record(connection, task, folder, now)
        mark, missing = _begin_anew(connection, found.clips, outside, _attempts(connection) - before)
        connection.execute("COMMIT")
    file = MarkFile(mark_path(path))
    file.exchange(mark)
    file.close()
    return fates, mark, missing


def _begin_anew(
    connection: sqlite3.Connection, clips: Iterable[Clip], outside: Mark | None, new: int
) -> tuple[Mark, int]:
    """A ledger that learns of submissions it did not know goes on under a new id, one generation after the lost one.

    What it sends as references was sent by the lost one for other jobs, and a second copy of the old one is known by
    its id. `new` are the attempts that were found. Returns the mark, and how many submissions nothing tells of.
    """
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    mark = Mark.of(meta)
    marks = [mark, *(clip.mark for clip in clips), *([] if outside is None else [outside])]
    accounted: Counter[str] = Counter(json.loads(meta.get("forebears", "{}")))
    accounted[mark.ledger] = mark.generation - mark.since
    told: Counter[str] = Counter()
    for one in marks:
        told[one.ledger] = max(told[one.ledger], one.generation - one.since)
    behind = (told - accounted).total()  # only what is positive
    missing = max(0, int(meta.get("missing", 0)) + behind - new)
    if behind:
        generation = max(one.generation for one in marks) + 1
        mark = Mark(secrets.token_hex(6), generation, generation)
    facts = {
        "ledger_id": mark.ledger,
        "generation": str(mark.generation),
        "since": str(mark.since),
        "forebears": to_json(told | accounted),
        "missing": str(missing),
    }
    if behind or missing != int(meta.get("missing", 0)):
        connection.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            facts.items(),
        )
    return mark, missing


def _attempts(connection: sqlite3.Connection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM attempts")
    return int(count)


_ASIDE: Final = re.compile(r"\.rev\d+(\.try\d+)?$")  # what gave way to another file
_ARTIFACT: Final = (
    "SELECT f.id, f.job_id, f.folder, f.path,"
    " f.attempt_id = (SELECT max(attempt_id) FROM artifacts WHERE job_id = j.id)"
    " FROM artifacts f JOIN attempts a ON a.id = f.attempt_id JOIN jobs j ON j.id = f.job_id"
    " JOIN batches b ON b.id = j.batch_id WHERE a.task_id = ? AND f.position = ?"
)


def _of_this_job(connection: sqlite3.Connection, clip: Clip) -> tuple[Any, ...] | None:
    """The row of a file of the job that its sidecar names: several may share a task."""
    row: tuple[Any, ...] | None = connection.execute(
        f"{_ARTIFACT} AND b.name = ? AND j.base = ? AND j.take = ?",
        (clip.task_id, clip.position, clip.batch, clip.base, clip.take),
    ).fetchone()
    return row


def _of_this_task(connection: sqlite3.Connection, clip: Clip) -> tuple[Any, ...] | None:
    """The row of a file whose job had another name, if there is but one of its task."""
    rows = connection.execute(_ARTIFACT, (clip.task_id, clip.position)).fetchall()
    return rows[0] if len(rows) == 1 else None


def _follow(
    connection: sqlite3.Connection,
    clip: Clip,
    row: tuple[Any, ...] | None,
    lying: Container[tuple[str, int, str]],
    folder: str,
    now: datetime,
) -> None:
    """A file that was moved since the copy was made, before others claim its path."""
    if row is None or not clip.whole or row[2:4] == (folder, clip.path):
        return
    if row[2] == folder and (clip.task_id, clip.position, row[3]) in lying:
        return  # it stays
    _make_way(connection, folder, clip.path, now)
    _rename(connection, row[:4], folder, clip.path, now)
    if row[4] and not _ASIDE.search(clip.path.rpartition(".")[0]):
        lies_at(connection, row[1], clip.position, clip.path)


def _make_way(connection: sqlite3.Connection, folder: str, path: str, now: datetime) -> None:
    """An artifact that no file stands for any more gives its path to the one that lies there."""
    row = connection.execute(
        "SELECT f.id, f.job_id, f.folder, f.path, j.revision FROM artifacts f JOIN jobs j ON j.id = f.job_id"
        " WHERE f.folder = ? AND f.path = ?",
        (folder, path),
    ).fetchone()
    if row is None:
        return
    stem, dot, extension = path.rpartition(".")
    aside = f"{stem}.rev{row[4]}{dot}{extension}"
    while connection.execute("SELECT 1 FROM artifacts WHERE folder = ? AND path = ?", (folder, aside)).fetchone():
        aside = f"{aside.removesuffix(f'.{extension}')}.gone{dot}{extension}"
    _rename(connection, row[:4], folder, aside, now)


def _rename(connection: sqlite3.Connection, row: tuple[Any, ...], folder: str, path: str, now: datetime) -> None:
    artifact_id, job_id, _, before = row
    connection.execute("UPDATE artifacts SET folder = ?, path = ? WHERE id = ?", (folder, path, artifact_id))
    note(connection, now, "moved", job_id, data={"from": before, "to": path, "by": _BY})


def _record(connection: sqlite3.Connection, task: Task, folder: str, now: datetime) -> _Fate:
    facts = task.facts
    row = connection.execute(
        "SELECT a.id, a.job_id, a.outcome, j.state FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE a.task_id = ?",
        (facts.task_id,),
    ).fetchone()
    if row is None:
        job_id = _job(connection, facts, now)
        attempt_id = _attempt(connection, job_id, facts, now)
        if attempt_id is None:
            return _Fate.LEFT
        if not task.complete:
            return _Fate.ASKED_AGAIN
    else:
        attempt_id, job_id, outcome, state = row
        unfinished = outcome is None or (outcome == "succeeded" and state == JobState.SUCCEEDED)
        if not unfinished or not task.complete:
            return _Fate.KNOWN
        note(connection, now, "rebuilt", job_id, attempt_id=attempt_id, data={"task_id": facts.task_id})
    _complete(connection, job_id, attempt_id, task, folder, now)
    return _Fate.COMPLETED


def _job(connection: sqlite3.Connection, clip: Clip, now: datetime) -> int:
    """The row of the job that a file was made for, made if there is none."""
    batch_id = _batch(connection, clip, now)
    name = (batch_id, clip.base, clip.take)
    row = connection.execute(
        "SELECT id FROM jobs WHERE batch_id = ? AND base = ? AND take = ? AND fingerprint = ?",
        (*name, clip.fingerprint),
    ).fetchone()
    if row is not None:
        return int(row[0])
    taken = {
        revision
        for (revision,) in connection.execute(
            "SELECT revision FROM jobs WHERE batch_id = ? AND base = ? AND take = ?", name
        )
    }
    revision = clip.revision if clip.revision not in taken else max(taken) + 1
    standing = "current" if _stands(connection, name, revision, now) else "superseded"
    output = re.sub(rf"\.rev{clip.revision}(\.try\d+)?$", "", clip.path.rpartition(".")[0])
    if clip.position > 1:
        output = output.removesuffix(f"-{clip.position}")
    ((job_id,),) = connection.execute(
        "INSERT INTO jobs (batch_id, base, take, revision, address, standing, position, state, model, input,"
        " fingerprint, output, axes, tags, file, line, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(id), 0) + 1 FROM jobs), 'pending',"
        " ?, ?, ?, ?, '{}', '[]', ?, ?, ?, ?) RETURNING id",
        (
            *(*name, revision, clip.address, standing, clip.model, to_json(clip.input), clip.fingerprint),
            *(output, clip.manifest["file"], clip.manifest["line"] or 0, stamp(now), stamp(now)),
        ),
    ).fetchall()
    data = {"revision": revision, "by": _BY}
    note(connection, now, "declared", job_id, states=(None, JobState.PENDING), data=data)
    return int(job_id)


def _batch(connection: sqlite3.Connection, clip: Clip, now: datetime) -> int:
    manifest = clip.manifest
    connection.execute(
        'INSERT INTO batches (name, manifest, digest, "commit", dirty, tries, declared_at) VALUES (?, ?, ?, ?, ?, 1, ?)'
        " ON CONFLICT (name) DO NOTHING",
        (clip.batch, manifest["path"], manifest["digest"], manifest["commit"], bool(manifest["dirty"]), stamp(now)),
    )
    ((batch_id,),) = connection.execute("SELECT id FROM batches WHERE name = ?", (clip.batch,))
    return int(batch_id)


def _stands(connection: sqlite3.Connection, name: tuple[int, str, int], revision: int, now: datetime) -> bool:
    """Whether a revision that comes to light is the wanted one: no later one is, or none that was ever sent."""
    row = connection.execute(
        "SELECT id, revision, state = 'pending' AND NOT EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id)"
        " FROM jobs WHERE batch_id = ? AND base = ? AND take = ? AND standing = 'current'",
        name,
    ).fetchone()
    if row is None:
        return True
    job_id, current, blank = row
    if not blank and current > revision:
        return False
    connection.execute("UPDATE jobs SET standing = 'superseded', updated_at = ? WHERE id = ?", (stamp(now), job_id))
    note(connection, now, "superseded", job_id, data={"by": _BY})
    return True


def _attempt(connection: sqlite3.Connection, job_id: int, clip: Clip, now: datetime) -> int | None:
    """Bring a job to where this task is running; returns the attempt. None if it has another task's files."""
    attempt_id = _reopened(connection, job_id, clip, now)
    data = {"task_id": clip.task_id, "path": clip.path}
    ((state,),) = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,))
    if state == JobState.COMPLETED:
        return None
    if attempt_id is None:
        ((attempt_id,),) = connection.execute(
            "INSERT INTO attempts (job_id, number, owner, reference, price, currency, exposure, intended_at)"
            " SELECT id, (SELECT count(*) + 1 FROM attempts WHERE job_id = jobs.id), 'rebuild', ?, price, currency,"
            " coalesce(price, 0), ? FROM jobs WHERE id = ? RETURNING id",
            (f"rebuilt-{clip.task_id}", stamp(clip.accepted_at), job_id),
        ).fetchall()
        move(connection, job_id, JobState.SUBMITTING, now, "rebuilt", attempt_id=attempt_id, data=data)
    else:
        note(connection, now, "rebuilt", job_id, attempt_id=attempt_id, data=data)
    accepted(connection, attempt_id, clip.task_id, clip.accepted_at, now)
    return int(attempt_id)


def _reopened(connection: sqlite3.Connection, job_id: int, clip: Clip, now: datetime) -> int | None:
    """Settle what an older copy believes of a job, as the lost ledger did before it submitted this task.

    Returns the open attempt that the task belongs to, if the copy holds it.
    """
    ((state,),) = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,))
    attempt_id, number = connection.execute(
        "SELECT coalesce(max(id), 0), coalesce(max(number), 0) FROM attempts WHERE job_id = ? AND outcome IS NULL",
        (job_id,),
    ).fetchone()
    match JobState(state):
        case JobState.SUBMITTING | JobState.IN_DOUBT if clip.attempt <= number:
            return int(attempt_id)
        case JobState.SUBMITTING | JobState.IN_DOUBT:
            doubt(connection, job_id, attempt_id, "a later attempt was made", data={"by": _BY}, now=now)
            words.resubmitted(connection, job_id, _BY, now)
        case JobState.RUNNING | JobState.SUCCEEDED:
            words.abandoned(connection, job_id, _BY, now)
            words.retried(connection, job_id, _BY, now)
        case JobState.FAILED | JobState.EXPIRED | JobState.ABANDONED:
            words.retried(connection, job_id, _BY, now)
        case JobState.PENDING | JobState.COMPLETED:
            pass
    return None


def _complete(
    connection: sqlite3.Connection, job_id: int, attempt_id: int, task: Task, folder: str, now: datetime
) -> None:
    facts = task.facts
    ((state,),) = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,))
    if state == JobState.RUNNING:
        kind = "image" if facts.content_type.startswith("image/") else "video"
        ended_elsewhere(connection, job_id, attempt_id, kind, facts.finished_at, facts.outputs, now, by=_BY)
    for clip in task.clips:
        offered_somewhere(connection, attempt_id, clip.position)
        row = connection.execute(
            "SELECT 1 FROM artifacts WHERE attempt_id = ? AND position = ?", (attempt_id, clip.position)
        ).fetchone()
        if row is None:
            _store(connection, job_id, attempt_id, clip, folder, now)
    move(connection, job_id, JobState.COMPLETED, now, "completed", attempt_id=attempt_id, data={"by": _BY})


def _store(
    connection: sqlite3.Connection, job_id: int, attempt_id: int, clip: Clip, folder: str, now: datetime
) -> None:
    _make_way(connection, folder, clip.path, now)
    file = StoredFile(clip.path, clip.bytes, clip.sha256, clip.content_type)
    keep(connection, job_id, attempt_id, clip.position, folder, file, now)
    data = {"position": clip.position, "path": clip.path, "bytes": clip.bytes, "sha256": clip.sha256, "by": _BY}
    note(connection, now, "stored", job_id, attempt_id=attempt_id, data=data)
