"""The sidecar: what is known of an artifact, as JSON beside it, and the proof that the artifact is ours."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from seedbatch.artifacts import folder, names
from seedbatch.domain.answers import StoredFile
from seedbatch.domain.fingerprint import Json

_LARGEST = 64 * 1024 * 1024
_IDENTITY = ("task_id", "position")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file itself is: `file` its name without folder, size in bytes, SHA-256 in hex, content type."""

    file: str
    bytes: int
    sha256: str
    content_type: str

    def stored(self, parents: tuple[str, ...]) -> StoredFile:
        """The same, seen from the root."""
        return StoredFile("/".join((*parents, self.file)), self.bytes, self.sha256, self.content_type)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar that was read: the file's facts and all its members."""

    facts: Facts
    members: Mapping[str, Json]

    def tells_of(self, wanted: Mapping[str, Json]) -> bool:
        """Whether it names the same task and position as `wanted`, which must name a task."""
        if not wanted.get("task_id"):
            return False
        return all(self.members.get(name) == wanted[name] for name in _IDENTITY if name in wanted)


def render(members: Mapping[str, Json], facts: Facts) -> bytes:
    """The sidecar's bytes: UTF-8, indented, with a final newline."""
    whole: dict[str, Json] = {
        **members,
        "file": facts.file,
        "bytes": facts.bytes,
        "sha256": facts.sha256,
        "content_type": facts.content_type,
    }
    # Escaped, a lone surrogate survives; and most text, which holds none, stays readable.
    try:
        return (json.dumps(whole, ensure_ascii=False, indent=2) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(whole, indent=2) + "\n").encode()


def read(directory: int, stem: str) -> Sidecar | None:
    """The sidecar of `stem`, None if there is none.

    Raises:
        ValueError: something else has its name.
    """
    name = names.sidecar_of(stem)
    try:
        descriptor = folder.open_regular(directory, name)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        text = file.read(_LARGEST + 1)
    try:
        members = json.loads(text) if len(text) <= _LARGEST else None
    except (ValueError, RecursionError):
        members = None
    return Sidecar(_facts(name, stem, members), members or {})


def _facts(name: str, stem: str, members: object) -> Facts:
    match members:
        case {"file": str(file), "bytes": int(size), "sha256": str(digest), "content_type": str(kind)}:
            if file in {f"{stem}.{extension}" for extension in names.EXTENSIONS}:
                return Facts(file, size, digest, kind)
    raise ValueError(f"{name} is there and is not ours")
