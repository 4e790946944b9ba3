"""Which commit a manifest belongs to."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PATIENCE: Final = 5.0  # seconds; a file's history is a courtesy, not a condition


def commit_of(paths: Sequence[Path]) -> tuple[str, bool]:
    """The commit that is checked out where the first of `paths` lies, and whether any of them differs from it.

    Nothing (`"", False`) outside a repository, without git, or where git does not answer.
    """
    folder = paths[0].absolute().parent
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return "", False
    # A file that is ignored is not part of the commit either.
    changed = _git(folder, "status", "--porcelain", "--ignored", "--", *(str(path.absolute()) for path in paths))
    return commit, bool(changed)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "--no-optional-locks", "--literal-pathspecs", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
