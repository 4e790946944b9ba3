"""Ctrl-C, SIGTERM and SIGHUP while a run works."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from seedbatch.cli.words import say
from seedbatch.domain.errors import Exit

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # SIGHUP: the terminal was closed


@contextmanager
def interrupting(interrupt: Callable[[], object]) -> Iterator[None]:
    """Call `interrupt` on the first signal and on the second; the third ends the process where it stands.

    Without handlers of our own, the second Ctrl-C would raise at any bytecode, so also between a taskId and its
    commit.
    """
    loop = asyncio.get_running_loop()
    received = 0

    def handle() -> None:
        nonlocal received
        received += 1
        if received == 1:
            say("\nStopping: no new submissions; requests on the wire finish. Once more to leave at once.")
        elif received > 2:  # noqa: PLR2004 - the third
            os._exit(Exit.INTERRUPTED)
        interrupt()

    for number in _SIGNALS:
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
