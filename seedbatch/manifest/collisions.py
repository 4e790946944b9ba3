"""Names that are wanted twice, and requests: found by their hashes, so that a million rows stay small.

Only where a hash came twice are the jobs looked at once more, for the words.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from seedbatch.domain.jobs import JobSpec
from seedbatch.manifest.expand import Wanted
from seedbatch.manifest.outputs import meeting_point

# So that what is compared at once is a small part of all.
_PARTS: Final = 64
_MOST_TOLD: Final = 1_000


@dataclass(frozen=True, slots=True)
class Share:
    """One file's share of a batch, by the file's name."""

    file: str
    batch: str
    wanted: Collection[Wanted]


@dataclass(frozen=True, slots=True)
class Twin:
    """A job that wants what an earlier one wants; `share` and `first_share` are indices of their shares.

    `name` is the key that both have.
    """

    share: int
    one: Wanted
    first_share: int
    first: Wanted
    name: Hashable


class Hashes:
    """Hashes of many keys, at eight bytes each, and which of them came more than once."""

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]

    def add(self, found: int) -> None:
        """Remember one."""
        self._parts[found % _PARTS].append(found)

    def repeated(self) -> set[int]:
        """The hashes that came more than once."""
        twice = set[int]()
        for part in self._parts:
            seen = set(part)
            if len(seen) == len(part):
                continue
            seen.clear()
            for found in part:
                (twice if found in seen else seen).add(found)
        return twice


Keys = Callable[[str, JobSpec], Iterable[Hashable]]


def same_job(batch: str, job: JobSpec) -> Iterable[Hashable]:
    """Equal for what a ledger takes for one job: `river` and `river#1` are."""
    return ((batch, job.base, job.take),)


def same_file(_batch: str, job: JobSpec) -> Iterable[Hashable]:
    """Equal for jobs that would write one file."""
    return (meeting_point(job.output),) if job.files == 1 else map(meeting_point, job.outputs)


def same_request(_batch: str, job: JobSpec) -> Iterable[Hashable]:
    """Equal for jobs that ask for the same, and could share a task."""
    return ((job.fingerprint, job.take),)


KEYS: Final[tuple[Keys, ...]] = (same_job, same_file, same_request)


class Seen:
    """What was wanted so far, as hashes."""

    def __init__(self) -> None:
        self._hashes = [Hashes() for _ in KEYS]
        self._adding = [(keys, known.add) for keys, known in zip(KEYS, self._hashes, strict=True)]

    def add(self, batch: str, job: JobSpec) -> None:
        """Remember one."""
        for keys, add in self._adding:
            for key in keys(batch, job):
                add(hash(key))

    def add_all(self, hashes: Sequence[bytes]) -> None:
        """Remember what `hashes_of` made of some, in this process or a fork of it."""
        for one, (_, add) in zip(hashes, self._adding, strict=True):
            for found in array("q", one):
                add(found)

    def repeated_wishes(self) -> frozenset[int]:
        """The hashes of requests that more than one job makes."""
        return frozenset(self._hashes[KEYS.index(same_request)].repeated())

    def twins(self, shares: Sequence[Share]) -> list[list[Twin]]:
        """For each of `KEYS` the jobs whose key an earlier job has, at most a thousand of each."""
        return [list(_twins(shares, keys, known.repeated())) for keys, known in zip(KEYS, self._hashes, strict=True)]


def hashes_of(batch: str, jobs: Sequence[JobSpec]) -> list[bytes]:
    """For each of `KEYS` the hashes of some jobs of one batch."""
    return [array("q", [hash(key) for job in jobs for key in keys(batch, job)]).tobytes() for keys in KEYS]


def _twins(shares: Sequence[Share], keys: Keys, repeated: set[int]) -> Iterator[Twin]:
    if not repeated:
        return
    first: dict[Hashable, tuple[int, Wanted]] = {}
    told = 0
    for index, share in enumerate(shares):
        for one in share.wanted:
            for name in keys(share.batch, one.job):
                if hash(name) not in repeated:
                    continue
                known, earlier = first.setdefault(name, (index, one))
                if earlier is not one:
                    yield Twin(index, one, known, earlier, name)
                    told += 1
            if told >= _MOST_TOLD:
                return
