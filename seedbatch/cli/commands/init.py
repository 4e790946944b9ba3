from __future__ import annotations

import json
from pathlib import Path

import click

from seedbatch.cli.words import say
from seedbatch.domain.errors import UsageError

_IGNORED = (".seedbatch/", "outputs/")

_CI = """\
# Checks every manifest in a pull request; spends nothing and needs no key.
name: manifests
on:
  pull_request:
    paths: ["manifests/**"]
jobs:
  validate:
    runs-on: ubuntu-latest
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install seedbatch
      - run: seedbatch validate --format github manifests/*.yaml
      - run: seedbatch fmt --check manifests/*.yaml
"""


@click.command("init")
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--batch", default="first", show_default=True, help="The name of the batch.")
def command(folder: Path, batch: str) -> None:
    """Write a first manifest, its schema, a .gitignore and a CI example into FOLDER (here by default).

    Files that exist are left as they are. The schema stands beside the manifest, for editors: it belongs into git, and
    `seedbatch schema` prints it anew.
    """
    from seedbatch.domain.jobs import KEY
    from seedbatch.manifest import canonical_schema, starter

    if not KEY.fullmatch(batch):
        raise UsageError(f"{batch!r} cannot name a batch", hint="letters, digits, dot, underscore and hyphen")
    files = {
        Path("manifests") / f"{batch}.yaml": starter(batch, schema="manifest.schema.json"),
        Path("manifests") / "manifest.schema.json": json.dumps(canonical_schema(None), indent=2) + "\n",
        Path(".github/workflows/manifests.yaml"): _CI,
    }
    try:
        for path, text in files.items():
            _write(folder, path, text)
        _ignore(folder / ".gitignore")
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
    manifest = folder / "manifests" / f"{batch}.yaml"
    say(f"\nNow look at {manifest}, then:\n  seedbatch apply {manifest} --sandbox   # no key, no cost")


def _write(folder: Path, path: Path, text: str) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        say(f"  is there  {target}")
    else:
        say(f"  written   {target}")


def _ignore(path: Path) -> None:
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [line for line in _IGNORED if line not in before.splitlines()]
    if not missing:
        say(f"  is there  {path}")
        return
    if before and not before.endswith("\n"):
        before += "\n"
    path.write_text(before + "".join(f"{line}\n" for line in missing), encoding="utf-8")
    say(f"  written   {path}")
