"""The store in a process of its own: one download, and a word about what came of it. Forked (`forge.py`) or started.

    python -m unit.artifacts.fetcher '{"arguments": [ROOT, ORIGIN, URL, NAME, PART, TASK]}'

Such an order may have `dies_before`: right before that many and one things that it does to a name or a mode in the
output folder it is killed; and `largest_file`: no more bytes fit into one file.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from forge import enter

from seedbatch.artifacts.store import ArtifactStore
from seedbatch.domain.answers import MediaKind
from seedbatch.domain.work import Download


def run(order: dict[str, Any]) -> None:
    enter(order)
    fetch(order)


def fetch(order: dict[str, Any]) -> None:
    if "largest_file" in order:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
    if "dies_before" in order:
        die_before(order["dies_before"])
    asyncio.run(main(*order["arguments"]))


def die_before(left: int) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        ours = (
            event in {"os.mkdir", "os.link", "os.rename", "os.remove"}
            or (event == "open" and "river" in str(arguments[0]))
            or (event == "os.chmod" and isinstance(arguments[0], int))
        )
        if ours and "__pycache__" not in str(arguments):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


async def main(root: str, origin: str, url: str, name: str, part: str, task: str) -> None:
    async with ArtifactStore(Path(root), allow_origins=frozenset({origin})) as store:
        answer = await store.fetch(Download(url, name, MediaKind.VIDEO, part, {"task_id": task}))
        print(type(answer).__name__, getattr(answer, "cause", ""), flush=True)


if __name__ == "__main__":
    fetch(json.loads(sys.argv[1]))
