"""Processes that begin at once: each is forked from one that has imported the whole program.

    python -m forge

reads orders as JSON, one a line, carries each out in a process that it forks, by the function `run` of the module that
the order names, and answers with the exit code of that process, negative if a signal ended it. The imports are most of
a short run: whoever wants a thousand runs, or kills one at random moments, does not want them in each. An order may say
in `killed_after` how many seconds after the fork its process is killed; what has ended by then is not.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

_TESTS: Final = str(Path(__file__).parent)
_GLANCE: Final = 0.002  # seconds between two looks at whether a process that is to be killed has ended


class Forge:
    """The process that forks a process for each run."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "forge"]
        environment = {**os.environ, "PYTHONPATH": _TESTS}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, order: dict[str, Any]) -> int:
        """The exit code, negative if a signal ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@cache
def opened() -> Forge:
    """The one of this process, which ends with it."""
    forge = Forge().__enter__()
    atexit.register(forge.__exit__)
    return forge


def enter(order: dict[str, Any]) -> None:
    """Be a process as a shell starts it: in its folder, with its environment, and what it says in files.

    `words` is the file for all of it, or where `errors` is another for stderr, for stdout.
    """
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    tempfile.tempdir = None
    output = _emptied(order["words"])
    errors = _emptied(order["errors"]) if "errors" in order else output
    for handle, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, errors)):
        os.dup2(source, handle)
    sys.argv = ["seedbatch", *order["arguments"]]


def _emptied(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def serve() -> None:
    """Fork for each order."""
    _import_everything()
    while line := sys.stdin.readline():
        order = json.loads(line)
        module = _ready(order["module"])
        child = os.fork()
        if child == 0:
            module.run(order)
            sys.exit()
        sys.stdout.write(f"{_ended(child, order.get('killed_after'))}\n")
        sys.stdout.flush()


def _import_everything() -> None:
    """All modules of the program, and what it and its libraries look for only when they are used."""
    import sqlite_utils.plugins  # noqa: PLC0415 - not where tests import this

    import seedbatch.sandbox.encode  # noqa: PLC0415

    for module in pkgutil.walk_packages(seedbatch.__path__, "seedbatch."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    sqlite_utils.plugins.ensure_plugins_loaded()
    seedbatch.sandbox.encode.available()


def _ready(name: str) -> Any:
    if name not in sys.modules:
        importlib.import_module(name)
        gc.collect()
        gc.freeze()  # else the first collection in each process writes to all objects, and so copies them
    return sys.modules[name]


def _ended(child: int, killed_after: float | None) -> int:
    if killed_after is not None:
        deadline = time.monotonic() + killed_after
        while (left := deadline - time.monotonic()) > 0:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(min(left, _GLANCE))
        else:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    serve()
