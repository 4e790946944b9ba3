"""Looks at everything that a run depends on, and says of each what it amounts to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from seedbatch.cli.callbacks import Bind
from seedbatch.cli.options import place_flags
from seedbatch.cli.origins import Setting, key_origin
from seedbatch.cli.roundtrip import round_trip
from seedbatch.domain.errors import Exit, SeedbatchError
from seedbatch.domain.health import Check, Health, LedgerState
from seedbatch.domain.secret import Secret
from seedbatch.engine import diagnosis
from seedbatch.settings import KEY_FILE_VARIABLE, Settings, api_key
from seedbatch.wiring import ask_provider, survey


def unsettled(error: SeedbatchError) -> Check:
    """The settings themselves are wrong: nothing else can be looked at."""
    return Check("settings", Health.PROBLEM, error.message, error.hint or "docs: README.md, Settings", error.exit)


def examine(settings: Settings, told: list[Setting], environ: Mapping[str, str], bind: Bind | None) -> list[Check]:
    """Every check, in the order in which people read them."""
    place = place_flags(settings)
    found = survey(settings)  # before a listener changes the limits of this process
    key, key_check = _key(settings, environ)
    (provider, clock), public_url = asyncio.run(_on_the_wire(settings, key, found.ledger, bind))
    tested = public_url.verdict is not Health.SKIPPED
    return [
        _settings(told),
        key_check,
        provider,
        clock,
        diagnosis.sqlite(found.sqlite),
        diagnosis.disk(found.ledger_ground, found.output_ground),
        diagnosis.output(found.output_ground),
        diagnosis.ledger(found.ledger, place),
        diagnosis.locks(found.ledger_ground),
        public_url,
        diagnosis.callbacks(found.ledger, place, tested=tested),
        diagnosis.descriptors(found.descriptors),
    ]


def _settings(told: list[Setting]) -> Check:
    named = [one.name for one in told if one.origin not in {"default", "nowhere"}]
    return Check("settings", Health.OK, f"named: {', '.join(named)}" if named else "all defaults")


def _key(settings: Settings, environ: Mapping[str, str]) -> tuple[Secret | None, Check]:
    """The key, and what is to be said of it: never any of it."""
    if settings.sandbox:
        return api_key(environ, settings), diagnosis.skipped("key", "the sandbox looks at no key")
    try:
        key = api_key(environ, settings)
    except SeedbatchError as error:
        return None, Check("key", Health.PROBLEM, error.message, _key_hint(error, environ), Exit.KEY)
    return key, Check("key", Health.OK, f"from the {key_origin(environ)}")


def _key_hint(error: SeedbatchError, environ: Mapping[str, str]) -> str:
    """The error's own, unless it quotes a path that is no file: that may be the key, put where its path belongs."""
    named = environ.get(KEY_FILE_VARIABLE, "")
    if not named or named not in error.hint or _is_file(named):
        return error.hint
    return f"{KEY_FILE_VARIABLE} must name a file that holds the key"


def _is_file(name: str) -> bool:
    try:
        return Path(name).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False


async def _on_the_wire(
    settings: Settings, key: Secret | None, state: LedgerState, bind: Bind | None
) -> tuple[tuple[Check, Check], Check]:
    """What takes time, at once: the provider with its clock, and the public URL."""
    return await asyncio.gather(_provider(settings, key), round_trip(settings, key, state, bind))


async def _provider(settings: Settings, key: Secret | None) -> tuple[Check, Check]:
    if settings.sandbox:
        why = "not asked: the sandbox runs only within a command"
    elif key is None:
        why = "not asked: there is no key to ask with"
    else:
        contact = await ask_provider(settings, key)
        return diagnosis.provider(settings.base_url, contact.answer), diagnosis.clock(contact)
    return diagnosis.skipped("provider", why), diagnosis.skipped("clock", "the provider was not asked for its time")
