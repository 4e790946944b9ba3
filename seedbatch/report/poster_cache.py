"""Posters drawn when somebody looks, and kept beside the ledger: named by what they show, so never stale."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import Final

from seedbatch.domain.records import Artifact
from seedbatch.report import posters

_FACTS: Final = "facts.jsonl"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

Facts = tuple[int, int, float]  # pixels across and down, seconds


class PosterCache:
    """The posters in `folder`, which is made when the first one is drawn. Several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._facts: dict[str, Facts | None] = {}  # by SHA-256; None where nothing can be drawn
        with contextlib.suppress(OSError):
            for line in (folder / _FACTS).read_bytes().splitlines():
                self._remember(line)
        self.drawing = posters.available()

    @property
    def drawn(self) -> int:
        """Of how many files it is known what they look like, or that they cannot be drawn."""
        return len(self._facts)

    def facts(self, artifact: Artifact) -> Facts | None:
        """What was learned of a file when its poster was drawn; None before."""
        return self._facts.get(artifact.sha256)

    def offers(self, artifact: Artifact) -> bool:
        """Whether a poster may be asked for."""
        return self.facts(artifact) is not None or (self.drawing and artifact.sha256 not in self._facts)

    def poster(self, artifact: Artifact) -> bytes | None:
        """The JPEG, drawn now if it is not there; None if the file cannot be decoded. Takes a while."""
        path = self._folder / f"{artifact.sha256}.jpg"
        if self.facts(artifact) is not None:
            with contextlib.suppress(OSError):
                return path.read_bytes()
        poster = posters.draw(Path(artifact.path), artifact.content_type) if self.drawing else None
        if poster is None:
            self._facts[artifact.sha256] = None
            return None
        facts = (poster.width, poster.height, poster.seconds)
        self._facts[artifact.sha256] = facts
        with contextlib.suppress(OSError):  # no room, or not ours to write: it is drawn again next time
            self._keep(path, poster.jpeg, json.dumps([artifact.sha256, *facts]))
        return poster.jpeg

    def _keep(self, path: Path, jpeg: bytes, line: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            part.write_bytes(jpeg)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        handle = os.open(self._folder / _FACTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, f"{line}\n".encode())  # one write: lines of two processes do not mix
        finally:
            os.close(handle)

    def _remember(self, line: bytes) -> None:
        with contextlib.suppress(ValueError):
            match json.loads(line):
                case [str(sha256), int(width), int(height), int() | float() as seconds] if _SHA256.fullmatch(sha256):
                    self._facts[sha256] = (width, height, float(seconds))
