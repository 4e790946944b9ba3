"""Opening the ledger for the commands that only read."""

from __future__ import annotations

from seedbatch.cli.words import say
from seedbatch.ports import Records
from seedbatch.settings import Settings


def open_or_say(settings: Settings) -> Records | None:
    """The ledger; where there is none, say so, and name a sandbox's ledger if one is there."""
    from seedbatch.wiring import open_records

    records = open_records(settings)
    if records is None:
        say(f"There is no ledger at {settings.ledger}: nothing was applied here yet.")
        sandbox = settings.ledger.with_name("sandbox.db")
        if not settings.sandbox and sandbox.exists():
            say(f"  → a sandbox's ledger is there: {sandbox} (add --sandbox)")
    return records
