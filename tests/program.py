"""A run of the installed program's `main`: see `forge.py`."""

from __future__ import annotations

from typing import Any

from forge import enter

from seedbatch.cli import main


def run(order: dict[str, Any]) -> None:
    """The whole program, as its entry point starts it."""
    enter(order)
    main()
