"""A folder with manifests, and the processes that apply them, one after the other."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from crash.points import Case, Scene
from forge import Forge
from proof.checker import BilledTask, read_bill

_HOUR: Final = 3600.0
_HEADER: Final = """\
version: 1
batch: {batch}
defaults:
  model: seedance-2.0-fast
  input: {{resolution: 480p, ratio: 16:9, duration: 5}}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: its exit code and all it said."""

    code: int
    words: str


@dataclass
class Project:
    """Where it all happens. Each run comes an hour or more after the one before: no back-off reaches that far."""

    folder: Path
    forge: Forge
    runs: int = 0
    ahead: float = 0.0
    manifests: list[str] = field(default_factory=list)
    locked: frozenset[str] = frozenset()

    @property
    def ledger(self) -> Path:
        return self.folder / ".seedbatch/sandbox.db"

    @property
    def emergency(self) -> Path:
        """Where task ids are kept that the ledger could not take."""
        return self.folder / ".seedbatch/sandbox.db.emergency"

    @property
    def provider(self) -> Path:
        return self.folder / ".seedbatch/sandbox-provider.db"

    @property
    def clips(self) -> Path:
        return self.folder / ".seedbatch/sandbox-provider.db-clips"

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs/sandbox"

    @property
    def theirs(self) -> Path:
        """Where the clips of others lie."""
        return self.folder / "theirs"

    @property
    def logs(self) -> list[str]:
        """What was kept of bugs."""
        return [path.read_text() for path in (self.folder / "tmp").glob("seedbatch-*.log")]

    @property
    def marker(self) -> Path:
        return self.folder / "reached"

    def write(self, scene: Scene, prompts: tuple[str, ...], output: str = "") -> None:
        self.manifests = []
        for number in range(scene.batches):
            name = "test" if scene.batches == 1 else f"test{number}"
            jobs = "".join(f'  - {{key: j{place}, prompt: "{text}"}}\n' for place, text in enumerate(prompts))
            path = self.folder / f"{name}.yaml"
            place = f'output: "{output}"\n' if output else ""
            path.write_text(f"{_HEADER.format(batch=name)}{scene.extra}{place}jobs:\n{jobs}")
            self.manifests.append(path.name)
        (self.folder / "faults.yaml").write_text(json.dumps({"rules": scene.rules}))
        (self.folder / "tmp").mkdir(exist_ok=True)

    def apply(
        self,
        *options: str,
        faults: bool = False,
        patient: bool = False,
        world: dict[str, Any] | None = None,
        blow: Case | None = None,
        turn: int = 1,
        days_later: float = 0,
    ) -> Ended:
        """One run of `apply`; with a `blow` it is broken when it passes that point for the `turn`th time."""
        self.ahead += _HOUR + days_later * 24 * _HOUR
        return self._run(
            ["apply", *self.manifests, "--sandbox", "--yes", "--sandbox-speed=200", *options],
            self._environment(faults=faults, patient=patient),
            world=world or {},
            blow=blow and {"point": blow.point.name, "way": blow.way, "turn": turn, "marker": str(self.marker)},
        )

    def _run(self, arguments: list[str], environment: dict[str, str], **order: Any) -> Ended:
        words = self.folder / f"words-{self.runs}"
        order = {
            "module": "crash.victim",
            "folder": str(self.folder),
            "words": str(words),
            "arguments": arguments,
            "environment": environment,
            "ahead": self.ahead,
            **order,
        }
        self.runs += 1
        return Ended(self.forge.run(order), words.read_text())

    def _environment(self, *, faults: bool, patient: bool) -> dict[str, str]:
        pause = "2" if patient else "0.02"
        plan = {"SEEDBATCH_SANDBOX_FAULTS": str(self.folder / "faults.yaml")} if faults else {}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "TERM": "dumb",
            "SEEDBATCH_RECONCILE_FIRST": pause,
            "SEEDBATCH_RECONCILE_EVERY": pause,
            "SEEDBATCH_DOUBT_WAIT": "2",
            **({"SEEDBATCH_SHARED": str(self.theirs)} if self.locked else {}),
            **plan,
        }

    def move_the_sandbox(self) -> None:
        """Let it forget its port: at the next start its links are others."""
        with closing(sqlite3.connect(self.provider)) as connection, connection:
            connection.execute("DELETE FROM facts WHERE name = 'port'")

    def leave_to_others(self) -> None:
        """Keep the lock file, the clips in another folder, and the provider: the ledger is of others, and elsewhere."""
        locking = self._run(["lock", *self.manifests, "--sandbox"], self._environment(faults=False, patient=False))
        assert locking.code == 0, locking
        lines = (self.folder / "seedbatch.sandbox.lock").read_text().splitlines()[1:]
        self.locked = frozenset(json.loads(line)["task_id"] for line in lines)
        self.outputs.rename(self.theirs)
        for path in self.folder.glob(".seedbatch/sandbox.db*"):
            path.unlink()

    def bill(self) -> list[BilledTask]:
        """What the provider charged for; what others paid for stands under the reference that the ledger gives it."""
        return [
            replace(task, reference=f"locked-{task.task_id}") if task.task_id in self.locked else task
            for task in read_bill(self.provider)
        ]

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.ledger)) as connection:
            return connection.execute(sql).fetchall()

    def states(self) -> list[str]:
        return sorted(state for (state,) in self.ask("SELECT state FROM jobs"))
