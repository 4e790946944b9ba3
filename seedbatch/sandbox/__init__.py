"""The stand-in provider: the documented API on this machine, at no cost. It shares no code with the program."""

from seedbatch.sandbox.book import BillLine, read_bill, read_calls, read_tasks
from seedbatch.sandbox.callbacks import Call
from seedbatch.sandbox.faults import FaultPlan
from seedbatch.sandbox.server import Sandbox, serve
from seedbatch.sandbox.tasks import Outcome, Status, TaskRow

__all__ = [
    "BillLine",
    "Call",
    "FaultPlan",
    "Outcome",
    "Sandbox",
    "Status",
    "TaskRow",
    "read_bill",
    "read_calls",
    "read_tasks",
    "serve",
]
