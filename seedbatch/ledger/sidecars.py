"""What a sidecar tells of a file beside the file's own facts: enough to rebuild the ledger from it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Final

from seedbatch import __version__
from seedbatch.domain.fingerprint import Json
from seedbatch.ledger.mark import Mark

# Of a job `j`, its batch `b`, and the attempt `a` whose task made the file.
SIDECAR: Final = (
    "b.name AS batch, j.address, j.base, j.revision, j.take, j.model, j.input, j.fingerprint, a.number, a.task_id,"
    " (SELECT count(*) FROM outputs WHERE attempt_id = a.id) AS offered, a.accepted_at, a.ended_at,"
    ' b.manifest, b.digest, b."commit", b.dirty, j.file, j.line,'
    " (SELECT json_group_object(key, value) FROM meta) AS meta"
)


def sidecar(row: sqlite3.Row) -> Mapping[str, Json]:
    """The members of a sidecar, from a row of `SIDECAR`."""
    meta: dict[str, str] = json.loads(row["meta"])
    mark = Mark.of(meta)
    return {
        "batch": row["batch"],
        "key": row["address"],
        "base": row["base"],
        "revision": row["revision"],
        "take": row["take"],
        "model": row["model"],
        "input": json.loads(row["input"]),
        "fingerprint": row["fingerprint"],
        "attempt": row["number"],
        "task_id": row["task_id"],
        "outputs": row["offered"],
        "accepted_at": row["accepted_at"],
        "finished_at": row["ended_at"],
        "manifest": {
            "path": row["manifest"],
            "digest": row["digest"],
            "commit": row["commit"] or None,
            "dirty": bool(row["dirty"]) if row["commit"] else None,
            "file": row["file"],
            "line": row["line"],
        },
        "ledger": {"id": mark.ledger, "kind": meta["kind"], "generation": mark.generation, "since": mark.since},
        "seedbatch": __version__,
    }
