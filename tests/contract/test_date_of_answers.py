"""The provider's own clock, as its answers to queries tell it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from seedbatch.domain.secret import Secret
from seedbatch.provider.http import MaxApi

TASK = "00000000-0000-4000-8000-000000000000"
BODY = b'{"code":404,"msg":"no such task"}'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Date: Mon, 23 Nov 2026 12:00:05 GMT\r\n", datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)),
        ("date: Mon, 23 Nov 2026 13:00:05 +0100\r\n", datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)),
        ("Date: Mon, 23 Nov 2026 12:00:05 -0000\r\n", datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)),
        ("", None),
        ("Date: yesterday\r\n", None),
        ("Date: Mon, 99 Nov 2026 12:00:05 GMT\r\n", None),
    ],
)
async def test_the_date_of_the_latest_answer(serve, header, expected):
    async def script(peer):
        await peer.request()
        head = f"HTTP/1.1 404 Not Found\r\n{header}Content-Length: {len(BODY)}\r\n\r\n"
        await peer.say(head.encode() + BODY)

    server = await serve(script)
    async with MaxApi(server.url, Secret("k")) as provider:
        assert provider.told_at is None
        await provider.query(TASK)
        assert provider.told_at == expected
        if expected is not None:
            assert provider.told_at.tzinfo is not None
