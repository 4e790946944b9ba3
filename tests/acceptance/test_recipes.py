"""The recipes of docs/examples, used as they stand: only names, ports and folders are exchanged.

A test with nginx, caddy or systemd-analyze in its name needs that program, and fails without it. `make test` leaves out
those whose program is missing, and says so.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from seedbatch.cli.app import app
from seedbatch.cli.group import COMMANDS
from seedbatch.domain.secret import Secret
from seedbatch.domain.tokens import TokenKey, digest_of

COMMAND = str(Path(sys.executable).with_name("seedbatch"))
ROOT = Path(__file__).parent.parent.parent
RECIPES = ROOT / "docs/examples"
PAGE = ROOT / "docs/webhooks.md"

SITE = "callbacks.example.com"
RECEIVER = "127.0.0.1:8787"
KEY = "mk-recipes"
BIG = bytes(100_000)
PATH = f"{os.environ['PATH']}:/usr/sbin"  # where Debian keeps nginx

MANIFEST = """\
version: 1
batch: {batch}
defaults: {{model: seedance-2.0-fast, input: {{resolution: 480p, ratio: 16:9, duration: 5}}}}
jobs: [{{key: river, prompt: a river behind {batch}}}]
"""
# The rest of nginx's own file, which says more than usual: no message may hold a token.
NGINX = """\
daemon off;
pid nginx.pid;
error_log stderr info;
events {}
http {
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site.conf;
}
"""


def recipe(name: str, yours: dict[str, str]) -> str:
    """A recipe with what its head calls yours in the place of what stands there."""
    text = (RECIPES / name).read_text(encoding="utf-8")
    for theirs, ours in yours.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    return text


def genuine_token() -> str:
    return TokenKey(Secret(KEY)).token(secrets.token_bytes(16))


def unused_port() -> int:
    """Below those that the system gives to whoever asks for any."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def running(words: list[str], folder: Path, environment: dict[str, str], **options) -> Iterator[subprocess.Popen]:
    """A process that is ended with SIGTERM."""
    environment = {"PATH": PATH, "HOME": str(folder), **environment}
    with subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def until(process: subprocess.Popen, words: str) -> str:
    """The line with these words, once the process says it."""
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return line
    raise AssertionError("".join(said))


def ask(connection: http.client.HTTPConnection, path: str, body=b"{}", method: str = "POST", **options) -> int:
    """The status of one answer."""
    with closing(connection):
        connection.request(method, path, body, **options)
        return connection.getresponse().status


class Unit:
    """The unit file below a folder: started as systemd would, but by whoever runs the tests, and not locked up."""

    def __init__(self, folder: Path) -> None:
        yours = {
            "/opt/seedbatch/bin/seedbatch": COMMAND,
            "/srv/seedbatch": str(folder / "project"),
            "/etc/seedbatch": str(folder / "etc"),
            RECEIVER: "127.0.0.1:0",
        }
        self.text = recipe("seedbatch-listen.service", yours)
        text = self.text
        for specifier, name in {"%d": "credentials", "%t": "run", "%L": "log"}.items():
            text = text.replace(specifier, str(folder / name))
        self._settings: dict[str, list[str]] = defaultdict(list)
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if not line.startswith("#"):
                self._settings[name].append(value)
        self._folder = folder

    def __getitem__(self, name: str) -> str:
        (value,) = self._settings[name]
        return value

    @property
    def environment(self) -> dict[str, str]:
        return dict(value.split("=", 1) for value in self._settings["Environment"])

    @contextmanager
    def started(self, base_url: str) -> Iterator[subprocess.Popen]:
        self._prepare()
        subprocess.run(shlex.split(self["ExecStartPre"]), check=True)
        words, umask = shlex.split(self["ExecStart"]), int(self["UMask"], 8)
        environment = self.environment | {"MAXAPI_BASE_URL": base_url}
        with running(words, Path(self["WorkingDirectory"]), environment, umask=umask) as process:
            yield process

    def _prepare(self) -> None:
        name, _, source = self["LoadCredential"].partition(":")
        # 0440 is what systemd 254 shows of a file that only the service may read.
        for path, mode in ((Path(source), 0o600), (self._folder / "credentials" / name, 0o440)):
            path.parent.mkdir()
            path.write_text(KEY)
            path.chmod(mode)
        for parent, setting in (("run", "RuntimeDirectory"), ("log", "LogsDirectory")):
            (self._folder / parent / self[setting]).mkdir(parents=True, mode=int(self[f"{setting}Mode"], 8))
        Path(self["WorkingDirectory"]).mkdir()


@dataclass
class Station:
    """A provider, and a receiver that the unit file started; in `folder` a certificate that the provider trusts."""

    folder: Path
    base_url: str
    unit: Unit
    listener: subprocess.Popen
    port: int

    @property
    def project(self) -> Path:
        return Path(self.unit["WorkingDirectory"])

    def apply(self, batch: str, public_url: str) -> None:
        """Submit one job and wait for the listener to complete it."""
        manifest = self.project / f"{batch}.yaml"
        manifest.write_text(MANIFEST.format(batch=batch))
        words = [COMMAND, "apply", manifest.name, "--yes", "--no-wait", "--public-url", public_url]
        environment = {"PATH": PATH, "HOME": str(self.folder), "MAXAPI_BASE_URL": self.base_url}
        environment["MAXAPI_API_KEY_FILE"] = self.unit.environment["MAXAPI_API_KEY_FILE"]
        done = subprocess.run(words, cwd=self.project, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 6}, done.stderr  # completed already, or still running
        until(self.listener, f"completed    {batch}/river")

    def called(self, batch: str) -> str:
        """The token at which the provider called for a batch's job."""
        ((task,),) = self._rows(
            self.project / ".seedbatch/ledger.db",
            "SELECT a.task_id FROM attempts a JOIN jobs j ON j.id = a.job_id JOIN batches b ON b.id = j.batch_id"
            " WHERE b.name = ?",
            batch,
        )
        ((url,),) = self._rows(self.folder / "provider.db", "SELECT callback_url FROM tasks WHERE task_id = ?", task)
        return url.rpartition("/")[2]

    def kept(self, token: str) -> list[tuple[str, str | None]]:
        """What came at a token: bodies, and what became of them."""
        return self._rows(
            self.project / ".seedbatch/ledger.db",
            "SELECT body, verdict FROM callbacks WHERE token = ? ORDER BY id",
            digest_of(token),
        )

    def ask(self, path: str, body=b"{}", method: str = "POST", **options) -> int:
        """Ask the receiver itself."""
        return ask(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20), path, body, method, **options)

    @staticmethod
    def _rows(file: Path, query: str, value: str) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(file)) as database:
            return database.execute(query, [value]).fetchall()


@pytest.fixture(scope="module")
def station(tmp_path_factory) -> Iterator[Station]:
    folder = tmp_path_factory.mktemp("station")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "own.pem")
    words = [COMMAND, "sandbox", "--port=0", "--speed=50", "--internal-callbacks", f"--file={folder / 'provider.db'}"]
    unit = Unit(folder)
    with running(words, folder, {"SSL_CERT_FILE": str(folder / "authority.pem")}) as provider:
        base_url = until(provider, "listens at").split()[-1]
        with unit.started(base_url) as listener:
            port = re.search(r"http://127.0.0.1:(\d+)", until(listener, "Listening at"))[1]
            yield Station(folder, base_url, unit, listener, int(port))


@dataclass
class Front:
    """A web server before a receiver; `said` is everything that it wrote, once it has ended."""

    port: int
    trust: ssl.SSLContext
    said: str = ""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def ask(self, path: str, body=b"{}", method: str = "POST", **options) -> int:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.trust, timeout=20)
        return ask(connection, path, body, method, **options)


@contextmanager
def fronting(server: str, station: Station, folder: Path, port: int) -> Iterator[Front]:
    """The recipe of a web server, before a receiver at `port`."""
    trust = ssl.create_default_context(cafile=station.folder / "authority.pem")
    front = Front(unused_port(), trust)
    words, ready = {"nginx": nginx, "caddy": caddy}[server](folder, front.port, station.folder / "own.pem", port)
    with running(words, folder, {}) as process:
        front.said = until(process, ready)
        yield front
        process.terminate()
        front.said += process.stderr.read()
    front.said += "".join(path.read_text() for path in folder.rglob("*.log"))


def nginx(folder: Path, port: int, certificate: Path, receiver: int) -> tuple[list[str], str]:
    yours = {
        f"/etc/letsencrypt/live/{SITE}/fullchain.pem": str(certificate),
        f"/etc/letsencrypt/live/{SITE}/privkey.pem": str(certificate),
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "    listen [::]:443 ssl;\n": "",
        RECEIVER: f"127.0.0.1:{receiver}",
        "/var/log/nginx": str(folder),
    }
    (folder / "site.conf").write_text(recipe("nginx.conf", yours))
    (folder / "nginx.conf").write_text(NGINX)
    return ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"], "start worker process "


def caddy(folder: Path, port: int, certificate: Path, receiver: int) -> tuple[list[str], str]:
    yours = {
        f"\n{SITE} {{\n": f"\nhttps://127.0.0.1:{port} {{\n\ttls {certificate} {certificate}\n",
        "\n{\n": "\n{\n\tadmin off\n\tauto_https disable_redirects\n",
        RECEIVER: f"127.0.0.1:{receiver}",
    }
    (folder / "Caddyfile").write_text(recipe("Caddyfile", yours))
    return ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"], "serving initial configuration"


@pytest.mark.parametrize("server", ["nginx", "caddy"])
def test_callbacks_come_through_and_nothing_else(server, station, tmp_path):
    token, other = genuine_token(), genuine_token()
    with fronting(server, station, tmp_path, station.port) as front:
        station.apply(server, front.url)
        assert front.ask(f"/callbacks/{token}", b'{"from": "nobody"}') == 200
        assert front.ask(f"/callbacks/{token[:-4]}AAAA") == 404
        assert front.ask(f"/callbacks/{other}", method="GET") == 404
        assert front.ask(f"/{other}") == 404
        assert front.ask(f"/callbacks/{other}", BIG) == 413
        assert front.ask(f"/callbacks/{other}", iter([BIG]), encode_chunked=True) == 413
    # No query was due so soon: the callback made it known.
    ((body, verdict),) = station.kept(station.called(server))
    assert json.loads(body)["data"]["status"] == "SUCCESS"
    assert verdict in {"heard", "adopted", "known"}
    assert [body for body, _ in station.kept(token)] == ['{"from": "nobody"}']
    assert station.kept(other) == []
    assert not [one for one in (station.called(server), token, other) if one in front.said]


@pytest.mark.parametrize("server", ["nginx", "caddy"])
def test_a_receiver_that_is_down_puts_no_token_into_a_log(server, station, tmp_path):
    token = genuine_token()
    with fronting(server, station, tmp_path, unused_port()) as front:
        assert front.ask(f"/callbacks/{token}", BIG[:60_000]) == 502
    assert "502" in front.said
    assert token not in front.said


def test_systemd_analyze_finds_nothing_wrong(tmp_path):
    unit = tmp_path / "seedbatch-listen.service"
    unit.write_text(Unit(tmp_path).text)
    assert verified(unit) == []
    unit.write_text(Unit(tmp_path).text.replace("SuccessExitStatus", "SuccesExitStatus"))
    assert ["SuccesExitStatus" in line for line in verified(unit)] == [True]


def verified(unit: Path) -> list[str]:
    words = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if unit.name in line]


def test_the_service_ends_as_its_unit_expects(tmp_path):
    unit = Unit(tmp_path)
    with unit.started("http://127.0.0.1:1") as service:
        until(service, f"for callbacks to https://{SITE}")
        assert unit["KillSignal"] == "SIGTERM"
        service.send_signal(signal.SIGTERM)
        assert service.wait(timeout=60) == int(unit["SuccessExitStatus"])
    assert Path(unit["WorkingDirectory"], ".seedbatch/ledger.db").stat().st_mode & 0o777 == 0o600


def test_the_page_tells_every_answer(station):
    path = f"/callbacks/{genuine_token()}"
    assert station.ask(path) == 200
    assert station.ask(path, method="PUT") == 404
    assert station.ask(path, BIG) == 413
    assert station.ask(path, gzip.compress(BIG), headers={"Content-Encoding": "gzip"}) == 413
    assert station.ask(path, b"no gzip", headers={"Content-Encoding": "gzip"}) == 400
    others = {station.ask(path, str(number).encode()) for number in range(99)}
    assert (others, station.ask(path, b"one more"), station.ask(path)) == ({200}, 429, 200)
    table = re.findall(r"^\| (\d{3}) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert table == ["200", "404", "413", "400", "429", "503"]


def test_the_container_holds_what_it_copies_and_runs_a_command(tmp_path):
    lines = (RECIPES / "Containerfile").read_text(encoding="utf-8").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    for sources in [words.split()[:-1] for step, words in steps if step == "COPY"]:
        for source in sources:
            path = ROOT / source
            (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / source)
    # What was copied is enough to build from, as `pip install` does.
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "built"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("built/*.whl")
    assert {"seedbatch/cli/app.py", "seedbatch/schemas/manifest.schema.json"} <= set(zipfile.ZipFile(wheel).namelist())
    said = dict(steps)
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert said["USER"] != "root"
    check_accepted([*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])])


def test_every_command_of_the_page_is_accepted(monkeypatch):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    typed = re.findall(r"^\$ (.*)$", "".join(blocks).replace("\\\n", " "), flags=re.MULTILINE)
    commands = [words for words in (shlex.split(line, comments=True) for line in typed) if words[0] == "seedbatch"]
    assert {"apply", "listen"} <= {words[1] for words in commands}
    for words in commands:
        check_accepted(words)


def check_accepted(words: list[str]) -> None:
    """Raise what the program would answer to a command line that it does not take."""
    program, name, *rest = words
    assert program == "seedbatch"
    assert name in COMMANDS
    app.get_command(None, name).make_context(name, rest)


def test_a_page_names_every_recipe():
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGE.parent.glob("*.md"))
    for path in RECIPES.iterdir():
        assert f"(examples/{path.name})" in pages
