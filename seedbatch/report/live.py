"""Cards for the live page: as in the gallery, with names of files that a server finds, and what a pick needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from seedbatch.domain.records import Artifact, Notable, RecordedJob
from seedbatch.ports import Records
from seedbatch.report.cards import Entry, Look, card, shown
from seedbatch.report.media import extension, is_whole
from seedbatch.report.poster_cache import PosterCache

_NAME: Final = re.compile(r"([1-9][0-9]{0,17})-([0-9]{1,4})-([0-9a-f]{64})(?:\.[a-z0-9]{1,8})?")


def cards(records: Records, job_ids: Iterable[int], posters: PosterCache) -> list[dict[str, Any]]:
    """The jobs that these are revisions of, each once.

    Beside what the gallery tells a card holds `id`, the row's number of the present revision, and `at`, its place in
    the manifest. Files are called as `artifact_named` reads it.
    """
    places = records.family(job_ids)
    found: dict[tuple[str, str, int], list[RecordedJob]] = {}
    for job in sorted(records.details(places).values(), key=lambda job: job.revision):
        found.setdefault((job.batch, job.base, job.take), []).append(job)
    entries = [entry for revisions in found.values() if (entry := Entry.of(revisions)) is not None]
    names = {artifact: name for entry in entries for job in entry.revisions for name, artifact in _named(job)}
    histories = records.histories(places)
    told = [card(entry, histories, lambda artifact: _look(artifact, names[artifact], posters)) for entry in entries]
    return [
        {**one, "id": entry.job.job_id, "at": places[entry.job.job_id]}
        for one, entry in zip(told, entries, strict=True)
    ]


def artifact_named(records: Records, name: str) -> Artifact | None:
    """The file of the ledger that the live page calls so, if it is there as it was stored; None else.

    Raises nothing for any text: a name is no path, and leads only to what the ledger tells.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    job_id, at = int(match[1]), int(match[2])
    job = records.details([job_id]).get(job_id)
    if job is None or at >= len(job.artifacts) or job.artifacts[at].sha256 != match[3]:
        return None
    return job.artifacts[at] if is_whole(job.artifacts[at]) else None


def happened(events: Iterable[Notable]) -> list[Mapping[str, Any]]:
    """Events for the page, oldest first."""
    return [
        {
            "at": round(event.at.timestamp() * 1000),
            "type": event.type,
            "id": event.job_id,
            "job": shown(f"{event.batch}/{event.address}"),
            "says": shown(_says(event.data)),
        }
        for event in events
    ]


def _says(data: Mapping[str, Any]) -> str:
    for name in ("reason", "cause", "task_id", "by"):
        if isinstance(data.get(name), str) and data[name]:
            return str(data[name])
    return ""


def _named(job: RecordedJob) -> Iterable[tuple[str, Artifact]]:
    for at, artifact in enumerate(job.artifacts):
        yield f"{job.job_id}-{at}-{artifact.sha256}{extension(artifact)}", artifact


def _look(artifact: Artifact, name: str, posters: PosterCache) -> Look:
    there = is_whole(artifact)
    facts = posters.facts(artifact) or (0, 0, 0.0)
    return Look(name, there, name if there and posters.offers(artifact) else "", *facts)
