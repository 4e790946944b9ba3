"""An event loop whose time is a number: it jumps to the next timer, and one seed gives one order of everything."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any


class Standstill(BaseException):
    """Everybody waits, and nothing will ever happen."""


class Endless(BaseException):
    """It goes on and on, and no timer of the test's could stop what never waits."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`between` is called before each turn with the seconds that will pass in it (0 while something is ready).

    After `most` turns it raises Endless.
    """

    def __init__(self, between: Callable[[float], None], most: int) -> None:
        self._at = 0.0
        self._left = most
        self._between = between
        self._serial = count(1)
        super().__init__(_Leaping(self))
        self.set_task_factory(_numbered)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._at

    def turn(self, timeout: float | None) -> None:
        """One turn: time passes, unless something is ready."""
        if timeout is None:
            raise Standstill
        self._left -= 1
        if self._left < 0:
            raise Endless
        self._between(timeout)
        if not self._ready:
            self._at += timeout

    def serial(self) -> int:
        """A number for the next task."""
        return next(self._serial)


class _Leaping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.turn(timeout)
        return []


class _NumberedTask(asyncio.Task[Any]):
    """Sets of tasks are iterated in the order of their hashes: an address in memory would make that chance."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], *, loop: VirtualLoop, **options: Any) -> None:
        self._number = loop.serial()
        super().__init__(coroutine, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


def _numbered(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    assert isinstance(loop, VirtualLoop)
    return _NumberedTask(coroutine, loop=loop, **options)
