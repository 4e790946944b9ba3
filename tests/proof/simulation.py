"""Histories: the real engine and the real ledger in a world that goes wrong, decided by one seed.

A history is a few lives of processes over one ledger file. Each life ends by itself, by an interrupt, by two, or by a
death at some point: before or after a commit, with a request on the wire, between a file and its row, or simply at the
n-th turn of its loop. A person speaks in between. In the end nothing goes wrong any more, `apply` is typed until
nothing moves, and the checker judges.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from proof.checker import Violation, check
from proof.team import Team
from proof.virtual import Endless, VirtualLoop
from proof.worlds import NOON, Client, Door, Life, Shelf, Trouble, World
from samples import jobs_digest

from seedbatch.domain.brake import Brake
from seedbatch.domain.budget import Budget
from seedbatch.domain.errors import Exit, LedgerError, SeedbatchError
from seedbatch.domain.jobs import BatchSpec, JobSpec, Limits, Request
from seedbatch.domain.locked import Locks
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.domain.renames import Rename
from seedbatch.domain.secret import Secret
from seedbatch.domain.tokens import TokenKey, minting
from seedbatch.domain.work import Caps
from seedbatch.engine.adopt import adopt
from seedbatch.engine.cadence import Cadence
from seedbatch.engine.plan import make_plan
from seedbatch.engine.planned import SPENDING, Action, Plan
from seedbatch.engine.reception import Reception
from seedbatch.engine.run import Errand, Outcome, Run, Until
from seedbatch.ledger import writer
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.sqlite import SqliteLedger

T = TypeVar("T")

TOKENS: Final = TokenKey(Secret("k" * 40))
MODEL: Final = "seedance-2.0"
PRICES: Final = PriceTable({(MODEL, None): PriceRow(MODEL, None, Unit.SECOND, Money(50_000, "USD"))})
# A run that is left alone ends by itself: this is far beyond any, and a run that reaches it hangs.
_FOREVER: Final = 24 * 3600.0
TURNS: Final = 200_000
_DEATHS: Final = (
    *("turn", "before a commit", "after a commit", "connecting", "sent", "accepted", "answered", "fetching"),
    *("half a file", "a whole file without its name", "a sidecar without its file", "a file without its row"),
    *("two names", "the new name only", "two paths", "the new path only"),
)
# What is in doubt may turn out to have failed, and be retried by policy; so may what runs.
_NEVER_SENT: Final = frozenset({Action.UNCHANGED, Action.MOVE, Action.DOWNLOAD, Action.ORPHAN})
_OFTEN: Final = {"turn": 200, "before a commit": 50, "after a commit": 50}


class InlineWriter(writer.Writer):
    """The ledger's writer on the loop's own thread: verbs queue up and share a commit, which takes virtual time."""

    def __init__(self, threaded: writer.Writer, world: World, life: Life) -> None:
        super().__init__(threaded._connect, threaded._lock)
        self._world = world
        self._life = life
        self._orders: list[writer._Order] = []
        self.connection: sqlite3.Connection | None = None

    async def run(self, verb: writer.Verb[T]) -> T:
        """See the original."""
        self._life.check()
        order = writer._Order(verb, self._world.loop.create_future())
        self._orders.append(order)
        if len(self._orders) == 1:
            self._world.loop.call_later(self._world.dice.choice([0.0, 0.0, 0.001, 0.02]), self._flush)
        return await order.future

    def _flush(self) -> None:
        orders, self._orders = self._orders, []
        self._life.point("before a commit")
        if self._life.dead or not orders:
            return
        if self.connection is None:
            self.connection = self._connect()
        if self._world.disk_is_full():
            for order in orders:
                order.error = writer._translated(sqlite3.OperationalError("database or disk is full"))
        else:
            with self._lock.held():
                writer._transact(self.connection, orders)
        self._life.point("after a commit")
        if not self._life.dead:
            writer._resolve(orders)

    async def aclose(self) -> None:
        """See the original."""
        self._flush()
        self._life.check()
        if self.connection is not None:
            self.connection.close()

    def drop(self) -> None:
        """What the kernel does with the file when the process is gone."""
        if self.connection is not None:
            self.connection.close()


@dataclass(slots=True)
class Process:
    """One process: what it holds, and its one task."""

    world: World
    life: Life
    open_ledger: Callable[[], SqliteLedger]
    ledger: SqliteLedger | None = None
    run: Run | None = None
    task: asyncio.Task[Any] | None = None

    def open(self) -> SqliteLedger:
        """Open the ledger as this process would."""
        self.ledger = self.open_ledger()
        self.ledger._writer = InlineWriter(self.ledger._writer, self.world, self.life)
        return self.ledger

    def kill(self) -> None:
        """kill -9: its locks and files are the kernel's again, and nothing of it reaches anything any more."""
        if self.task is not None and self.task.done():
            return
        if self.ledger is not None:
            assert isinstance(self.ledger._writer, InlineWriter)
            self.ledger._writer.drop()
            let_go(self.ledger)
        if self.task is not None:
            self.world.loop.call_soon(self.task.cancel)

    async def apply(self, batches: list[BatchSpec], errand: Errand, locks: Locks | None = None) -> Outcome:
        """What the command does: open, declare, run, close; with a mint it listens meanwhile."""
        ledger = self.open()
        reception = None if errand.mint is None else Reception(ledger, TOKENS, self.world, self._called)
        if reception is not None:
            self.world.doors.append(Door(self.life, reception))
        try:
            for batch in batches:
                await ledger.declare(batch, self.world.now())
            if locks is not None:
                await ledger.lock_in(locks.all(looking=True))
            client = Client(self.world, self.life)
            shelf = Shelf(self.world, self.life, client)
            self.run = Run(ledger, client, shelf, self.world, errand, lambda _: None, reception)
            return await self.run.go()
        finally:
            self.world.doors = [door for door in self.world.doors if door.life is not self.life]
            if not self.life.dead:
                await ledger.aclose()

    def _called(self) -> None:
        if self.run is not None and not self.life.dead:
            self.run.called()


@dataclass(slots=True)
class History:
    """What became of one seed."""

    seed: int
    violations: list[Violation] = field(default_factory=list)
    jobs: int = 0
    lives: int = 0
    crashes: int = 0
    doubts: int = 0
    adoptions: int = 0
    bills: int = 0
    hours: float = 0.0
    points: dict[str, int] = field(default_factory=dict)
    log: list[tuple[Any, ...]] = field(default_factory=list)


Opener = Callable[[Path, Path], SqliteLedger]


def open_real(file: Path, outputs: Path) -> SqliteLedger:
    """The ledger as it is; tests pass others, to show that the simulation would notice."""
    return SqliteLedger(file, kind="real", folder=outputs, now=NOON)


@contextmanager
def template(folder: Path) -> Iterator[Path]:
    """A ledger as it is when it was just made: copying it is quicker than making it."""
    file = folder / "template.db"
    ledger = open_real(file, folder / "outputs")
    let_go(ledger)
    yield file


def let_go(ledger: SqliteLedger) -> None:
    """Close every file that a ledger holds open beside its connection, without a word to anybody."""
    ledger._moving.close()
    for part in vars(ledger).values():
        if isinstance(handle := getattr(part, "_handle", None), int) and handle >= 0:
            os.close(handle)


def simulate(seed: int, folder: Path, newborn: Path, opener: Opener = open_real, turns: int = TURNS) -> History:
    """One history, in a new folder inside `folder`; `newborn` is the ledger's file as it was made.

    A history that is not over after so many `turns` of its loop hangs.
    """
    with tempfile.TemporaryDirectory(prefix=f"{seed}-", dir=folder) as place:
        return carry_out(seed, Path(place), newborn, opener, turns)


def carry_out(seed: int, place: Path, newborn: Path, opener: Opener = open_real, turns: int = TURNS) -> History:
    """One history, in an empty folder, where it leaves ledger and files."""
    shutil.copyfile(newborn, place / "ledger.db")
    (place / "ledger.db").chmod(0o600)
    return _Historian(seed, place, opener, turns).tell()


class _Historian:
    def __init__(self, seed: int, place: Path, opener: Opener, turns: int) -> None:
        self._dice = random.Random(seed)
        self._file = place / "ledger.db"
        self._opener = opener
        self._history = History(seed)
        self._alive: list[Process] = []
        self._dozing = self._dice.random() < 0.85
        self._turns = turns
        self._loop = VirtualLoop(self._between, turns)
        self._loop.set_exception_handler(lambda _loop, _context: None)
        # From minutes to hours.
        longest = self._dice.choice([300.0, 1_800.0, 14_400.0]) if self._dozing else 300.0
        trouble = Trouble.drawn(self._dice)
        self._world = World(self._loop, self._dice, place, trouble, longest, self._known_ids)
        self._manifest = _Manifest(self._dice)
        self._team = Team.drawn(seed, place)
        self._person = self._dice.random() < 0.5
        self._listens = self._dice.random() < 0.6
        self._waiting = True
        self._blocked = False  # the last run said what lies in the way

    def tell(self) -> History:
        try:
            asyncio.set_event_loop(None)
            self._loop.run_until_complete(self._all())
        except Endless:
            self._find("endless", f"{self._turns:,} turns of the loop were not enough")
            for process in self._alive:
                process.life.die()
            self._judge(at_rest=True)
        finally:
            self._loop.close()
        history = self._history
        history.bills = len(self._world.tasks)
        history.hours = (self._world.now() - NOON).total_seconds() / 3600
        with closing(sqlite3.connect(self._file)) as connection:
            history.log = connection.execute(
                "SELECT e.seq, e.at, e.type, e.job_id, e.attempt_id, e.from_state, e.to_state, e.data FROM events e"
            ).fetchall()
            ((history.jobs, history.doubts, history.adoptions),) = connection.execute(
                "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM attempts WHERE doubt IS NOT NULL),"
                " (SELECT count(*) FROM callbacks WHERE verdict = 'adopted')"
            )
        references = {task.reference.split("-", 2)[2] for task in self._world.tasks.values()}
        history.log += [(reference,) for reference in sorted(references)]
        return history

    # -- time -----------------------------------------------------------------------------------------------------

    def _between(self, seconds: float) -> None:
        self._world.ring()
        for process in tuple(self._alive):
            process.life.point("turn")
        # While everybody waits for a task of hours, the machine may as well sleep.
        if self._dozing and seconds > 1 and not self._world.on_the_wire:
            self._world.sleep(self._dice.uniform(0, self._world.longest_task / 20))

    # -- what happens -----------------------------------------------------------------------------------------------

    async def _all(self) -> None:
        person = self._loop.create_task(self._speak()) if self._person else None
        for _ in range(self._dice.randint(1, 4)):
            self._team.go_on(self._wanted())
            together = 2 if self._dice.random() < 0.25 else 1
            before = self._events()
            await asyncio.gather(*(self._live() for _ in range(together)))
            self._nothing_of_others_was_sent(before)
            self._judge(at_rest=False)
            self._world.sleep(self._dice.choice([0.0, 10.0, 3_600.0, 3_600.0, 90_000.0, 8 * 86_400.0]))
            self._manifest.edit(self._dice)
        self._waiting = False
        if person is not None:
            await person
        await self._settle()
        self._judge(at_rest=True)

    async def _live(self) -> None:
        """One life, from the command to its end."""
        dice = self._dice
        kind = dice.choice(["calm", "kill", "kill", "kill", "interrupt", "interrupt twice"])
        await asyncio.sleep(dice.choice([0.0, 1.0, 40.0]))
        process = self._born()
        if kind == "kill":
            point = dice.choice(["turn", *_OFTEN, *_OFTEN, *_DEATHS])
            most = _OFTEN.get(point, 6)
            process.life.fate = (point, int(most ** dice.random()))
        await self._run(process, self._errand(), kind)

    def _born(self) -> Process:
        self._history.lives += 1
        life = Life(f"p{self._history.lives}")
        process = Process(self._world, life, lambda: self._opener(self._file, self._world.outputs))
        life.killed = process.kill
        return process

    async def _run(self, process: Process, errand: Errand, kind: str) -> Outcome | None:
        self._alive.append(process)
        process.task = self._loop.create_task(
            process.apply(self._manifest.batches(), errand, self._team.locks() if errand.submit else None)
        )
        for _ in range({"interrupt": 1, "interrupt twice": 2}.get(kind, 0)):
            await asyncio.wait({process.task}, timeout=120 ** self._dice.random())
            if process.run is not None and not process.task.done():
                process.run.interrupt()
        _, waiting = await asyncio.wait({process.task}, timeout=_FOREVER)
        if waiting:
            self._find("hang", f"{process.life.name} did not end")
            process.life.die()
            await asyncio.wait({process.task})
        if process.life.dead and process.ledger is not None:
            process.ledger._moving.close()  # taken between its death and its task's end, which a kernel never sees
        self._alive.remove(process)
        self._history.crashes += process.life.dead
        for point, times in process.life.passed.items():
            self._history.points[point] = self._history.points.get(point, 0) + times
        return self._outcome(process)

    def _outcome(self, process: Process) -> Outcome | None:
        assert process.task is not None
        if process.life.dead:
            with suppress(BaseException):
                process.task.exception()
            return None
        error = process.task.exception()
        if error is None:
            outcome: Outcome = process.task.result()
            return outcome
        if not (isinstance(error, LedgerError) and self._world.trouble.disk_full):
            self._find("exception", f"{process.life.name} ended with {_told(error)}")
        return None

    def _errand(self) -> Errand:
        dice = self._dice
        limits = Limits(
            submitting=dice.choice([1, 2, 2, 4, None]),
            in_flight=dice.choice([1, 3, 100, None]),
            submits_per_minute=dice.choice([None, None, 6.0, 60.0]),
        )
        caps = Caps(
            run=Budget(max_jobs=2) if dice.random() < 0.1 else Budget(),
            day=Budget(max_cost=Money(900_000, "USD")) if dice.random() < 0.1 else Budget(),
            brake=Brake(allowed=dice.choice([None, 1, 3]), strict=dice.random() < 0.5)
            if dice.random() < 0.2
            else Brake(),
        )
        called = self._listens and dice.random() < 0.8
        return Errand(
            scope=None,
            limits=limits,
            caps=caps,
            mint=minting("https://x.example", TOKENS, dice.randbytes) if called else None,
            doubt_wait=dice.choice([0.0, 60.0, 900.0]),
            until=dice.choice([Until.SETTLED, Until.SETTLED, Until.SETTLED, Until.SUBMITTED, Until.ROUND]),
            submit=dice.random() < 0.9,
            fail_fast=dice.random() < 0.1,
            cadence=dice.choice([Cadence(), Cadence(), Cadence(first=5, shortest=5, longest=60, probe=2)]),
        )

    async def _settle(self) -> None:
        """Everything is well again, and `apply` is typed until it says that nothing is left to do."""
        self._world.trouble = Trouble()
        for _ in range(10):
            before, plan = self._events(), self._plan()
            outcome = await self._run(self._born(), Errand(None, Limits(4, 100, None)), "calm")
            self._nothing_of_others_was_sent(before)
            if outcome is not None and not outcome.stops:  # else something in the way was told
                self._compare(plan, before)
            # What lies in the way of a clip that is shared changes nothing in the ledger, and is told.
            self._blocked = outcome is not None and any(stop.exit is Exit.RUNNING for stop in outcome.stops)
            if self._events() == before and not self._blocked:
                return
            self._move_away()
            self._world.sleep(90_000)

    def _plan(self) -> Plan:
        with closing(SqliteRecords(self._file)) as records:
            return make_plan(self._manifest.batches(), records, locks=self._team.locks())

    def _wanted(self) -> Iterator[JobSpec]:
        return (job for batch in self._manifest.batches() for job in batch.jobs)

    def _nothing_of_others_was_sent(self, before: int) -> None:
        """No process that began since this event paid for what the lock file held."""
        for _, address, fingerprint, take in self._sent(before):
            if (fingerprint, take) in self._team.tasks:
                self._find("paid again", f"{address} was sent, and others had paid for it")

    def _sent(self, before: int) -> list[tuple[int, str, str, int]]:
        with closing(sqlite3.connect(self._file)) as connection:
            return connection.execute(
                "SELECT j.id, j.address, j.fingerprint, j.take FROM events e JOIN jobs j ON j.id = e.job_id"
                " WHERE e.seq > ? AND e.type = 'intended'",
                (before,),
            ).fetchall()

    def _compare(self, plan: Plan, before: int) -> None:
        """What the plan said is what was done since this event, by one process alone in a world without trouble."""
        sent = {job_id for job_id, *_ in self._sent(before)}
        with closing(sqlite3.connect(self._file)) as connection:
            rows = connection.execute(
                "SELECT j.id, j.address, j.state, j.output FROM jobs j WHERE j.standing = 'current'"
            ).fetchall()
        now = {address: row for row in rows if (address := row[1])}
        for job in plan.jobs:
            job_id, _, state, output = now.get(job.address, (None, "", "", ""))
            if job.known is not None and job.action in _NEVER_SENT and job.known.job_id in sent:
                self._find("unplanned", f"{job.address} was to be {job.action}, and was sent")
            if job.action in SPENDING and job_id not in sent and state not in {"pending", "completed"}:
                self._find("unplanned", f"{job.address} was to be sent, and is {state} without it")
            if job.action in {Action.MOVE, Action.UNCHANGED} and output != job.output:
                self._find("unplanned", f"{job.address} belongs at {job.output}, and its output is {output}")

    def _events(self) -> int:
        with closing(sqlite3.connect(self._file)) as connection:
            ((latest,),) = connection.execute("SELECT max(seq) FROM events")
            return int(latest or 0)

    def _move_away(self) -> None:
        """What the program asks for where a file of an abandoned task has the name: "move it away, run this again"."""
        with closing(sqlite3.connect(self._file)) as connection:
            known = {path for (path,) in connection.execute("SELECT path FROM artifacts")}
        for file in self._world.outputs.rglob("*.mp4"):
            if file.relative_to(self._world.outputs).as_posix() not in known:
                file.unlink()

    # -- a person -----------------------------------------------------------------------------------------------------

    async def _speak(self) -> None:
        """Now and then a word on a job, from another process that is never killed."""
        process = self._born()
        ledger = process.open()
        client = Client(self._world, process.life)
        while self._waiting:
            await asyncio.sleep(self._dice.choice([3.0, 30.0, 300.0]))
            with suppress(SeedbatchError):
                await self._word(ledger, client)
        with suppress(LedgerError):
            await ledger.aclose()

    async def _word(self, ledger: SqliteLedger, client: Client) -> None:
        dice, now = self._dice, self._world.now()
        with closing(SqliteRecords(self._file)) as records:
            jobs = list(records.jobs())
        if not jobs:
            return
        # Who speaks has mostly been asked to.
        job = dice.choice([job for job in jobs if job.state == "in_doubt"] or jobs)
        match job.state:
            case "in_doubt":
                word = dice.choice(["adopt", "adopt", "lost", "resubmit", "abandon", "nothing"])
            case "failed" | "expired" | "abandoned":
                word = dice.choice(["retry", "nothing", "nothing"])
            case _:
                word = dice.choice(["abandon", "nothing", "nothing", "nothing"])
        match word:
            case "adopt":
                await adopt(ledger, client, self._world, job, self._task_to_adopt(job.job_id), "a person")
            case "lost":
                await ledger.given_up(job.job_id, "a person", now)
            case "resubmit":
                await ledger.resubmitted(job.job_id, "a person", now)
            case "abandon":
                await ledger.abandoned(job.job_id, "a person", now)
            case "retry":
                await ledger.retried(job.job_id, "a person", now)

    def _task_to_adopt(self, job_id: int) -> str:
        """What the provider's support says, by the reference; and sometimes a slip: another request's task."""
        if self._world.tasks and self._dice.random() < 0.2:
            mine = {
                task_id for task_id, task in self._world.tasks.items() if task.reference.split("-")[2] == str(job_id)
            }
            others = sorted(self._world.tasks.keys() - mine)
            return self._dice.choice(others) if others else "nobody's"
        with closing(sqlite3.connect(self._file)) as connection:
            rows = connection.execute(
                "SELECT reference FROM attempts WHERE job_id = ? AND outcome IS NULL", (job_id,)
            ).fetchall()
        tasks = [task.task_id for task in self._world.tasks.values() if (task.reference,) in rows]
        return tasks[0] if tasks else "nobody's"

    def _known_ids(self) -> list[str]:
        with closing(sqlite3.connect(self._file)) as connection:
            rows = connection.execute("SELECT task_id FROM attempts WHERE task_id IS NOT NULL ORDER BY id")
            return [task_id for (task_id,) in rows]

    # -- the verdict --------------------------------------------------------------------------------------------------

    def _find(self, rule: str, words: str) -> None:
        violation = Violation(rule, words)
        if violation not in self._history.violations:
            self._history.violations.append(violation)

    def _judge(self, *, at_rest: bool) -> None:
        world = self._world
        found = check(
            self._file,
            [*world.bill(), *self._team.bill(self._known_ids())],
            world.outputs,
            alive=() if at_rest else None,
            acknowledged=world.acknowledged,
        )
        for violation in found:
            # Between two names of a file, its row still has the first; the next fetch ends that.
            # A clip of others may lie there before its task stands in the ledger.
            passing = {"file", "unknown file"} if self._team.works else {"file"}
            if at_rest or violation.rule not in passing:
                self._find(violation.rule, violation.words)
        if at_rest:
            for words in _unsettled(self._file, self._team.locks(), blocked=self._blocked):
                self._find("unsettled", words)


def _unsettled(file: Path, locks: Locks | None, *, blocked: bool) -> Iterator[str]:
    """Jobs that something should still happen to; those that a budget or a lock file keeps back are in order."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute(
            "SELECT j.id, j.state, j.standing, j.price, b.max_jobs, b.max_cost,"
            " (SELECT sum(counted) FROM attempts a JOIN jobs o ON o.id = a.job_id WHERE o.batch_id = b.id),"
            " (SELECT sum(exposure) FROM attempts a JOIN jobs o ON o.id = a.job_id WHERE o.batch_id = b.id),"
            " (SELECT sum(x.exposure) FROM extras x JOIN attempts a ON a.id = x.attempt_id"
            "  JOIN jobs o ON o.id = a.job_id WHERE o.batch_id = b.id)"
            " , (SELECT s.state FROM shares h JOIN jobs s ON s.id = h.source_id WHERE h.job_id = j.id)"
            " , j.fingerprint, j.take FROM jobs j JOIN batches b ON b.id = j.batch_id ORDER BY b.id, j.position"
        ).fetchall()
    full = False
    for job_id, state, standing, price, max_jobs, max_cost, count, owed, extra, source, *wish in rows:
        if state == "pending" and standing == "current" and source == "in_doubt":
            continue  # it shares what a person has yet to settle
        if blocked and state == "pending" and standing == "current" and source == "completed":
            continue  # its clip is there, and another file lies at its place
        held = locks.find((wish[0], wish[1])) if locks is not None else None
        if state == "pending" and standing == "current" and held is not None and not held.files:
            continue  # others have its clip
        if state == "pending" and standing == "current":
            full = full or (max_jobs is not None and (count or 0) >= max_jobs)
            full = full or (max_cost is not None and (owed or 0) + (extra or 0) + price > max_cost)
            if not full:
                yield f"job {job_id} is pending, and no budget keeps it back"
        elif state in {"submitting", "running", "succeeded"}:
            yield f"job {job_id} is {state}"


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"


class _Manifest:
    """What is wanted, and how that changes."""

    def __init__(self, dice: random.Random) -> None:
        count = int(3 * 4 ** dice.random())
        self._names = [f"j{number}" for number in range(count)]
        self._edition = dict.fromkeys(self._names, 0)
        self._seconds = {name: dice.choice([5, 5, 10]) for name in self._names}
        # What several jobs ask for is paid for once.
        few = self._names if dice.random() < 0.7 else self._names[: max(1, count // 2)]
        self._output = {name: f"b/{name}" for name in self._names}
        self._key = {name: name for name in self._names}
        self._moves = 0
        self._renames: list[Rename] = []
        # An earlier revision's file keeps its name: nobody can change places with such a job.
        self._changed: set[str] = set()
        self._swapped: set[str] = set()
        self._subject = {name: name if few is self._names else dice.choice(few) for name in self._names}
        self._edits = dice.random() < 0.3
        self._attempts = dice.randint(1, 3)
        self._budget = Budget()
        if dice.random() < 0.3:
            money = Money(50_000 * dice.randint(5, 40), "USD") if dice.random() < 0.7 else None
            self._budget = Budget(dice.randint(1, count) if money is None or dice.random() < 0.3 else None, money)

    def edit(self, dice: random.Random) -> None:
        """Now and then a request changes, a job leaves or comes back, gets another key, or its file another place."""
        if not self._edits:
            return
        name = f"j{dice.randrange(len(self._edition))}"
        # Who left comes back as often as not: else that is hardly ever seen.
        if (gone := [name for name in self._edition if name not in self._names]) and dice.random() < 0.5:
            self._names.append(dice.choice(gone))
            return
        match dice.choice(["change", "change back", "remove", "move", "swap", "rename"]):
            case "change" if name not in self._swapped:
                self._changed.add(name)
                self._edition[name] += 1
            case "change back":
                self._edition[name] = 0
            case "remove" if len(self._names) > 1 and name in self._names:
                self._names.remove(name)
            case "move":
                self._moves += 1
                self._output[name] = f"{dice.choice('bc')}/{name}.{self._moves}"
            # Not with one that left: its file stays where it is, and `apply` submits nothing that belongs there.
            case "swap" if name in self._names and not (self._changed & {name, (other := dice.choice(self._names))}):
                self._output[name], self._output[other] = self._output[other], self._output[name]
                self._swapped |= {name, other}
            case "rename":
                before, self._key[name] = self._key[name], f"{name}-{len(self._renames)}"
                if dice.random() < 0.8:
                    self._renames.append(Rename(before, self._key[name]))
                else:  # a person who forgets to say so has another job, with the clip of the first
                    self._output[name] = f"b/{self._key[name]}"

    def batches(self) -> list[BatchSpec]:
        """The manifest as it stands."""
        jobs = tuple(
            a_spec(
                *(self._key[name], self._subject[name], self._edition[name], self._seconds[self._subject[name]]),
                self._output[name],
            )
            for name in self._names
        )
        batch = BatchSpec("b", jobs, attempts=self._attempts, budget=self._budget, manifest="m.yaml", digest="0" * 64)
        return [replace(batch, prices=PRICES, renames=tuple(self._renames), jobs_digest=jobs_digest(jobs))]


def a_spec(key: str, subject: str, edition: int, seconds: int, output: str) -> JobSpec:
    request = Request(MODEL, {"prompt": f"{subject}, edition {edition}", "ratio": "16:9", "duration": seconds})
    return JobSpec(key, key, key, 1, {}, request, request.fingerprint, output, file="m.yaml", line=1)
