"""A page in Chromium, and what is asked of every one: it asks nobody else, complains of nothing, and can be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent.parent
SCREENSHOTS = ROOT / "build/screenshots"
AXE = ROOT / "build/browser/node_modules/axe-core/axe.min.js"
SWITCHES = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@contextmanager
def looking(
    browser: Browser, address: str, fragment: str = "", ready: str = "html[data-ready]", **options
) -> Iterator[Page]:
    """A page that has all its data; what it asks for lies below its own address, and it has nothing to complain of."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    page = context.new_page()
    page.asked, complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(f"{address}{fragment}")
    page.wait_for_selector(ready)
    yield page
    home = address.rpartition("/")[0]
    assert [url for url in page.asked if not url.startswith((f"{home}/", "data:"))] == []
    assert complaints == []
    context.close()


def cards(page: Page) -> list[str]:
    """The accessible names of what the sheet shows, in its order."""
    return [button.get_attribute("aria-label") for button in page.locator(".card .open").all()]


def focused(page: Page) -> str:
    return page.evaluate(
        "document.activeElement.ariaLabel || document.activeElement.textContent || document.activeElement.id"
    )


def troubles(page: Page, axe: str) -> list[object]:
    """What keeps somebody from using the page as it is now."""
    page.evaluate(axe)
    found = page.evaluate("axe.run({preload: false, resultTypes: ['violations']})")["violations"]
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return [
        *((one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found),
        *(["it is wider than its window"] if wide else []),
    ]


def photograph(page: Page, name: str, schemes: tuple[str, ...], width: int) -> None:
    """Keep what it looks like, in each scheme of colours."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{width}.png")
