"""The jobs that one process is about, where that is not all of its batches: a table that only its connection sees."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from enum import Enum
from typing import Final

from seedbatch.domain.work import JobName


class Among(Enum):
    """Which jobs a process is about, and so where a claim looks for those that are pending."""

    ALL = "all of its batches"
    FEW = "chosen ones, fewer than those that are pending beside them: through the table of the chosen"
    MANY = "chosen ones, more than those that are pending beside them: through the queue"


# Of a row `j` of jobs; appended to a condition.
CHOSEN: Final = " AND EXISTS (SELECT 1 FROM temp.chosen c WHERE c.job_id = j.id)"


def only(among: Among) -> str:
    """What a condition on a row `j` of jobs must say as well."""
    return "" if among is Among.ALL else CHOSEN


def choose(connection: sqlite3.Connection, jobs: Iterable[JobName]) -> Among:
    """Be about these jobs only, all their revisions: `temp.chosen` holds them, in the order of the queue."""
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS chosen"
        " (job_id INTEGER PRIMARY KEY, batch_id INTEGER NOT NULL, position INTEGER NOT NULL)"
    )
    connection.execute("CREATE INDEX IF NOT EXISTS temp.chosen_order ON chosen (batch_id, position)")
    connection.execute("DELETE FROM chosen")
    connection.executemany(
        "INSERT OR IGNORE INTO chosen (job_id, batch_id, position) SELECT r.id, r.batch_id, j.position"
        " FROM batches b CROSS JOIN jobs j INDEXED BY jobs_address ON j.address = ? AND j.batch_id = b.id"
        " AND j.standing = 'current' JOIN jobs r ON r.batch_id = j.batch_id AND r.base = j.base AND r.take = j.take"
        " WHERE b.name = ?",
        ((job.address, job.batch) for job in jobs),
    )
    ((count,),) = connection.execute("SELECT count(*) FROM chosen")
    ((beside,),) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM jobs j WHERE j.state = 'pending' AND j.batch_id IN"
        " (SELECT batch_id FROM chosen) AND NOT EXISTS (SELECT 1 FROM chosen c WHERE c.job_id = j.id) LIMIT ?)",
        (count + 1,),
    )
    return Among.FEW if beside > count else Among.MANY
