"""A listener that is killed with -9 while callbacks pour in: what it acknowledged is in the ledger, every time.

SEEDBATCH_LISTENER_KILLS sets how often.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from proof.checker import Violation, check

from seedbatch.domain.secret import Secret
from seedbatch.domain.tokens import TokenKey, digest_of

KILLS = int(os.environ.get("SEEDBATCH_LISTENER_KILLS", "8"))
CONNECTIONS = 200
CALLBACKS = 4_000
API_KEY = "k" * 40
KEY = TokenKey(Secret(API_KEY))


class Caller(asyncio.Protocol):
    """Posts one callback after the other, and remembers those that were answered with 2xx."""

    def __init__(self, waiting, acknowledged) -> None:
        self._waiting, self._acknowledged = waiting, acknowledged
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self._transport = transport
        self._next()

    def data_received(self, data):
        if data.startswith(b"HTTP/1.1 200 "):
            self._acknowledged.append(self._sent)
            self._next()

    def connection_lost(self, _error):
        if not self.gone.done():
            self.gone.set_result(None)

    def _next(self):
        if not self._waiting:
            self._transport.close()
            return
        token, body = self._sent = self._waiting.pop()
        head = f"POST /callbacks/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def pour(port, kill):
    """The callbacks that were answered, of as many as came before `kill` was done after some of the answers."""
    waiting = [(KEY.token(secrets.token_bytes(16)), b'{"data":{"taskId":"t%d"}}' % n) for n in range(CALLBACKS)]
    acknowledged, callers = [], []
    loop = asyncio.get_running_loop()
    after = random.randint(1, CALLBACKS // 2)
    for _ in range(CONNECTIONS):
        _, caller = await loop.create_connection(lambda: Caller(waiting, acknowledged), "127.0.0.1", port)
        callers.append(caller)
    while len(acknowledged) < after:  # noqa: ASYNC110 - answers come in between
        await asyncio.sleep(0)
    kill()
    await asyncio.gather(*(caller.gone for caller in callers))
    return acknowledged


def listen(folder):
    environment = {**os.environ, "MAXAPI_API_KEY": API_KEY, "MAXAPI_BASE_URL": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "seedbatch", "listen", "--bind", "127.0.0.1:0"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "Listening at" in line:
            return process, int(line.split("http://127.0.0.1:")[1].split()[0].rstrip(","))
    raise AssertionError("it does not listen")


@pytest.mark.timeout(60 + 10 * KILLS)
def test_what_was_acknowledged_is_there_after_a_kill(tmp_path):
    acknowledged: list[tuple[str, bytes]] = []
    for _ in range(KILLS):
        process, port = listen(tmp_path)
        with process:
            new = asyncio.run(pour(port, process.kill))
            process.stderr.close()
        assert 0 < len(new) < CALLBACKS
        acknowledged += [(digest_of(token), body) for token, body in new]
    found = check(tmp_path / ".seedbatch" / "ledger.db", [], acknowledged=acknowledged)
    assert found == []


def test_the_checker_misses_none_that_is_not_there(tmp_path):
    process, port = listen(tmp_path)
    with process:
        new = asyncio.run(pour(port, process.kill))
        process.stderr.close()
    path = Path(tmp_path / ".seedbatch" / "ledger.db")
    acknowledged = [(digest_of(token), body) for token, body in new]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER callbacks_kept")
        connection.execute("DELETE FROM callbacks WHERE token = ?", acknowledged[:1][0][:1])
    (found,) = check(path, [], acknowledged=acknowledged)
    assert isinstance(found, Violation)
    assert found.rule == "acknowledged"
