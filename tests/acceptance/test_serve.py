"""The live page: a real server of a real ledger, in Chromium and from programs that are up to no good.

`make test` leaves out what needs a browser where there is none. What the pages look like stays in build/screenshots.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

import pytest
from acceptance.conftest import PRICES, Project
from acceptance.looking import cards, focused, looking, photograph, troubles

MANIFEST = """\
version: 1
batch: autumn
defaults:
  model: seedance-2.0-fast
  input: {resolution: 480p, ratio: 16:9, duration: 4}
budget: {max_jobs: 40, max_cost: 40, currency: USD}
jobs:
  - {key: river, prompt: "A river"}
  - {key: market, prompt: "A night market, hand-held", takes: 3}
  - {key: harbour, prompt: "A harbour [moderation]"}
  - key: hostile
    prompt: "<img src=x onerror=alert(1)></script><script>alert(2)</script> \\u202etxet\\u202c =1 \\e[31m نهر \\u2028 x"
"""
SHOW_ALL = {"width": 1280, "height": 1600}


@contextmanager
def serving(project: Project, *arguments: str) -> Iterator[str]:
    """The URL of a page that is served, until Ctrl-C."""
    process = project.start("serve", "--sandbox", "--bind", "127.0.0.1:0", *arguments)
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:"), process.stderr.read()
    yield url
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert time.monotonic() - begun < 5
    assert "Traceback" not in process.stderr.read()


@pytest.fixture(scope="module")
def applied(tmp_path_factory) -> Project:
    """A project with a bit of everything: clips, a failure, a job in doubt."""
    project = Project(tmp_path_factory.mktemp("serve"))
    project.write("seedbatch.toml", PRICES)
    project.write("m.yaml", MANIFEST)
    faults = project.write("faults.yaml", "rules: [{on: submit, do: cut-after-accept, at: [4]}]\n")
    project.apply("m.yaml", "--sandbox-faults", faults, code=7)
    return project


@pytest.fixture(scope="module")
def url(applied) -> Iterator[str]:
    with serving(applied) as url:
        yield url


@pytest.fixture
def look(browser, url, applied) -> Callable[..., object]:
    (applied.folder / "picks.yaml").unlink(missing_ok=True)
    return partial(looking, browser, url, viewport=SHOW_ALL)


def picked(project: Project) -> list[str]:
    """What the command says is picked."""
    listed = project.run_forked("pick", "--list", "--sandbox").stdout.splitlines()[1:]
    return ["/".join(line.split("\t")[:2]) for line in listed]


# -- filling ------------------------------------------------------------------------------------------------------


def test_the_page_fills_while_a_run_works(browser, project):
    project.write("seedbatch.toml", PRICES)
    project.write("m.yaml", MANIFEST.replace("takes: 3", "takes: 8"))
    with serving(project) as url, looking(browser, url, ready="#link[data-live]", viewport=SHOW_ALL) as page:
        page.wait_for_selector("text=There is no ledger yet")
        run = project.start("apply", "m.yaml", "--sandbox", "--yes", "--sandbox-speed=8", "--submits-per-minute=300")
        page.wait_for_selector(".card[data-state=pending], .card[data-state=running]")
        page.wait_for_selector(
            "#going >> text=expected end: not known, too few tasks of seedance-2.0-fast have ended to tell"
        )
        page.wait_for_selector(".card[data-state=completed]")
        page.focus(".card .open >> nth=0")
        assert run.poll() is None, "the run was over before the page was looked at"
        page.wait_for_function("() => document.querySelectorAll('.card[data-state=completed]').length === 10")
        assert run.wait(timeout=60) == 3
        assert cards(page) == [
            "river, completed", *(f"market#{take}, completed" for take in range(1, 9)),
            "harbour, failed, moderation", "hostile, completed",
        ]  # fmt: skip
        page.wait_for_function("() => document.querySelector('#facts').innerText.includes('1 failed')")
        assert "11 jobs" in page.inner_text("#facts")
        assert "2.02 of 40.00 USD, 11 of 40 submissions" in page.inner_text("#going")
        assert "expected end" not in page.inner_text("#going")
        (moderation,) = re.findall("Moderation: .*", project.run("status", "--sandbox").stdout)
        assert moderation in page.inner_text("#going")
        assert page.inner_text("h1") == "autumn"
        assert focused(page) == "river, completed"
        page.wait_for_function("() => [...document.querySelectorAll('.poster')].every(one => one.width > 100)")
        page.click("[data-view=events]")
        told = page.inner_text("#view-events")
        assert told.count("completed") == 10
        assert "CONTENT_MODERATION" in told
        assert page.inner_text("#attention-number") == "1"
        assert [urlsplit(one).path for one in page.asked].count("/events") == 1  # and nothing is asked again


def test_a_page_follows_its_ledger(browser, project):
    project.apply(project.manifest("one", "two"))
    free = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
    address = f"127.0.0.1:{free}"
    page = browser.new_context().new_page()
    with serving(project, "--bind", address):
        page.goto(f"http://{address}/")
        page.wait_for_selector("html[data-ready]")
    # It goes on where it was when the server is back.
    page.wait_for_selector("#link[data-live=false]")
    project.apply(project.manifest("one"))
    with serving(project, "--bind", address):
        page.wait_for_selector(".card:nth-child(2) .marks >> text=left the manifest")
        page.wait_for_selector("#link[data-live=true]")
        # What is wanted no more is not picked: there is no button, and nothing gets around it.
        assert page.locator(".card .pick:not([hidden])").count() == 1
        status, body, _ = ask(address, "POST", "/picks", json.dumps({"id": 2, "picked": True}), own(address))
        assert (status, "no longer in its manifest" in body.decode()) == (200, True)
        assert not (project.folder / "picks.yaml").exists()
        # Another ledger is another page.
        shutil.rmtree(project.folder / ".seedbatch")
        project.apply(project.manifest("three", batch="other"))
        page.wait_for_function("() => document.querySelector('h1').innerText === 'other'")
        page.wait_for_function("() => document.querySelectorAll('.card').length === 1")
        page.context.close()


def test_only_the_batch_that_is_named(applied):
    for batch, found in (("autumn", 6), ("other", 0)):
        with serving(applied, "--batch", batch) as url:
            frames = begun(urlsplit(url).netloc)
            assert len(frames.get("cards", [])) == found
            assert sum(frames["progress"]["counts"].values()) == found
            assert bool(frames["events"]) == bool(found)


# -- picking ------------------------------------------------------------------------------------------------------


def press(page, address: str, *, pressed: bool) -> None:
    """Press the button of a card, and wait for what it is then."""
    page.hover(f".card:has(.pick[aria-label='Pick {address}'])")
    page.click(f".card .pick[aria-label='Pick {address}']")
    told(page, address, pressed=pressed)


def told(page, address: str, *, pressed: bool) -> None:
    page.wait_for_selector(f".card .pick[aria-label='Pick {address}'][aria-pressed={str(pressed).lower()}]")


def test_a_pick_is_written_as_the_command_writes_it(look, applied):
    picks = applied.folder / "picks.yaml"
    with look() as page:
        told(page, "market#2", pressed=False)
        press(page, "market#2", pressed=True)
        written = picks.read_bytes()
        picks.unlink()
        told(page, "market#2", pressed=False)
        applied.run("pick", "market#2", "--sandbox")
        assert written == picks.read_bytes()
        told(page, "market#2", pressed=True)
    with look() as page:  # and so it is for whoever comes later
        assert page.locator(".pick[aria-pressed=true]").count() == 1
        assert cards(page)[:3] == ["river, completed", "market#1, completed", "market#2, completed, picked"]
        page.click(".option[data-facet=picked]")
        assert cards(page) == ["market#2, completed, picked"]
        page.click("#clear")
        press(page, "market#2", pressed=False)
    assert picked(applied) == []


def test_what_others_write_meanwhile_stays(look, applied):
    picks = applied.folder / "picks.yaml"
    with look() as page:
        picks.write_text("version: 1\npicks:\n  # the client's\n  - autumn/river#1\n")
        told(page, "river", pressed=True)
        press(page, "market#1", pressed=True)
        assert "  # the client's\n  - autumn/river#1\n" in picks.read_text()
        assert sorted(picked(applied)) == ["autumn/market#1", "autumn/river#1"]
        press(page, "river", pressed=False)
        assert picked(applied) == ["autumn/market#1"]
        picks.write_text("<<<<<<< mine\npicks: []\n")
        page.wait_for_selector(".progress .wrong >> text=a merge was left unfinished here")
        page.hover(".card:nth-child(1)")
        page.click(".card .pick[aria-label='Pick river']")
        assert "a merge was left unfinished here" in page.inner_text(".notice")
        assert picks.read_text() == "<<<<<<< mine\npicks: []\n"


def test_the_keyboard_alone_suffices(look, applied):
    with look() as page:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('.card') !== null"):
                break
        assert focused(page) == "river, completed"
        page.keyboard.press("ArrowRight")
        page.keyboard.press("p")
        told(page, "market#1", pressed=True)
        assert focused(page) == "market#1, completed, picked"
        page.keyboard.press("Tab")
        assert focused(page) == "Pick market#1"
        page.keyboard.press("Enter")
        told(page, "market#1", pressed=False)
        assert focused(page) == "Pick market#1"
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("p")
        page.wait_for_selector("dialog .pick[aria-pressed=true]")
        assert page.inner_text("dialog .pick[data-does=pick]") == "Picked"
        page.keyboard.press("s")
        assert page.locator(".stage .pick:visible").count() == 2  # of three takes one has no file
        page.keyboard.press("Escape")
        assert focused(page) == "market#2, completed, picked"
    assert picked(applied) == ["autumn/market#2"]


def test_what_a_prompt_says_is_text(look):
    with look("#job=autumn/hostile") as page:
        assert page.text_content(".told .prompt") == (
            "<img src=x onerror=alert(1)></script><script>alert(2)</script> �txet� =1 ␛[31m نهر \u2028 x"
        )
        assert page.locator(".told .prompt *").count() == 0
        page.keyboard.press("Escape")
        assert page.locator("main img[src='x'], main script, [onerror]").count() == 0


# -- who may ask what ---------------------------------------------------------------------------------------------


def ask(
    address: str, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        sent = {"Host": address, **(headers or {}), **({"Content-Length": str(len(body))} if body else {})}
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body.encode() if body else None)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def begun(address: str) -> dict[str, object]:
    """What a viewer is sent first: the last frame of each kind, until all is told."""
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    frames, kind = {}, ""
    while kind != "ready":
        line = answer.readline()
        assert line
        name, _, value = line.decode().rstrip("\n").partition(": ")
        kind = value if name == "event" else kind
        frames |= {kind: json.loads(value)} if name == "data" else {}
    connection.close()
    return frames


def own(address: str, **changed: str | None) -> dict[str, str | None]:
    """The headers with which the page itself picks."""
    mine = {"Origin": f"http://{address}", "Content-Type": "application/json", "X-Seedbatch": "pick"}
    return {**mine, **{name.replace("_", "-"): value for name, value in changed.items()}}


@pytest.fixture
def address(url) -> str:
    return urlsplit(url).netloc


@pytest.fixture
def clip(address) -> tuple[str, bytes]:
    """The path of a file of the page, and what is in it."""
    card = begun(address)["cards"][0]
    path = f"/media/{card['files'][0]['media']}"
    status, body, headers = ask(address, "GET", path)
    assert (status, headers["Content-Type"], len(body)) == (200, "video/mp4", card["files"][0]["bytes"])
    return path, body


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:PORT", "127.0.0.1", "127.0.0.1:1", "localhost.evil:PORT", "", None]
)
def test_a_strange_name_gets_nothing(address, host):
    port = address.rpartition(":")[2]
    for path in ("/", "/events", "/media/x", "/nothing"):
        status, body, _ = ask(address, "GET", path, headers={"Host": host and host.replace("PORT", port)})
        assert status in {400, 421}
        assert b"autumn" not in body


@pytest.mark.parametrize("host", ["localhost:PORT", "127.0.0.1:PORT", "[::1]:PORT", "LOCALHOST:PORT"])
def test_loopback_has_several_names(address, host):
    status, body, headers = ask(address, "GET", "/", headers={"Host": host.replace("PORT", address.rpartition(":")[2])})
    assert status == 200
    assert b"data-live" in body
    assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": None},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"X_Seedbatch": None},
    ],
)
def test_no_other_page_picks(address, applied, changed):
    body = json.dumps({"id": 1, "picked": True})
    before = (applied.folder / "picks.yaml").exists()
    assert ask(address, "POST", "/picks", body, own(address, **changed))[0] == 403
    assert (applied.folder / "picks.yaml").exists() == before


def test_what_is_no_pick_changes_nothing(address, applied):
    (applied.folder / "picks.yaml").unlink(missing_ok=True)
    for body in ("", "x", "[]", '{"id": "1", "picked": true}', '{"id": 1, "picked": 1}', '{"id": 0, "picked": true}'):
        assert ask(address, "POST", "/picks", body, own(address))[0] == 400
    assert ask(address, "POST", "/picks", "x" * 10_000, own(address))[0] == 413
    status, body, _ = ask(address, "POST", "/picks", '{"id": 999, "picked": true}', own(address))
    assert (status, json.loads(body)) == (200, {"wrong": "there is no such job in this ledger"})
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        assert ask(address, method, "/")[0] == 405
    assert ask(address, "GET", "/picks")[0] == 405
    assert not (applied.folder / "picks.yaml").exists()


def test_a_part_of_a_clip(address, clip):
    path, whole = clip
    status, body, headers = ask(address, "GET", path, headers={"Range": "bytes=100-199"})
    assert (status, body) == (206, whole[100:200])
    assert headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; sandbox")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(address, "GET", path, headers={"Range": f"bytes={len(whole)}-"})[0] == 416


def test_a_poster_is_drawn_when_somebody_looks(address, clip):
    status, body, headers = ask(address, "GET", clip[0].replace("/media/", "/posters/"))
    assert (status, headers["Content-Type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    told = begun(address)["cards"][0]["files"][0]  # and what was learned of the clip is told from then on
    assert told["size"][0] > told["size"][1] > 0
    assert told["seconds"] == pytest.approx(4, abs=0.5)


def test_nothing_else_of_the_disk_can_be_reached(address, clip, applied):
    path, whole = clip
    secret = applied.folder / "secret.mp4"
    secret.write_bytes(whole)
    job, at, rest = path.removeprefix("/media/").split("-")
    for name in (
        "../m.yaml", "..%2fm.yaml", "%2e%2e/m.yaml", "..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "secret.mp4", "",
        f"{job}-9-{rest}", f"{job}-{at}-{'0' * 64}.mp4", f"9{job}-{at}-{rest}", f"{job}-{at}-{rest}%00",
        f"-{job}-{at}-{rest}", f"{2**70}-{at}-{rest}", f"{job}-{at}-{rest}/../../m.yaml",
    ):  # fmt: skip
        for folder in ("media", "posters", "assets"):
            status, body, _ = ask(address, "GET", f"/{folder}/{name}")
            assert status in {400, 404}, (folder, name)
            assert b"batch" not in body
    # A link in the place of the clip is not the clip, and a changed one is none either.
    (clip_file,) = [
        one
        for one in applied.folder.glob("outputs/sandbox/autumn/*.mp4")
        if one.read_bytes() == whole and one.stem == "river"
    ]
    kept = clip_file.with_suffix(".kept")
    clip_file.rename(kept)
    try:
        clip_file.symlink_to(secret)
        assert ask(address, "GET", path)[0] == 404
        clip_file.unlink()
        clip_file.write_bytes(b"other")
        assert ask(address, "GET", path)[0] == 404
    finally:
        clip_file.unlink()
        kept.rename(clip_file)
    assert ask(address, "GET", path)[0] == 200


# -- starting and stopping ----------------------------------------------------------------------------------------


def test_a_port_that_is_taken(project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = project.run("serve", "--bind", f"127.0.0.1:{port}", code=2)
    assert f"cannot serve at 127.0.0.1:{port}" in done.stderr
    assert "seedbatch serve --bind 127.0.0.1:0" in done.stderr
    assert done.stdout == ""
    assert list(project.folder.iterdir()) == []


def test_other_machines_are_let_in_only_if_somebody_says_so(project):
    for bind in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0", "somewhere.example:0"):
        done = project.run("serve", "--bind", bind, code=2)
        assert "--allow-network" in done.stderr
    with serving_at(project, "0.0.0.0:0", "--allow-network") as (url, process):
        address = urlsplit(url).netloc
        port = address.rpartition(":")[2]
        assert ask(address, "GET", "/", headers={"Host": f"10.1.2.3:{port}"})[0] == 200
        assert ask(address, "GET", "/", headers={"Host": f"evil.example:{port}"})[0] == 421
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 130
    assert "read every prompt" in process.stderr.read()


@contextmanager
def serving_at(project: Project, bind: str, *arguments: str) -> Iterator[tuple[str, subprocess.Popen]]:
    process = project.start("serve", "--bind", bind, *arguments)
    yield process.stdout.readline().strip(), process
    process.kill()


def test_the_ledger_of_another_provider(project):
    project.apply(project.manifest("one"))
    done = project.run("serve", "--ledger", ".seedbatch/sandbox.db", "--bind", "127.0.0.1:0", code=8)
    assert "add --sandbox" in done.stderr


# -- everybody ----------------------------------------------------------------------------------------------------

VIEWS = {"sheet": "", "job": "#job=autumn/market%231", "events": "#view=events"}


@pytest.mark.parametrize(("scheme", "other", "width"), [("light", "dark", 1280), ("dark", "light", 360)])
def test_everybody_can_use_it(look, axe, applied, scheme, other, width):
    applied.run("pick", "market#1", "--sandbox")
    for name, fragment in VIEWS.items():
        with look(fragment, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
            page.wait_for_selector(".pick[aria-pressed=true]", state="attached")
            assert troubles(page, axe) == []
            photograph(page, f"live-{name}", (scheme, other), width)
