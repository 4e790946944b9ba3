"""What a receiver of callbacks asks: whether a token is genuine, and to keep what came at it."""

from __future__ import annotations

from collections.abc import Callable

from seedbatch.domain.tokens import TokenKey, digest_of
from seedbatch.ports import Clock, Inbox


class Reception:
    """Stands between the network and the inbox. `stir` is called when something new lies there."""

    def __init__(self, inbox: Inbox, key: TokenKey, clock: Clock, stir: Callable[[], object]) -> None:
        self._inbox = inbox
        self._key = key
        self._clock = clock
        self._stir = stir
        self._open: frozenset[str] = frozenset()

    async def refresh(self) -> None:
        """Learn the tokens of unfinished attempts: those that another API key made are known by nothing else."""
        self._open = await self._inbox.open_tokens()

    def recognise(self, token: str) -> str | None:
        """The digest of a genuine token; None for any other text. Touches no disk."""
        digest = digest_of(token)
        return digest if digest in self._open or self._key.made(token) else None

    async def keep(self, digest: str, body: bytes) -> None:
        """Keep what came at a token; durable when this returns.

        Raises:
            InboxFull: too many different bodies came at it.
            LedgerError: it is not kept.
        """
        await self._inbox.receive(digest, body, self._clock.now())
        self._stir()
