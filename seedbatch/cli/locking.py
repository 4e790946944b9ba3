"""Lock files beside manifests: what a team paid for, read before a plan is made and kept after a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from seedbatch.cli.newfile import alone, new_file
from seedbatch.cli.words import count
from seedbatch.domain.errors import UsageError
from seedbatch.domain.jobs import BatchSpec, Wish
from seedbatch.domain.locked import Found, Locked, Locks
from seedbatch.engine.planned import Action, Plan
from seedbatch.manifest.lockfile import lock_name, lock_text, read_lock
from seedbatch.ports import Records
from seedbatch.settings import Settings


def locks_beside(batches: Sequence[BatchSpec], settings: Settings) -> Locks | None:
    """What the lock files beside these manifests tell; None if there are none, or nothing stands in them.

    Raises:
        UsageError: one of them cannot be read, or a merge was left in it; or the folder of shared clips is not there.
    """
    from seedbatch.wiring import shared_files

    tasks: defaultdict[Wish, list[Locked]] = defaultdict(list)
    for path in _paths(batches, settings):
        for task in read_lock(path) if path.is_file() else ():
            tasks[task.wish].append(task)
    if not tasks:
        return None
    if settings.shared is not None and not settings.shared.is_dir():
        hint = "mount it, or name the folder that holds them with --shared DIR; nothing was submitted"
        raise UsageError(f"there is no folder {settings.shared} with clips of others", hint=hint)
    found = {wish: tuple(sorted(set(ones))) for wish, ones in tasks.items()}
    return Locks(lock_name(sandbox=settings.sandbox), found, shared_files(settings))


def keep_locks(
    batches: Sequence[BatchSpec], records: Records, settings: Settings, *, make: bool = False
) -> Iterator[tuple[Path, str]]:
    """Write what this ledger has on disk into the lock files beside manifests; with `make` also into new ones.

    Lines of others stay. Tells of each that changed, or was to be made, how much it holds.

    Raises:
        UsageError: a file cannot be read or written.
    """
    by_path: defaultdict[Path, list[BatchSpec]] = defaultdict(list)
    for batch in batches:
        by_path[next(_paths([batch], settings))].append(batch)
    for path, own in by_path.items():
        if not (make or path.is_file()):
            continue
        with alone([path]):
            before = read_lock(path) if path.is_file() else []
            tasks = {*before, *(task for batch in own for task in records.delivered(batch.name))}
            text = lock_text(tasks)
            same = path.is_file() and path.read_text(encoding="utf-8") == text
            if not same:
                with new_file(path) as file:
                    file.write(text.encode())
        if make or not same:
            yield path, f"{count(len(tasks), 'task')}, {len(tasks) - len(set(before)):,} new"


def locked_for(plan: Plan, locks: Locks | None) -> Sequence[Found] | None:
    """What the ledger must know of lock files; where the files are only if this plan asks for any of them."""
    if locks is None:
        return None
    asked = any(job.wish in locks.tasks for job in plan.of(Action.REUSE, Action.HELD, Action.RETRY))
    return locks.all(looking=asked)


def _paths(batches: Sequence[BatchSpec], settings: Settings) -> Iterator[Path]:
    """The lock file beside each manifest, once."""
    name = lock_name(sandbox=settings.sandbox)
    yield from dict.fromkeys(Path(file.path).parent / name for batch in batches for file in batch.files)
