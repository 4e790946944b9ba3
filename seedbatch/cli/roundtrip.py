"""A test callback, sent to the public URL as the provider would send one, and looked for where a listener keeps it."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from datetime import datetime

from seedbatch.cli.callbacks import Bind, receiving
from seedbatch.cli.options import place_flags
from seedbatch.domain.errors import SeedbatchError
from seedbatch.domain.health import Arrival, Check, Health, LedgerState, Trip, doctors_body
from seedbatch.domain.secret import Secret
from seedbatch.domain.tokens import CallbackAddress, TokenKey
from seedbatch.engine import diagnosis
from seedbatch.engine.reception import Reception
from seedbatch.ports import Inbox
from seedbatch.settings import Settings
from seedbatch.web.knock import knock
from seedbatch.wiring import WallClock, mint_for, open_ledger, received


class Pocket:
    """An inbox that ends with the test: for when there is no ledger yet, or none that may be opened for a test."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    async def receive(self, token: str, body: bytes, _now: datetime) -> None:
        """Keep what came at a token."""
        self.bodies[token] = body

    async def open_tokens(self) -> frozenset[str]:
        """None: nothing was submitted."""
        return frozenset()


async def round_trip(settings: Settings, key: Secret | None, state: LedgerState, bind: Bind | None) -> Check:
    """Whether a callback reaches the listener of this ledger; with `bind` doctor listens itself meanwhile."""
    place = place_flags(settings)
    if settings.public_url is None and not (bind is not None and settings.provider_is_local):
        return diagnosis.no_public_url(place, needed=not settings.provider_is_local)
    if key is None:
        return diagnosis.skipped("public_url", "not tested: a test callback is made with the API key")
    try:
        url, trip = await _sent(settings, key, state, bind)
    except SeedbatchError as error:
        hint = "if a listener is there already, leave --bind out"
        return Check("public_url", Health.PROBLEM, f"not tested: {error.message}", hint, error.exit)
    return diagnosis.public_url(url, trip, place)


async def _sent(settings: Settings, key: Secret, state: LedgerState, bind: Bind | None) -> tuple[str, Trip]:
    """Send one, and look for it; returns the URL below which it was sent.

    Raises:
        UsageError: the address cannot be listened at.
        LedgerError: the ledger cannot be opened after all.
    """
    async with AsyncExitStack() as stack:
        pocket, url = Pocket(), settings.public_url
        if bind is not None:
            inbox = await _inbox(settings, state, pocket, stack)
            reception = Reception(inbox, TokenKey(key), WallClock(), lambda: None)
            here = await stack.enter_async_context(receiving(reception, bind, settings))
            url = url or here
        assert url is not None
        address = mint_for(url, key)()
        body = doctors_body(secrets.token_hex(8))
        answer = await knock(address.url, body)
        arrival = _arrival(settings, address, body, pocket)
        own = bind is not None
        return url, Trip(answer.status, answer.cause, answer.seconds, arrival, own=own, nobody=answer.nobody)


async def _inbox(settings: Settings, state: LedgerState, pocket: Pocket, stack: AsyncExitStack) -> Inbox:
    """The ledger, if opening it for writing changes nothing in it and waits for nobody."""
    if not state.calm:
        return pocket
    ledger, _ = await stack.enter_async_context(open_ledger(settings))
    return ledger


def _arrival(settings: Settings, address: CallbackAddress, body: bytes, pocket: Pocket) -> Arrival:
    found = pocket.bodies.get(address.digest) or received(settings, address.digest)
    if found is None:
        return Arrival.MISSING
    return Arrival.KEPT if found == body else Arrival.CHANGED
