"""The installed command, run as its user does: in a folder of its own, with an environment of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from acceptance.looking import AXE, SWITCHES
from forge import opened
from playwright.sync_api import sync_playwright

from seedbatch.domain.states import JobState
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.sandbox import read_bill

COMMAND = str(Path(sys.executable).with_name("seedbatch"))
ROOT = Path(__file__).parent.parent.parent

PRICES = """
[[prices]]
model = "seedance-2.0-fast"
resolution = "480p"
unit = "second"
price = "0.05"
currency = "USD"
"""
_PATIENCE = 100.0  # seconds
GIT = ("git", "-c", "user.name=me", "-c", "user.email=me@x.example", "-c", "commit.gpgsign=false")

HEADER = """\
version: 1
batch: {batch}
defaults:
  model: seedance-2.0-fast
  input: {{resolution: 480p, ratio: 1:1, duration: 5}}
jobs:
"""


@dataclass
class Project:
    """A folder with manifests, a ledger and outputs."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    def manifest(self, *prompts: str, batch: str = "test", extra: str = "") -> str:
        jobs = "".join(f'  - {{key: j{number}, prompt: "{text}"}}\n' for number, text in enumerate(prompts))
        return self.write(f"{batch}.yaml", HEADER.format(batch=batch) + jobs + extra)

    def start(self, *arguments: str, **options) -> subprocess.Popen:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen([COMMAND, *arguments], cwd=self.folder, env=self._env(), **options)

    def run(self, *arguments: str, code: int | None = 0, **options) -> subprocess.CompletedProcess:
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": _PATIENCE, **options}
        done = subprocess.run([COMMAND, *arguments], cwd=self.folder, env=self._env(), check=False, **options)
        return _checked(done, code)

    def run_forked(self, *arguments: str, code: int | None = 0, module: str = "program") -> subprocess.CompletedProcess:
        """The same without the imports, which are most of a short run; `module` is who runs it."""
        with TemporaryDirectory() as aside:
            words, errors = Path(aside, "words"), Path(aside, "errors")
            order = {"module": module, "folder": str(self.folder), "words": str(words), "errors": str(errors)}
            ended = opened().run(
                {**order, "arguments": arguments, "environment": self._env(), "killed_after": _PATIENCE}
            )
            done = subprocess.CompletedProcess(arguments, ended, words.read_text(), errors.read_text())
        return _checked(done, code)

    def apply(self, *manifests: str, code: int | None = 0, speed: float = 50) -> subprocess.CompletedProcess:
        return self.run_forked("apply", *manifests, "--sandbox", "--yes", f"--sandbox-speed={speed}", code=code)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            [*GIT, *arguments], cwd=self.folder, env=self._env(), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def start_and_hang(self, manifest: str) -> subprocess.Popen:
        """An `apply` whose only submission is on the wire, and stays there for half a minute."""
        faults = self.write("faults.yaml", "rules: [{on: submit, do: {delay: 30}, first: 1}]\n")
        process = self.start("apply", manifest, "--sandbox", "--yes", "--json", f"--sandbox-faults={faults}")
        ledger = self.folder / ".seedbatch/sandbox.db"
        while not ledger.exists() or [job.state for job in self.records().jobs()] != [JobState.SUBMITTING]:
            time.sleep(0.02)
            assert process.poll() is None
        return process

    def jobs(self):
        return [
            json.loads(line) for line in self.run_forked("list", "--sandbox", "--all", "--json").stdout.splitlines()
        ]

    def states(self) -> dict[str, str]:
        return {job["key"]: job["state"] for job in self.jobs()}

    def charges(self):
        """What was billed, by the job of the ledger that asked for it."""
        found: dict[int, list[str]] = {}
        for line in read_bill(self.provider_file):
            if line.kind == "charge":
                job = int(re.fullmatch(r"seedbatch-\w+-(\d+)-\d+", line.user_id).group(1))
                found.setdefault(job, []).append(line.task_id)
        return found

    def submitted(self) -> int:
        """How often it was billed; also while the sandbox only begins: its file is there before its tables are."""
        try:
            return sum(map(len, self.charges().values())) if self.provider_file.exists() else 0
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return 0

    def records(self) -> SqliteRecords:
        return SqliteRecords(self.folder / ".seedbatch/sandbox.db")

    @property
    def provider_file(self) -> Path:
        return self.folder / ".seedbatch/sandbox-provider.db"

    def _env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(self.folder), "TERM": "dumb", **self.environment}


def _checked(done: subprocess.CompletedProcess, code: int | None) -> subprocess.CompletedProcess:
    assert "Traceback" not in (done.stderr or "")
    assert code is None or done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def new_project() -> type[Project]:
    """Makes projects for what is applied once and looked at by many tests."""
    return Project


@pytest.fixture(scope="module", params=["chromium"])
def browser(request):
    """The id lets `make test` leave the tests of pages out where there is none."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which(request.param), args=SWITCHES)
        yield opened
        opened.close()


@pytest.fixture(params=[AXE], ids=["npm"])
def axe(request) -> str:
    assert request.param.is_file(), "npm ci in build/browser installs it: see the Makefile"
    return request.param.read_text(encoding="utf-8")


@pytest.fixture
def priced(project: Project) -> Project:
    """A project whose requests cost 0.25 USD each."""
    project.write("seedbatch.toml", PRICES)
    return project
