"""Work that several processes share, with its results in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MOST: Final = 8

Work = Callable[[bytes], bytes]


def by_helpers(work: Work, tasks: Iterable[T], pack: Callable[[T], bytes]) -> Iterator[tuple[T, bytes | None]]:
    """Each task with what `work` makes of its bytes, in order; None where no helper did it, and the caller has to."""
    helpers: Helpers[T] | None = None
    try:
        for task in tasks:
            if helpers is None:  # a fork for nothing would be most of the work
                helpers = Helpers(work, pack)
            yield from helpers.give(task)
        if helpers is not None:
            yield from helpers.rest()
    finally:
        if helpers is not None:
            helpers.close()


class Helpers(Generic[T]):
    """Processes that do tasks for whoever goes on meanwhile.

    They are forks of this process: they know all that it knew, send nothing but their results, and end when it ends.
    There are none where only one core is ours, on systems where forking is unsafe, or while other threads run, which a
    fork would cut in half.
    """

    def __init__(self, work: Work, pack: Callable[[T], bytes]) -> None:
        self._helpers = _helpers(work)
        self._pack = pack
        self._waiting: deque[tuple[T, _Helper]] = deque()
        self._given = 0

    def __len__(self) -> int:
        return len(self._helpers)

    def give(self, task: T) -> Iterator[tuple[T, bytes | None]]:
        """Hand over a task; gives those that are done by then, in order, each with its result as `by_helpers` does."""
        if not self._helpers:
            yield task, None
            return
        # One task each at a time: neither side ever writes while the other does.
        if len(self._waiting) == len(self._helpers):
            yield self._next()
        helper = self._helpers[self._given % len(self._helpers)]
        self._given += 1
        helper.send(self._pack(task))
        self._waiting.append((task, helper))

    def rest(self) -> Iterator[tuple[T, bytes | None]]:
        """The tasks that are not done yet, once they are."""
        while self._waiting:
            yield self._next()

    def close(self) -> None:
        """End them, whatever they are doing."""
        for helper in self._helpers:
            helper.close()
        self._helpers = []
        self._waiting.clear()

    def _next(self) -> tuple[T, bytes | None]:
        task, helper = self._waiting.popleft()
        return task, helper.receive()


def _helpers(work: Work) -> list[_Helper]:
    if sys.platform != "linux" or threading.active_count() > 1:
        return []
    cores = len(os.sched_getaffinity(0))
    helpers: list[_Helper] = []
    with suppress(OSError):  # as many as the system gives
        for _ in range(min(cores, _MOST) if cores > 1 else 0):
            helpers.append(_Helper(work, helpers))
    return helpers


class _Helper:
    """One forked process. What becomes of it is no error: its task comes back without a result."""

    def __init__(self, work: Work, others: list[_Helper]) -> None:
        self.pipe, theirs = Pipe()
        try:
            self._pid = os.fork()
        except OSError:
            self.pipe.close()
            theirs.close()
            raise
        if self._pid == 0:
            try:
                # Whoever interrupts the program means the process that waits for this one.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                # While it held them open, the others would not hear that this program ended.
                for helper in others:
                    helper.pipe.close()
                self.pipe.close()
                _serve(work, theirs)
            finally:
                os._exit(0)
        theirs.close()

    def send(self, task: bytes) -> None:
        with suppress(OSError):
            self.pipe.send_bytes(task)

    def receive(self) -> bytes | None:
        try:
            return self.pipe.recv_bytes() or None
        except (EOFError, OSError):
            return None

    def close(self) -> None:
        self.pipe.close()
        # Nothing of it is lost, and a task may be long.
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _serve(work: Work, pipe: Connection) -> None:
    with suppress(EOFError, OSError):
        while True:
            task = pipe.recv_bytes()
            try:
                result = work(task)
            except Exception:  # noqa: BLE001 - who does the task again will see it
                result = b""
            pipe.send_bytes(result)
