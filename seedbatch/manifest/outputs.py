"""Names of files: what an `output` becomes, and when two of them meet."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9._=,/-]")
_TAKE: Final = re.compile(r"#(\d+)")
_LONGEST_COMPONENT: Final = 200
# One folder and a name, as they come out below unchanged: nearly every output of a large manifest is one of these.
_USUAL: Final = re.compile(r"[A-Za-z0-9_=,-][A-Za-z0-9._=,-]{0,199}/[A-Za-z0-9_=,-][A-Za-z0-9._=,-]{0,199}")
_LONGEST: Final = 1_000


class Unusable(Exception):
    """An output that cannot be a path below the output folder; words for a person."""


def file_name(output: str) -> str:
    """The relative path without extension that `output` stands for.

    Characters outside `[A-Za-z0-9._=,/-]` become `-`, and `#2` becomes `-take2`.

    Raises:
        Unusable: it is absolute, leaves the folder, or is too long.
    """
    if _USUAL.fullmatch(output):
        return output
    name = _FOREIGN.sub("-", _TAKE.sub(r"-take\1", unicodedata.normalize("NFC", output)))
    if name.startswith("/"):
        raise Unusable("it is an absolute path; files go below the output folder")
    parts = name.split("/")
    if any(part in {"..", "."} for part in parts):
        raise Unusable("it leaves the output folder or names the folder itself")
    if any(not part for part in parts):
        raise Unusable("a part of it is empty")
    if any(len(part) > _LONGEST_COMPONENT for part in parts) or len(name) > _LONGEST:
        raise Unusable(f"it is too long: at most {_LONGEST_COMPONENT} characters between two slashes")
    if any(part.startswith(".") for part in parts):
        raise Unusable("a part of it begins with a dot, which is for hidden files")
    return name


def meeting_point(name: str) -> str:
    """Equal for two names that one file system or another takes for the same file."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
