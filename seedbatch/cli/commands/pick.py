from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedbatch.cli import options
from seedbatch.cli.words import clean, say, short_path
from seedbatch.domain.errors import UsageError
from seedbatch.domain.records import RecordedJob, Standing

if TYPE_CHECKING:
    from seedbatch.ports import Records
    from seedbatch.settings import Settings

_MOST_SHOWN = 20


@click.command("pick")
@click.argument("keys", nargs=-1, metavar="[KEY...]")
@click.option("--remove", is_flag=True, help="Pick these no longer.")
@click.option("--list", "listing", is_flag=True, help="List what is picked, as without any KEY.")
@options.picks
@options.place
def command(
    keys: tuple[str, ...], remove: bool, listing: bool, picks: Path | None, ledger: Path | None, sandbox: bool
) -> None:
    """Choose takes, or list the chosen ones. They are kept in picks.yaml beside the manifest, for git.

    `--select picked` means them in other commands.
    """
    from seedbatch.cli.picking import picks_files
    from seedbatch.cli.reading import open_or_say

    if keys and listing:
        raise UsageError("--list takes no keys", hint="seedbatch pick --list, or seedbatch pick KEY")
    if remove and not keys:
        raise UsageError("which picks?", hint="name them: seedbatch pick --remove KEY")
    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    records = open_or_say(settings)
    if records is None:
        return
    with closing(records):
        if not keys:
            _list(records, [picks] if picks else picks_files(records, settings))
        elif remove:
            _change(removing=_picked(list(keys), [picks] if picks else picks_files(records, settings)))
        else:
            _change(adding=_places(records, settings, keys, picks))


# -- adding and removing ------------------------------------------------------------------------------------------


def _places(records: Records, settings: Settings, keys: Sequence[str], named: Path | None) -> dict[Path, list[str]]:
    """The names of these jobs, by the file that they are picked in.

    Raises:
        UsageError: there is no such job, or it left its manifest.
    """
    from seedbatch.cli.picking import check_wanted, picks_file
    from seedbatch.cli.reading import revisions_of

    found: dict[Path, list[str]] = {}
    for key in dict.fromkeys(keys):
        revisions = revisions_of(records, key)
        check_wanted(key, revisions)
        job = revisions[-1]
        found.setdefault(named or picks_file(records, settings, job.batch), []).append(f"{job.batch}/{job.address}")
    return found


def _picked(keys: Sequence[str], files: Sequence[Path]) -> dict[Path, list[str]]:
    """What these keys mean of the picks, by file.

    Raises:
        UsageError: one of them is not picked, or is picked in several batches.
    """
    from difflib import get_close_matches

    from seedbatch.manifest.picks import read_picks

    picks = [(file, name) for file in files for name in dict.fromkeys(read_picks(file).names)]
    found: dict[Path, list[str]] = {}
    for key in dict.fromkeys(keys):
        meant = [(file, name) for file, name in picks if key in {name, name.partition("/")[2]}]
        names = sorted({name for _, name in meant})
        if not names:
            known = [part for _, name in picks for part in (name, name.partition("/")[2])]
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "seedbatch pick --list tells what is picked"
            raise UsageError(f"{key!r} is not picked", hint=hint)
        if len(names) > 1:
            raise UsageError(f"{key!r} is picked in several batches", hint=f"say which: {', '.join(names[:5])}")
        for file, name in meant:
            found.setdefault(file, []).append(name)
    return found


def _change(
    *, adding: Mapping[Path, list[str]] | None = None, removing: Mapping[Path, list[str]] | None = None
) -> None:
    """Change all files, or none where one of them cannot be."""
    from seedbatch.cli.picking import change_picks

    more, fewer = adding or {}, removing or {}
    before = change_picks(adding=more, removing=fewer)
    for file in before:
        lines = [
            *(
                f"{name} {'was picked already' if name in before[file].names else 'is picked'}."
                for name in more.get(file, ())
            ),
            *(f"{name} is no longer picked." for name in fewer.get(file, ())),
        ]
        for line in lines[:_MOST_SHOWN]:
            say(clean(line))
        if len(lines) > _MOST_SHOWN:
            say(f"… and {len(lines) - _MOST_SHOWN:,} more.")
        say(f"  → {short_path(str(file))}")


# -- listing ------------------------------------------------------------------------------------------------------


def _list(records: Records, files: Sequence[Path]) -> None:
    from seedbatch.cli.tables import print_table
    from seedbatch.domain.selection import Choice, Condition, Kind, Selection, pick_of
    from seedbatch.manifest.picks import read_picks

    names = [name.partition("/")[::2] for file in files for name in dict.fromkeys(read_picks(file).names)]
    if not names:
        say("Nothing is picked yet.")
        say("  → seedbatch pick KEY picks, seedbatch list tells the keys")
        return
    picks = frozenset(pick_of(*name) for name in names)
    selected = records.select(Choice(Selection(((Condition(Kind.PICKED, picks=picks),),))))
    jobs = {pick_of(job.batch, job.address): job for job in selected if job.standing is Standing.CURRENT}
    rows = [_row(batch, address, jobs.get(pick_of(batch, address))) for batch, address in names]
    print_table(("BATCH", "KEY", "STATE", "FILE OR REASON"), rows, wide=3, spare=(0,))


def _row(batch: str, address: str, job: RecordedJob | None) -> tuple[str, ...]:
    import sys

    if job is None:
        return batch, address, "-", "no job of this name is wanted"
    last = job.artifacts[0].path if job.artifacts else job.reason
    return batch, address, str(job.state), short_path(last) if sys.stdout.isatty() else last
