"""What a lock file tells: requests that somebody of the team paid for, and the files that their tasks gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from seedbatch.domain.jobs import Wish
from seedbatch.domain.work import SharedFile


@dataclass(frozen=True, slots=True, order=True)
class LockedFile:
    """A file by its content: SHA-256 in hex, size in bytes."""

    sha256: str
    bytes: int
    content_type: str


@dataclass(frozen=True, slots=True, order=True)
class Locked:
    """A task that was paid for, by the request that it was for; `files` in the order in which it offered them."""

    fingerprint: str
    take: int
    task_id: str
    accepted_at: datetime
    ended_at: datetime
    files: tuple[LockedFile, ...]

    @property
    def wish(self) -> Wish:
        """What jobs have in common that could share it."""
        return self.fingerprint, self.take


@dataclass(frozen=True, slots=True)
class Found:
    """A locked task and where its files lie on this machine; none if any of them is missing."""

    task: Locked
    files: tuple[SharedFile, ...]


@dataclass(frozen=True, slots=True)
class Locks:
    """The lock files beside some manifests, called `name`; `where` finds the path of a file by its content, or None."""

    name: str
    tasks: Mapping[Wish, tuple[Locked, ...]]
    where: Callable[[LockedFile], str | None]

    def find(self, wish: Wish) -> Found | None:
        """The task for a request, one whose files are here before others; None if nobody paid for it."""
        tasks = self.tasks.get(wish, ())
        found = (Found(task, self._files(task)) for task in tasks)
        return next((one for one in found if one.files), Found(tasks[0], ()) if tasks else None)

    def all(self, *, looking: bool) -> tuple[Found, ...]:
        """The task of every request; unless `looking`, nobody looks where its files are."""
        return tuple(
            (self.find(wish) if looking else None) or Found(tasks[0], ()) for wish, tasks in self.tasks.items()
        )

    def _files(self, task: Locked) -> tuple[SharedFile, ...]:
        paths = [(file, self.where(file)) for file in task.files]
        return tuple(
            SharedFile(position, path, file.bytes, file.sha256, file.content_type)
            for position, (file, path) in enumerate(paths, start=1)
            if path is not None and all(other for _, other in paths)
        )
