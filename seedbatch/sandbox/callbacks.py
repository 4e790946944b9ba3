"""What is called back, and when: decided when a task is accepted, and kept with it.

A task that names a `callBackUrl` gets one call, due when it ends. A fault of the plan changes that: none, a late one,
three, one at once, or two that a stranger makes while the task still runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from seedbatch.sandbox.faults import Fault
from seedbatch.sandbox.tasks import SECOND, Status, TaskRow, report, stamp

_FORGED_LINK: Final = "https://forged.invalid/clip.mp4"
_COPIES: Final = 3
_FORGED_AFTER: Final = 0.1  # of the task's time


@dataclass(frozen=True, slots=True)
class Call:
    """One POST to a task's `callBackUrl`; `number` counts from 1 within the task.

    `due` is None for one that never comes. `forged` is the task id that a forged body names; None: it is genuine. `at`
    is when it was written down as made, before its request left; None: not yet. `answer` is the HTTP status or a word
    for the error; None: none yet, or the sandbox ended before it came.
    """

    task_id: str
    number: int
    due: int | None
    fault: str | None = None
    forged: str | None = None
    at: int | None = None
    answer: str | None = None


def planned(row: TaskRow, fault: Fault | None, stranger: str) -> tuple[TaskRow, list[Call]]:
    """The calls of an accepted task, and the task as the fault leaves it: one called early has ended at once.

    `stranger` is a task id that no task has.
    """
    call = Call(row.task_id, 1, row.ends, None if fault is None else fault.kind)
    if fault is None:
        return row, [call]
    match fault.kind:
        case "drop":
            return row, [replace(call, due=None)]
        case "delay":
            return row, [replace(call, due=row.ends + int(fault.seconds * SECOND))]
        case "duplicate":
            return row, [replace(call, number=number) for number in range(1, _COPIES + 1)]
        case "early":  # made in the transaction that accepts the task: nobody else can make it
            return replace(row, ends=row.created), [replace(call, due=row.created, at=row.created)]
        case "forged":
            soon = row.created + int((row.ends - row.created) * _FORGED_AFTER)
            forgeries = [
                replace(call, number=number, due=soon, forged=named)
                for number, named in enumerate((row.task_id, stranger), 1)
            ]
            return row, [*forgeries, replace(call, number=len(forgeries) + 1)]
        case kind:
            raise ValueError(f"no such fault: {kind}")


def told(call: Call, row: TaskRow, now: int, origin: str) -> dict[str, Any]:
    """The `data` of a call's body: what a query would be told, or what a stranger makes of it."""
    data = report(row, now, origin)
    if call.forged is None:
        return data
    result = {"type": row.kind, "urls": [_FORGED_LINK]}
    lie = {"taskId": call.forged, "status": Status.SUCCESS.value, "result": result, "updated_at": stamp(now)}
    return data | lie
