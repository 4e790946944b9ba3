"""Tokens: unguessable names of attempts, as parts of their callback URLs.

A token is sixteen random bytes and the first sixteen of their HMAC under a key that is derived from the API key. So
garbage is told from a token without looking anything up, and a token of a ledger that forgot it is told from garbage.
The ledger keeps only a token's digest: whoever reads the ledger can forge no callback.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seedbatch.domain.secret import Secret

RANDOM_BYTES: Final = 16

_PURPOSE: Final = b"seedbatch callback token, version 1"
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class TokenKey:
    """Tells whether a token was made with the same API key."""

    def __init__(self, api_key: Secret) -> None:
        self._key = hmac.digest(api_key.reveal().encode("utf-8", "surrogatepass"), _PURPOSE, "sha256")

    def token(self, random: bytes) -> str:
        """The token of 16 random bytes: 43 characters of base64url."""
        return urlsafe_b64encode(random + self._mac(random)).rstrip(b"=").decode("ascii")

    def made(self, token: str) -> bool:
        """Whether this key made a token; False for anything that is none."""
        if not _SHAPE.fullmatch(token):
            return False
        whole = urlsafe_b64decode(f"{token}=")
        return hmac.compare_digest(token.encode("ascii"), self.token(whole[:RANDOM_BYTES]).encode("ascii"))

    def _mac(self, random: bytes) -> bytes:
        return hmac.digest(self._key, random, "sha256")[:RANDOM_BYTES]


@dataclass(frozen=True, slots=True)
class CallbackAddress:
    """Where the provider announces the end of one attempt's task, and the digest that the ledger keeps of its token."""

    url: Secret
    digest: str


# Makes the callback address of one attempt.
Mint = Callable[[], CallbackAddress]


def minting(public_url: str, key: TokenKey, random: Callable[[int], bytes]) -> Mint:
    """A mint for callbacks that arrive below `public_url`; `random` gives so many unguessable bytes."""

    def mint() -> CallbackAddress:
        token = key.token(random(RANDOM_BYTES))
        return CallbackAddress(Secret(f"{public_url}/callbacks/{token}"), digest_of(token))

    return mint


def digest_of(token: str) -> str:
    """What the ledger keeps of a token, in hexadecimal: lookups by it tell nothing of how much of a guess is right."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
