"""What editors and code hosts make of what we print: the real yaml-language-server, and the official schema of SARIF.

Both come from npm: `make test` installs them into build/editor.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from jsonschema import Draft4Validator

from seedbatch.models import catalogue

ROOT = Path(__file__).parent.parent.parent
HEAD = """\
# yaml-language-server: $schema=manifest.schema.json
version: 1
batch: b
defaults:
  model: seedance-2.0
  input: {resolution: 480p, ratio: "16:9", duration: 5}
jobs:
"""


@pytest.fixture(scope="module", params=[ROOT / "build/editor/node_modules"], ids=["npm"])
def packages(request) -> Path:
    """Where the packages lie; the id lets `make test` leave these tests out where npm is missing."""
    assert request.param.is_dir(), "npm ci in build/editor installs it: see the Makefile"
    return request.param


class Editor:
    """An editor that speaks the language server protocol with a server, over pipes."""

    def __init__(self, packages: Path, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        self._version = 0
        self._diagnostics: dict[str, Any] = {}
        command = ["node", str(packages / "yaml-language-server/bin/yaml-language-server"), "--stdio"]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        able = {"textDocument": {"hover": {"contentFormat": ["plaintext"]}, "publishDiagnostics": {}}}
        settings = {"yaml": {"schemaStore": {"enable": False}, "validate": True, "hover": True, "completion": True}}
        self._settings = settings
        self.ask("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": able})
        self._send("initialized", {})
        self._send("workspace/didChangeConfiguration", {"settings": settings})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ask("shutdown", None)
        self._send("exit", None)
        self._server.communicate(timeout=10)

    def open(self, text: str, name: str = "m.yaml") -> str:
        """Show a text in a window; the URI of its file."""
        self._version += 1
        uri = (self.folder / f"{self._version}-{name}").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": self._version, "text": text}
        self._send("textDocument/didOpen", {"textDocument": document})
        return uri

    def problems(self, text: str) -> list[tuple[int, str]]:
        """The 1-based lines and words of what is underlined."""
        uri = self.open(text)
        while uri not in self._diagnostics:
            self._receive()
        return [(one["range"]["start"]["line"] + 1, one["message"]) for one in self._diagnostics[uri]]

    def offered(self, text: str) -> dict[str, str]:
        """What is offered where the text has a `|`, with its description."""
        found = self._at_mark("textDocument/completion", text)
        items = found if isinstance(found, list) else found["items"]
        return {item["label"].strip('"'): str(item.get("documentation", "")) for item in items}

    def shown(self, text: str) -> str:
        """What is shown when the mouse rests where the text has a `|`."""
        contents = self._at_mark("textDocument/hover", text)["contents"]
        return contents["value"] if isinstance(contents, dict) else str(contents)

    def _at_mark(self, method: str, text: str) -> Any:
        before, _, after = text.partition("|")
        position = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        return self.ask(method, {"textDocument": {"uri": self.open(before + after)}, "position": position})

    def ask(self, method: str, params: Any) -> Any:
        self._number += 1
        wanted = self._number
        self._send(method, params, id=wanted)
        while True:
            message = self._receive()
            if message.get("id") == wanted and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def _send(self, method: str, params: Any, **more: Any) -> None:
        self._write({"method": method, "params": params, **more})

    def _write(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._server.stdin is not None
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._server.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        """The next message; what the server asks is answered."""
        assert self._server.stdout is not None
        length = 0
        while line := self._server.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the server has ended"
        message: dict[str, Any] = json.loads(self._server.stdout.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            is_configuration = message["method"] == "workspace/configuration"
            wanted = message["params"]["items"] if is_configuration else ()
            result = [self._settings.get(item.get("section"), None) for item in wanted] if is_configuration else None
            self._write({"id": message["id"], "result": result})
        return message


@pytest.fixture(scope="module")
def editor(packages, tmp_path_factory) -> Iterator[Editor]:
    folder = tmp_path_factory.mktemp("editor")
    command = [Path(sys.executable).with_name("seedbatch"), "schema"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (folder / "manifest.schema.json").write_text(printed, encoding="utf-8")
    with Editor(packages, folder) as opened:
        yield opened


def test_models_are_offered(editor):
    offered = editor.offered(f"{HEAD}  - key: a\n    prompt: p\n    model: |\n")
    assert set(offered) == set(catalogue().names)
    assert "Seedance" in offered["seedance-2.0"]


def test_keys_and_values_are_offered(editor):
    assert {"prompt", "takes", "matrix", "output"} <= set(editor.offered(f"{HEAD}  - key: a\n    |\n"))
    assert {"480p", "720p", "1080p"} <= set(editor.offered(f"{HEAD}  - key: a\n    input:\n      resolution: |\n"))
    assert {"duration", "mediaUrls"} <= set(editor.offered(f"{HEAD}  - key: a\n    input:\n      |\n"))


def test_a_bad_duration_is_underlined(editor):
    own = "  - {key: a, prompt: p, model: seedance-2.0, input: {duration: 60}}\n"
    by_defaults = "  - {key: a, prompt: p, input: {duration: 60}}\n"
    five = "  - {key: a, prompt: p, model: seedance-1.5-pro, input: {duration: 6}}\n"
    assert editor.problems(HEAD + own) == [(8, "Value is above the maximum of 15.")]
    assert editor.problems(HEAD + by_defaults) == [(8, "Value is above the maximum of 15.")]
    assert editor.problems(HEAD + five) == [(8, "Value is not accepted. Valid values: 5, 10, null.")]


def test_what_validate_takes_is_not_underlined(editor):
    jobs = """\
  - {key: a, prompt: p, input: {duration: "{{ seconds }}", ratio: null}}
  - {key: b, prompt: p, input: {mediaUrls: ["{{ images }}/a.jpg"]}}
  - {key: c, prompt: p, model: seedance-1.5-pro, input: {duration: 10}}
"""
    assert editor.problems(HEAD + jobs) == []


def test_what_validate_refuses_is_underlined(editor):
    for job in (
        "  - {key: a, prompt: p, tkaes: 2}\n",
        "  - {key: a, prompt: p, model: seedance-2.0-fats}\n",
        "  - {key: a, prompt: p, input: {resolution: 481p}}\n",
        "  - {key: a, prompt: p, input: {durations: 5}}\n",
    ):
        found = editor.problems(HEAD + job)
        assert [line for line, _ in found] == [8], found


def test_the_examples_are_not_underlined(editor):
    for path in sorted((ROOT / "manifests").glob("*.yaml")):
        text = path.read_text(encoding="utf-8").replace("../schemas/", "")
        assert editor.problems(text) == [], path.name


def test_a_key_explains_itself(editor):
    assert "generated" in editor.shown(f"{HEAD}  - key: a\n    ta|kes: 2\n")
    assert "Width to height" in editor.shown(f"{HEAD}  - key: a\n    input: {{rat|io: '16:9'}}\n")


def test_sarif_fits_its_official_schema(packages, project):
    schema = json.loads((packages / "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json").read_text())
    bad = project.write("a b/bad.yaml", f"{HEAD}  - {{key: a, prompt: p, takse: 2}}\n")
    warned = project.write("w.yaml", f"{HEAD}  - {{key: a, prompt: p, input: {{fallback: true}}}}\n")
    for arguments, code in (((bad, warned, "none.yaml"), 2), ((warned,), 0)):
        log = json.loads(project.run("validate", "--format", "sarif", *arguments, code=code).stdout)
        assert [error.message for error in Draft4Validator(schema).iter_errors(log)] == []
        assert log["runs"][0]["results"]
