"""A run of the program whose time passes a hundred times as fast: forked, see `forge.py`."""

from __future__ import annotations

import asyncio
import selectors
import time
from datetime import UTC, datetime
from typing import Any, Final

from forge import enter

import seedbatch.wiring
from seedbatch.cli import main

FASTER: Final = 100


def run(order: dict[str, Any]) -> None:
    """The whole program, as its entry point starts it."""
    enter(order)
    hurry()
    main()


def hurry() -> None:
    """The clock on the wall, that of the event loop, and how long the loop sleeps until its next timer."""
    begun = datetime.now(UTC)
    seedbatch.wiring.WallClock.now = lambda _: begun + FASTER * (datetime.now(UTC) - begun)
    asyncio.BaseEventLoop.time = lambda _: FASTER * time.monotonic()
    select = selectors.DefaultSelector.select
    selectors.DefaultSelector.select = lambda self, timeout=None: select(self, timeout and timeout / FASTER)
