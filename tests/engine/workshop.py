"""Everything a run works with, opened over real parts: the ledger, the store, the provider, and the sandbox."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from samples import batch, spec

from seedbatch.artifacts.store import ArtifactStore
from seedbatch.domain.jobs import BatchSpec, Limits
from seedbatch.domain.secret import Secret
from seedbatch.domain.states import LIVE, TRANSITIONS, JobState
from seedbatch.domain.tokens import TokenKey, minting
from seedbatch.engine.cadence import Cadence
from seedbatch.engine.happenings import Happening, Kind
from seedbatch.engine.reception import Reception
from seedbatch.engine.run import Errand, Outcome, Run
from seedbatch.ledger.sqlite import SqliteLedger
from seedbatch.provider.http import MaxApi
from seedbatch.sandbox import FaultPlan, Sandbox
from seedbatch.sandbox.book import read_bill, read_tasks
from seedbatch.sandbox.tasks import TaskRow
from seedbatch.web.receiver import Receiver

KEY = "k-123456"
QUICK = Cadence(first=0.02, shortest=0.02, longest=0.1, probe=0.02)
WIDE = Limits(submitting=4, in_flight=100, submits_per_minute=None)
# What was encoded for one sandbox, for those after it: it takes longer than most tests. Each shape by its file's name.
SHAPES: dict[str, bytes] = {}
WAITS = frozenset({Kind.NOT_SENT, Kind.THROTTLED, Kind.NOT_FETCHED, Kind.UNANSWERED, Kind.PROBED})


class LeapingClock:
    """The wall clock, with leaps ahead: nobody waits for what a back-off names."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def leap(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)

    def seconds(self) -> float:
        return self.now().timestamp()


@dataclass
class Process:
    """What one process holds: a ledger, a provider, a store; and what its runs told."""

    ledger: SqliteLedger
    provider: MaxApi
    store: ArtifactStore
    clock: LeapingClock
    stack: AsyncExitStack
    told: list[Happening] = field(default_factory=list)
    leaps: bool = True
    leap_of_a_download: float = 5  # the first back-offs, not the minute by which one is put off when it is left
    public_url: str = ""
    reception: Reception | None = None
    latest: Run | None = None

    def tell(self, happening: Happening) -> None:
        self.told.append(happening)
        if self.leaps and happening.kind in WAITS:
            # Else longer than any back-off and any Retry-After.
            self.clock.leap(self.leap_of_a_download if happening.kind is Kind.NOT_FETCHED else 700)

    async def listen(self, key: str = KEY) -> str:
        """Receive callbacks from now on; gives the public URL, which runs of this process submit with."""
        self.reception = Reception(self.ledger, TokenKey(Secret(key)), self.clock, self._stir)
        receiver = Receiver(self.reception)
        host, port = await receiver.start("127.0.0.1", 0)
        self.stack.push_async_callback(receiver.stop)
        self.public_url = f"http://{host}:{port}"
        return self.public_url

    def _stir(self) -> None:
        if self.latest is not None:
            self.latest.called()

    def run(self, *, tell: Callable[[Happening], None] | None = None, limits: Limits = WIDE, **errand: Any) -> Run:
        errand.setdefault("scope", None)
        errand.setdefault("cadence", QUICK)
        if self.public_url:
            errand.setdefault("mint", minting(self.public_url, TokenKey(Secret(KEY)), secrets.token_bytes))
        wanted = Errand(limits=limits, **errand)
        parts = (self.ledger, self.provider, self.store, self.clock)
        self.latest = Run(*parts, wanted, tell or self.tell, self.reception)
        return self.latest

    async def apply(self, **errand: Any) -> Outcome:
        return await self.run(**errand).go()

    def count(self, kind: Kind) -> int:
        return sum(one.kind is kind for one in self.told)

    async def aclose(self) -> None:
        await self.stack.aclose()


@dataclass
class Workshop:
    """A folder with a ledger, an output folder and a sandbox's file."""

    folder: Path
    clock: LeapingClock
    stack: AsyncExitStack
    address: str = ""

    @property
    def ledger_file(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def clips(self) -> Path:
        return self.folder / "provider.db-clips"

    async def start_sandbox(
        self, *rules: dict[str, Any], speed: float = 100, key: str | None = None, internal: bool = True, **plan: Any
    ) -> str:
        faults = FaultPlan.from_data({"rules": list(rules), **plan})
        sandbox = Sandbox(
            self.folder / "provider.db",
            speed=speed,
            faults=faults,
            api_key=key,
            clock=self.clock.seconds,
            internal_callbacks=internal,
        )
        self._lay_out_shapes()
        self.stack.callback(self._keep_shapes)
        self.address = await sandbox.start()
        self.stack.push_async_callback(sandbox.stop)
        return self.address

    def _lay_out_shapes(self) -> None:
        """As this sandbox would find them if it had encoded them before."""
        self.clips.mkdir(exist_ok=True)
        for name, content in SHAPES.items():
            (self.clips / name).write_bytes(content)

    def _keep_shapes(self) -> None:
        for path in self.clips.glob("shape-*.mp4"):
            SHAPES.setdefault(path.name, path.read_bytes())

    async def open(self, address: str = "", *, submit_timeout: float = 60.0) -> Process:
        address = address or self.address
        stack = await self.stack.enter_async_context(AsyncExitStack())
        ledger = SqliteLedger(self.ledger_file, kind="sandbox", folder=self.outputs, now=self.clock.now())
        stack.push_async_callback(ledger.aclose)
        provider = await stack.enter_async_context(
            MaxApi(address, Secret(KEY), queries_per_second=None, clock=self.clock, submit_timeout=submit_timeout)
        )
        store = await stack.enter_async_context(
            ArtifactStore(self.outputs, allow_origins=frozenset({self.address or address, address}))
        )
        return Process(ledger, provider, store, self.clock, stack)

    async def start(self, *prompts: str, attempts: int = 1, **faults: Any) -> Process:
        """A sandbox with `faults`, one process, and a batch that is declared."""
        await self.start_sandbox(*faults.pop("rules", ()), **faults)
        process = await self.open()
        await process.ledger.declare(clips(*prompts, attempts=attempts), self.clock.now())
        return process

    def states(self) -> Counter[str]:
        return Counter(state for (state,) in self.ask("SELECT state FROM jobs"))

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.ledger_file}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def tasks(self) -> list[TaskRow]:
        return read_tasks(self.folder / "provider.db")

    def charged(self) -> Counter[str | None]:
        """How many tasks were charged for, by the reference that they were submitted with."""
        return Counter(line.user_id for line in read_bill(self.folder / "provider.db") if line.kind == "charge")


def clips(*prompts: str, attempts: int = 1, name: str = "b") -> BatchSpec:
    return batch(
        *(spec(f"j{place}", prompt=prompt) for place, prompt in enumerate(prompts)), attempts=attempts, name=name
    )


def assert_invariants(shop: Workshop, *, closed: bool = True) -> None:
    """What must hold of every ledger and its bill, whatever happened."""
    _assert_attempts(shop)
    _assert_events(shop)
    _assert_artifacts(shop)
    _assert_bill(shop)
    if closed:
        assert shop.ask("SELECT id FROM jobs WHERE state = 'submitting'") == []


def _assert_attempts(shop: Workshop) -> None:
    live = {job_id for job_id, state in shop.ask("SELECT id, state FROM jobs") if JobState(state) in LIVE}
    open_ones = [job_id for (job_id,) in shop.ask("SELECT job_id FROM attempts WHERE outcome IS NULL")]
    assert sorted(open_ones) == sorted(live)
    task_ids = [task_id for (task_id,) in shop.ask("SELECT task_id FROM attempts WHERE task_id IS NOT NULL")]
    assert len(task_ids) == len(set(task_ids))
    known = {
        job_id for (job_id,) in shop.ask("SELECT job_id FROM attempts WHERE outcome IS NULL AND task_id IS NOT NULL")
    }
    assert known == {job_id for (job_id,) in shop.ask("SELECT id FROM jobs WHERE state = 'running'")}
    assert shop.ask("PRAGMA integrity_check") == [("ok",)]


def _assert_events(shop: Workshop) -> None:
    reached: dict[int, str] = {}
    for job_id, before, after in shop.ask(
        "SELECT job_id, from_state, to_state FROM events WHERE to_state IS NOT NULL ORDER BY seq"
    ):
        assert before == reached.get(job_id)
        assert before is None or JobState(after) in TRANSITIONS[JobState(before)]
        reached[job_id] = after
    assert reached == dict(shop.ask("SELECT id, state FROM jobs"))


def _assert_artifacts(shop: Workshop) -> None:
    rows = shop.ask("SELECT path, bytes, sha256 FROM artifacts")
    for path, size, digest in rows:
        content = (shop.outputs / path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest)
    complete = shop.ask(
        "SELECT j.id FROM jobs j WHERE j.state = 'completed' AND EXISTS (SELECT 1 FROM attempts a JOIN outputs o"
        " ON o.attempt_id = a.id LEFT JOIN artifacts f ON f.attempt_id = o.attempt_id AND f.position = o.position"
        " WHERE a.job_id = j.id AND f.id IS NULL)"
    )
    assert complete == []
    assert [path for path in shop.outputs.rglob("*.part") if path.is_file()] == []


def _assert_bill(shop: Workshop) -> None:
    """Each charge has its attempt, which knows the task or is in doubt; no job has more than it was allowed."""
    attempts = {
        reference: (job_id, task_id, outcome, state)
        for reference, job_id, task_id, outcome, state in shop.ask(
            "SELECT a.reference, a.job_id, a.task_id, a.outcome, j.state FROM attempts a JOIN jobs j ON j.id = a.job_id"
        )
    }
    extras = {task_id for (task_id,) in shop.ask("SELECT task_id FROM extras")}
    charges: Counter[int] = Counter()
    billed: set[str] = set()
    for task in shop.tasks():
        assert task.user_id in attempts, "charged for what was never intended"
        job_id, task_id, outcome, state = attempts[task.user_id]
        charges[job_id] += 1
        billed.add(task.task_id)
        if task.task_id in extras:
            charges[job_id] -= 1
        elif task_id is None:
            assert outcome is None, f"task {task.task_id} is charged for and forgotten"
            assert state in {"in_doubt", "submitting"}
        else:
            assert task_id == task.task_id
    allowed = dict(shop.ask("SELECT j.id, b.tries FROM jobs j JOIN batches b ON b.id = j.batch_id"))
    assert {job_id: count for job_id, count in charges.items() if count > allowed[job_id]} == {}
    assert max(shop.charged().values(), default=0) <= 1
    assert {task_id for (task_id,) in shop.ask("SELECT task_id FROM attempts WHERE task_id IS NOT NULL")} <= billed
