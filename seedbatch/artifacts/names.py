"""Names in the output folder: which are legal, and what each derived name is called."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from seedbatch.artifacts.containers import FORMATS

EXTENSIONS = tuple(form.extension for form in FORMATS)
_LONGEST = 255  # bytes of one component, on every file system that matters here
_STEM = 80  # characters of a name that its temporary files keep: the part's id tells them apart
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def components(path: str) -> tuple[str, ...]:
    """The parts of a relative POSIX path.

    Raises:
        ValueError: empty, absolute, with `.`, `..`, an empty part, a backslash, a control character or too long.
    """
    parts = tuple(path.split("/"))
    for part in parts:
        if part in {"", ".", ".."}:
            raise ValueError(f"{path!r} is not a plain relative path")
        if any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} or char == "\\" for char in part):
            raise ValueError(f"{path!r} holds characters that no file name here may have")
        if len(part.encode()) > _LONGEST:
            raise ValueError(f"{part[:40]}... is longer than {_LONGEST} bytes")
    return parts


def sidecar_of(stem: str) -> str:
    """The sidecar beside the artifact `stem.<ext>`."""
    return f"{stem}.json"


def part_of(stem: str, part: str) -> str:
    """The temporary name of one download in its target folder."""
    return f".{stem[:_STEM]}.{_UNSAFE.sub('-', part)[:_STEM]}.part"


def sidecar_part_of(stem: str, part: str) -> str:
    """The temporary name of that download's sidecar."""
    return f".{stem[:_STEM]}.{_UNSAFE.sub('-', part)[:_STEM]}.json.part"


def revision_of(path: str, revision: int, tries: int = 1) -> str:
    """`<name>.rev<revision>.<ext>` for `<name>.<ext>`, from the second try on `<name>.rev<revision>.try<N>.<ext>`."""
    pure = PurePosixPath(path)
    again = f".try{tries}" if tries > 1 else ""
    return str(pure.with_name(f"{pure.stem}.rev{revision}{again}{pure.suffix}"))


def is_revision_of(name: str, stem: str, suffix: str) -> bool:
    """Whether `name` is one that `revision_of` gives to `<stem><suffix>`."""
    return re.fullmatch(rf"{re.escape(stem)}\.rev\d+(\.try\d+)?{re.escape(suffix)}", name) is not None


def folded(name: str) -> str:
    """Equal for names that a file system may take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
