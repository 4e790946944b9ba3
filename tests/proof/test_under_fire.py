"""A permanent listener under fire: forgers, slow connections, bombs and junk beside the provider's own callbacks.

SEEDBATCH_FIRE multiplies the crowd: 10 is 10,000 forged callbacks and 500 slow connections beside 200 real ones.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import secrets
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from proof.checker import check, read_bill

from seedbatch.sandbox import Sandbox

FIRE = int(os.environ.get("SEEDBATCH_FIRE", "2"))
FORGED, SLOW, REAL = 1_000 * FIRE, 50 * FIRE, 20 * FIRE
API_KEY = "k" * 40
MANIFEST = f"""\
version: 1
batch: m
defaults:
  model: seedance-2.0-fast
  input: {{resolution: 480p, ratio: 16:9, duration: 5}}
jobs:
  - {{key: a, prompt: a cat, takes: {REAL}}}
"""
COMMAND = str(Path(sys.executable).with_name("seedbatch"))
BOMB = gzip.compress(b"\0" * 50_000_000)
HOSTILE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,  # TLS to the plain port
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /callbacks/../../etc/passwd HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"POST /callbacks/" + b"A" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"BREW /pot HTTP/9.9\r\n\r\n",
    b"\r\n" * 1_000,
    b"POST /callbacks/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000000\r\n\r\n" % (b"B" * 43),
    b"POST /callbacks/%s HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
    % (b"C" * 43, len(BOMB), BOMB),
)


def memory(pid):
    """Kilobytes in use."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def throw(port, raw):
    """Send some bytes, and read until it is over."""
    try:
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            await reader.read(500)
            writer.close()
    except (OSError, TimeoutError):
        return


async def forge(port, count):
    for _ in range(count):
        token = secrets.token_urlsafe(32)
        body = b'{"code":0,"data":{"taskId":"x","status":"SUCCESS","result":{"urls":["http://127.0.0.3:9/x.mp4"]}}}'
        head = f"POST /callbacks/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        await throw(port, head.encode() + body if random.random() < 0.9 else random.choice(HOSTILE))


async def dawdle(port):
    """Half a request, and then nothing; tells whether the connection was closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /callbacks/" + b"D" * 20)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(30):
            await reader.read()
    except (OSError, TimeoutError):
        pass
    writer.close()
    return time.monotonic() - begun


@pytest.mark.timeout(120 + 30 * FIRE)
async def test_true_callbacks_come_through_and_nothing_else_does(tmp_path):
    sandbox = Sandbox(tmp_path / "provider.db", speed=1, internal_callbacks=True)
    address = await sandbox.start()
    environment = {
        **os.environ,
        "MAXAPI_API_KEY": API_KEY,
        "MAXAPI_BASE_URL": address,
        "SEEDBATCH_RECONCILE_FIRST": "600",
        "SEEDBATCH_RECONCILE_EVERY": "600",
        "SEEDBATCH_IN_FLIGHT": "1000",
        "SEEDBATCH_SUBMITS_PER_MINUTE": "60000",
        "SEEDBATCH_QUERIES_PER_SECOND": "1000",
    }
    (tmp_path / "m.yaml").write_text(MANIFEST)
    listener = await asyncio.create_subprocess_exec(
        COMMAND, "listen", "--bind", "127.0.0.1:0", "--quiet", "--json", cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    port = int(json.loads(await listener.stdout.readline())["url"].rpartition(":")[2])
    draining = asyncio.create_task(listener.stdout.read())
    before = memory(listener.pid)
    crowd = [asyncio.create_task(dawdle(port)) for _ in range(SLOW)]
    forgers = [asyncio.create_task(forge(port, FORGED // 20)) for _ in range(20)]
    apply = await asyncio.create_subprocess_exec(
        COMMAND, "apply", "m.yaml", "--yes", "--quiet", "--public-url", f"http://127.0.0.1:{port}",
        "--allow-violations=100000", cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    _, words = await apply.communicate()
    assert apply.returncode == 0, words
    grown = memory(listener.pid) - before
    patience = await asyncio.gather(*crowd)
    await asyncio.gather(*forgers)
    listener.terminate()
    await listener.wait()
    await draining
    ledger = tmp_path / ".seedbatch/ledger.db"
    late = [
        float(seconds)
        for (seconds,) in _ask(
            ledger,
            "SELECT (julianday(c.received_at) - julianday(json_extract(e.data, '$.updated_at'))) * 86400"
            " FROM callbacks c JOIN attempts a ON a.token = c.token"
            " JOIN events e ON e.attempt_id = a.id AND e.type = 'succeeded'",
        )
    ]
    assert len(late) == REAL
    assert max(late) < 5, f"the slowest true callback was acknowledged after {max(late):.1f} s"
    assert max(patience) <= 15, f"a slow connection stood for {max(patience):.1f} s"
    assert grown < 50_000, f"{grown:,} kB more"
    assert _ask(ledger, "SELECT count(*) FROM callbacks") == [(REAL,)]
    assert _ask(ledger, "SELECT count(*) FROM outputs WHERE url NOT LIKE ?", f"{address}%") == [(0,)]
    assert check(ledger, read_bill(tmp_path / "provider.db"), tmp_path / "outputs") == []
    await sandbox.stop()


def _ask(path, sql, *values):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()
