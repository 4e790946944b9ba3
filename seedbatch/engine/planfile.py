"""A plan as a file: what people approve, and what that is bound to.

Its first line says what the plan was made of, each further line is a request that it would send, and the last is the
digest of all lines before it. Nothing in it depends on the hour or on the machine: a plan made again of the same things
is the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from seedbatch.domain.errors import UsageError
from seedbatch.domain.jobs import BatchSpec, SourceFile
from seedbatch.domain.prices import PriceTable
from seedbatch.domain.records import Identity
from seedbatch.engine.planned import SPENDING, Plan

BEGINNING: Final = b'{"seedbatch_plan": '
_VERSION: Final = 1
# What two lines must have in common to be one request: why it is sent may be put in other words meanwhile.
_BINDING: Final = ("batch", "key", "revision", "model", "fingerprint", "price")


@dataclass(frozen=True, slots=True)
class Terms:
    """How the plan was asked for: applying it asks for it again, in the same way.

    `paths` are the manifests as they were given; `selects`, `excludes` and `picks` what the flags of these names say.
    """

    paths: tuple[str, ...]
    selects: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    allow_unknown_model: bool = False
    allow_large_matrix: bool = False
    retry_failed: bool = False
    reuse: bool = True
    picks: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a plan was made of. It is stale when any of it is another: then something else would be carried out.

    `files` are the manifests and their sources with the digests of their bytes, `prices` is the digest of the price
    table; `ledger` has no id where there was none yet.
    """

    terms: Terms
    files: tuple[SourceFile, ...]
    prices: str
    ledger: Identity


def binding(terms: Terms, batches: Sequence[BatchSpec], ledger: Identity) -> Binding:
    """What a plan of these batches is made of."""
    files = (file for batch in batches for file in (*batch.files, *batch.sources))
    tables = {_prices_digest(batch.prices) for batch in batches}
    return Binding(terms, tuple(dict.fromkeys(files)), "".join(sorted(tables)), ledger)


def _prices_digest(table: PriceTable) -> str:
    """Equal for equal prices, whatever the order of their rows, and whoever saw them when."""
    rows = sorted(
        [row.model, row.resolution or "", str(row.unit), row.price.micros, row.price.currency]
        for row in table.rows.values()
    )
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def write(plan: Plan, bound: Binding, to: Callable[[str], object]) -> str:
    """Give the lines of a plan file to `to`, each with its end; returns the digest."""
    digest = hashlib.sha256()
    for value in chain([_header(plan, bound)], (job.as_json() for job in plan.of(*SPENDING))):
        line = _line(value)
        digest.update(line.encode())
        to(line)
    to(_line({"digest": digest.hexdigest()}))
    return digest.hexdigest()


def read(lines: Iterable[bytes], name: str) -> tuple[Binding, str]:
    """What a plan file is bound to, and its digest, once all of its lines were seen.

    Raises:
        UsageError: a newer seedbatch wrote it, or it is not as it was written.
    """
    digest, header, last = hashlib.sha256(), b"", b""
    for line in lines:
        if last:
            digest.update(last)
        header, last = header or line, line
    if not header.startswith(BEGINNING + b"%d," % _VERSION):
        raise UsageError(f"{name} is a plan of another version of seedbatch", hint="make it again with this one")
    if last != _line({"digest": digest.hexdigest()}).encode():
        raise UsageError(
            f"{name} is not as it was written: its digest is not that of its lines",
            hint="make the plan again: a plan is carried out as it was approved, or not at all",
        )
    return _binding(json.loads(header)), digest.hexdigest()


def requests(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """What stands between the first line and the last of a plan file that was `read`."""
    for line in islice(lines, 1, None):
        value = json.loads(line)
        if "digest" in value:
            return
        yield value


def moved(then: Binding, now: Binding, *, begun: bool) -> list[str]:
    """What is no longer as it was when the plan was made, in words.

    `begun`: this ledger began to carry that plan out, so that it went on since.
    """
    found = [f"{path} changed" if path else "the files are others" for path in _moved_files(then.files, now.files)]
    if then.prices != now.prices:
        found.append("the price table changed")
    if begun:
        return found
    before, after = then.ledger, now.ledger
    if not before.ledger_id and after.ledger_id:
        found.append("there was no ledger yet")
    elif before.ledger_id and not after.ledger_id:
        found.append("its ledger is not here")
    elif before.ledger_id != after.ledger_id:
        found.append("it was made for another ledger")
    elif before.generation != after.generation:
        number = after.generation - before.generation
        found.append(f"the ledger has taken {number:,} submission{'' if number == 1 else 's'} since")
    return found


def departure(approved: Iterable[Mapping[str, Any]], plan: Plan, *, begun: bool) -> list[str]:
    """How what a plan would send now departs from what was approved, in words.

    Both are in the manifests' order. Where the plan was `begun`, some of it is done, and no longer to be sent.
    """
    waiting = iter(approved)
    left = 0
    for job in plan.of(*SPENDING):
        now = job.as_json()
        for request in waiting:
            if all(request[name] == now[name] for name in _BINDING):
                break
            left += 1
        else:
            return [f"{job.batch}/{job.address} would be submitted, and is not in it"]
    left += sum(1 for _ in waiting)
    return [f"{left:,} of its requests would not be sent now"] if left and not begun else []


def _moved_files(then: Iterable[SourceFile], now: Iterable[SourceFile]) -> Iterator[str]:
    before, after = ({file.path: file.digest for file in files} for files in (then, now))
    changed = [path for path in before if path in after and before[path] != after[path]]
    yield from changed
    if before.keys() != after.keys() and not changed:
        yield ""


def _header(plan: Plan, binding: Binding) -> dict[str, Any]:
    terms, ledger = binding.terms, binding.ledger
    return {
        "seedbatch_plan": _VERSION,
        "manifests": list(terms.paths),
        "select": list(terms.selects),
        "exclude": list(terms.excludes),
        "picks": terms.picks,
        "allow_unknown_model": terms.allow_unknown_model,
        "allow_large_matrix": terms.allow_large_matrix,
        "retry_failed": terms.retry_failed,
        "reuse": terms.reuse,
        "files": [{"path": file.path, "sha256": file.digest} for file in binding.files],
        "prices": binding.prices,
        "ledger": {"kind": ledger.kind, "id": ledger.ledger_id, "generation": ledger.generation},
        "requests": plan.submissions,
    }


def _binding(header: Mapping[str, Any]) -> Binding:
    ledger = header["ledger"]
    return Binding(
        Terms(
            tuple(header["manifests"]),
            tuple(header["select"]),
            tuple(header["exclude"]),
            bool(header["allow_unknown_model"]),
            bool(header["allow_large_matrix"]),
            bool(header["retry_failed"]),
            bool(header["reuse"]),
            header["picks"],
        ),
        tuple(SourceFile(file["path"], file["sha256"]) for file in header["files"]),
        header["prices"],
        Identity(ledger["kind"], ledger["id"], ledger["generation"]),
    )


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
