"""What an edit of manifests means: the jobs that it adds, changes and removes, and what it costs. Pure; no ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from seedbatch.domain.budget import Budget
from seedbatch.domain.jobs import BatchSpec, JobSpec
from seedbatch.domain.money import Money
from seedbatch.domain.renames import former_names
from seedbatch.domain.runs import Move
from seedbatch.engine.plan import difference_text

Name = tuple[str, str, int]  # batch, base and take


class Kind(StrEnum):
    """What an edit does to a job."""

    ADDED = "added"
    CHANGED = "changed"  # its request: the next revision, at its price
    MOVED = "moved"  # it has another name, or another job asked for the same
    REMOVED = "removed"
    COSMETIC = "cosmetic"  # what may change at no cost


@dataclass(frozen=True, slots=True)
class Edit:
    """One job that an edit concerns. `price` is what its request costs, where it is a new one and a price is known."""

    batch: str
    address: str
    kind: Kind
    reason: str
    model: str
    price: Money | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """An edit. `settings` are words on what else changed, by batch; `files`: any file differs in a byte.

    `before` and `now` are what all jobs cost together, by currency; `unpriced` are new requests of unknown price.
    """

    edits: tuple[Edit, ...]
    settings: Mapping[str, Sequence[str]]
    files: bool
    before: Mapping[str, int]
    now: Mapping[str, int]
    unpriced: int = 0

    counts: Counter[Kind] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", Counter(edit.kind for edit in self.edits))

    @property
    def requests(self) -> int:
        """How many requests the edit asks for that were not asked for before."""
        return self.counts[Kind.ADDED] + self.counts[Kind.CHANGED]

    @property
    def price(self) -> tuple[Money, ...]:
        """What those cost, by currency, as far as prices are known."""
        sums: Counter[str] = Counter()
        for edit in self.edits:
            if edit.price is not None:
                sums[edit.price.currency] += edit.price.micros
        return tuple(Money(sums[currency], currency) for currency in sorted(sums))


def compare(before: Sequence[BatchSpec], now: Sequence[BatchSpec]) -> Comparison:
    """What turns the manifests `before` into those of `now`."""
    past = _Past(before)
    found: list[tuple[BatchSpec, JobSpec, Name, Kind]] = []
    seen: set[Name] = set()
    for batch in now:
        for job in batch.jobs:
            name = past.name(batch, job)
            seen.add(name)
            if kind := past.kind(batch, job, name):
                found.append((batch, job, name, kind))
    earlier = past.jobs({name for _, _, name, kind in found if kind in {Kind.CHANGED, Kind.COSMETIC}})
    edits = [_edit(batch, job, kind, past, name, earlier.get(name)) for batch, job, name, kind in found]
    priced = [edit for edit in edits if edit.kind in {Kind.ADDED, Kind.CHANGED}]
    return Comparison(
        edits=(*edits, *past.removed(seen)),
        settings={
            batch.name: words for batch in now if (words := list(_settings(past.batches.get(batch.name), batch)))
        },
        files=_digests(before) != _digests(now),
        before=_cost(before),
        now=_cost(now),
        unpriced=sum(edit.price is None for edit in priced),
    )


def edit_of(move: Move) -> Edit:
    """The same for what became of a job between two runs; the price is what may be owed for it."""
    job = move.after or move.before
    assert job is not None
    if move.after is None:
        kind, reason = Kind.REMOVED, "no longer wanted"
    elif move.before is None:
        kind, reason = Kind.ADDED, "new"
    elif move.amended:
        kind, reason = Kind.CHANGED, "its request changed before it was submitted"
    else:
        kind, reason = Kind.CHANGED, difference_text(move.before.request, move.after.request)
    return Edit(job.batch, job.address, kind, f"{reason}; {job.state}", job.request.model, job.cost)


class _Past:
    """What was wanted, by name and by request."""

    def __init__(self, batches: Sequence[BatchSpec]) -> None:
        self.batches = {batch.name: batch for batch in batches}
        self._jobs: dict[Name, tuple[str, int]] = {}
        self._requests: dict[tuple[str, int], str] = {}
        for batch in batches:
            for job in batch.jobs:
                self._jobs[_name(batch, job)] = job.fingerprint, _looks(job)
                self._requests.setdefault((job.fingerprint, job.take), f"{batch.name}/{job.address}")

    def name(self, batch: BatchSpec, job: JobSpec) -> Name:
        """What a job of now was called, as far as `moved` tells."""
        own = _name(batch, job)
        former = ((batch.name, base, job.take) for base in former_names(job.base, batch.renames))
        return own if own in self._jobs else next((name for name in former if name in self._jobs), own)

    def kind(self, batch: BatchSpec, job: JobSpec, name: Name) -> Kind | None:
        """What the edit does to a job of now, which had this name; None if nothing."""
        known = self._jobs.get(name)
        if known is not None and known[0] == job.fingerprint:
            if name != _name(batch, job):
                return Kind.MOVED
            return Kind.COSMETIC if known[1] != _looks(job) else None
        if (job.fingerprint, job.take) in self._requests:
            return Kind.MOVED
        return Kind.ADDED if known is None else Kind.CHANGED

    def asked_by(self, job: JobSpec) -> str:
        """The job that asked for the same."""
        return self._requests[job.fingerprint, job.take]

    def jobs(self, names: set[Name]) -> dict[Name, JobSpec]:
        """The jobs of these names, as they were."""
        batches = self.batches.values() if names else ()
        return {name: job for batch in batches for job in batch.jobs if (name := _name(batch, job)) in names}

    def removed(self, seen: set[Name]) -> Iterator[Edit]:
        """The jobs that are not wanted any more."""
        if self._jobs.keys() <= seen:
            return
        for batch in self.batches.values():
            for job in batch.jobs:
                if _name(batch, job) not in seen:
                    yield Edit(batch.name, job.address, Kind.REMOVED, "no longer wanted", job.request.model)


def _name(batch: BatchSpec, job: JobSpec) -> Name:
    return batch.name, job.base, job.take


def _looks(job: JobSpec) -> int:
    return hash((job.output, job.tags, *job.axes.items(), None, *job.vars.items()))


def _edit(batch: BatchSpec, job: JobSpec, kind: Kind, past: _Past, name: Name, earlier: JobSpec | None) -> Edit:
    model, price = job.request.model, None
    if kind in {Kind.ADDED, Kind.CHANGED} and batch.prices.rows:
        price = batch.prices.price(model, job.request.input)
    reason = "new"
    if kind is Kind.MOVED:
        renamed = name != _name(batch, job)
        reason = f"was {name[1]}" if renamed else f"asks for what {past.asked_by(job)} asked for"
    elif earlier is not None:
        reason = difference_text(earlier.request, job.request) if kind is Kind.CHANGED else _cosmetics(earlier, job)
    return Edit(batch.name, job.address, kind, reason, model, price)


def _cosmetics(before: JobSpec, now: JobSpec) -> str:
    parts = [f"output {before.output} → {now.output}"] if before.output != now.output else []
    parts += [name for name in ("tags", "axes", "vars") if getattr(before, name) != getattr(now, name)]
    return ", ".join(parts)


def _settings(before: BatchSpec | None, now: BatchSpec) -> Iterator[str]:
    if before is None:
        return
    if before.budget != now.budget:
        yield f"budget {_budget_text(before.budget)} → {_budget_text(now.budget)}"
    if before.attempts != now.attempts:
        yield f"retry.attempts {before.attempts} → {now.attempts}"
    for name in ("submitting", "in_flight", "submits_per_minute"):
        old, new = getattr(before.limits, name), getattr(now.limits, name)
        if old != new:
            yield f"limits.{name} {'none' if old is None else f'{old:g}'} → {'none' if new is None else f'{new:g}'}"


def _budget_text(budget: Budget) -> str:
    parts = [f"{budget.max_jobs:,} jobs"] if budget.max_jobs is not None else []
    parts += [str(budget.max_cost)] if budget.max_cost is not None else []
    return " and ".join(parts) or "none"


def _digests(batches: Sequence[BatchSpec]) -> Counter[str]:
    return Counter(file.digest for batch in batches for file in (*batch.files, *batch.sources))


def _cost(batches: Sequence[BatchSpec]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for batch in batches:
        for job in batch.jobs if batch.prices.rows else ():
            if price := batch.prices.price(job.request.model, job.request.input):
                sums[price.currency] += price.micros
    return dict(sums)
