"""Which files of picks a command means, what is picked there, and how it is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seedbatch.cli.newfile import alone, new_file
from seedbatch.cli.words import say
from seedbatch.domain.errors import UsageError
from seedbatch.domain.records import RecordedJob, Standing

if TYPE_CHECKING:
    from seedbatch.domain.selection import Choice, Pick
    from seedbatch.manifest.picks import Picks
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
    files, lost = known_files(records, settings)
    if lost:
        shown = ", ".join(lost[:5]) + (", …" if len(lost) > 5 else "")  # noqa: PLR2004 - a line
        say(f"Not known here are the picks of {shown}: the manifest is not where it was (--picks FILE names them).")
    return files


def known_files(records: Records, settings: Settings) -> tuple[list[Path], list[str]]:
    """Where the picks of all batches are, and the batches whose manifest is not where it was."""
    from seedbatch.manifest.picks import PICKS_FILE

    folders = {name: _folder(manifest, settings) for name, manifest in records.manifests().items()}
    files = dict.fromkeys(folder / PICKS_FILE for folder in folders.values() if folder is not None)
    return list(files), [name for name, folder in folders.items() if folder is None]


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


# -- changing -----------------------------------------------------------------------------------------------------


def check_wanted(key: str, revisions: Iterable[RecordedJob]) -> None:
    """Only what a manifest names can be picked.

    Raises:
        UsageError: none of the revisions is wanted.
    """
    if all(one.standing is not Standing.CURRENT for one in revisions):
        raise UsageError(f"{key} is no longer in its manifest", hint="put it back there first, and apply")


def change_picks(*, adding: Mapping[Path, list[str]], removing: Mapping[Path, list[str]]) -> dict[Path, Picks]:
    """Change all files, or none where one of them cannot be; returns what each held before.

    Raises:
        UsageError: a file cannot be read or written, or is not written one pick a line.
    """
    from seedbatch.manifest.picks import changed, read_picks

    files = sorted(adding.keys() | removing.keys())
    with alone(files):
        before = {file: read_picks(file) for file in files}
        texts = {
            file: changed(before[file], adding=adding.get(file, ()), removing=removing.get(file, ())) for file in files
        }
        for file, text in texts.items():
            _write(before[file], file, text)
    return before


def set_pick(file: Path, batch: str, address: str, *, picked: bool) -> None:
    """Pick one job in a file, or no longer, by whichever of its names the file calls it.

    Raises:
        UsageError: the file cannot be read or written, or is not written one pick a line.
    """
    from seedbatch.domain.selection import pick_of
    from seedbatch.manifest.picks import changed, read_picks

    with alone([file]):
        before = read_picks(file)
        there = [name for name in before.names if _pick(name) == pick_of(batch, address)]
        if picked and not there:
            _write(before, file, changed(before, adding=[f"{batch}/{address}"]))
        elif not picked and there:
            _write(before, file, changed(before, removing=there))


def _write(before: Picks, file: Path, text: str) -> None:
    if text != before.text:
        with new_file(file) as sink:
            sink.write(text.encode())


class Picker:
    """Picks for the live page, which names a job by its row's number; `named` is the file of `--picks`."""

    def __init__(self, settings: Settings, named: Path | None) -> None:
        self._settings, self._named = settings, named

    def files(self, records: Records) -> list[Path]:
        """The files of picks of all batches."""
        return [self._named] if self._named else known_files(records, self._settings)[0]

    def pick(self, records: Records, job_id: int, *, picked: bool) -> Callable[[], None]:
        """What changes the file for one job.

        Raises:
            UsageError: there is no such job, it is not wanted any more, or its manifest is not where it was.
        """
        job = records.details([job_id]).get(job_id)
        if job is None:
            raise UsageError("there is no such job in this ledger")
        name = f"{job.batch}/{job.address}"
        if picked:
            check_wanted(name, [one for one in records.find(name) if one.batch == job.batch])
            files = [self._named or picks_file(records, self._settings, job.batch)]
        else:
            files = self.files(records)

        def change() -> None:
            for file in files:
                set_pick(file, job.batch, job.address, picked=picked)

        return change
