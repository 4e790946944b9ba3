from __future__ import annotations

import base64
import hashlib
import secrets

import pytest

from seedbatch.domain.secret import Secret
from seedbatch.domain.tokens import TokenKey, digest_of, minting

KEY = TokenKey(Secret("k" * 40))


def test_a_token_is_43_characters_that_need_no_quoting():
    for _ in range(200):
        token = KEY.token(secrets.token_bytes(16))
        assert len(token) == 43
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        assert KEY.made(token)


def test_another_key_makes_other_tokens():
    token = KEY.token(b"x" * 16)
    other = TokenKey(Secret("l" * 40))
    assert not other.made(token)
    assert other.token(b"x" * 16) != token


def test_the_key_of_the_tokens_is_not_the_api_key():
    whole = base64.urlsafe_b64decode(KEY.token(b"x" * 16) + "=")
    assert whole[16:] != hashlib.new("sha256", b"k" * 40 + b"x" * 16).digest()[:16]
    assert b"k" * 8 not in whole


def test_every_change_of_a_character_makes_garbage():
    token = KEY.token(b"\x01\x02" * 8)
    for place in range(43):
        for character in "Aa0_-.":
            if token[place] != character:
                assert not KEY.made(token[:place] + character + token[place + 1 :])


@pytest.mark.parametrize(
    "text", ["", "a", "A" * 42, "A" * 44, "A" * 43, "=" * 43, "\N{SNOWMAN}" * 43, "A" * 42 + "\n", "\udc80" * 43]
)
def test_garbage_is_told_from_a_token(text):
    assert not KEY.made(text)
    assert len(digest_of(text)) == 64


def test_a_mint_makes_an_address_and_its_digest():
    address = minting("https://x.example/hooks", KEY, lambda size: b"r" * size)()
    token = KEY.token(b"r" * 16)
    assert address.url.reveal() == f"https://x.example/hooks/callbacks/{token}"
    assert address.digest == hashlib.sha256(token.encode()).hexdigest()
    assert token not in repr(address)


def test_no_two_addresses_are_alike():
    mint = minting("https://x.example", KEY, secrets.token_bytes)
    assert len({mint().digest for _ in range(1_000)}) == 1_000
