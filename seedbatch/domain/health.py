"""What `doctor` looks at: facts about what a run depends on, what they amount to, and the body of its test callback."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from seedbatch.domain.answers import QueryAnswer
from seedbatch.domain.errors import PRECEDENCE, Exit

# What a query names that no task is called: any answer to it says that the provider is there.
NOBODY: Final = "00000000-0000-4000-8000-000000000000"

_LONGEST_TEST: Final = 200


class Health(StrEnum):
    """What a look at one thing amounts to."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `hint` is what to type next; `exit` is what a script is told if it is a problem."""

    name: str
    verdict: Health
    words: str
    hint: str = ""
    exit: Exit = Exit.USAGE


def exit_of(checks: Iterable[Check]) -> Exit:
    """What all of them together mean to a script: the first problem by precedence, or 0."""
    codes = {check.exit for check in checks if check.verdict is Health.PROBLEM}
    if not codes:
        return Exit.OK
    return next((code for code in PRECEDENCE if code in codes), Exit.USAGE)


# -- facts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contact:
    """One query: its answer, the moment that the provider's own clock gave with it, and ours before and after."""

    answer: QueryAnswer
    told_at: datetime | None
    before: datetime
    after: datetime


class Locking(StrEnum):
    """What a file system does with a lock that another descriptor holds already."""

    HOLDS = "holds"
    PRETENDS = "pretends"  # it grants it a second time
    LACKING = "lacking"


@dataclass(frozen=True, slots=True)
class Ground:
    """A folder, or where it would be made, tried out.

    `there` is the folder itself or the nearest one above it that exists; it is empty, and all else unknown, where not
    even that can be looked at. `free` is in bytes. `trouble` says why nothing can be written there.
    """

    wanted: str
    there: str = ""
    trouble: str = ""
    device: int = 0
    free: int | None = None
    filesystem: str = ""
    links: bool | None = None
    locking: Locking | None = None


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What can be told of a ledger without writing. `trouble` says why it cannot be used, `hint` what to type.

    `older` seedbatch wrote it; `kept` task ids wait in its emergency record; somebody `held` its write lock for as long
    as was waited. `called` and `uncalled` count the results whose callback was asked for: whether it came; None where
    nothing can tell.
    """

    path: str
    there: bool
    trouble: str = ""
    hint: str = ""
    older: bool = False
    kept: int = 0
    held: bool = False
    called: int | None = None
    uncalled: int | None = None

    @property
    def calm(self) -> bool:
        """Whether opening it for writing changes nothing in it, and waits for nobody."""
        return self.there and not (self.trouble or self.older or self.kept or self.held)


@dataclass(frozen=True, slots=True)
class Descriptors:
    """How many file descriptors this process may have, and may allow itself; None is without limit."""

    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that can be told of this machine."""

    sqlite: tuple[int, ...]
    ledger: LedgerState
    ledger_ground: Ground
    output_ground: Ground
    descriptors: Descriptors


class Arrival(StrEnum):
    """What became of a test callback at this end."""

    KEPT = "kept"
    CHANGED = "changed"  # it arrived with another body
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Trip:
    """A test callback: what came back, and whether it arrived. `status` is None where `cause` tells why none came.

    `nobody`: the machine was reached, and refused. `own`: the listener was doctor's, for the time of the test.
    """

    status: int | None
    cause: str
    seconds: float
    arrival: Arrival
    own: bool
    nobody: bool = False


# -- the test callback ------------------------------------------------------------------------------------------


def doctors_body(nonce: str) -> bytes:
    """The body of a test callback."""
    return json.dumps({"seedbatch": "doctor", "nonce": nonce}).encode("ascii")


def is_doctors(body: bytes) -> bool:
    """Whether a body is that of a test callback, which means nothing to anybody later."""
    if len(body) > _LONGEST_TEST:
        return False
    try:
        facts = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.keys() == {"seedbatch", "nonce"} and facts["seedbatch"] == "doctor"
