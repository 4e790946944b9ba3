"""The crash points: where, in which scene, by which blow, and how often each is met in one run.

A point names a verb of the ports, a function of the standard library or of aiohttp, or an SQL statement; `victim.py`
knows how to break there. The product holds no hooks, so what moves in it without leaving these places moves unseen, and
what leaves them is noticed: a point that is not reached fails its test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

RAISE: Final = "raise"  # an exception that nobody expects: a bug
KILL: Final = "kill"  # kill -9
FULL: Final = "full"  # the disk is full, and stays so until the process ends
EIO: Final = "eio"  # this one write fails, the next may succeed
WRITES: Final = (RAISE, KILL, FULL, EIO)
READS: Final = (RAISE, KILL)

When = Literal["before", "commit", "after"]


@dataclass(frozen=True, slots=True)
class Verb:
    """A method of a port. `commit` is inside the ledger's transaction, `after` behind it, before the caller hears.

    A verb that finds nothing to write is not met at its commit, unless it only `reads`.
    """

    port: Literal["ledger", "provider", "store", "sandbox"]
    name: str
    when: When
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Together:
    """The first commit that holds several verbs of this name."""

    name: str
    when: When


@dataclass(frozen=True, slots=True)
class Statement:
    """An SQL statement on a connection to the ledger's file, or to the one that becomes it. `sql` is a pattern."""

    sql: str
    when: When


@dataclass(frozen=True, slots=True)
class Closing:
    """A connection to the ledger that has written is closed, which is a checkpoint."""

    when: When


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the module `os` on a path (the new one, of two) that ends in this pattern."""

    function: str
    path: str
    when: When


@dataclass(frozen=True, slots=True)
class Wire:
    """A moment of an HTTP exchange: of a submission, a query or a download."""

    exchange: Literal["submit", "query", "fetch"]
    moment: Literal["resolve", "connect", "headers", "taken", "answer", "body", "bytes"]
    when: When


Seam = Verb | Together | Statement | Closing | Call | Wire


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens in the run that is broken, and before it.

    `before` are options of a whole run that comes first, `edited` the prompts that the manifest has after it, and
    `output` where it wants its files then.
    `others`: what was made before is another ledger's, and its lock file and its clips are all that is left of it.
    `doubts` says how many jobs the faults alone leave in doubt, `deaths` how many runs are killed before.
    """

    prompts: tuple[str, ...] = ("a cat", "a dog")
    rules: tuple[dict[str, Any], ...] = ()
    options: tuple[str, ...] = ()
    extra: str = ""
    batches: int = 1
    before: tuple[str, ...] | None = None
    edited: tuple[str, ...] | None = None
    output: str = ""
    days_later: float = 0.0
    moves_house: bool = False
    others: bool = False
    world: dict[str, Any] = field(default_factory=dict)
    # Nobody asks before a callback comes.
    patient: bool = False
    doubts: int = 0
    deaths: int = 0


def _at(kind: str, fault: Any, **when: Any) -> tuple[dict[str, Any], ...]:
    return ({"on": kind, "do": fault, **(when or {"first": 2})},)


_SWAPPED: Final = "{{ batch }}/{{ 'j1' if key == 'j0' else 'j0' }}"

SCENES: Final = {
    "plain": Scene(),
    "after a death": Scene(("a cat", "a dog", "a fish", "a bird"), options=("--submitting=1",), deaths=1),
    "two batches": Scene(prompts=("a cat",), batches=2),
    "one by one": Scene(options=("--in-flight=1",)),
    "four at once": Scene(("a", "b", "c", "d"), options=("--submitting=4",)),
    "two outputs": Scene(("[two] a cat", "[two] a dog")),
    "no connection": Scene(world={"refuse": 2}),
    "named address": Scene(world={"host": "localhost"}),
    "throttled": Scene(rules=_at("submit", {"429-retry-after": 0})),
    "key refused": Scene(rules=_at("submit", 401)),
    "flagged": Scene(("[reject] a cat", "[reject] a dog", "a fish")),
    "lost answers": Scene(rules=_at("submit", "cut-after-accept"), doubts=2),
    "contradictions": Scene(rules=_at("submit", "contradict"), doubts=2),
    "called back": Scene(options=("--listen=127.0.0.1:0",), patient=True),
    "called back in doubt": Scene(
        options=("--listen=127.0.0.1:0",), patient=True, rules=_at("submit", "cut-after-accept"), doubts=2
    ),
    "slow": Scene(("[slow] a cat", "[slow] a dog")),
    "queries fail": Scene(rules=_at("query", 500)),
    "tasks fail": Scene(("[fail] a cat", "[moderation] a dog", "a fish")),
    "tasks fail once": Scene(("[fail-once] a cat", "[fail-once] a dog"), extra="retry: {attempts: 2}\n"),
    "files fail": Scene(rules=_at("file", 500)),
    "pieces": Scene(rules=_at("file", {"slow": 0.05})),
    "other links": Scene(before=("--no-download",), moves_house=True),
    "dead links": Scene(before=("--no-download",), rules=_at("file", 404, every=1), days_later=8),
    "revised": Scene(before=(), edited=("a big cat", "a big dog")),
    "revised in part": Scene(("[two] a cat", "a dog"), before=(), edited=("[two] a big cat", "a big dog")),
    "sent again": Scene(("[fail-once] a cat", "[fail-once] a dog"), before=(), options=("--retry-failed",)),
    "shared": Scene(("[two] a cat", "[two] a cat", "[two] a cat")),
    "moved": Scene(("[two] a cat", "a dog"), before=(), edited=("[two] a cat", "a dog"), output="elsewhere/{{ key }}"),
    "swapped": Scene(before=(), edited=("a cat", "a dog"), output=_SWAPPED),
    "locked": Scene(("[two] a cat", "a dog", "a dog", "a fish"), before=(), others=True),
    "many commits": Scene(world={"commits per checkpoint": 5}),
}


@dataclass(frozen=True, slots=True)
class Point:
    """One crash point. `turns`: how often one run passes it; `each_run` if once in any run, not only the first."""

    name: str
    seam: Seam
    scene: str
    ways: tuple[str, ...]
    turns: int = 2
    each_run: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One blow at one point; `turn` 2 is the second time, or the second run."""

    point: Point
    way: str
    turn: int

    def __str__(self) -> str:
        return f"{self.point.name}, {self.way}, {self.turn}"


# The verbs of the ledger, each with the scene in which it is met twice; True if it only reads.
_VERBS: Final[tuple[tuple[str, str, bool], ...]] = (
    ("declare", "two batches", False),
    ("claim_submissions", "one by one", False),
    ("accepted", "plain", False),
    ("not_sent", "no connection", False),
    ("throttled", "throttled", False),
    ("turned_away", "key refused", False),
    ("refused", "flagged", False),
    ("doubted", "lost answers", False),
    ("claim_queries", "one by one", False),
    ("still_running", "slow", False),
    ("unanswered", "queries fail", False),
    ("succeeded", "plain", False),
    ("task_failed", "tasks fail", False),
    ("claim_deliveries", "one by one", False),
    ("stored", "two outputs", False),
    ("fetch_later", "files fail", False),
    ("renewed", "other links", False),
    ("expired", "dead links", False),
    ("occupant", "revised", True),
    ("moved", "revised", False),
    ("retried", "sent again", False),
    ("tally", "plain", True),
    ("receive", "called back", False),
    ("heard", "called back", False),
    ("named", "called back in doubt", False),
)
_ONCE_A_RUN: Final = (
    ("rescue", "after a death", False),
    ("doubts_in_a_row", "plain", True),
    ("open_tokens", "called back", True),
)


def _ledger_verbs() -> Iterator[Point]:
    for name, scene, reads in _VERBS:
        yield from _verb(name, scene, reads=reads)
    for name, scene, reads in _ONCE_A_RUN:
        yield from _verb(name, scene, reads=reads, turns=1, each_run=True)
    # Once: both callbacks may be claimed together, and both be adopted before anybody waits.
    yield from _verb("claim_calls", "called back", reads=False, turns=1)
    yield from _verb("awaited", "called back in doubt", reads=True, turns=1)
    yield from _verb("accepted", "contradictions", reads=False, told=" of one in doubt")
    yield from _verb("task_failed", "tasks fail once", reads=False, told=" to be sent again")


def _verb(
    name: str, scene: str, *, reads: bool, turns: int = 2, each_run: bool = False, told: str = ""
) -> Iterator[Point]:
    words = {"before": "before", "commit": "before the commit of", "after": "after the commit of"}
    for when, phrase in words.items():
        ways = WRITES if when == "commit" and not reads else READS
        seam = Verb("ledger", name, when, reads=reads)
        yield Point(f"{phrase} {name}{told}", seam, scene, ways, turns, each_run)


_LEDGER: Final = r"/sandbox\.db"
_NEWBORN: Final = r"/\.sandbox\.db\.[0-9a-f]+"
_OWNER: Final = r"/owners/\.[0-9a-f]+"
_STATE: Final = r"/\.seedbatch"
_PART: Final = r"/\.j\d[^/]*-\d\.part"
_SHARED_PART: Final = r"/\.j\d[^/]*share-\d-\d\.part"
_SIDECAR_PART: Final = r"/\.j\d[^/]*\.json\.part"
_FILE: Final = r"/j\d(-\d)?\.mp4"
_SIDECAR: Final = r"/j\d(-\d)?\.json"
_OLD_FILE: Final = r"/j\d(-\d)?\.rev1\.mp4"
_OLD_SIDECAR: Final = r"/j\d(-\d)?\.rev1\.json"
_OLD_SIDECAR_PART: Final = r"/\.j\d(-\d)?\.rev1\.json\.[^/]*part"
_OUTPUTS: Final = r"/outputs/sandbox/test"
_NEW: Final = r"/outputs/sandbox/elsewhere"


def _opening() -> Iterator[Point]:
    def first(name: str, seam: Seam, ways: tuple[str, ...]) -> Point:
        return Point(name, seam, "plain", ways, turns=1)

    def each(name: str, seam: Seam, ways: tuple[str, ...]) -> Point:
        return Point(name, seam, "plain", ways, turns=1, each_run=True)

    yield first("the ledger's folder is made", Call("mkdir", _STATE, "before"), WRITES)
    yield each("the lock's file is opened", Call("open", rf"{_LEDGER}\.lock", "before"), WRITES)
    yield each("the owner's file is made", Call("open", _OWNER, "before"), WRITES)
    yield each("the owner's file is made, not named", Call("rename", r"/owners/[0-9a-f]+", "before"), WRITES)
    yield each("the owner's file is named", Call("rename", r"/owners/[0-9a-f]+", "after"), READS)
    yield each("the emergency record is opened", Call("open", rf"{_LEDGER}\.emergency", "before"), WRITES)
    yield first("the emergency record is filled", Call("pwrite", rf"{_LEDGER}\.emergency", "before"), WRITES)
    yield first("the emergency record is filled, not synced", Call("fsync", rf"{_LEDGER}\.emergency", "before"), WRITES)
    yield first("the newborn ledger is made", Call("open", _NEWBORN, "before"), WRITES)
    yield first("the newborn ledger is empty", Call("open", _NEWBORN, "after"), READS)
    yield first("the newborn ledger has no tables", Statement(r"PRAGMA journal_mode", "after"), READS)
    yield Point("a table is made", Statement(r"\s*CREATE TABLE", "before"), "plain", (RAISE, KILL, FULL))
    yield first("a migration is noted", Statement(r"(?s)INSERT.*_sqlite_migrations", "before"), READS)
    yield first("the migrations are done", Statement(r"(?s)INSERT.*_sqlite_migrations", "after"), READS)
    yield first("the ledger gets its id", Statement(r"INSERT INTO meta", "before"), (RAISE, KILL, EIO))
    yield first("the ledger has its id", Statement(r"INSERT INTO meta", "after"), READS)
    yield first("the newborn ledger is whole", Call("link", _LEDGER, "before"), WRITES)
    yield first("the ledger has two names", Call("link", _LEDGER, "after"), READS)
    yield first("the newborn name is removed", Call("unlink", _NEWBORN, "before"), (RAISE, KILL, EIO))
    yield first("the ledger has its name, not synced", Call("fsync", _STATE, "before"), (RAISE, KILL, EIO))
    yield first("the ledger's name is synced", Call("fsync", _STATE, "after"), READS)
    yield each("the ledger's pages are looked at", Statement(r"PRAGMA integrity_check", "before"), READS)
    yield each("the ledger's facts are read", Statement(r"SELECT key, value FROM meta", "after"), READS)
    yield each("the mark is opened", Call("open", rf"{_LEDGER}\.generation", "before"), WRITES)
    yield Point("the mark is raised", Call("pwrite", rf"{_LEDGER}\.generation", "before"), "plain", WRITES, turns=1)
    yield Point("the mark is risen", Call("pwrite", rf"{_LEDGER}\.generation", "after"), "plain", READS, turns=1)
    yield each("the writer begins", Statement(r"BEGIN IMMEDIATE", "before"), READS)


def _in(scene: str) -> Callable[..., Point]:
    """Makes points of one scene that are passed twice."""

    def point(name: str, seam: Seam, ways: tuple[str, ...] = READS) -> Point:
        return Point(name, seam, scene, ways)

    return point


def _sending() -> Iterator[Point]:
    sent = _in("plain")

    yield sent("before a submission", Verb("provider", "submit", "before"))
    # Once: the answer is remembered for the next connection.
    yield Point("before its host is resolved", Wire("submit", "resolve", "before"), "named address", READS, turns=1)
    yield sent("before its connection", Wire("submit", "connect", "before"), (RAISE, KILL, EIO))
    yield sent("after its connection", Wire("submit", "connect", "after"), (RAISE, KILL, EIO))
    yield sent("in the hook, before it is noted", Wire("submit", "headers", "before"))
    yield sent("in the hook, after it was noted", Wire("submit", "headers", "after"))
    yield Point("its task is billed, the answer not sent", Verb("sandbox", "accept", "after"), "plain", (KILL,))
    yield sent("its request is taken, the answer not read", Wire("submit", "taken", "after"), (RAISE, KILL, EIO))
    yield sent("after the headers of its answer", Wire("submit", "answer", "after"), (RAISE, KILL, EIO))
    yield sent("after the body of its answer", Wire("submit", "body", "after"), (RAISE, KILL, EIO))
    yield sent("after a submission", Verb("provider", "submit", "after"))


def _asking() -> Iterator[Point]:
    asked = _in("plain")

    yield asked("before a query", Verb("provider", "query", "before"))
    yield asked("in the hook of a query", Wire("query", "headers", "after"))
    yield asked("after the headers of its report", Wire("query", "answer", "after"), (RAISE, KILL, EIO))
    yield asked("after the body of its report", Wire("query", "body", "after"), (RAISE, KILL, EIO))
    yield asked("after a query", Verb("provider", "query", "after"))


def _fetching() -> Iterator[Point]:
    def fetched(name: str, seam: Seam, ways: tuple[str, ...] = READS, scene: str = "plain", turns: int = 2) -> Point:
        return Point(name, seam, scene, ways, turns)

    no_full = (RAISE, KILL, EIO)
    yield fetched("the batch's folder is made", Call("mkdir", _OUTPUTS, "before"), WRITES, turns=1)
    yield fetched("before a download", Verb("store", "fetch", "before"))
    yield fetched("before its part is made", Call("open", _PART, "before"), WRITES)
    yield fetched("its part is made", Call("open", _PART, "after"))
    # Once: the second file may come over the first one's connection.
    yield fetched("before the connection for a file", Wire("fetch", "connect", "before"), no_full, turns=1)
    yield fetched("after the headers of a file", Wire("fetch", "answer", "after"), no_full)
    yield fetched("after the first bytes of a file came", Wire("fetch", "bytes", "after"), no_full, scene="pieces")
    yield fetched("before its first bytes are written", Call("write", _PART, "before"), WRITES, scene="pieces")
    yield fetched("its first bytes are written", Call("write", _PART, "after"), scene="pieces")
    yield fetched("its last bytes are written, not synced", Call("fsync", _PART, "before"), no_full)
    yield fetched("its part is synced", Call("fsync", _PART, "after"))
    yield fetched("before its sidecar's part is made", Call("open", _SIDECAR_PART, "before"), WRITES)
    yield fetched("before its sidecar is written", Call("write", _SIDECAR_PART, "before"), WRITES)
    yield fetched("its sidecar is written, not synced", Call("fsync", _SIDECAR_PART, "before"), no_full)
    yield fetched("before its sidecar is named", Call("link", _SIDECAR, "before"), WRITES)
    yield fetched("its sidecar is named", Call("link", _SIDECAR, "after"))
    yield fetched("before its sidecar's part is removed", Call("unlink", _SIDECAR_PART, "before"), no_full)
    yield fetched("before it is named", Call("link", _FILE, "before"), WRITES)
    yield fetched("it is named, and its part is there", Call("link", _FILE, "after"))
    yield fetched("before its part is removed", Call("unlink", _PART, "before"), no_full)
    yield fetched("its part is removed", Call("unlink", _PART, "after"))
    yield fetched("before its folder is synced", Call("fsync", _OUTPUTS, "before"), no_full)
    yield fetched("its folder is synced", Call("fsync", _OUTPUTS, "after"))
    yield fetched("after a download", Verb("store", "fetch", "after"))


def _making_way() -> Iterator[Point]:
    moved = _in("revised")

    no_full = (RAISE, KILL, EIO)
    yield moved("before a file gives way", Verb("store", "give_way", "before"))
    yield moved("before it has a second name", Call("link", _OLD_FILE, "before"), WRITES)
    yield moved("it has a second name", Call("link", _OLD_FILE, "after"))
    yield moved("before the part of its sidecar is made", Call("open", _OLD_SIDECAR_PART, "before"), WRITES)
    yield moved("before its sidecar has a second name", Call("link", _OLD_SIDECAR, "before"), WRITES)
    yield moved("its sidecar has a second name", Call("link", _OLD_SIDECAR, "after"))
    yield moved("after a file gave way", Verb("store", "give_way", "after"))
    yield moved("before a name is released", Verb("store", "release", "before"))
    yield moved("before the old name is removed", Call("unlink", _FILE, "before"), no_full)
    yield moved("the old name is removed", Call("unlink", _FILE, "after"))
    yield moved("before the old sidecar is removed", Call("unlink", _SIDECAR, "before"), no_full)
    yield moved("the old sidecar is removed", Call("unlink", _SIDECAR, "after"))
    yield moved("after a name was released", Verb("store", "release", "after"))
    yield Point(
        "an earlier revision of several files gives way",
        Verb("store", "give_way", "after"), "revised in part", READS, turns=2,
    )  # fmt: skip


def _sharing() -> Iterator[Point]:
    shared = _in("shared")

    yield from _verb("linked", "shared", reads=False)
    yield shared("before a file is shared", Verb("store", "share", "before"))
    yield shared("before it is linked", Call("link", _SHARED_PART, "before"), WRITES)
    yield shared("it is linked, without its own name", Call("link", _SHARED_PART, "after"))
    yield shared("after a file was shared", Verb("store", "share", "after"))


def _taking_over() -> Iterator[Point]:
    locked = _in("locked")

    yield from _verb("lock_in", "locked", reads=True, turns=1)
    yield from _verb("linked", "locked", reads=False, told=" of a locked task")
    yield locked("before a file of others is shared", Verb("store", "share", "before"))
    yield locked("before a file of others is linked", Call("link", _SHARED_PART, "before"), WRITES)
    yield locked("a file of others is linked, without its own name", Call("link", _SHARED_PART, "after"))
    yield locked("before the sidecar of a locked file is named", Call("link", _SIDECAR, "before"), WRITES)
    yield locked("before a locked file has its own name", Call("link", _FILE, "before"), WRITES)
    yield locked("a locked file has its own name", Call("link", _FILE, "after"))
    yield locked("after a file of others was shared", Verb("store", "share", "after"))


def _relocating() -> Iterator[Point]:
    moved = _in("moved")

    no_full = (RAISE, KILL, EIO)
    yield from _verb("claim_relocations", "moved", reads=True)
    yield from _verb("relocated", "moved", reads=False)
    yield from _verb("claim_waypoint", "swapped", reads=True, turns=1)
    yield Point("after files changed places", Verb("store", "relocate", "after"), "swapped", READS)
    yield moved("before a file is moved", Verb("store", "relocate", "before"))
    yield Point("its new folder is made", Call("mkdir", "/elsewhere", "before"), "moved", WRITES, turns=1)
    yield moved("before its new sidecar's part is made", Call("open", rf"{_NEW}/\..*part", "before"), WRITES)
    yield moved("before its new sidecar is written", Call("write", rf"{_NEW}/\..*part", "before"), WRITES)
    yield moved("before its new sidecar is named", Call("rename", rf"{_NEW}{_SIDECAR}", "before"), WRITES)
    yield moved("its new sidecar is named", Call("rename", rf"{_NEW}{_SIDECAR}", "after"))
    yield moved("before it has its new name", Call("link", rf"{_NEW}{_FILE}", "before"), WRITES)
    yield moved("it has its new name", Call("link", rf"{_NEW}{_FILE}", "after"))
    yield moved("before its new name is synced", Call("fsync", _NEW, "before"), no_full)
    yield moved("before its old name is removed", Call("unlink", rf"{_OUTPUTS}{_FILE}", "before"), no_full)
    yield moved("its old name is removed", Call("unlink", rf"{_OUTPUTS}{_FILE}", "after"))
    yield moved("before its old sidecar is removed", Call("unlink", rf"{_OUTPUTS}{_SIDECAR}", "before"), no_full)
    yield moved("after a file was moved", Verb("store", "relocate", "after"))


def _ending() -> Iterator[Point]:
    checkpoint = r"PRAGMA wal_checkpoint"
    yield Point("before a checkpoint", Statement(checkpoint, "before"), "many commits", (RAISE, KILL, EIO))
    yield Point("after a checkpoint", Statement(checkpoint, "after"), "many commits", READS)
    for when in ("before", "after"):
        yield Point(f"{when} the ledger closes", Verb("ledger", "aclose", when), "plain", READS, 1, each_run=True)
    yield Point("before the last connection closes", Closing("before"), "plain", (RAISE, KILL, EIO), 1, each_run=True)
    yield Point("after the last connection closed", Closing("after"), "plain", READS, 1, each_run=True)
    yield Point(
        "before the owner's file is removed",
        Call("unlink", r"/owners/[0-9a-f]+", "before"), "plain", (RAISE, KILL, EIO), 1, each_run=True,
    )  # fmt: skip
    yield Point(
        "before the mark is synced",
        Call("fsync", rf"{_LEDGER}\.generation", "before"), "plain", (RAISE, KILL, EIO), 1, each_run=True,
    )  # fmt: skip


def _together() -> Iterator[Point]:
    yield Point("before the commit of several", Together("accepted", "commit"), "four at once", WRITES, turns=1)
    yield Point("after the commit of several", Together("accepted", "after"), "four at once", (KILL,), turns=1)


POINTS: Final = (
    *_opening(),
    *_ledger_verbs(),
    *_together(),
    *_sending(),
    *_asking(),
    *_fetching(),
    *_making_way(),
    *_sharing(),
    *_taking_over(),
    *_relocating(),
    *_ending(),
)


def cases(*, every: bool) -> Iterator[Case]:
    """Kill -9 at each point and each time; the other blows too, and the second time only with `every`."""
    for point in POINTS:
        for way in point.ways:
            for turn in (1, 2) if point.turns == 2 or point.each_run else (1,):
                if turn == 1 or way == KILL or every:
                    yield Case(point, way, turn)
