"""Which files of picks a command means, and what is picked there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seedbatch.cli.words import say
from seedbatch.domain.errors import UsageError

if TYPE_CHECKING:
    from seedbatch.domain.selection import Choice, Pick
    from seedbatch.ports import Records
    from seedbatch.settings import Settings


def picking_declared(choice: Choice, manifests: Sequence[str], named: str) -> Choice:
    """A choice among the jobs of these manifests, told what is picked beside them, or in the file that was named.

    Raises:
        UsageError: a file of picks cannot be read.
    """
    from seedbatch.manifest.picks import PICKS_FILE

    if not choice.asks_for_picks:
        return choice
    return _picking(choice, [there(Path(named))] if named else [Path(path).with_name(PICKS_FILE) for path in manifests])


def picking_recorded(choice: Choice, records: Records, settings: Settings, named: Path | None) -> Choice:
    """A choice among recorded jobs, told what is picked beside their manifests, or in the file that was named.

    Raises:
        UsageError: a file of picks cannot be read.
    """
    if not choice.asks_for_picks:
        return choice
    return _picking(choice, [there(named)] if named else picks_files(records, settings))


def there(named: Path) -> Path:
    """A file of picks that was named, and is there.

    Raises:
        UsageError: it is not.
    """
    if not named.exists():
        raise UsageError(f"there is no file {named}", hint="seedbatch pick KEY --picks FILE makes it")
    return named


def picks_files(records: Records, settings: Settings) -> list[Path]:
    """Where the picks of all batches are; of those whose manifest is not where it was, that is said."""
    from seedbatch.manifest.picks import PICKS_FILE

    folders = {name: _folder(manifest, settings) for name, manifest in records.manifests().items()}
    if lost := [name for name, folder in folders.items() if folder is None]:
        shown = ", ".join(lost[:5]) + (", …" if len(lost) > 5 else "")  # noqa: PLR2004 - a line
        say(f"Not known here are the picks of {shown}: the manifest is not where it was (--picks FILE names them).")
    return list(dict.fromkeys(folder / PICKS_FILE for folder in folders.values() if folder is not None))


def picks_file(records: Records, settings: Settings, batch: str) -> Path:
    """Where the picks of one batch are.

    Raises:
        UsageError: its manifest is not where it was.
    """
    from seedbatch.manifest.picks import PICKS_FILE

    manifest = records.manifests()[batch]
    folder = _folder(manifest, settings)
    if folder is None:
        raise UsageError(
            f"the manifest of {batch} is not where it was: {manifest}",
            hint="go to the folder where it was applied, or say where picks are kept: --picks FILE",
        )
    return folder / PICKS_FILE


def _folder(manifest: str, settings: Settings) -> Path | None:
    """Where a manifest is; a path that is not absolute is seen from the ledger's project, then from here."""
    home = settings.ledger.absolute().parent
    projects = [home.parent, Path.cwd()] if home.name == ".seedbatch" else [Path.cwd()]
    for project in projects:
        for name in (manifest, *manifest.split(",")):
            path = project / name
            if name and path.is_file():
                return path.parent
    return None


def _picking(choice: Choice, files: Iterable[Path]) -> Choice:
    from seedbatch.manifest.picks import read_picks

    picks = frozenset(_pick(name) for file in dict.fromkeys(files) for name in read_picks(file).names)
    if not picks:
        say("Nothing is picked yet: seedbatch pick KEY picks.")
    return choice.picking(picks)


def _pick(name: str) -> Pick:
    from seedbatch.domain.selection import pick_of

    batch, _, address = name.partition("/")
    return pick_of(batch, address)
