"""What others of a team paid for: a lock file that grows, and clips that lie here, or do not yet."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from proof.checker import BilledTask
from proof.worlds import NOON

from seedbatch.domain.jobs import JobSpec, Wish
from seedbatch.domain.locked import Locked, LockedFile, Locks

_TEAMS: Final = 0.2  # of all histories


@dataclass(slots=True)
class Team:
    """Draws from dice of its own: what it does changes nothing of a history without one."""

    dice: random.Random
    folder: Path
    works: bool
    tasks: dict[Wish, tuple[Locked, ...]] = field(default_factory=dict)
    here: dict[LockedFile, Path] = field(default_factory=dict)
    _away: list[tuple[LockedFile, bytes]] = field(default_factory=list)

    @classmethod
    def drawn(cls, seed: int, folder: Path) -> Team:
        """A team for one history, or nobody."""
        dice = random.Random(f"team {seed}")
        return cls(dice, folder / "theirs", dice.random() < _TEAMS)

    def go_on(self, jobs: Iterable[JobSpec]) -> None:
        """Somebody pays for some of these requests, and some clips arrive."""
        if not self.works:
            return
        for job in jobs:
            if self.dice.random() < 0.3:
                self._pay((job.request.fingerprint, job.take))
        for one in list(self._away):
            if self.dice.random() < 0.5:
                self._away.remove(one)
                self._bring(*one)

    def _pay(self, wish: Wish) -> None:
        task_id = f"theirs-{self.dice.getrandbits(64):016x}"
        begun = NOON - timedelta(hours=self.dice.uniform(1, 50))
        files = []
        for position in range(1, self.dice.choice([1, 1, 2]) + 1):
            content = hashlib.sha512(f"{task_id}/{position}".encode()).digest()
            file = LockedFile(hashlib.sha256(content).hexdigest(), len(content), "video/mp4")
            files.append(file)
            self._away.append((file, content))
        task = Locked(*wish, task_id, begun, begun + timedelta(minutes=20), tuple(files))
        self.tasks[wish] = (*self.tasks.get(wish, ()), task)

    def _bring(self, file: LockedFile, content: bytes) -> None:
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"{file.sha256[:16]}.mp4"
        path.write_bytes(content)
        self.here[file] = path

    def locks(self) -> Locks | None:
        """What a process reads when it begins."""
        if not self.tasks:
            return None
        return Locks(
            "seedbatch.lock", dict(self.tasks), lambda file: str(self.here[file]) if file in self.here else None
        )

    def bill(self, known: Iterable[str]) -> list[BilledTask]:
        """What others were charged for, of tasks that the ledger knows: under the references that it gives them."""
        known = set(known)
        ids = [task.task_id for tasks in self.tasks.values() for task in tasks]
        return [BilledTask(task_id, f"locked-{task_id}", "success") for task_id in ids if task_id in known]
