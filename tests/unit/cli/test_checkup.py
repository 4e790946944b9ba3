"""Everything that `doctor` looks at, with real servers, and in this process: the command is tried elsewhere."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import threading
from contextlib import closing, contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time

import pytest
from samples import NOON

from seedbatch.cli.callbacks import Bind
from seedbatch.cli.checkup import examine
from seedbatch.cli.origins import every_setting
from seedbatch.domain.errors import Exit
from seedbatch.domain.health import Health, exit_of, is_doctors
from seedbatch.ledger.sqlite import SqliteLedger
from seedbatch.settings import load

KEY = "sk-doctor-0123456789"
EARLIER = Path(__file__).parent.parent.parent / "ledger/earlier/0001.db"
NOBODY_HAS_IT = b'{"code":404,"msg":"no such task"}'
ANY_PORT = Bind("127.0.0.1", 0)


@contextmanager
def server(status, *, body=b"", ahead=0, dated=True, headers=()):
    """Answers every request alike, by a clock that is some seconds ahead; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self):
            self.send_response_only(status)
            for name, value in (("Content-Length", str(len(body))), *headers):
                self.send_header(name, value)
            if dated:
                self.send_header("Date", formatdate(time() + ahead, usegmt=True))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def provider():
    with server(404, body=NOBODY_HAS_IT) as address:
        yield address


@pytest.fixture
def nowhere():
    with socket.socket() as taken:  # bound, and not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def doctor(tmp_path, provider):
    """Examines a project; an environment without a key names none."""

    def look(environ=None, *, bind=None, **flags):
        environ = {"MAXAPI_API_KEY": KEY} if environ is None else environ
        environ = {"MAXAPI_BASE_URL": provider, "XDG_CONFIG_HOME": str(tmp_path / "home"), **environ}
        settings = load(flags, environ, tmp_path / "work")
        checks = examine(settings, every_setting(settings, environ), environ, bind)
        for check in checks:
            assert check.hint or check.verdict in {Health.OK, Health.SKIPPED}
            assert KEY not in check.words + check.hint
        return {check.name: check for check in checks}, exit_of(checks)

    (tmp_path / "work").mkdir()
    return look


@pytest.fixture
async def ledger(tmp_path, doctor):
    path = tmp_path / "work/.seedbatch/ledger.db"
    await SqliteLedger(path, kind="real", folder=tmp_path / "work/outputs", now=NOON).aclose()
    return path


def inbox(ledger):
    with closing(sqlite3.connect(ledger)) as connection:
        return [body.encode() for (body,) in connection.execute("SELECT body FROM callbacks")]


def test_a_sound_place_and_nothing_is_made_there(doctor, tmp_path):
    checks, code = doctor()
    assert code is Exit.OK
    assert {name for name, check in checks.items() if check.verdict is not Health.OK} == {"public_url", "callbacks"}
    assert list((tmp_path / "work").iterdir()) == []


def test_the_key(doctor, tmp_path):
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o644)
    for environ, words, hint in [
        ({}, "no API key was given", "export MAXAPI_API_KEY"),
        ({"MAXAPI_API_KEY_FILE": str(file)}, "can be read by others", f"chmod 600 {file}"),
        ({"MAXAPI_API_KEY_FILE": str(file), "MAXAPI_API_KEY": KEY}, "both", "unset one"),
        # The key itself, put where its path belongs: `doctor` looks for it in all words.
        ({"MAXAPI_API_KEY_FILE": KEY}, "cannot be read", "must name a file"),
        ({"MAXAPI_API_KEY_FILE": KEY * 99}, "cannot be read", "must name a file"),
    ]:
        checks, code = doctor(environ)
        assert code is Exit.KEY
        assert words in checks["key"].words
        assert hint in checks["key"].hint
        assert {checks[name].verdict for name in ("provider", "clock", "public_url")} == {Health.SKIPPED}
    file.chmod(0o600)
    checks, code = doctor({"MAXAPI_API_KEY_FILE": str(file)})
    assert (code, checks["key"].words) == (Exit.OK, "from the environment MAXAPI_API_KEY_FILE")


@pytest.mark.parametrize(
    ("answer", "code", "name", "words"),
    [
        ({"status": 401, "body": b'{"code":401,"msg":"unauthorized"}'}, Exit.KEY, "provider", "refuses the API key"),
        ({"status": 404, "body": b"<html>"}, Exit.PROVIDER, "provider", "is the base URL right?"),
        ({"status": 405}, Exit.PROVIDER, "provider", "no such API"),
        ({"status": 502, "body": b"<html>"}, Exit.PROVIDER, "provider", "HTTP 502"),
        ({"status": 429, "headers": [("Retry-After", "9")]}, Exit.OK, "provider", "takes no query now"),
        ({"status": 404, "body": NOBODY_HAS_IT, "ahead": 3600}, Exit.USAGE, "clock", "behind the provider's"),
        ({"status": 404, "body": NOBODY_HAS_IT, "ahead": -120}, Exit.OK, "clock", "ahead of the provider's"),
        ({"status": 404, "body": NOBODY_HAS_IT, "dated": False}, Exit.OK, "clock", "without a Date"),
    ],
    ids=["key", "page", "address", "gateway", "throttled", "late", "early", "timeless"],
)
def test_what_a_provider_may_say(doctor, answer, code, name, words):
    with server(**answer) as address:
        checks, told = doctor({"MAXAPI_API_KEY": KEY, "MAXAPI_BASE_URL": address})
    assert told is code
    assert checks[name].verdict is not Health.OK
    assert words in checks[name].words


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://nowhere.invalid", "could not be resolved"),
        ("https://a..b", "no usable answer"),
        ("https://xn--", "no URL which can be asked"),
    ],
)
def test_a_provider_that_cannot_be_reached(doctor, url, words):
    checks, code = doctor({"MAXAPI_API_KEY": KEY, "MAXAPI_BASE_URL": url})
    assert code is Exit.PROVIDER
    assert words in checks["provider"].words
    assert checks["clock"].words == "no answer to compare it with"


def test_the_sandbox_is_asked_for_nothing(doctor, nowhere):
    checks, code = doctor({"MAXAPI_BASE_URL": nowhere}, sandbox=True)
    assert code is Exit.OK
    assert {checks[name].verdict for name in ("key", "provider", "clock")} == {Health.SKIPPED}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 200}, "it is not the listener of this ledger"),
        ({"status": 404}, "a listener of another API key is there, or another server"),
        ({"status": 502}, "no working listener behind it"),
        ({"status": 308, "headers": [("Location", "/other")]}, "a redirect"),
        ({"status": 403}, "lets nobody in"),
    ],
    ids=lambda value: str(value["status"]) if isinstance(value, dict) else "",
)
@pytest.mark.usefixtures("ledger")
def test_servers_that_are_no_listener(doctor, answer, words):
    with server(**answer) as address:
        checks, code = doctor(public_url=address)
    assert (code, checks["public_url"].verdict) == (Exit.USAGE, Health.PROBLEM)
    assert words in checks["public_url"].words


def test_nobody_is_there(doctor, nowhere):
    checks, code = doctor(public_url=nowhere)
    assert code is Exit.USAGE
    assert "nobody listens there" in checks["public_url"].words
    assert "seedbatch listen, or let doctor listen itself" in checks["public_url"].hint


def test_doctor_listens_itself_and_keeps_nothing_where_there_is_no_ledger(doctor, tmp_path):
    checks, code = doctor(bind=ANY_PORT)
    assert code is Exit.OK
    assert "reaches this machine" in checks["public_url"].words
    assert list((tmp_path / "work").iterdir()) == []


def test_doctor_listens_itself_and_keeps_it_in_the_ledger(doctor, ledger):
    checks, code = doctor(bind=ANY_PORT)
    assert (code, checks["public_url"].verdict) == (Exit.OK, Health.OK)
    (body,) = inbox(ledger)
    assert is_doctors(body)


@pytest.mark.usefixtures("ledger")
def test_a_public_url_that_leads_past_doctors_own_listener(doctor):
    for status, words in [(200, "not the listener of this ledger"), (404, "another server than to this one")]:
        with server(status) as elsewhere:
            checks, code = doctor(bind=ANY_PORT, public_url=elsewhere)
        assert code is Exit.USAGE
        assert words in checks["public_url"].words
        assert "--bind" in checks["public_url"].hint


def test_a_port_that_is_taken(doctor, nowhere):
    port = int(nowhere.rpartition(":")[2])
    checks, code = doctor(bind=Bind("127.0.0.1", port), public_url=nowhere)
    assert code is Exit.USAGE
    assert f"not tested: cannot listen at 127.0.0.1:{port}" in checks["public_url"].words
    assert "leave --bind out" in checks["public_url"].hint


@pytest.mark.parametrize("harm", ["older", "damaged"])
def test_a_ledger_that_opening_would_change_is_not_opened_for_the_test(doctor, tmp_path, harm):
    ledger = tmp_path / "work/.seedbatch/ledger.db"
    ledger.parent.mkdir()
    shutil.copy(EARLIER, ledger)
    if harm == "damaged":
        with closing(sqlite3.connect(ledger)) as connection, connection:
            connection.execute("UPDATE jobs SET output = 'elsewhere' WHERE id = 1")
    before = ledger.read_bytes()
    checks, code = doctor(bind=ANY_PORT)
    assert code is (Exit.OK if harm == "older" else Exit.LEDGER)
    assert checks["public_url"].verdict is Health.OK
    assert checks["ledger"].verdict is (Health.WARNING if harm == "older" else Health.PROBLEM)
    assert ledger.read_bytes() == before


def test_every_setting_says_where_it_comes_from(tmp_path):
    (tmp_path / "seedbatch.toml").write_text("[limits]\nin_flight = 7\n[budget]\nmax_jobs = 50\n")
    environ = {"SEEDBATCH_SUBMITTING": "1", "MAXAPI_API_KEY_FILE": "/x", "XDG_CONFIG_HOME": str(tmp_path / "home")}
    settings = load({"ledger": "mine.db"}, environ, tmp_path)
    told = {one.name: (one.value, one.text, one.origin) for one in every_setting(settings, environ)}
    assert told["api_key"] == (None, "not shown", "environment MAXAPI_API_KEY_FILE")
    assert told["ledger"][::2] == (str(tmp_path / "mine.db"), "flag --ledger")
    assert told["submitting"] == (1, "1", "environment SEEDBATCH_SUBMITTING")
    assert told["in_flight"] == (7, "7", "seedbatch.toml")
    assert told["submits_per_minute"] == (60, "60", "default")
    assert told["doubt_wait"] == (14_400, "14400", "default")
    assert told["day_budget"] == ({"max_jobs": 50, "max_cost": None}, "50 jobs", "[budget] of the files")
