"""A host that really has a public address: in a network of its own, where nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import seedbatch

ADDRESS = "192.31.196.1"
INSIDE = f"""
import asyncio, ssl, sys, tempfile
from pathlib import Path
import trustme
from result_host import Host, listening, moved, mp4, plain, wanted
from seedbatch.artifacts.store import ArtifactStore

async def main():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("{ADDRESS}").configure_cert(server)
    authority.configure_trust(client)
    async with listening(Host(name="{ADDRESS}"), server, "{ADDRESS}") as public, listening(Host()) as private:
        public.answers = {{
            "/clip.mp4": plain(mp4()),
            "/twice": moved("/clip.mp4"),
            "/private": moved(f"https://127.0.0.1:{{private.port}}/clip.mp4"),
            "/downgrade": moved(public.url("/clip.mp4").replace("https", "http")),
        }}
        async with ArtifactStore(Path(tempfile.mkdtemp()), tls=client) as store:
            for path in ("/clip.mp4", "/twice", "/private", "/downgrade"):
                answer = await store.fetch(wanted(public.url(path), path[1:].removesuffix(".mp4")))
                print(type(answer).__name__, getattr(answer, "cause", ""))
        print(private.connections)

asyncio.run(main())
"""


def test_a_public_host_is_reached_and_where_it_leads_is_checked():
    """H15, H16."""
    alone = f'ip link set lo up && ip address add {ADDRESS}/32 dev lo && exec "$0" -c "$1"'
    path = os.pathsep.join([str(Path(seedbatch.__file__).parents[1]), str(Path(__file__).parent)])
    command = ["unshare", "--net", "sh", "-c", alone]
    try:
        subprocess.run([*command[:-1], "ip link set lo up"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may make a network of its own")
    done = subprocess.run(
        [*command, sys.executable, INSIDE],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "StoredFile ",
        "StoredFile ",
        "FetchRefused it leads to 127.0.0.1, which is not a public address",
        f"FetchRefused {ADDRESS} redirects from https to http",
        "0",
    ]
