"""Manifests as a commit holds them, with the files of rows that they name; nothing is checked out."""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from seedbatch.domain.errors import Problem, UsageError
from seedbatch.manifest.loading import Loaded, load
from seedbatch.manifest.reader import read

_PATIENCE: Final = 60.0  # seconds; a large file may have to be unpacked
_REGULAR: Final = "100"  # how the mode of a regular file begins


@dataclass(frozen=True, slots=True)
class Past:
    """What a commit holds at some paths. `absent` are those of which it has no file."""

    commit: str
    loaded: Loaded
    absent: tuple[Path, ...]


def load_past(
    paths: Sequence[Path], ref: str, *, allow_unknown_model: bool = False, allow_large_matrix: bool = False
) -> Past:
    """The manifests at `paths` as they were at `ref`, a commit or whatever names one.

    Raises:
        UsageError: git is missing, the manifests lie in no repository, or it knows no such commit.
    """
    repository = _Repository.around(paths)
    commit = repository.commit(ref)
    with TemporaryDirectory(prefix="seedbatch-") as name:
        root = Path(os.path.realpath(name))
        # As in the repository, what a manifest may name ends here.
        (root / "seedbatch.toml").touch()
        there = {
            path: root / inside for path in paths if repository.copy(commit, inside := repository.inside(path), root)
        }
        for inside in [repository.inside(path) for path in there]:
            for source in _sources(root / inside):
                repository.copy(commit, posixpath.normpath(posixpath.join(posixpath.dirname(inside), source)), root)
        loaded = load(
            tuple(there.values()), allow_unknown_model=allow_unknown_model, allow_large_matrix=allow_large_matrix
        )
    here = f"{root}/", f"{ref}:"
    return Past(
        commit,
        Loaded(loaded.batches, _renamed(loaded.problems, *here), _renamed(loaded.warnings, *here)),
        tuple(path for path in paths if path not in there),
    )


def _renamed(problems: Sequence[Problem], old: str, new: str) -> tuple[Problem, ...]:
    """Places in a folder that is gone, as people know them."""
    return tuple(
        replace(one, file=one.file.replace(old, new), message=one.message.replace(old, new)) for one in problems
    )


def _sources(manifest: Path) -> Iterator[str]:
    """The files of rows that a manifest names, as far as they may lie below the top of the repository."""
    document = read(manifest)
    entries = (
        None if isinstance(document, Problem) or not isinstance(document.value, dict) else document.value.get("sources")
    )
    for entry in entries if isinstance(entries, list) else ():
        for kind in ("csv", "jsonl"):
            named = entry.get(kind) if isinstance(entry, dict) else None
            if isinstance(named, str) and named and not posixpath.isabs(named):
                yield named


@dataclass(frozen=True, slots=True)
class _Repository:
    top: Path

    @classmethod
    def around(cls, paths: Sequence[Path]) -> _Repository:
        """The repository of the first path's folder."""
        folder = _folder(paths[0])
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}", hint="name manifests that are there, or were")
        done = _git(folder, "rev-parse", "--show-toplevel")
        if done.returncode:
            raise UsageError(
                f"{folder} cannot be compared with its past: {_words(done)}",
                hint="--compare wants manifests in a git repository",
            )
        return cls(Path(os.fsdecode(done.stdout.removesuffix(b"\n"))))

    def commit(self, ref: str) -> str:
        """The full name of the commit that `ref` means."""
        done = _git(self.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if done.returncode:
            raise UsageError(
                f"git knows no commit {ref!r} here",
                hint="a shallow clone may lack it: git fetch origin, or fetch-depth: 0 in a workflow",
            )
        return done.stdout.decode().strip()

    def inside(self, path: Path) -> str:
        """A path as the repository names it."""
        whole = _folder(path) / path.name
        if not whole.is_relative_to(os.path.realpath(self.top)):
            raise UsageError(
                f"{path} lies outside the repository {self.top}", hint="compare manifests of one repository"
            )
        return whole.relative_to(os.path.realpath(self.top)).as_posix()

    def copy(self, commit: str, inside: str, root: Path) -> bool:
        """Write what a commit holds at a path below `root`; False if that is no regular file."""
        if inside.startswith("../") or posixpath.isabs(inside):
            return False
        listed = _git(self.top, "ls-tree", "-z", "--full-tree", commit, "--", inside).stdout
        mode, _, rest = listed.decode("utf-8", "surrogateescape").partition(" ")
        if not mode.startswith(_REGULAR):
            return False
        target = root / inside
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                done = _git(self.top, "cat-file", "blob", rest.split()[1].partition("\t")[0], into=file.fileno())
        except FileExistsError:  # two manifests may name one file
            return True
        except OSError as error:
            raise UsageError(f"{inside} cannot be copied from {commit[:12]}: {error.strerror or error}") from error
        if done.returncode:
            raise UsageError(f"git cannot read {inside} of {commit[:12]}: {_words(done)}")
        return True


def _folder(path: Path) -> Path:
    return Path(os.path.realpath(path.absolute().parent))


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    """The first line of what git said."""
    return done.stderr.decode("utf-8", "replace").strip().partition("\n")[0] or f"git ended with {done.returncode}"


def _git(folder: Path, *arguments: str, into: int = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(folder), "--no-optional-locks", "--literal-pathspecs", *arguments]
    try:
        return subprocess.run(command, stdout=into, stderr=subprocess.PIPE, timeout=_PATIENCE, check=False)  # noqa: S603
    except FileNotFoundError:
        raise UsageError("git is not installed, or not on the PATH", hint="--compare reads the past from it") from None
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise UsageError(f"git did not answer: {error}") from error
