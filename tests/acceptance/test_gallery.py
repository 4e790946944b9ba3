"""The gallery in a browser: opened from disk, by mouse, by keyboard, on a phone, and from a web server.

`make test` leaves these out where there is no Chromium, and the axe ones where npm is missing. What they see stays in
build/screenshots.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from acceptance.conftest import PRICES
from acceptance.looking import cards, focused, looking, photograph, troubles
from playwright.sync_api import Page

MANIFEST = """\
version: 1
batch: autumn
defaults:
  model: seedance-2.0-fast
  input: {resolution: 480p, ratio: 16:9, duration: 4}
  tags: [autumn]
matrix: {season: [spring, autumn], ratio: [16:9, 9:16]}
jobs:
  - {key: river, prompt: "A {{ season }} river", input: {ratio: "{{ ratio }}"}, tags: [hero]}
  - {key: market, prompt: "A night market, hand-held", takes: 3, matrix: {city: [Osaka]}}
  - {key: harbour, prompt: "A harbour [moderation]", matrix: {}}
  - {key: bridge, prompt: "A bridge in fog [fail]", takes: 2, matrix: {}}
  - key: hostile
    prompt: "<img src=x onerror=alert(1)></script><script>alert(2)</script> \\u202etxet\\u202c \\e[31m نهر \\u2028 end"
    matrix: {}
  - {key: old, prompt: "A hill", matrix: {}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory, new_project) -> Path:
    """A project with the gallery of a batch that has a bit of everything."""
    project = new_project(tmp_path_factory.mktemp("gallery"))
    project.write("seedbatch.toml", PRICES)
    project.write("m.yaml", MANIFEST)
    faults = project.write("faults.yaml", "rules: [{on: submit, do: cut-after-accept, at: [7]}]\n")
    project.apply("m.yaml", "--sandbox-faults", faults, code=7)
    project.write("m.yaml", MANIFEST.replace("A hill", "A steep hill"))
    project.apply("m.yaml", code=7)
    project.run("report", "--output", "gallery", "--sandbox")
    return project.folder


@pytest.fixture
def look(browser, made) -> Callable[..., object]:
    return partial(looking, browser, f"{(made / 'gallery').as_uri()}/index.html")


def moves(page: Page, selector: str) -> bool:
    """Whether a clip plays: its time advances."""
    page.wait_for_function("one => document.querySelector(one)?.currentTime > 0.15", arg=selector)
    return True


def test_posters_are_there_and_a_clip_plays_while_it_is_pointed_at(look):
    with look() as page:
        page.wait_for_function("() => [...document.querySelectorAll('.poster')].every(one => one.width > 0)")
        widths = page.evaluate("[...document.querySelectorAll('.poster')].map(one => one.width)")
        assert len(widths) >= 6
        assert min(widths) > 100
        page.hover(".card:nth-child(1) button")
        assert moves(page, ".matte video")
        assert page.evaluate("(one => [one.muted, one.loop])(document.querySelector('.matte video'))") == [True, True]
        page.hover("h1")
        page.wait_for_selector(".matte video", state="detached")


def test_a_job_is_told_in_full_and_its_command_runs(look, made):
    with look() as page:
        page.click(".card:nth-child(1) button")
        assert moves(page, ".viewer video")
        told = page.inner_text(".told")
        for words in (
            "A spring river",
            "seedance-2.0-fast",
            "0.20 USD at most",
            "provider began",
            "provider finished",
            "stored",
        ):
            assert words in told
        command = page.inner_text(".told code >> text=seedbatch show")
        assert command == "seedbatch show 'autumn/river[ratio=16:9,season=spring]' --sandbox"
        choice = page.inner_text(".told code >> text=seedbatch pick")
        assert choice == "seedbatch pick 'autumn/river[ratio=16:9,season=spring]' --sandbox"
        program = [str(Path(sys.executable).with_name("seedbatch")), *shlex.split(command)[1:]]
        shown = subprocess.run(program, cwd=made, capture_output=True, text=True, check=True).stdout
        assert page.inner_text(".told code >> text=/^[0-9a-f]{64}$/") in shown
        page.click("text=Copy >> nth=0")
        page.wait_for_selector("text=Copied")


def test_takes_stand_side_by_side_and_earlier_revisions_can_be_reached(look):
    with look("#job=autumn/market[city=Osaka]%231") as page:
        assert page.inner_text("#viewer-title") == "market[city=Osaka]#1"
        page.keyboard.press("s")
        assert page.locator(".stage figure").count() == 3
        assert moves(page, ".stage figure:nth-child(1) video")
        assert "in doubt" in page.inner_text(".stage")
        page.click(".stage figcaption button >> nth=1")
        assert page.inner_text("#viewer-title") == "market[city=Osaka]#2"
    with look("#job=autumn/old") as page:
        assert page.inner_text(".told .prompt") == "A steep hill"
        page.click("text=revision 1")
        assert page.inner_text(".told .prompt") == "A hill"
        assert moves(page, ".viewer video")


def test_filters_and_search_narrow_and_the_address_keeps_them(look):
    with look(viewport={"width": 1280, "height": 2000}) as page:
        assert len(cards(page)) == page.evaluate("Number(document.body.dataset.total)") == 12
        page.click(".option[data-facet=state][data-value=failed]")
        assert len(cards(page)) == 3
        assert "3 of 12 jobs" in page.inner_text("#found")
        page.click('.option[data-facet="failed because of"][data-value=moderation]')
        assert cards(page) == ["harbour, failed, moderation"]
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert cards(page) == ["harbour, failed, moderation"]
        page.click("text=Clear filters")
        page.click('.option[data-facet="season="][data-value=spring]')
        assert len(cards(page)) == 2
        page.fill("#find", "ratio=9:16")
        assert cards(page) == ["river[ratio=9:16,season=spring], completed"]
        page.fill("#find", "nothing that is there")
        assert page.inner_text("#empty") == "No job matches these filters."
        page.fill("#find", "")
        page.click("text=Clear filters")
        page.fill("#find", "NIGHT market")
        assert len(cards(page)) == 3


def test_the_keyboard_alone_suffices(look):
    with look() as page:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('.card') !== null"):
                break
        first = focused(page)
        assert first == cards(page)[0]
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("ArrowRight")
        second = focused(page)
        assert second == cards(page)[1]
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        assert focused(page) == second
        page.keyboard.press("Enter")
        assert page.locator("dialog[open]").count() == 1
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0
        assert focused(page) == cards(page)[2]  # where it was left
        page.keyboard.press("End")
        assert focused(page) == "old, completed"
        page.keyboard.press("Tab")
        assert not page.evaluate("document.activeElement.closest('.card')")  # one stop, not twelve
        page.keyboard.press("/")
        page.keyboard.type("bridge")
        page.keyboard.press("Enter")
        assert focused(page) == "bridge#1, failed, provider"


def test_what_a_prompt_says_is_text(look):
    with look("#job=autumn/hostile") as page:
        prompt = page.text_content(".told .prompt")
        assert prompt == "<img src=x onerror=alert(1)></script><script>alert(2)</script> �txet� ␛[31m نهر \u2028 end"
        assert page.locator(".told .prompt *").count() == 0
        assert page.evaluate("getComputedStyle(document.querySelector('.told .prompt')).unicodeBidi") == "plaintext"
        page.keyboard.press("Escape")
        assert page.locator("main img[src='x'], main script, [onerror]").count() == 0


def test_what_waits_for_a_person_is_told_with_the_command(look):
    with look("#view=attention") as page:
        told = page.inner_text("#view-attention")
        for words in (
            "1 job may have been accepted and charged; 0.20 USD may be owed for them.",
            "seedbatch resolve 'autumn/market[city=Osaka]#3' --task-id ID --sandbox",
            "seedbatch retry --select state:failed,reason:provider,batch:autumn --sandbox",
            "the provider failed and gave no reason",
            "CONTENT_MODERATION: the result was rejected after generation",
            "change the prompt in the manifest",
        ):
            assert words in told
        page.click("#view-attention .jobs button >> nth=0")
        assert page.inner_text("#viewer-title") == "market[city=Osaka]#3"
        page.keyboard.press("Escape")
        assert focused(page) == "autumn/market[city=Osaka]#3"
        page.click("text=Run and cost")
        assert "13 submissions" in page.inner_text("#view-run")
        assert "2.42 USD" in page.inner_text("#view-run")


def test_a_result_whose_link_dies_soon_is_told(look):
    with look() as page:
        told = page.evaluate("""() => {
          const into = document.createElement("div");
          const job = { batch: "b", address: "late one", state: "succeeded", expires: Date.now() + 3.6e6 * 5 + 9e3 };
          gallery.attention.render(into, [job, { ...job, expires: Date.now() + 3.6e6 * 25 }], () => {}, () => {});
          return into.textContent;
        }""")
        assert "1 result not on disk, and the link dies within a day." in told
        assert "seedbatch collect --sandbox" in told
        assert "b/late one" in told
        assert "in 5 h" in told


def test_less_motion_means_that_nothing_plays_by_itself(look):
    with look(reduced_motion="reduce") as page:
        page.hover(".card:nth-child(1) button")
        page.click(".card:nth-child(1) button")
        assert page.evaluate("[...document.querySelectorAll('video')].map(one => one.paused)") == [True]
        page.keyboard.press("Escape")
        assert page.locator("video").count() == 0


def test_it_works_from_a_web_server_as_well(browser, made):
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = partial(quiet, directory=str(made / "gallery"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with looking(browser, f"http://127.0.0.1:{server.server_port}/index.html") as page:
            page.click(".card:nth-child(1) button")
            assert moves(page, ".viewer video")
        server.shutdown()


def test_thousands_of_jobs_are_as_many_elements_as_can_be_seen(browser, tmp_path, new_project):
    project = new_project(tmp_path)
    project.write("rows.csv", "id,text\n" + "".join(f"s{number:04},shot {number}\n" for number in range(3_000)))
    source = "sources: [{csv: rows.csv, key: '{{ id }}', prompt: '{{ text }}'}]\n"
    project.write("m.yaml", f"version: 1\nbatch: many\ndefaults: {{model: veo3_fast}}\n{source}")
    project.run("apply", "m.yaml", "--sandbox", "--yes", "--max-jobs", "0", code=5)
    project.run("report", "--output", "gallery", "--sandbox")
    with looking(browser, f"{(tmp_path / 'gallery').as_uri()}/index.html") as page:
        assert page.inner_text("#found") == "3,000 jobs"
        across = page.evaluate(
            "new Set([...document.querySelectorAll('.card')].map(one => one.getBoundingClientRect().x)).size"
        )
        steps = page.evaluate("[...document.querySelectorAll('.card')].map(one => one.getBoundingClientRect().y)")
        step = sorted(set(steps))[1] - min(steps)
        height = page.evaluate("document.querySelector('#sheet').getBoundingClientRect().height")
        assert abs(height - step * -(-3_000 // across)) < step
        for _ in range(3):
            assert len(cards(page)) < 100
            page.mouse.wheel(0, 40_000)
            page.wait_for_timeout(50)
        page.focus(".card button >> nth=0")
        page.keyboard.press("End")
        assert focused(page) == "s2999, pending"
        page.keyboard.press("Home")
        assert focused(page) == "s0000, pending"


VIEWS = {
    "sheet": "",
    "viewer": "#job=autumn/market[city=Osaka]%231",
    "failure": "#job=autumn/harbour",
    "attention": "#view=attention",
    "run": "#view=run",
}


@pytest.mark.parametrize(("scheme", "other", "width"), [("light", "dark", 1280), ("dark", "light", 360)])
def test_everybody_can_use_it(look, axe, scheme, other, width):
    for name, fragment in VIEWS.items():
        with look(fragment, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
            assert troubles(page, axe) == []
            photograph(page, name, (scheme, other), width)
