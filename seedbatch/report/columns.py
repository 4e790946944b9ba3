"""What an export tells of a job: the same columns in every format. `docs/export.md` describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from seedbatch.domain.fingerprint import Json
from seedbatch.domain.money import Money
from seedbatch.domain.records import Artifact, RecordedJob

# Raised when a column is removed or changes its meaning; new ones are added at the end without it.
VERSION: Final = 1


class Type(StrEnum):
    """How the values of a column are written; each may be null."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    AMOUNT = "amount"  # of money, in units of its currency
    MOMENT = "moment"
    JSON = "JSON"


Value = Json | Mapping[str, Json] | Sequence[Json] | datetime | Decimal


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, how its values are written, and where they come from."""

    name: str
    type: Type
    of: Callable[[RecordedJob], Value]


COLUMNS: Final = (
    Column("version", Type.INTEGER, lambda _: VERSION),
    Column("batch", Type.TEXT, lambda job: job.batch),
    Column("key", Type.TEXT, lambda job: job.address),
    Column("base", Type.TEXT, lambda job: job.base),
    Column("take", Type.INTEGER, lambda job: job.take),
    Column("revision", Type.INTEGER, lambda job: job.revision),
    Column("standing", Type.TEXT, lambda job: str(job.standing)),
    Column("state", Type.TEXT, lambda job: str(job.state)),
    Column("failure", Type.TEXT, lambda job: job.failure and str(job.failure)),
    Column("reason", Type.TEXT, lambda job: job.reason or None),
    Column("model", Type.TEXT, lambda job: job.request.model),
    Column("prompt", Type.TEXT, lambda job: _text(job, "prompt")),
    Column("resolution", Type.TEXT, lambda job: _text(job, "resolution")),
    Column("ratio", Type.TEXT, lambda job: _text(job, "ratio")),
    Column("duration", Type.NUMBER, lambda job: _number(job, "duration")),
    Column("input", Type.JSON, lambda job: job.request.input),
    Column("tags", Type.JSON, lambda job: list(job.tags)),
    Column("axes", Type.JSON, lambda job: job.axes),
    Column("fingerprint", Type.TEXT, lambda job: job.fingerprint),
    Column("attempts", Type.INTEGER, lambda job: job.attempts),
    Column("task_id", Type.TEXT, lambda job: job.task_id),
    Column("created_at", Type.MOMENT, lambda job: job.created_at),
    Column("submitted_at", Type.MOMENT, lambda job: job.intended_at),
    Column("accepted_at", Type.MOMENT, lambda job: job.accepted_at),
    Column("called_at", Type.MOMENT, lambda job: job.called_at),
    Column("finished_at", Type.MOMENT, lambda job: job.ended_at),
    Column("took", Type.NUMBER, lambda job: job.took),
    Column("updated_at", Type.MOMENT, lambda job: job.updated_at),
    Column("expires_at", Type.MOMENT, lambda job: job.expires_at),
    Column("cost", Type.AMOUNT, lambda job: _amount(job.cost)),
    Column("cost_micros", Type.INTEGER, lambda job: job.cost.micros if job.cost else None),
    Column("cost_currency", Type.TEXT, lambda job: job.cost.currency if job.cost else None),
    Column("price", Type.AMOUNT, lambda job: _amount(job.price)),
    Column("price_micros", Type.INTEGER, lambda job: job.price.micros if job.price else None),
    Column("price_currency", Type.TEXT, lambda job: job.price.currency if job.price else None),
    Column("files", Type.INTEGER, lambda job: len(job.artifacts)),
    Column("path", Type.TEXT, lambda job: job.artifacts[0].path if job.artifacts else None),
    Column("bytes", Type.INTEGER, lambda job: job.artifacts[0].bytes if job.artifacts else None),
    Column("sha256", Type.TEXT, lambda job: job.artifacts[0].sha256 if job.artifacts else None),
    Column("content_type", Type.TEXT, lambda job: job.artifacts[0].content_type if job.artifacts else None),
    Column("more_files", Type.JSON, lambda job: [_file(one) for one in job.artifacts[1:]]),
    Column("manifest", Type.TEXT, lambda job: job.file),
    Column("manifest_line", Type.INTEGER, lambda job: job.line),
)


def _text(job: RecordedJob, name: str) -> str | None:
    value = job.request.input.get(name)
    return value if isinstance(value, str) else None


def _number(job: RecordedJob, name: str) -> float | None:
    value = job.request.input.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _amount(money: Money | None) -> Decimal | None:
    return None if money is None else Decimal(money.micros).scaleb(-6)


def _file(artifact: Artifact) -> dict[str, Json]:
    return {
        "path": artifact.path,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "content_type": artifact.content_type,
    }
