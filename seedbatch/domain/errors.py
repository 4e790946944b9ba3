"""Errors that end a command, each with the exit code that a script sees.

SeedbatchError              1
+-- UsageError              2   flags, settings, files, manifests; nothing was submitted
|   +-- ManifestInvalid     2   carries every problem of every file
+-- KeyMissing              4
+-- KeyRefused              4
+-- ProviderUnavailable     9   a command needed one answer and got none
+-- LedgerError             8
|   +-- LedgerLocked        8
|   +-- LedgerDamaged       8
|   +-- LedgerNewer         8
+-- InboxFull               1   too many different callbacks came at one token
+-- StaleCaller             1   a ledger verb met a state that its caller did not expect
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    BUG = 1
    USAGE = 2
    FAILED_JOBS = 3
    KEY = 4
    STOPPED = 5
    RUNNING = 6
    IN_DOUBT = 7
    LEDGER = 8
    PROVIDER = 9
    CHANGES = 10
    INTERRUPTED = 130


# When several apply, the first of these is the answer.
PRECEDENCE = (
    Exit.BUG,
    Exit.LEDGER,
    Exit.KEY,
    Exit.INTERRUPTED,
    Exit.STOPPED,
    Exit.PROVIDER,
    Exit.IN_DOUBT,
    Exit.FAILED_JOBS,
    Exit.RUNNING,
)


class SeedbatchError(Exception):
    """An error with words for a person: what happened, and in `hint` what to type next."""

    exit = Exit.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SeedbatchError):
    """Something in the flags, the settings or the files is wrong; nothing was submitted."""

    exit = Exit.USAGE


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in a file. `line` and `column` are 1-based; 0 where the file as a whole is meant.

    `source` is the text of that line; `code` is stable and short; `hint` says what is allowed or nearest.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    source: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class ManifestInvalid(UsageError):
    """Every problem of every file that was read."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = len(problems)
        super().__init__(f"{count} problem{'' if count == 1 else 's'} in the manifest; nothing was submitted")


class KeyMissing(SeedbatchError):
    """A command needs the API key and none was given, or its file cannot be used."""

    exit = Exit.KEY


class ProviderUnavailable(SeedbatchError):
    """A command needed one answer of the provider and got none."""

    exit = Exit.PROVIDER


class KeyRefused(SeedbatchError):
    """The provider does not take the API key."""

    exit = Exit.KEY


class LedgerError(SeedbatchError):
    """The ledger cannot be used; nothing was submitted."""

    exit = Exit.LEDGER


class LedgerLocked(LedgerError):
    """Another process holds the ledger for longer than one waits."""


class LedgerDamaged(LedgerError):
    """The file is no ledger, or no longer one."""


class LedgerNewer(LedgerError):
    """A newer seedbatch wrote this ledger."""


class InboxFull(SeedbatchError):
    """More different bodies came at one token than any provider sends; this one is not kept."""


class StaleCaller(SeedbatchError):
    """A verb's caller no longer holds what it wants to change; nothing was written."""
