"""Who may ask the live page what."""

from __future__ import annotations

import pytest

from seedbatch.web.gate import Gate, is_loopback, is_own

EVERY = "0.0.0.0"  # noqa: S104 - nothing is bound

MINE = {
    "Host": "127.0.0.1:8788",
    "Origin": "http://127.0.0.1:8788",
    "Content-Type": "application/json; charset=utf-8",
    "X-Seedbatch": "pick",
}


@pytest.mark.parametrize(
    ("bound", "named", "let_in"),
    [
        ("127.0.0.1", "127.0.0.1:8788", True),
        ("127.0.0.1", "localhost:8788", True),
        ("127.0.0.1", "LocalHost:8788", True),
        ("::1", "[::1]:8788", True),
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1:80", False),
        ("127.0.0.1", "evil.example:8788", False),
        ("127.0.0.1", "127.0.0.1.evil.example:8788", False),
        ("127.0.0.1", "10.0.0.7:8788", False),
        ("127.0.0.1", "::1:8788", False),
        ("127.0.0.1", "[127.0.0.1]:8788", False),
        ("127.0.0.1", "127.0.0.1:8788@evil.example", False),
        ("127.0.0.1", "127.0.0.1:٨٧٨٨", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", None, False),
        ("10.0.0.7", "10.0.0.7:8788", True),
        ("10.0.0.7", "10.0.0.8:8788", False),
        (EVERY, "10.0.0.7:8788", True),
        (EVERY, "evil.example:8788", False),
        ("::", "[2001:db8::1]:8788", True),
        ("studio.example", "studio.example:8788", True),
    ],
)
def test_who_is_let_in(bound, named, let_in):
    assert Gate(bound, 8788).admits(named) is let_in


def test_the_usual_port_need_not_be_named():
    assert Gate("127.0.0.1", 80).admits("127.0.0.1")
    assert Gate("::1", 80).admits("[::1]")
    assert not Gate("127.0.0.1", 8788).admits("localhost")


def test_what_is_loopback():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.8.8", "::1")))
    assert not any(map(is_loopback, (EVERY, "::", "10.0.0.1", "localhost.example", "")))


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": "http://localhost:8788"},
        {"Origin": "https://127.0.0.1:8788"},
        {"Origin": "null"},
        {"Origin": ""},
        {"X-Seedbatch": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/jsonx"},
    ],
)
def test_only_the_page_itself_changes_something(changed):
    assert is_own(MINE)
    assert not is_own({**MINE, **changed})
