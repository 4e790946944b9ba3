"""Writing a gallery: what to tell, its files, its data, and at last the page that names them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from seedbatch.domain.records import Artifact, RecordedJob
from seedbatch.domain.selection import Choice
from seedbatch.ports import Records, Scope
from seedbatch.report import page
from seedbatch.report.cards import Entry, card
from seedbatch.report.folder import INDEX, ReportFolder, named, opened
from seedbatch.report.media import bring, draw_posters, look, media_name, poster_name
from seedbatch.report.posters import available
from seedbatch.report.scripts import scripts

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Written:
    """What a report came to: its jobs, posters made now, files without a poster, and files that are not on disk.

    `drawing` is false where posters cannot be made at all.
    """

    jobs: int
    posters: int
    bare: int
    gone: int
    drawing: bool


def write_gallery(
    records: Records, folder: Path, choice: Choice, scope: Scope, *, place: str, now: datetime, told: Told
) -> Written:
    """Write the gallery of the chosen jobs into `folder`, or bring the one that is there up to date.

    `place` are the flags that make another command mean the same ledger; `told` hears of posters: done, and all.

    Raises:
        UsageError: the folder holds something else or cannot be written; no job has what the choice names.
    """
    entries = list(_entries(records, choice, scope))
    kind = records.identity().kind
    with opened(folder) as ours:
        return _write(records, ours, entries, page.Heading(kind, place, now), told)


def _write(records: Records, ours: ReportFolder, entries: list[Entry], heading: page.Heading, told: Told) -> Written:
    artifacts = {media_name(artifact): artifact for artifact in _artifacts(entries)}
    posters = {poster_name(artifact) for artifact in artifacts.values()}
    ours.notes = {name: facts for name, facts in ours.notes.items() if name in posters}
    ours.intend({*artifacts, *posters})
    there = bring(ours, artifacts)
    try:
        made = draw_posters(ours, {name: artifacts[name] for name in artifacts if name in there}, told)
    finally:
        ours.intend(set())  # what was learned of each clip is kept, whatever comes now
    histories = records.histories([job.job_id for entry in entries for job in entry.revisions])
    cards = [card(entry, histories, partial(look, ours, there)) for entry in entries]
    contents = {
        named("data", f"{number:04}", "js", content): content for number, content in enumerate(scripts(cards), start=1)
    }
    assets = page.assets()
    files = {**contents, **assets}
    ours.intend({*files, INDEX})
    for name, content in files.items():
        if not ours.has(name, len(content)):
            ours.write(name, content)
    ours.write(INDEX, page.render(heading, entries, assets=list(assets), data=list(contents)))
    drawn = {name for name in posters if name in ours.notes}
    ours.settle({*files, *there, *drawn, INDEX})
    return Written(len(entries), made, len(posters) - len(drawn), len(artifacts) - len(there), available())


def _artifacts(entries: Iterable[Entry]) -> Iterable[Artifact]:
    return (artifact for entry in entries for job in entry.revisions for artifact in job.artifacts)


def _entries(records: Records, choice: Choice, scope: Scope) -> Iterable[Entry]:
    """The chosen jobs in the manifest's order, each with its earlier revisions, chosen or not."""
    found: dict[tuple[str, str, int], list[RecordedJob]] = {}
    for job in records.select(choice, scope):
        found.setdefault((job.batch, job.base, job.take), []).append(job)
    for revisions in found.values():
        entry = Entry.of(revisions)
        if entry is None:
            continue  # only an earlier revision is chosen
        if len(revisions) < entry.job.revision:
            job = entry.job
            entry = Entry.of(one for one in records.find(f"{job.batch}/{job.address}") if one.batch == job.batch)
        if entry is not None:
            yield entry
