from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import http_parser, web_protocol

# Tests are no packages and are imported by their paths: what they share is found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from callers import Inbox, Open, opened


@pytest.fixture
async def open_receiver() -> AsyncIterator[Callable[..., Open]]:
    """Starts receivers, stops them behind the test, and fails it if the loop had to be told of an error."""
    async with opened() as start:
        yield start


@pytest.fixture
async def inbox() -> Inbox:
    return Inbox()


@pytest.fixture(params=["compiled", "pure"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both parsers of aiohttp: which one is used depends on how it was installed."""
    if request.param == "pure":
        monkeypatch.setattr(web_protocol, "HttpRequestParser", http_parser.HttpRequestParserPy)
    else:
        assert web_protocol.HttpRequestParser is not http_parser.HttpRequestParserPy
    return request.param
