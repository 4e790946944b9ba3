"""What a job can be selected by, beside its columns: tags, axes, vars, and the parameters of its request's input.

The table `labels` is derived: triggers keep it, `ledger check` derives it anew and compares.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

# A scalar as text, as the triggers of `jobs` make it.
_TEXT: Final = "CASE WHEN e.type IN ('true', 'false', 'null') THEN e.type ELSE CAST(e.value AS TEXT) END"
_SCALARS: Final = "e.type NOT IN ('array', 'object')"
_SHORT: Final = "coalesce(length(CAST(e.value AS BLOB)), 0) <= 200"

# Every label that the jobs come to: job, name (`tag:` for tags), value.
_LABELS: Final = f"""
SELECT job_id, name, value FROM (
  SELECT j.id AS job_id, 'tag:' AS name, CAST(e.value AS TEXT) AS value
  FROM jobs j, json_each(j.tags) e
  UNION
  SELECT j.id, e.key, {_TEXT}
  FROM jobs j, json_each(j.axes) e WHERE {_SCALARS}
  UNION
  SELECT j.id, e.key, {_TEXT}
  FROM jobs j, json_each({{vars}}) e WHERE {_SCALARS} AND {_SHORT}
  UNION
  SELECT j.id, e.key, {_TEXT}
  FROM jobs j, json_each(j.input) e
  WHERE {_SCALARS} AND e.key <> 'prompt' AND {_SHORT})
WHERE instr(value, char(0)) = 0
"""  # noqa: S608 - our words

TAG: Final = "tag:"


def _labels(connection: sqlite3.Connection) -> str:
    """The labels of a ledger; one that an earlier version wrote may have no vars."""
    query = "SELECT count(*) FROM pragma_table_info('jobs') WHERE name = 'vars'"
    ((there,),) = connection.execute(query)
    return _LABELS.format(vars="j.vars" if there else "'{}'")


def relabel(connection: sqlite3.Connection) -> None:
    """Derive every label anew."""
    connection.execute("DELETE FROM labels")
    connection.execute(f"INSERT INTO labels (job_id, name, value) {_labels(connection)}")


def wrong_labels(connection: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Jobs whose labels are not what they come to, and how."""
    kept, derived = "SELECT job_id, name, value FROM labels", _labels(connection)
    for job_id, name, value in connection.execute(f"{kept} EXCEPT {derived}"):
        yield job_id, f"has the label {name}={value}, and does not come to it"
    for job_id, name, value in connection.execute(f"{derived} EXCEPT {kept}"):
        yield job_id, f"lacks the label {name}={value}"


def named(connection: sqlite3.Connection, name: str) -> bool:
    """Whether any job has a label of this name."""
    return connection.execute("SELECT 1 FROM labels WHERE name = ? LIMIT 1", (name,)).fetchone() is not None


def names(connection: sqlite3.Connection) -> list[str]:
    """The names of all axes, vars and parameters, from one to the next by the index."""
    rows = connection.execute(
        "WITH RECURSIVE found (name) AS (SELECT min(name) FROM labels"
        " UNION ALL SELECT (SELECT min(name) FROM labels WHERE name > found.name) FROM found WHERE name IS NOT NULL)"
        " SELECT name FROM found WHERE name IS NOT NULL AND name <> ?",
        (TAG,),
    )
    return [name for (name,) in rows]
