"""Judges what a program left behind, from outside: the provider's bill, the ledger's public tables, the output folder.

It imports nothing of the program, so the two cannot share a mistake: the tables are read as `docs/ledger.md` describes
them, and the rules are written from the design. It never writes. What it does not judge: a budget or a number of tries
that a manifest lowered after they were used (the ledger keeps only the latest), and prices that were named afterwards.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]

# From the design's drawing of the states, not from the program's table.
ALLOWED: Final = {
    None: {"pending"},
    "pending": {"submitting", "completed", "abandoned"},
    "submitting": {"pending", "running", "in_doubt", "failed"},
    "in_doubt": {"pending", "running", "failed", "abandoned"},
    "running": {"succeeded", "failed", "abandoned"},
    "succeeded": {"completed", "expired", "abandoned"},
    "completed": set(),
    "failed": {"pending"},
    "expired": {"pending"},
    "abandoned": {"pending"},
}
LIVE: Final = {"submitting", "in_doubt", "running"}
PAID: Final = LIVE | {"succeeded", "completed"}
# The one failure without a reason, and the provider's own time limit: a retry of these is documented as allowed.
RETRYABLE: Final = {"fail", "timeout"}
# What an event of this type says about how its attempt ended.
ENDS: Final = {
    "not_sent": "not_sent",
    "throttled": "throttled",
    "turned_away": "turned_away",
    "refused": "refused",
    "failed": "failed",
    "succeeded": "succeeded",
    "given_up": "lost",
    "resubmitted": "resubmitted",
    "abandoned": "abandoned",
}
NO_TASK: Final = {"not_sent", "throttled", "turned_away", "refused"}
BY_A_PERSON: Final = {"lost", "resubmitted", "abandoned"}
_SURCHARGE: Final = 10  # percent, the highest: what is kept of a moderated task's price


@dataclass(frozen=True, slots=True)
class BilledTask:
    """One task that the provider charged for.

    `reference` is the `user_id` it was submitted with; `ending` is how it ended or will end: `success`, `empty` (a
    success without outputs), `fail` (no reason given), `timeout`, `moderation`, `invalid`, `points` or `cancelled`. A
    `twin` was made by the provider alone, from a request that it had carried out already.
    """

    task_id: str
    reference: str | None
    ending: str
    twin: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One promise that was not kept, by the name of its rule."""

    rule: str
    words: str


def read_bill(provider: Path) -> list[BilledTask]:
    """What the sandbox charged for, in the order it did."""
    with closing(_reading(provider)) as connection:
        rows = connection.execute(
            "SELECT t.task_id, t.user_id, CASE WHEN t.outcome = 'success' AND t.outputs = 0 THEN 'empty'"
            " ELSE t.outcome END FROM bill b JOIN tasks t ON t.task_id = b.task_id"
            " WHERE b.kind = 'charge' ORDER BY b.seq"
        )
        return [BilledTask(*row) for row in rows]


def check(
    ledger: Path,
    bill: Sequence[BilledTask],
    outputs: Path | None = None,
    *,
    alive: Collection[str] | None = (),
    acknowledged: Collection[tuple[str, bytes]] = (),
) -> list[Violation]:
    """Every promise that ledger, bill and output folder together show broken.

    `alive` are the processes that may hold submissions on the wire; None: do not judge that. `acknowledged` are the
    callbacks that were answered with 2xx: the SHA-256 of the token, and the body.
    """
    with closing(_reading(ledger)) as connection:
        book = _Book.read(connection)
    bench = _Bench(book, bill, ledger.absolute().parent, outputs, alive, acknowledged)
    return sorted({violation for rule in _RULES for violation in rule(bench)})


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)


@dataclass(frozen=True, slots=True)
class _Book:
    """The ledger's rows, in the order of their ids, of one committed state."""

    batches: dict[int, Row]
    jobs: dict[int, Row]
    attempts: dict[int, Row]
    outputs: list[Row]
    artifacts: list[Row]
    events: list[Row]
    totals: list[Row]
    extras: list[Row]
    callbacks: list[Row]
    shares: dict[int, Row]
    integrity: list[str]

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> _Book:
        connection.execute("BEGIN")

        def rows(table: str, order: str = "id") -> list[Row]:
            cursor = connection.execute(f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608 - our own words
            names = [column for column, *_ in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        return cls(
            batches={row["id"]: row for row in rows("batches")},
            jobs={row["id"]: row for row in rows("jobs")},
            attempts={row["id"]: row for row in rows("attempts")},
            outputs=rows("outputs", "attempt_id, position"),
            artifacts=rows("artifacts"),
            events=[{**row, "data": json.loads(row["data"])} for row in rows("events", "seq")],
            totals=rows("totals", "scope, currency"),
            extras=rows("extras"),
            callbacks=rows("callbacks"),
            shares={row["job_id"]: row for row in rows("shares", "job_id")},
            integrity=[text for (text,) in connection.execute("PRAGMA integrity_check")],
        )


@dataclass(slots=True)
class _Bench:
    """What the rules look at, with what several of them need."""

    book: _Book
    bill: Sequence[BilledTask]
    home: Path
    folder: Path | None
    alive: Collection[str] | None
    acknowledged: Collection[tuple[str, bytes]]
    by_reference: dict[str, Row] = field(default_factory=dict)
    by_task: dict[str, Row] = field(default_factory=dict)
    billed: dict[str, BilledTask] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for attempt in self.book.attempts.values():
            self.by_reference[attempt["reference"]] = attempt
            if attempt["task_id"] is not None:
                self.by_task[attempt["task_id"]] = attempt
        for extra in self.book.extras:
            self.by_task[extra["task_id"]] = self.book.attempts[extra["attempt_id"]]
        self.billed = {task.task_id: task for task in self.bill}

    def name(self, job_id: int) -> str:
        job = self.book.jobs.get(job_id)
        if job is None:
            return f"job {job_id}, which is not there,"
        return f"{self.book.batches[job['batch_id']]['name']}/{job['address']} revision {job['revision']}"


# -- the bill -------------------------------------------------------------------------------------------------------


def _billed_as_often_as_allowed(bench: _Bench) -> Iterator[Violation]:
    """Each word of a person, and each retry that the policy allows, is good for one more billed task, not before."""
    tasks = Counter(task.reference for task in bench.bill if not task.twin)
    # The attempt's own task, which may be the twin: whichever of the two was named first.
    ends = {attempt["reference"]: bench.billed[attempt["task_id"]].ending for attempt in _with_billed_task(bench)}
    for job_id, events in _by_job(bench.book.events).items():
        left = policy = 0
        latest: Row | None = None
        for event in events:
            match event["type"], event["data"].get("by"):
                case "declared", _:
                    left += 1
                case "retried", "manifest":
                    policy += 1
                    tries = bench.book.batches[bench.book.jobs[job_id]["batch_id"]]["tries"]
                    ending = ends.get(latest["reference"]) if latest else None
                    if policy < tries and ending in RETRYABLE:
                        left += 1
                    else:
                        words = f"{bench.name(job_id)} was retried by policy ({policy} of {tries - 1}) after {ending}"
                        yield Violation("retry", words)
                case (("retried" | "resubmitted"), str()):
                    left += 1
                case "intended", _:
                    latest = bench.book.attempts.get(event["attempt_id"])
                    left -= tasks[latest["reference"]] if latest else 0
                    if left < 0:
                        words = (
                            f"{bench.name(job_id)} was billed once more than allowed, by attempt {event['attempt_id']}"
                        )
                        yield Violation("billed twice", words)
                        left = 0


def _requests_are_paid_for_once(bench: _Bench) -> Iterator[Violation]:
    """Nothing is sent while another job's same request was paid for, or may have been: its task is shared."""
    paid: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for event in bench.book.events:
        job = bench.book.jobs[event["job_id"]]
        wish, job_id = (job["fingerprint"], job["take"]), event["job_id"]
        if event["type"] == "intended" and (others := paid[wish] - {job_id}):
            words = f"{bench.name(job_id)} was sent, and {bench.name(min(others))} had asked for the same"
            yield Violation("paid twice", words)
        if event["to_state"] in PAID and event["type"] != "reused":
            paid[wish].add(job_id)
        elif event["to_state"] is not None:
            paid[wish].discard(job_id)


def _every_billed_task_is_known(bench: _Bench) -> Iterator[Violation]:
    for task in bench.bill:
        attempt = bench.by_reference.get(task.reference or "")
        holder = bench.by_task.get(task.task_id)
        if attempt is None:
            yield Violation("unknown task", f"{task.task_id} was billed for {task.reference}, which nobody intended")
        elif holder is not None and holder is not attempt and not _adopted(bench, holder):
            words = f"{task.task_id} was made by attempt {attempt['id']} and is held by attempt {holder['id']}"
            yield Violation("foreign task", words)
        elif holder is None and not (task.twin or _has_a_twin(bench, task) or _may_be_unknown(bench, attempt)):
            words = (
                f"{task.task_id} was billed for attempt {attempt['id']} of {bench.name(attempt['job_id'])},"
                f" which ended as {attempt['outcome']} with task {attempt['task_id']}"
            )
            yield Violation("lost task", words)


def _with_billed_task(bench: _Bench) -> Iterator[Row]:
    return (attempt for attempt in bench.book.attempts.values() if attempt["task_id"] in bench.billed)


def _has_a_twin(bench: _Bench, task: BilledTask) -> bool:
    """The ledger knows one of the two, and the other's callback may never have come."""
    return any(other.reference == task.reference and other.twin for other in bench.bill)


def _adopted(bench: _Bench, attempt: Row) -> bool:
    """By a person, who may be wrong; a callback may not."""
    return any(
        event["type"] == "adopted" and event["attempt_id"] == attempt["id"] and event["data"]["by"] != "callback"
        for event in bench.book.events
    )


def _may_be_unknown(bench: _Bench, attempt: Row) -> bool:
    """In doubt, on the wire, or settled by a person."""
    if attempt["task_id"] is not None:
        return False
    if attempt["outcome"] is None:
        return bench.book.jobs[attempt["job_id"]]["state"] in {"in_doubt", "submitting"}
    return attempt["outcome"] in BY_A_PERSON


def _every_task_is_on_the_bill(bench: _Bench) -> Iterator[Violation]:
    for attempt in bench.book.attempts.values():
        if attempt["task_id"] is not None and attempt["task_id"] not in bench.billed:
            yield Violation("unbilled task", f"attempt {attempt['id']} holds {attempt['task_id']}, which nobody billed")


def _ends_are_true(bench: _Bench) -> Iterator[Violation]:
    """A task ended in the ledger as it did at the provider."""
    for attempt in bench.book.attempts.values():
        task = bench.billed.get(attempt["task_id"])
        if task is None or attempt["outcome"] not in {"succeeded", "failed"}:
            continue
        if (attempt["outcome"] == "succeeded") != (task.ending == "success"):
            words = f"attempt {attempt['id']} {attempt['outcome']}, and {task.task_id} ended as {task.ending}"
            yield Violation("untrue end", words)
        if attempt["outcome"] == "failed" and (attempt["violated_on"] is not None) != (task.ending == "moderation"):
            words = f"attempt {attempt['id']} has violated_on {attempt['violated_on']}, and ended as {task.ending}"
            yield Violation("moderation", words)


# -- states, attempts and events ------------------------------------------------------------------------------------


def _events_replay(bench: _Bench) -> Iterator[Violation]:
    for place, event in enumerate(bench.book.events, start=1):
        if event["seq"] != place:
            yield Violation("events", f"event {place} is missing: the next one is {event['seq']}")
            break
    by_job = _by_job(bench.book.events)
    for job_id in bench.book.jobs.keys() | by_job.keys():
        state = None
        for event in by_job.get(job_id, ()):
            if event["from_state"] is None and event["to_state"] is None:
                continue
            if event["from_state"] != state:
                words = f"{bench.name(job_id)} was {state} before event {event['seq']}, not {event['from_state']}"
                yield Violation("events", words)
            if event["to_state"] not in ALLOWED.get(event["from_state"], ()):
                words = f"{bench.name(job_id)} went from {event['from_state']} to {event['to_state']}"
                yield Violation("transition", words)
            state = event["to_state"]
        held = bench.book.jobs.get(job_id, {}).get("state")
        if held != state:
            yield Violation("events", f"{bench.name(job_id)} is {held}, and its events lead to {state}")


def _attempts_replay(bench: _Bench) -> Iterator[Violation]:
    """What an attempt's row says is what its events say."""
    by_attempt: defaultdict[int, list[Row]] = defaultdict(list)
    for event in bench.book.events:
        if event["attempt_id"] is not None:
            by_attempt[event["attempt_id"]].append(event)
    for attempt in bench.book.attempts.values():
        events = by_attempt[attempt["id"]]
        if {event["job_id"] for event in events} != {attempt["job_id"]}:
            yield Violation("attempts", f"attempt {attempt['id']} has events of another job, or none")
        begun = [event["type"] for event in events if event["type"] in {"intended", "locked"}]
        if len(begun) != 1:
            yield Violation("attempts", f"attempt {attempt['id']} was not intended, or taken over, exactly once")
        named = [
            event["data"].get("task_id") for event in events if event["type"] in {"accepted", "adopted", "surfaced"}
        ]
        if named != ([] if attempt["task_id"] is None else [attempt["task_id"]]):
            yield Violation(
                "attempts", f"attempt {attempt['id']} holds {attempt['task_id']}, and its events name {named}"
            )
        ended = [ENDS[event["type"]] for event in events if event["type"] in ENDS]
        # A person may abandon a job after its attempt ended; the attempt keeps its own end.
        if (attempt["outcome"] is None) != (not ended) or (ended and ended[0] != attempt["outcome"]):
            yield Violation(
                "attempts", f"attempt {attempt['id']} ended as {attempt['outcome']}, and its events say {ended}"
            )


def _live_jobs_have_one_open_attempt(bench: _Bench) -> Iterator[Violation]:
    still_open: defaultdict[int, list[Row]] = defaultdict(list)
    for attempt in bench.book.attempts.values():
        if attempt["outcome"] is None:
            still_open[attempt["job_id"]].append(attempt)
    for job_id, job in bench.book.jobs.items():
        attempts = still_open[job_id]
        if len(attempts) != (job["state"] in LIVE):
            words = f"{bench.name(job_id)} is {job['state']} and has {len(attempts)} open attempts"
            yield Violation("open attempts", words)
        for attempt in attempts:
            if (attempt["task_id"] is not None) != (job["state"] == "running"):
                words = f"{bench.name(job_id)} is {job['state']}, and its open attempt holds task {attempt['task_id']}"
                yield Violation("open attempts", words)
            if job["state"] == "submitting" and bench.alive is not None and attempt["owner"] not in bench.alive:
                yield Violation("stuck", f"{bench.name(job_id)} is submitting, and its process is gone")


def _violations_are_moderated_failures(bench: _Bench) -> Iterator[Violation]:
    moderated = {
        event["attempt_id"]
        for event in bench.book.events
        if event["type"] == "failed" and event["data"].get("class") == "moderation"
    }
    for attempt in bench.book.attempts.values():
        if (attempt["violated_on"] is not None) != (attempt["id"] in moderated):
            words = f"attempt {attempt['id']} has violated_on {attempt['violated_on']}, against its events"
            yield Violation("moderation", words)


# -- money ----------------------------------------------------------------------------------------------------------


def _exposure_replays_under_the_caps(bench: _Bench) -> Iterator[Violation]:
    """Event by event: no intent was ever recorded that a budget had no room for."""
    owed: dict[int, int] = {}
    counted: dict[int, int] = {}
    over: set[int] = set()
    for event in bench.book.events:
        attempt = bench.book.attempts.get(event["attempt_id"])
        if attempt is None:
            continue
        attempt_id = attempt["id"]
        match event["type"]:
            case "intended" | "surfaced":
                owed[attempt_id], counted[attempt_id] = attempt["price"] or 0, 1
            case "locked":  # others paid
                owed[attempt_id], counted[attempt_id] = 0, 1
            case "not_sent" | "throttled" | "turned_away" | "refused" | "given_up":
                owed[attempt_id] = counted[attempt_id] = 0
            case "failed" if event["data"].get("class") == "moderation":
                owed[attempt_id] = -(-(attempt["price"] or 0) * _SURCHARGE // 100)
            case _:
                continue
        # A task that surfaces after a person gave it up is owed whatever the cap; only a new intent must fit.
        batch_id = bench.book.jobs[attempt["job_id"]]["batch_id"]
        if event["type"] == "intended" and batch_id not in over:
            for words in _over(bench, batch_id, owed, counted):
                over.add(batch_id)
                yield Violation("budget", f"{words} with event {event['seq']}")
    for attempt in bench.book.attempts.values():
        replayed = (counted.get(attempt["id"]), owed.get(attempt["id"]))
        if replayed != (attempt["counted"], attempt["exposure"]):
            held = (attempt["counted"], attempt["exposure"])
            yield Violation("exposure", f"attempt {attempt['id']} counts {held}, and its events say {replayed}")


def _over(bench: _Bench, batch_id: int, owed: dict[int, int], counted: dict[int, int]) -> Iterator[str]:
    batch = bench.book.batches[batch_id]
    mine = [
        one
        for one in counted
        if bench.book.jobs[bench.book.attempts[one]["job_id"]]["batch_id"] == batch_id and counted[one]
    ]
    if batch["max_jobs"] is not None and len(mine) > batch["max_jobs"]:
        yield f"{batch['name']} counts {len(mine)} submissions, and {batch['max_jobs']} are the most"
    if batch["max_cost"] is not None:
        if any(bench.book.attempts[one]["currency"] != batch["currency"] for one in mine):
            yield f"{batch['name']} has a submission without a price in {batch['currency']}"
        total = sum(owed[one] for one in mine)
        if total > batch["max_cost"]:
            yield f"{batch['name']} owes {total}, and {batch['max_cost']} is the most"


def _totals_are_a_recount(bench: _Bench) -> Iterator[Violation]:
    count: Counter[tuple[str, str]] = Counter()
    money: Counter[tuple[str, str]] = Counter()
    for attempt in bench.book.attempts.values():
        batch = bench.book.jobs[attempt["job_id"]]["batch_id"]
        for scope in (f"batch {batch}", f"day {attempt['intended_at'][:10]}", f"owner {attempt['owner']}"):
            key = (scope, attempt["currency"] or "")
            count[key] += attempt["counted"]
            money[key] += attempt["exposure"]
        count["finished", ""] += attempt["outcome"] in {"failed", "succeeded"}
        if attempt["violated_on"] is not None:
            count["rejected", ""] += 1
            count[f"violations {attempt['violated_on']}", ""] += 1
    for extra in bench.book.extras:
        attempt = bench.book.attempts[extra["attempt_id"]]
        batch = bench.book.jobs[attempt["job_id"]]["batch_id"]
        for scope in (f"batch {batch}", f"day {attempt['intended_at'][:10]}", f"owner {attempt['owner']}"):
            money[scope, extra["currency"] or ""] += extra["exposure"]
    held = {(row["scope"], row["currency"]): (row["count"], row["exposure"]) for row in bench.book.totals}
    for key in count.keys() | money.keys() | held.keys():
        recount = (count[key], money[key])
        if held.get(key, (0, 0)) != recount and key[0].split(" ")[0] in _SCOPES:
            yield Violation("totals", f"{' '.join(key).strip()} holds {held.get(key)}, and a recount gives {recount}")


_SCOPES: Final = {"batch", "day", "owner", "finished", "rejected", "violations"}

# -- callbacks ------------------------------------------------------------------------------------------------------


def _what_was_acknowledged_is_kept(bench: _Bench) -> Iterator[Violation]:
    kept = {(row["token"], _bytes(row["body"])) for row in bench.book.callbacks}
    for token, body in bench.acknowledged:
        if (token, body) not in kept:
            yield Violation("acknowledged", f"a callback at token {token[:6]} was answered with 2xx, and is not kept")


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _extras_are_on_the_bill(bench: _Bench) -> Iterator[Violation]:
    held = {attempt["task_id"] for attempt in bench.book.attempts.values()}
    for extra in bench.book.extras:
        if extra["task_id"] not in bench.billed:
            yield Violation("unbilled task", f"{extra['task_id']} is extra, and nobody billed it")
        if extra["task_id"] in held:
            yield Violation("extra", f"{extra['task_id']} is extra, and an attempt's own as well")


# -- files ----------------------------------------------------------------------------------------------------------


def _artifacts_are_there(bench: _Bench) -> Iterator[Violation]:
    for artifact in bench.book.artifacts:
        path = bench.home / artifact["folder"] / artifact["path"]
        try:
            content = path.read_bytes()
        except OSError as error:
            yield Violation("file", f"{artifact['path']} cannot be read: {error.strerror}")
            continue
        if len(content) != artifact["bytes"]:
            yield Violation("file", f"{artifact['path']} has {len(content)} bytes, not {artifact['bytes']}")
        elif hashlib.sha256(content).hexdigest() != artifact["sha256"]:
            yield Violation("file", f"{artifact['path']} has another content than was stored")


def _files_are_known(bench: _Bench) -> Iterator[Violation]:
    """What is in the output folder is an artifact, a sidecar, unfinished, or finished without its row yet."""
    if bench.folder is None or not bench.folder.is_dir():
        return
    known = {(bench.home / row["folder"] / row["path"]).resolve() for row in bench.book.artifacts}
    for path in sorted(bench.folder.rglob("*")):
        if path.is_dir() or path.resolve() in known or path.suffix in {".part", ".json"}:
            continue
        if _task_of_sidecar(path) not in bench.by_task:
            yield Violation("unknown file", f"{path.relative_to(bench.folder)} is of no task in the ledger")


def _task_of_sidecar(path: Path) -> str | None:
    try:
        members = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None
    return members.get("task_id") if members.get("file") == path.name else None


def _completed_has_everything(bench: _Bench) -> Iterator[Violation]:
    stored = {(row["job_id"], row["attempt_id"], row["position"]) for row in bench.book.artifacts}
    offered: defaultdict[int, list[int]] = defaultdict(list)
    for output in bench.book.outputs:
        offered[output["attempt_id"]].append(output["position"])
    attempts = {attempt["job_id"]: attempt for attempt in bench.book.attempts.values()}  # the latest of each
    for job_id, job in bench.book.jobs.items():
        if job["state"] != "completed":
            continue
        attempt = attempts.get(job_id)
        share = bench.book.shares.get(job_id)
        if share is not None and share["linked_at"] is not None:
            source = bench.book.jobs[share["source_id"]]
            attempt = attempts.get(source["id"])
            if any(source[column] != job[column] for column in ("fingerprint", "take")):
                yield Violation("shared", f"{bench.name(job_id)} got the files of another request")
        if attempt is None or attempt["outcome"] != "succeeded" or not offered[attempt["id"]]:
            yield Violation("completed", f"{bench.name(job_id)} is completed without a task that offered anything")
        elif missing := [place for place in offered[attempt["id"]] if (job_id, attempt["id"], place) not in stored]:
            yield Violation("completed", f"{bench.name(job_id)} is completed without its outputs {missing}")


def _the_file_is_sound(bench: _Bench) -> Iterator[Violation]:
    if bench.book.integrity != ["ok"]:
        yield Violation("integrity", "; ".join(bench.book.integrity))


def _by_job(events: Sequence[Row]) -> dict[int, list[Row]]:
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for event in events:
        found[event["job_id"]].append(event)
    return found


_RULES: Final = (
    _billed_as_often_as_allowed,
    _requests_are_paid_for_once,
    _every_billed_task_is_known,
    _every_task_is_on_the_bill,
    _ends_are_true,
    _events_replay,
    _attempts_replay,
    _live_jobs_have_one_open_attempt,
    _violations_are_moderated_failures,
    _exposure_replays_under_the_caps,
    _totals_are_a_recount,
    _what_was_acknowledged_is_kept,
    _extras_are_on_the_bill,
    _artifacts_are_there,
    _files_are_known,
    _completed_has_everything,
    _the_file_is_sound,
)
