"""What lies outside a process: its clock, the provider, the output folder, and the ways in which they go wrong.

The provider and the store are written from the provider's documentation and from the ports, not from the adapters. A
request that left its process arrives, whether or not anybody lives to hear the answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from proof.checker import BilledTask
from proof.virtual import VirtualLoop

from seedbatch.domain.answers import (
    Accepted,
    CannotStore,
    Evidence,
    FetchLater,
    FetchRefused,
    FetchResult,
    Gone,
    InDoubt,
    MediaKind,
    NotFound,
    NotSent,
    QueryAnswer,
    QueryRefused,
    Refusal,
    Refused,
    StoredFile,
    SubmitAnswer,
    TaskReport,
    Throttled,
    Unanswered,
)
from seedbatch.domain.calls import Hint
from seedbatch.domain.errors import InboxFull, LedgerError
from seedbatch.domain.work import Download, Relocation, SharedFile, Submission
from seedbatch.engine.reception import Reception

NOON: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
_LINKS_LIVE: Final = timedelta(days=7)
_PATIENCE: Final = 60.0  # seconds until an answer is given up
_OUTPUTS_LAG: Final = 25.0  # seconds for which a success may show no outputs yet
# How a task ends, and how often: half of them well.
ENDINGS: Final = {
    "success": 60,
    "empty": 2,
    "fail": 10,
    "timeout": 5,
    "moderation": 8,
    "invalid": 3,
    "points": 1,
    "cancelled": 2,
}
# What may go wrong with one request, by the kind of request; the weights against `well` are drawn for each history.
SUBMIT_FAULTS: Final = (
    *("unsent", "hopeless", "lost before", "lost after", "silence after", "doubt 500 before", "doubt 500 after"),
    *("throttled", "named pause", "key", "credits", "address", "moderation", "invalid", "redirect"),
    *("contradiction", "contradiction without a task", "an old id", "an old id for a new task", "slow", "made twice"),
)
QUERY_FAULTS: Final = (
    *("cut", "paused", "not found", "unknown word", "key", "slow", "no echo", "address"),
)  # fmt: skip
CALLBACK_FAULTS: Final = ("drop", "late", "twice", "forged", "early")
FILE_FAULTS: Final = ("later", "named pause", "refused", "gone in error", "moved away", "disk", "slow")
# A task is made, and charged for.
CREATING: Final = {
    *("", "slow", "lost after", "silence after", "doubt 500 after", "contradiction", "an old id for a new task"),
    "made twice",
}
# Those that end a run are kept rare, else nothing else would be seen.
RARE: Final = {"hopeless", "key", "credits", "address", "redirect", "disk", "refused"}


class Dead(BaseException):
    """Whoever called this is dead: nothing of it reaches the outside any more."""


@dataclass(slots=True)
class Life:
    """What a process and the parts of the world that speak to it share: whether it lives, and where it is to die.

    `fate` is the name of a point and how often it must be passed; `killed` is what happens there.
    """

    name: str
    fate: tuple[str, int] | None = None
    killed: Callable[[], None] = lambda: None
    dead: bool = False
    passed: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Raises: Dead."""
        if self.dead:
            raise Dead

    def point(self, name: str) -> None:
        """A place where the process may die; afterwards it is dead or goes on."""
        if self.dead:
            return
        times = self.passed.get(name, 0) + 1
        self.passed[name] = times
        if self.fate == (name, times):
            self.die()

    def die(self) -> None:
        """Once is enough."""
        if not self.dead:
            self.dead = True
            self.killed()


@dataclass(slots=True)
class Trouble:
    """How often what goes wrong. `level` is the share of requests that meet a fault, weights are of the faults."""

    level: float = 0.0
    submit: Mapping[str, int] = field(default_factory=dict)
    query: Mapping[str, int] = field(default_factory=dict)
    file: Mapping[str, int] = field(default_factory=dict)
    callback: Mapping[str, int] = field(default_factory=dict)
    outages: tuple[tuple[datetime, datetime, str], ...] = ()
    disk_full: tuple[tuple[datetime, datetime], ...] = ()

    @classmethod
    def drawn(cls, dice: random.Random) -> Trouble:
        """A mix for one history: not every fault in each, so that every one meets calm and storm."""
        level = dice.choice([0.0, 0.05, 0.15, 0.15, 0.3, 0.5])

        def weights(faults: Iterable[str]) -> dict[str, int]:
            return {fault: (1 if fault in RARE else 10) for fault in faults if dice.random() < 0.5}

        def windows(most: int, longest: float) -> list[tuple[datetime, datetime]]:
            starts = [NOON + timedelta(seconds=dice.uniform(0, 3 * 3600)) for _ in range(dice.randint(0, most))]
            return [(start, start + timedelta(seconds=dice.uniform(5, longest))) for start in starts]

        outages = tuple((*window, dice.choice(["unreachable", "gateway", "silence"])) for window in windows(2, 900))
        full = tuple(windows(1, 120)) if dice.random() < 0.1 else ()
        kinds = (weights(SUBMIT_FAULTS), weights(QUERY_FAULTS), weights(FILE_FAULTS), weights(CALLBACK_FAULTS))
        return cls(level, *kinds, outages, full)


@dataclass(slots=True)
class Task:
    """The provider's unit of work."""

    task_id: str
    reference: str
    echo: dict[str, Any]
    ending: str
    created: datetime
    ends: datetime
    visible: datetime
    outputs: int
    lag: float
    token: str = ""
    twin: bool = False
    rings: datetime | None = None
    links: int = 1

    def status(self, now: datetime) -> str:
        """The provider's word at a moment."""
        if now >= self.ends:
            words = {"success": "SUCCESS", "empty": "SUCCESS", "timeout": "TIMEOUT", "cancelled": "CANCELLED"}
            return words.get(self.ending, "FAILURE")
        share = (now - self.created) / (self.ends - self.created)
        return "PENDING" if share < 0.1 else "PROCESSING" if share < 0.25 else "SUBMITTED"


@dataclass(frozen=True, slots=True)
class Door:
    """A process that receives callbacks."""

    life: Life
    reception: Reception


@dataclass(slots=True)
class World:
    """One history's outside. Moments move with the loop's time and leap while machines sleep."""

    loop: VirtualLoop
    dice: random.Random
    folder: Path
    trouble: Trouble
    longest_task: float
    known_ids: Callable[[], list[str]]
    slept: timedelta = timedelta()
    tasks: dict[str, Task] = field(default_factory=dict)
    on_the_wire: int = 0
    # Whoever listens now; and what was answered with 2xx, which nobody may forget.
    doors: list[Door] = field(default_factory=list)
    acknowledged: list[tuple[str, bytes]] = field(default_factory=list)
    ringing: set[asyncio.Task[None]] = field(default_factory=set)
    # One process at a time gives and takes names in the output folder; the kernel lets go when one dies.
    naming: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    def now(self) -> datetime:
        """The present moment: this is the engine's clock."""
        return NOON + timedelta(seconds=self.loop.time()) + self.slept

    def sleep(self, seconds: float) -> None:
        """The wall clock goes on, and no machine computes."""
        self.slept += timedelta(seconds=seconds)

    def fault(self, kind: Mapping[str, int]) -> str:
        """What goes wrong with this request; empty: nothing."""
        if not kind or self.dice.random() >= self.trouble.level:
            return ""
        return self.dice.choices(list(kind), list(kind.values()))[0]

    def ring(self) -> None:
        """The provider calls back, once, for each task that has ended: whoever listens then hears it, or nobody."""
        now = self.now()
        for task in self.tasks.values():
            if task.rings is not None and now >= task.rings:
                task.rings = None
                self.call(task, _said(task.task_id, task.status(now)))

    def call(self, task: Task, body: bytes) -> None:
        """Something is posted to a task's callback URL."""
        doing = self.loop.create_task(self._deliver(task.token, body))
        self.ringing.add(doing)
        doing.add_done_callback(self.ringing.discard)

    async def _deliver(self, token: str, body: bytes) -> None:
        open_doors = [door for door in self.doors if not door.life.dead]
        if not open_doors:
            return
        door = self.dice.choice(open_doors)
        digest = door.reception.recognise(token)
        assert digest is not None, "a genuine token was locked out"
        with suppress(TimeoutError, LedgerError, InboxFull, Dead):
            async with asyncio.timeout(5):  # the provider waits no longer
                await door.reception.keep(digest, body)
            if not door.life.dead:
                self.acknowledged.append((digest, body))

    def outage(self) -> str:
        """What kind of outage there is now, if any."""
        now = self.now()
        return next((kind for begin, end, kind in self.trouble.outages if begin <= now < end), "")

    def disk_is_full(self) -> bool:
        """Whether the ledger cannot be written now."""
        now = self.now()
        return any(begin <= now < end for begin, end in self.trouble.disk_full)

    def bill(self) -> list[BilledTask]:
        """What was charged for, in order."""
        return [BilledTask(task.task_id, task.reference, task.ending, task.twin) for task in self.tasks.values()]


def _evidence(status: int, message: str) -> Evidence:
    return Evidence(status=status, code=status, message=message)


class Client:
    """The provider as one process sees it."""

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    # -- submit ---------------------------------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> SubmitAnswer:
        """See the port: one POST, every outcome a value; what was cancelled after it left raises."""
        self._life.check()
        self._life.point("connecting")
        world = self._world
        try:
            await asyncio.sleep(world.dice.choice([0.0, 0.05, 0.3, 3.0]))
        except asyncio.CancelledError:
            self._life.check()
            return NotSent("interrupted before anything was sent")
        self._life.check()
        fault = world.fault(world.trouble.submit)
        if world.outage() == "unreachable" or fault in {"unsent", "hopeless"}:
            return NotSent("connection refused", hopeless=fault == "hopeless")
        reply: asyncio.Future[SubmitAnswer] = world.loop.create_future()
        world.loop.call_later(world.dice.choice([0.01, 0.1, 1.0]), self._arrive, submission, fault, reply)
        self._life.point("sent")
        self._life.check()
        world.on_the_wire += 1
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await reply
        except TimeoutError:
            answer = InDoubt("sent, but no answer came")
        finally:
            world.on_the_wire -= 1
        self._life.point("answered")
        self._life.check()
        return answer

    def _arrive(self, submission: Submission, fault: str, reply: asyncio.Future[SubmitAnswer]) -> None:
        """The request is at the provider, whatever became of the process that sent it."""
        world = self._world
        if outage := world.outage():
            fault = {"gateway": "doubt 500", "silence": "silence"}.get(outage, "lost")
            fault += world.dice.choice([" before", " before", " after"])
        answer = self._handled(submission, fault)
        self._life.point("accepted")
        if answer is not None and not self._life.dead:
            delay = world.dice.uniform(5, 110) if fault == "slow" else world.dice.choice([0.0, 0.1, 2.0])
            world.loop.call_later(delay, _tell, reply, answer)

    def _handled(self, submission: Submission, fault: str) -> SubmitAnswer | None:
        """What the provider does and answers; None: no answer will come."""
        task_id = self._create(submission) if fault in CREATING else _new_id(self._world.dice)
        if fault == "made twice":  # a gateway sent the request on a second time
            self._world.tasks[self._create(submission)].twin = True
        match fault:
            case "lost before" | "lost after":
                return InDoubt("sent, but the connection was closed")
            case "silence before" | "silence after":
                return None
            case "doubt 500 before" | "doubt 500 after":
                return InDoubt("HTTP 502", _evidence(502, "bad gateway"))
            case "throttled":
                return Throttled(None, _evidence(429, "too many requests"))
            case "named pause":
                return Throttled(self._world.dice.choice([0.0, 3.0, 120.0, 600.0]), _evidence(503, "later"))
            case "key" | "credits" | "address" | "moderation" | "invalid":
                return Refused(Refusal(fault), _evidence(400, fault))
            case "redirect":
                return InDoubt("HTTP 307", _evidence(307, "moved"), wrong_address=True)
            case "contradiction" | "contradiction without a task":
                return InDoubt("HTTP 400 with a task", _evidence(400, "no"), task_id=task_id)
            case "an old id" | "an old id for a new task":
                known = self._world.known_ids()
                return Accepted(self._world.dice.choice(known)) if known else InDoubt("HTTP 200 without a task")
            case _:
                return Accepted(task_id)

    def _create(self, submission: Submission) -> str:
        world, dice = self._world, self._world.dice
        task_id = _new_id(dice)
        ending = dice.choices(list(ENDINGS), list(ENDINGS.values()))[0]
        seconds = 120 * (world.longest_task / 120) ** dice.random()
        if ending in {"invalid", "points"}:
            seconds *= 0.2
        now = world.now()
        fault = world.fault(world.trouble.callback)
        if fault == "early":
            seconds = 1.0
        url = submission.callback_url
        rings = None if url is None or fault == "drop" else now + timedelta(seconds=seconds)
        if rings is not None and fault == "late":
            rings += timedelta(seconds=dice.choice([30.0, 3_600.0]))
        world.tasks[task_id] = Task(
            task_id,
            submission.reference,
            {**submission.request.input, "model": submission.request.model},
            ending,
            created=now,
            ends=now + timedelta(seconds=seconds),
            visible=now + timedelta(seconds=dice.choice([0.0, 0.0, 5.0, 200.0])),
            outputs=dice.choice([1, 1, 1, 2]),
            lag=dice.choice([0.0, 0.0, 0.0, _OUTPUTS_LAG]),
            token="" if url is None else url.reveal().rpartition("/")[2],
            rings=rings,
        )
        if url is not None:
            self._meddle(world.tasks[task_id], fault)
        return task_id

    def _meddle(self, task: Task, fault: str) -> None:
        """What comes at a token beside the one true callback."""
        world, dice = self._world, self._world.dice
        match fault:
            case "early":
                world.ring()
            case "twice":
                world.loop.call_later(dice.choice([1.0, 300.0]), world.call, task, _said(task.task_id, "SUCCESS"))
            case "forged":
                others = [one.task_id for one in world.tasks.values() if one.echo["prompt"] != task.echo["prompt"]]
                for named in (_new_id(dice), *others[:1], task.task_id):
                    world.loop.call_later(dice.choice([0.0, 1.0, 60.0]), world.call, task, _said(named, "SUCCESS"))
            case _:
                return

    def hint(self, body: bytes) -> Hint:
        """See the port."""
        data = json.loads(body)["data"]
        return Hint(data["taskId"], data["status"])

    # -- query ----------------------------------------------------------------------------------------------------

    async def query(self, task_id: str) -> QueryAnswer:
        """See the port."""
        self._life.check()
        world = self._world
        fault = world.fault(world.trouble.query)
        world.on_the_wire += 1
        try:
            await asyncio.sleep(world.dice.uniform(5, 50) if fault == "slow" else world.dice.choice([0.0, 0.05, 0.5]))
        finally:
            world.on_the_wire -= 1
        self._life.check()
        if outage := world.outage():
            return Unanswered(f"no answer: {outage}")
        match fault:
            case "cut":
                return Unanswered("the connection was closed")
            case "paused":
                return Unanswered("HTTP 429", retry_after=world.dice.choice([1.0, 90.0, 600.0]))
            case "not found":
                return NotFound(_evidence(404, "no such task"))
            case "key" | "address":
                return QueryRefused(Refusal(fault), _evidence(401, "unauthorized"))
        task = world.tasks.get(task_id)
        now = world.now()
        if task is None or now < task.visible:
            return NotFound(_evidence(404, "no such task"))
        return _report(task, now, fault)

    # -- files ----------------------------------------------------------------------------------------------------

    def link_is_dead(self, url: str) -> bool:
        """Whether the result host no longer has what a URL names."""
        task_id, _, generation = url.removeprefix("https://files.example/").split("/")
        task = self._world.tasks[task_id]
        return int(generation) != task.links or self._world.now() > task.ends + _LINKS_LIVE

    def move_links(self, url: str) -> None:
        """The outputs of a task are from now on at new URLs, which a query tells."""
        self._world.tasks[url.removeprefix("https://files.example/").split("/")[0]].links += 1


def _said(task_id: str, status: str) -> bytes:
    return json.dumps({"code": 0, "msg": "ok", "data": {"taskId": task_id, "status": status}}).encode()


def _new_id(dice: random.Random) -> str:
    text = f"{dice.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _tell(reply: asyncio.Future[SubmitAnswer], answer: SubmitAnswer) -> None:
    if not reply.done():
        reply.set_result(answer)


def _report(task: Task, now: datetime, fault: str) -> TaskReport:
    status = task.status(now)
    reasons = {"moderation": "CONTENT_MODERATION", "invalid": "INVALID_PARAMETERS", "points": "INSUFFICIENT_POINTS"}
    visible = status == "SUCCESS" and task.ending == "success" and (now - task.ends).total_seconds() >= task.lag
    base = f"https://files.example/{task.task_id}"
    return TaskReport(
        task.task_id,
        "QUEUED" if fault == "unknown word" and now < task.ends else status,
        kind=MediaKind.VIDEO if status == "SUCCESS" else None,
        urls=tuple(f"{base}/{place}/{task.links}" for place in range(1, task.outputs + 1)) if visible else (),
        failure_reason=reasons.get(task.ending) if status == "FAILURE" else None,
        created_at=task.created,
        updated_at=min(now, task.ends),
        # The echo may be partial, but model and prompt are in every one that was ever seen.
        echo={name: task.echo[name] for name in ("model", "prompt")} if fault == "no echo" else task.echo,
    )


class Shelf:
    """The output folder as one process sees it: see the port `Store`."""

    def __init__(self, world: World, life: Life, client: Client) -> None:
        self._world = world
        self._life = life
        self._client = client

    async def fetch(self, download: Download) -> FetchResult:
        """Sidecar first, then the file, each under its name only when it is whole."""
        self._life.check()
        target = self._world.outputs / f"{download.name}.mp4"
        if found := self._there_already(target, download):
            return found
        if target.exists():
            return CannotStore("something else lies there")
        fault = self._world.fault(self._world.trouble.file)
        try:
            await self._pass(self._world.dice.uniform(5, 900) if fault == "slow" else 0.5)
        except asyncio.CancelledError:
            self._life.check()
            raise
        if refused := self._refused(fault, download):
            return refused
        return await self._place(target, download)

    def _refused(self, fault: str, download: Download) -> FetchResult | None:
        match fault:
            case "later":
                return FetchLater("the connection was closed")
            case "named pause":
                return FetchLater("HTTP 503", retry_after=self._world.dice.choice([2.0, 400.0]))
            case "refused":
                return FetchRefused("that is no video")
            case "gone in error":
                return Gone("HTTP 403")
            case "moved away":
                self._client.move_links(download.url)
            case "disk":
                return CannotStore("the disk is full")
        return Gone("HTTP 404") if self._client.link_is_dead(download.url) else None

    async def _place(self, target: Path, download: Download) -> StoredFile | CannotStore:
        content = hashlib.sha512(f"{download.sidecar['task_id']}/{download.sidecar['position']}".encode()).digest()
        stored = StoredFile(
            target.relative_to(self._world.outputs).as_posix(),
            len(content),
            hashlib.sha256(content).hexdigest(),
            "video/mp4",
        )
        facts = {"file": target.name, "bytes": stored.bytes, "sha256": stored.sha256, "content_type": "video/mp4"}
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.stem}.{download.part}.part")
        try:
            part.write_bytes(content[: len(content) // 2])
            await self._pass(0.1, "half a file")
            part.write_bytes(content)
            await self._pass(0.1, "a whole file without its name")
            async with self._world.naming:
                if target.exists():
                    part.unlink()
                    return CannotStore("something else lies there")
                _written(target.with_suffix(".json"), json.dumps({**download.sidecar, **facts}))
                await self._pass(0.0, "a sidecar without its file")
                part.rename(target)
            await self._pass(0.0, "a file without its row")
        except asyncio.CancelledError:
            self._life.check()
            part.unlink(missing_ok=True)
            raise
        return stored

    def _there_already(self, target: Path, download: Download) -> StoredFile | None:
        sidecar = _read(target.with_suffix(".json"))
        if not target.exists() or any(sidecar.get(name) != download.sidecar[name] for name in ("task_id", "position")):
            return None
        content = target.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if (len(content), digest) != (sidecar["bytes"], sidecar["sha256"]):
            return None
        return StoredFile(target.relative_to(self._world.outputs).as_posix(), len(content), digest, "video/mp4")

    async def share(self, file: SharedFile, download: Download) -> FetchResult:
        """Give a file that is there a second name, with a sidecar of its own."""
        self._life.check()
        target, source = self._world.outputs / f"{download.name}.mp4", Path(file.path)
        if found := self._there_already(target, download):
            return found
        content = source.read_bytes() if source.exists() else b""
        if target.exists() or hashlib.sha256(content).hexdigest() != file.sha256:
            return CannotStore("something else lies there, or the source is not what it was")
        facts = {"file": target.name, "bytes": file.bytes, "sha256": file.sha256, "content_type": "video/mp4"}
        target.parent.mkdir(parents=True, exist_ok=True)
        _written(target.with_suffix(".json"), json.dumps({**download.sidecar, **facts}))
        await self._pass(0.1, "a sidecar without its file")
        async with self._world.naming:
            if not target.exists():
                os.link(source, target)
        await self._pass(0.0, "a file without its row")
        return StoredFile(
            target.relative_to(self._world.outputs).as_posix(), file.bytes, file.sha256, file.content_type
        )

    async def give_way(self, path: str, revision: int, tries: int = 1) -> str:
        """Link a file and its sidecar to their names of that revision and try."""
        self._life.check()
        old = self._world.outputs / path
        kept = f"{old.stem}.rev{revision}" + (f".try{tries}" if tries > 1 else "")
        new = old.with_name(f"{kept}{old.suffix}")
        if old.exists() or not new.exists():
            if not new.exists():
                os.link(old, new)
            elif old.read_bytes() != new.read_bytes():
                raise FileExistsError(new)
            _written(new.with_suffix(".json"), json.dumps({**_read(old.with_suffix(".json")), "file": new.name}))
        await self._pass(0.0, "two names")
        return new.relative_to(self._world.outputs).as_posix()

    async def release(self, path: str) -> None:
        """Remove the old name."""
        self._life.check()
        for name in (path, str(Path(path).with_suffix(".json"))):
            (self._world.outputs / name).unlink(missing_ok=True)
        await self._pass(0.0, "the new name only")

    async def relocate(self, one: Relocation) -> None:
        """Sidecar, new name, then the old one goes."""
        self._life.check()
        old, new = self._world.outputs / one.file.path, self._world.outputs / one.path
        if old == new:
            if not old.exists():
                raise FileNotFoundError(old)
            return
        there = _read(new.with_suffix(".json"))
        ours = all(there.get(name) == one.sidecar[name] for name in ("task_id", "position"))
        if new.exists() and not ours:
            raise FileExistsError(new)
        if not new.exists():
            if not old.exists():
                raise FileNotFoundError(old)
            facts = {"file": new.name, "bytes": one.file.bytes, "sha256": one.file.sha256, "content_type": "video/mp4"}
            new.parent.mkdir(parents=True, exist_ok=True)
            _written(new.with_suffix(".json"), json.dumps({**one.sidecar, **facts}))
            await self._pass(0.0, "a sidecar without its file")
            os.link(old, new)
        await self._pass(0.0, "two paths")
        if old.exists() and old.samefile(new):
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)
        await self._pass(0.0, "the new path only")

    def taken(self, outputs: Iterable[str]) -> list[str]:
        """Those at which a file lies."""
        return [output for output in outputs if (self._world.outputs / f"{output}.mp4").exists()]

    async def _pass(self, seconds: float, point: str = "fetching") -> None:
        self._life.point(point)
        self._life.check()
        await asyncio.sleep(seconds)
        self._life.check()


def _written(path: Path, text: str) -> None:
    newborn = path.with_name(f".{path.name}.part")
    newborn.write_text(text)
    newborn.rename(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
