"""Plays what runs a workflow: the steps of action.yml for real, and the part of GitHub's API that they ask."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
TOKEN = "ghs_0123456789abcdef"
BOT = "github-actions[bot]"


@dataclass
class GitHub:
    """Comments of pull requests, by number; `merged` are the pull requests of each commit."""

    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    merged: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    refuses: int = 0

    def say(self, number: int, body: str, author: str = BOT) -> None:
        said = self.comments.setdefault(number, [])
        said.append({"id": number * 1000 + len(said), "body": body, "user": {"login": author}})

    def answer(self, method: str, url: str, body: dict[str, str]) -> tuple[int, Any]:
        split = urlsplit(url)
        path, query = split.path.removeprefix("/repos/me/clips/"), parse_qs(split.query)
        self.asked.append((method, path))
        if self.refuses:
            return self.refuses, {"message": "Resource not accessible by integration"}
        if method == "GET" and (found := re.fullmatch(r"issues/(\d+)/comments", path)):
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, self.comments.get(int(found[1]), [])[size * (page - 1) : size * page]
        if method == "POST" and (found := re.fullmatch(r"issues/(\d+)/comments", path)):
            self.say(int(found[1]), body["body"])
            return 201, {}
        if method == "PATCH" and (found := re.fullmatch(r"issues/comments/(\d+)", path)):
            (one,) = (one for said in self.comments.values() for one in said if one["id"] == int(found[1]))
            one["body"] = body["body"]
            return 200, {}
        if method == "GET" and (found := re.fullmatch(r"commits/(\w+)/pulls", path)):
            return 200, self.merged.get(found[1], [])
        return 404, {"message": "Not Found"}


class Api:
    """GitHub on loopback."""

    def __init__(self, github: GitHub) -> None:
        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
                status, answer = github.answer(self.command, self.path, body) if allowed else (401, {})
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - named by the library

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Done:
    """A job that ended: what was printed, by step; the outputs, the summary, and the step that failed, if one did."""

    printed: dict[str, str]
    outputs: dict[str, str]
    summary: str
    failed: str | None

    @property
    def words(self) -> str:
        return "".join(self.printed.values())


class Runner:
    """Runs the `run:` steps of action.yml; what other actions do is left out."""

    def __init__(self, folder: Path, environment: dict[str, str], api: str) -> None:
        self._folder = folder
        self._temporary = folder.parent / f"{folder.name}-runner"
        self._temporary.mkdir(exist_ok=True)
        self._environment = {
            **environment,
            "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_API_URL": api,
            "GITHUB_REPOSITORY": "me/clips",
            "GITHUB_REF_NAME": "main",
            "RUNNER_TEMP": str(self._temporary),
        }

    def go(self, event: str, payload: dict[str, Any], sha: str = "0" * 40, **inputs: str) -> Done:
        context = self._context(event, inputs)
        files = {name: self._temporary / name.lower() for name in ("GITHUB_EVENT_PATH", "GITHUB_STEP_SUMMARY")}
        files["GITHUB_EVENT_PATH"].write_text(json.dumps(payload))
        files["GITHUB_STEP_SUMMARY"].write_text("")
        printed: dict[str, str] = {}
        failed = None
        for step in ACTION["runs"]["steps"]:
            if "run" not in step or not _true(step["if"], context):
                continue
            output = self._temporary / "output"
            output.write_text("")
            script = self._temporary / "script.sh"
            script.write_text(step["run"])
            env = {name: _filled(str(text), context) for name, text in step.get("env", {}).items()}
            done = subprocess.run(
                ["sh", "-e", str(script)],
                cwd=self._folder / _filled(step.get("working-directory", "."), context),
                env={
                    **self._environment,
                    **{name: str(path) for name, path in files.items()},
                    "GITHUB_OUTPUT": str(output),
                    "GITHUB_EVENT_NAME": event,
                    "GITHUB_SHA": sha,
                    **env,
                },
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
            )  # fmt: skip
            printed[step["name"]] = done.stdout
            for line in output.read_text().splitlines():
                name, _, value = line.partition("=")
                context[f"steps.{step['id']}.outputs.{name}"] = value
            if done.returncode:
                failed = step["name"]
                break
        outputs = {name: _filled(one["value"], context) for name, one in ACTION["outputs"].items()}
        return Done(printed, outputs, files["GITHUB_STEP_SUMMARY"].read_text(), failed)

    def _context(self, event: str, inputs: dict[str, str]) -> dict[str, str]:
        assert set(inputs) <= {name.replace("-", "_") for name in ACTION["inputs"]}
        context = {"github.event_name": event, "github.token": TOKEN}
        for name, one in ACTION["inputs"].items():
            given = inputs.get(name.replace("-", "_"))
            context[f"inputs.{name}"] = _filled(one["default"], context) if given is None else given
        return context


def _filled(text: str, context: dict[str, str]) -> str:
    """A text with its expressions replaced: names, and `a || b`."""

    def value(found: re.Match[str]) -> str:
        return next((known for name in found[1].split("||") if (known := context.get(name.strip(), ""))), "")

    return re.sub(r"\$\{\{(.*?)\}\}", value, text)


def _true(condition: str, context: dict[str, str]) -> bool:
    """Comparisons of a name with a text, joined by `&&`."""
    for one in condition.split("&&"):
        name, sign, text = re.fullmatch(r"\s*([\w.-]+) (==|!=) '(.*)'\s*", one).groups()
        if (context.get(name, "") == text) is not (sign == "=="):
            return False
    return True
