"""What the sandbox tells about itself beyond the real API, for tests: the bill, the tasks, and the calls it made."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seedbatch.sandbox.book import read_bill, read_calls, read_tasks
from seedbatch.sandbox.callbacks import Call
from seedbatch.sandbox.tasks import TaskRow, moment_of, stamp, standing


def bill_told(path: Path) -> dict[str, Any]:
    """The bill and its sum."""
    lines = read_bill(path)
    rows = [asdict(line) | {"at": line.at.isoformat()} for line in lines]
    return {"units": sum(line.units for line in lines), "lines": rows}


def tasks_told(path: Path, now: int) -> dict[str, Any]:
    """Every task as it stands, each with the calls that were made for it and the fault they met."""
    rows = read_tasks(path)
    calls: defaultdict[str, list[Call]] = defaultdict(list)
    for call in read_calls(path):
        calls[call.task_id].append(call)
    return {"number": len(rows), "tasks": [_task(row, calls[row.task_id], now) for row in rows]}


def callbacks_told(path: Path) -> dict[str, Any]:
    """Every call that was made, forged ones too, in the order they were made."""
    made = sorted((call for call in read_calls(path) if call.at is not None), key=lambda call: call.at or 0)
    return {"number": len(made), "callbacks": [{"task_id": call.task_id, **_call(call)} for call in made]}


def _task(row: TaskRow, calls: list[Call], now: int) -> dict[str, Any]:
    return asdict(row) | {
        "outcome": row.outcome.value,
        "status": standing(row, now).status.value,
        "created": stamp(row.created),
        "ends": stamp(row.ends),
        "visible_from": moment_of(row.visible_from).isoformat(),
        "callback_fault": calls[0].fault if calls else None,
        "callbacks": [_call(call) for call in calls if call.at is not None],
    }


def _call(call: Call) -> dict[str, Any]:
    """`status` is that of the answer, `error` a word where there was none; both null: no answer yet, or never."""
    answered = call.answer is not None and call.answer.isdigit()
    return {
        "at": None if call.at is None else stamp(call.at),
        "status": int(call.answer or 0) if answered else None,
        "error": None if answered else call.answer,
        "forged": call.forged,
    }
