"""The gallery of a ledger of many completed jobs: writing it, its posters, and what a browser makes of it.

The clips are real and small: a few scenes, each made another file for each job. The browser is Chromium; its memory is
the proportional share (PSS) of the page's own process, and of all its processes.
"""

from __future__ import annotations

import argparse
import colorsys
import hashlib
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import av
from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import Browser, Page, sync_playwright

from seedbatch.ledger.checksums import register, seal_all
from seedbatch.ledger.opening import connect, create

COMMAND: Final = str(Path(sys.executable).with_name("seedbatch"))
SWITCHES: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)
SCENES: Final = 24
RATIOS: Final = {"16:9": (320, 180), "9:16": (180, 320), "1:1": (240, 240)}
SUBJECTS: Final = ("A river", "A night market", "A harbour", "A bridge in fog", "A lantern", "A night train", "Dunes")
SEASONS: Final = ("spring", "summer", "autumn", "winter")
START: Final = datetime(2026, 11, 20, 8, tzinfo=UTC)


def scene(number: int, size: tuple[int, int], shift: float) -> Image.Image:
    """A landscape: sky, a sun, ranges of hills one behind the other."""
    dice = random.Random(number)  # noqa: S311 - the same each time
    width, height = size
    hue = dice.random()
    picture = Image.new("RGB", size)
    draw = ImageDraw.Draw(picture)
    for y in range(height):
        draw.line([(0, y), (width, y)], fill=colour(hue + 0.08 * y / height, 0.35, 0.92 - 0.25 * y / height))
    sun, radius = (width * (0.25 + 0.5 * dice.random()) + shift * 8, height * 0.3), min(size) * 0.09
    draw.ellipse([sun[0] - radius, sun[1] - radius, sun[0] + radius, sun[1] + radius], fill=colour(hue + 0.1, 0.15, 1))
    for layer in range(5):
        waves = [(dice.random() * 6, 1 + layer * 0.6 + dice.random(), 0.03 + 0.03 * dice.random()) for _ in range(3)]
        base = 0.42 + layer * 0.12
        points = [
            (0, height),
            *((x, height * (base + ridge(x / width, waves, shift * (layer + 1) / 40))) for x in range(0, width + 4, 4)),
        ]
        draw.polygon([*points, (width, height)], fill=colour(hue + 0.5, 0.25 + 0.06 * layer, 0.72 - 0.14 * layer))
    return picture.filter(ImageFilter.GaussianBlur(0.6))


def ridge(x: float, waves: list[tuple[float, float, float]], shift: float) -> float:
    return sum(height * math.sin(phase + 6.28 * often * (x + shift)) for phase, often, height in waves)


def colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def encode(path: Path, number: int, size: tuple[int, int]) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"crf": "32", "preset": "veryfast"}
        for at in range(24):
            container.mux(stream.encode(av.VideoFrame.from_image(scene(number, size, at / 6))))
        container.mux(stream.encode())


def clips(folder: Path, count: int) -> Iterator[tuple[str, str, int, str]]:
    """So many files: the ratio, the name below the output folder, bytes and SHA-256 of each."""
    originals = []
    for number in range(SCENES):
        ratio = list(RATIOS)[0 if number % 4 < 2 else number % 4 - 1]
        path = folder / f"scene-{number}.mp4"
        encode(path, number, RATIOS[ratio])
        originals.append((ratio, path.read_bytes()))
        path.unlink()
    for number in range(count):
        ratio, content = originals[(number // 2 * 5 + number % 2 * 4) % SCENES]  # two takes have one ratio
        name = f"job-{number}".encode()
        content += (8 + len(name)).to_bytes(4, "big") + b"free" + name
        (folder / f"job-{number}.mp4").write_bytes(content)
        yield ratio, f"job-{number}.mp4", len(content), hashlib.sha256(content).hexdigest()


def stamp(seconds: float) -> str:
    return f"{(START + timedelta(seconds=seconds)).isoformat(timespec='microseconds')[:-6]}Z"


def fill(ledger: Path, output: Path, count: int) -> None:
    """Completed jobs with all that a gallery tells of them, one in a hundred failed; of each key two takes."""
    ledger.parent.mkdir(parents=True)
    output.mkdir(parents=True)
    create(ledger, "sandbox", "0123456789ab", START)
    connection = connect(ledger)
    register(connection)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for batch in (1, 2):
        connection.execute(
            'INSERT INTO batches (id, name, manifest, digest, "commit", dirty, tries, declared_at)'
            " VALUES (?, ?, 'm.yaml', ?, '', 0, 1, ?)",
            (batch, ("autumn-campaign", "storyboard")[batch - 1], "0" * 64, stamp(0)),
        )
    for number, (ratio, path, size, digest) in enumerate(clips(output, count), start=1):
        record(connection, number, ratio, path, size, digest, failed=number % 100 == 0)
    seal_all(connection)
    connection.execute("COMMIT")
    connection.close()


def record(connection: Any, number: int, ratio: str, path: str, size: int, digest: str, *, failed: bool) -> None:
    dice = random.Random(number)  # noqa: S311 - the same each time
    key, take = f"shot-{(number + 1) // 2:05}", 2 - number % 2
    season, subject = SEASONS[(number + 1) // 2 % 4], SUBJECTS[(number + 1) // 2 % len(SUBJECTS)]
    prompt = f"{subject} in {season}, aerial view, 35 mm film, soft light, shot {(number + 1) // 2}, slow push in"
    took = math.exp(dice.gauss(5, 0.5))
    sent = number * 3.0
    base = f"{key}[season={season}]"
    connection.execute(
        "INSERT INTO jobs (id, batch_id, base, take, revision, address, standing, position, state, failure, reason,"
        " model, input, fingerprint, output, axes, tags, file, line, expires_at, created_at, updated_at) VALUES"
        " (?, ?, ?, ?, 1, ?, 'current', ?, ?, ?, ?, 'seedance-2.0-fast', json_object('prompt', ?, 'ratio', ?,"
        " 'duration', 5, 'resolution', '480p'), ?, ?, json_object('season', ?), json_array(?), 'm.yaml', 1, ?, ?, ?)",
        (
            *(number, 1 + (number > 9_000), base, take, f"{base}#{take}", number, "failed" if failed else "completed"),
            *("provider" if failed else None, "the provider failed and gave no reason" if failed else ""),
            *(
                prompt,
                ratio,
                hashlib.sha256(f"r{number}".encode()).hexdigest(),
                f"b/{number}",
                season,
                subject.split()[-1],
            ),
            *(stamp(sent + 604_800), stamp(0), stamp(sent + took + 4)),
        ),
    )
    connection.execute(
        "INSERT INTO attempts (id, job_id, number, owner, reference, task_id, outcome, status, kind, took, price,"
        " currency, exposure, intended_at, accepted_at, ended_at) VALUES (?, ?, 1, 'bench', ?, ?, ?, 'SUCCESS',"
        " 'video', ?, 250000, 'USD', 250000, ?, ?, ?)",
        (
            *(number, number, f"bench-{number}", f"{digest[:8]}-{digest[8:12]}-4000-8000-{digest[12:24]}"),
            *("failed" if failed else "succeeded", took, stamp(sent), stamp(sent + 0.4), stamp(sent + took + 2)),
        ),
    )
    end = "failed" if failed else "succeeded"
    connection.execute(
        "INSERT INTO events (at, type, job_id, attempt_id, from_state, to_state, data) VALUES"
        " (?, ?, ?, ?, 'running', ?, json_object('created_at', ?, 'updated_at', ?))",
        (stamp(sent + took + 2), end, number, number, end, stamp(sent + 1), stamp(sent + 1 + took)),
    )
    if not failed:
        connection.execute("INSERT INTO outputs VALUES (?, 1, 'https://x.example/', NULL)", (number,))
        connection.execute(
            "INSERT INTO artifacts (job_id, attempt_id, position, folder, path, bytes, sha256, content_type, stored_at)"
            " VALUES (?, ?, 1, '../outputs/sandbox', ?, ?, ?, 'video/mp4', ?)",
            (number, number, path, size, digest, stamp(sent + took + 4)),
        )


def written(folder: Path) -> float:
    begun = time.perf_counter()
    command = [COMMAND, "report", "--output", "gallery", "--sandbox"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def without_posters(folder: Path) -> float:
    """A first report where there is nothing to draw posters with."""
    gallery = folder / "bare"
    program = (
        "import sys; from seedbatch.report import posters; posters.available = lambda: False;"
        "from seedbatch.cli import main; main()"
    )
    begun = time.perf_counter()
    command = [sys.executable, "-c", program, "report", "--output", gallery.name, "--sandbox"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken = time.perf_counter() - begun
    shutil.rmtree(gallery)
    return taken


def opened(browser: Browser, gallery: Path) -> tuple[Page, dict[str, float]]:
    """A page with all its jobs, and its milliseconds: first paint, first poster, all jobs counted."""
    page = browser.new_context(viewport={"width": 1360, "height": 860}).new_page()
    # A poster is a canvas, and has a size once it is drawn.
    page.add_init_script(
        "const look = () => {"
        " if (document.querySelector('canvas.poster:not([width=\"0\"])')) window.poster = performance.now();"
        " else requestAnimationFrame(look) }; requestAnimationFrame(look)"
    )
    page.goto((gallery / "index.html").as_uri(), wait_until="commit")
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
    ready = page.evaluate("performance.now()")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.wait_for_function("() => window.poster")
    poster = page.evaluate("window.poster")
    return page, {"paint": paint, "poster": poster, "ready": ready}


def megabytes(parent: int) -> tuple[float, float]:
    """Memory of the largest child's process, and of all descendants, in MB of PSS."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [parent]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            waiting.append(child)
            lines = Path(f"/proc/{child}/smaps_rollup").read_text().splitlines()
            pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            if b"chromium" in Path(f"/proc/{child}/cmdline").read_bytes():
                is_page = b"--type=renderer" in Path(f"/proc/{child}/cmdline").read_bytes()
                found.append((pss / 1024, is_page))
    return max(pss for pss, is_page in found if is_page), sum(pss for pss, _ in found)


def measure(gallery: Path, rounds: int) -> None:
    with sync_playwright() as playwright:
        looks: list[dict[str, float]] = []
        for _ in range(rounds):
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES)
            page, times = opened(browser, gallery)
            looks.append(times)
            browser.close()
        for name, what in (("paint", "first paint"), ("poster", "first poster"), ("ready", "all jobs counted")):
            tell(f"{what}, median of {rounds}", f"{statistics.median(one[name] for one in looks) / 1000:.2f} s")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES)
        page, _ = opened(browser, gallery)
        tell("memory, opened: page, all of Chromium", "{:.0f} MB, {:.0f} MB".format(*megabytes(os.getpid())))
        for _ in range(40):
            page.mouse.wheel(0, 20_000)
            page.wait_for_timeout(40)
        tell("the same, after racing through 800,000 pixels", "{:.0f} MB, {:.0f} MB".format(*megabytes(os.getpid())))
        for _ in range(400):
            page.mouse.wheel(0, -400)
            page.wait_for_timeout(20)
        tell("the same, after 160,000 of them slowly", "{:.0f} MB, {:.0f} MB".format(*megabytes(os.getpid())))
        heap = page.context.new_cdp_session(page).send("Runtime.getHeapUsage")["usedSize"] / 1e6
        tell("of it, objects of the scripts", f"{heap:.0f} MB")
        tell("cards in the page", str(page.locator(".card").count()))
        page.evaluate("window.begun = performance.now()")
        page.fill("#find", "harbour")
        spent = page.evaluate("new Promise(done => requestAnimationFrame(() => done(performance.now() - begun)))")
        tell("a word in the search, until the next frame", f"{spent / 1000:.2f} s")
        browser.close()


def tell(what: str, figure: str) -> None:
    print(f"| {what} | {figure} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, help="Where the ledger is made, or lies already. [default: one that is removed]"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        ledger = folder / ".seedbatch" / "sandbox.db"
        if not ledger.exists():
            fill(ledger, folder / "outputs" / "sandbox", options.jobs)
        print(f"{options.jobs:,} jobs, {os.cpu_count()} cores\n\n| what | |\n| --- | --- |")
        tell("written without posters", f"{without_posters(folder):.1f} s")
        shutil.rmtree(folder / "gallery", ignore_errors=True)
        tell("written with all posters", f"{written(folder):.0f} s")
        tell("written again, nothing new", f"{written(folder):.1f} s")
        data = sum(path.stat().st_size for path in (folder / "gallery" / "data").iterdir())
        tell("data", f"{data / 1e6:.1f} MB")
        if shutil.which("chromium"):
            measure(folder / "gallery", options.rounds)


if __name__ == "__main__":
    main()
