"""The files of a report: clips and images linked into its folder, and their posters."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Final

from seedbatch.domain.records import Artifact
from seedbatch.report import posters
from seedbatch.report.cards import Look
from seedbatch.report.folder import ReportFolder

_EXTENSION: Final = re.compile(r"\.[a-z0-9]{1,8}")


def media_name(artifact: Artifact) -> str:
    """What a file is called in a report: one content is one file, however many jobs share it."""
    return f"media/{artifact.sha256}{extension(artifact)}"


def extension(artifact: Artifact) -> str:
    """`.mp4`; empty where the file has none that a browser would know."""
    found = PurePath(artifact.path).suffix.lower()
    return found if _EXTENSION.fullmatch(found) else ""


def poster_name(artifact: Artifact) -> str:
    """What its poster is called."""
    return f"posters/{artifact.sha256}.jpg"


def bring(folder: ReportFolder, artifacts: Mapping[str, Artifact]) -> set[str]:
    """Link or copy what is not there yet; the names of all that are there now.

    A file that is gone, or has another size than when it was stored, is left out. One that an earlier report brought
    stays, also when its original is gone.
    """
    there = set()
    for name, artifact in artifacts.items():
        if folder.has(name, artifact.bytes):
            there.add(name)
        elif is_whole(artifact):
            with contextlib.suppress(FileNotFoundError, PermissionError):  # gone meanwhile, or not for us to read
                folder.bring(name, Path(artifact.path))
                there.add(name)
    return there


def is_whole(artifact: Artifact) -> bool:
    """Whether a file is there as it was stored: itself, not a link to another, and of the same size."""
    try:
        found = Path(artifact.path).lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == artifact.bytes


def draw_posters(folder: ReportFolder, artifacts: Mapping[str, Artifact], told: Callable[[int, int], None]) -> int:
    """Make the posters of these files that are not there yet; returns how many. `told` hears of each: done, and all."""
    if not posters.available():
        return 0
    wanted = [
        (name, artifact)
        for name, artifact in artifacts.items()
        if not (folder.has(drawn := poster_name(artifact)) and drawn in folder.notes)
    ]
    made = 0
    for done, (artifact, poster) in enumerate(_drawn(folder.path, wanted), start=1):
        if poster is not None:
            name = poster_name(artifact)
            folder.write(name, poster.jpeg)
            folder.notes[name] = [poster.width, poster.height, poster.seconds]
            made += 1
        told(done, len(wanted))
    return made


def _drawn(root: Path, wanted: list[tuple[str, Artifact]]) -> Iterator[tuple[Artifact, posters.Poster | None]]:
    """Decoders leave the interpreter's lock, so threads do; few at a time wait, so that memory stays flat."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(wanted), 64):
            block = wanted[start : start + 64]
            drawn = pool.map(lambda one: posters.draw(root / one[0], one[1].content_type), block)
            yield from zip((artifact for _, artifact in block), drawn, strict=True)


def look(folder: ReportFolder, there: set[str], artifact: Artifact) -> Look:
    """What the gallery shows of a file."""
    name, poster = media_name(artifact), poster_name(artifact)
    facts = folder.notes.get(poster)
    if not isinstance(facts, list) or len(facts) != 3 or not folder.has(poster):  # noqa: PLR2004 - as written above
        return Look(PurePath(name).name, name in there)
    width, height, seconds = facts
    return Look(PurePath(name).name, name in there, PurePath(poster).name, width, height, seconds)
