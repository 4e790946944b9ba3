"""Selections as SQL: parameters only, and every alternative begins at an index."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from seedbatch.domain.selection import (
    Choice,
    Condition,
    Kind,
    Pattern,
    Pick,
    Selection,
    Wild,
    address_patterns,
    unknown_label,
)
from seedbatch.domain.states import JobState
from seedbatch.ledger import labels
from seedbatch.ledger.rows import to_json
from seedbatch.ports import Scope

# So many rows are counted to find out which condition of an alternative means the fewest jobs.
_GLANCE: Final = 1_000
_JOBS: Final = "SELECT j.id AS id FROM jobs j WHERE"


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of SQL, and the values of its parameters."""

    sql: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Search:
    """One condition: a query for ids of jobs, what that reads of an index, and a test of a row `j` of jobs."""

    ids: Clause
    reads: Clause
    test: Clause


def selected(
    connection: sqlite3.Connection, choice: Choice, *, scope: Scope = None, states: Collection[JobState] = ()
) -> Clause:
    """A condition on a row `j` of jobs: it is chosen, of a batch of the scope, and in one of the states (if any).

    Raises:
        UsageError: no job has an axis, a var or a parameter that the choice names.
    """
    for label in choice.labels:
        if not labels.named(connection, label.name):
            raise unknown_label(label, labels.names(connection))
    everywhere = [*([] if scope is None else [_scope(scope)]), *([_states(states)] if states else [])]
    tests: list[Clause] = []
    if choice.select is not None or everywhere:
        alternatives = [()] if choice.select is None else choice.select.alternatives
        found = [
            _alternative(connection, [*everywhere, *map(_search, conditions)])
            for conditions in dict.fromkeys(alternatives)
        ]
        union = _joined(" UNION ", found)
        tests.append(Clause(f"j.id IN ({union.sql})", union.values))
    if choice.exclude is not None:
        meant = _test(choice.exclude)
        tests.append(Clause(f"NOT ({meant.sql})", meant.values))
    return _joined(" AND ", tests) if tests else Clause("true")


def _alternative(connection: sqlite3.Connection, searches: Sequence[_Search]) -> Clause:
    """The ids of jobs for which all conditions hold: found by the one that reads least, tested for the others."""
    first = searches[0] if len(searches) == 1 else min(searches, key=lambda search: _size(connection, search.reads))
    others = [search.test for search in searches if search is not first]
    if not others:
        return Clause(f"SELECT id FROM ({first.ids.sql})", first.ids.values)  # noqa: S608 - our words
    tests = _joined(" AND ", others)
    return Clause(
        f"SELECT j.id FROM ({first.ids.sql}) found CROSS JOIN jobs j ON j.id = found.id WHERE {tests.sql}",  # noqa: S608
        (*first.ids.values, *tests.values),
    )


def _size(connection: sqlite3.Connection, reads: Clause) -> int:
    """How many rows a search reads, up to a bound."""
    query = f"SELECT count(*) FROM (SELECT 1 FROM ({reads.sql}) LIMIT {_GLANCE})"  # noqa: S608 - our words
    ((count,),) = connection.execute(query, reads.values)
    return int(count)


def _test(selection: Selection) -> Clause:
    return _joined(
        " OR ",
        [
            _in_brackets(_joined(" AND ", [_search(one).test for one in conditions]))
            for conditions in selection.alternatives
        ],
    )


def _search(condition: Condition) -> _Search:
    match condition.kind:
        case Kind.KEY:
            return _of_key(condition.value)
        case Kind.TAG:
            return _of_label(labels.TAG, condition.value)
        case Kind.LABEL:
            return _of_label(condition.name, condition.value)
        case Kind.STATE:
            return _states(condition.states)
        case Kind.REASON:
            return _of_reason(condition)
        case Kind.MODEL:
            return _of_model(condition.value)
        case Kind.BATCH:
            return _of_batch(condition.value)
        case Kind.PICKED:
            return _of_picks(condition.picks)
        case _:
            assert_never(condition.kind)


def _of_key(value: Pattern) -> _Search:
    patterns = address_patterns(value)
    test = _in_brackets(_joined(" OR ", [_equal("j.address", one) for one in patterns]))
    if value.literal is not None:
        ids = _joined(" UNION ALL ", [_after(_JOBS, _fits("j.address", one)) for one in patterns])
        return _Search(ids, ids, test)
    reads = _after(_JOBS, _range("j.address", value))
    return _Search(_joined(" AND ", [reads, test]), reads, test)


def _of_label(name: str, value: Pattern) -> _Search:
    labelled = "SELECT l.job_id AS id FROM labels l WHERE l.name = ? AND"
    exact = _equal("l.value", value)
    test = Clause(
        f"EXISTS (SELECT 1 FROM labels l WHERE l.job_id = j.id AND l.name = ? AND {exact.sql})",  # noqa: S608 - ours
        (name, *exact.values),
    )
    return _Search(
        _after(labelled, _fits("l.value", value), name), _after(labelled, _range("l.value", value), name), test
    )


def _states(states: Iterable[JobState]) -> _Search:
    test = Clause("j.state IN (SELECT value FROM json_each(?))", (to_json(sorted(states)),))
    ids = _after(_JOBS, test)
    return _Search(ids, ids, test)


def _of_reason(condition: Condition) -> _Search:
    """A class of failure, the words of a job, or what a job in doubt waits for, which its open attempt holds."""
    said, doubted = _equal("j.reason", condition.value), _equal("a.doubt", condition.value)
    tests = [
        Clause(
            "(j.failure IS NOT NULL AND j.failure IN (SELECT value FROM json_each(?)))",
            (to_json(sorted(condition.failures)),),
        ),
        Clause(f"(j.reason <> '' AND {said.sql})", said.values),
        Clause(
            "(j.state = 'in_doubt' AND EXISTS (SELECT 1 FROM attempts a WHERE a.job_id = j.id AND a.outcome IS NULL"  # noqa: S608
            f" AND {doubted.sql}))",
            doubted.values,
        ),
    ]
    ids = _joined(" UNION ALL ", [_after(_JOBS, test) for test in tests])
    return _Search(ids, ids, _in_brackets(_joined(" OR ", tests)))


def _of_model(value: Pattern) -> _Search:
    fits = _fits("j.model", value)
    return _Search(_after(_JOBS, fits), _after(_JOBS, _range("j.model", value)), _in_brackets(fits))


def _of_batch(value: Pattern) -> _Search:
    return _of_batches(_fits("name", value))


def _of_picks(picks: Iterable[Pick]) -> _Search:
    """The first take of a job is also the one of a job without takes."""
    names = [(batch, address + take) for batch, address in sorted(picks) for take in ("", "#1")]
    ids = Clause(
        "SELECT j.id AS id FROM json_each(?) p CROSS JOIN jobs j INDEXED BY jobs_address"
        " ON j.address = json_extract(p.value, '$[1]') WHERE j.batch_id IN"
        " (SELECT id FROM batches WHERE name = json_extract(p.value, '$[0]'))",
        (to_json(names),),
    )
    return _Search(ids, ids, Clause(f"j.id IN ({ids.sql})", ids.values))


def _scope(scope: Collection[str]) -> _Search:
    return _of_batches(Clause("name IN (SELECT value FROM json_each(?))", (to_json(sorted(scope)),)))


def _of_batches(named: Clause) -> _Search:
    test = Clause(f"j.batch_id IN (SELECT id FROM batches WHERE {named.sql})", named.values)  # noqa: S608 - our words
    ids = _after(_JOBS, test)
    return _Search(ids, ids, test)


# -- patterns -----------------------------------------------------------------------------------------------------


def _fits(column: str, value: Pattern) -> Clause:
    """That a column is what a pattern means, with the bounds that lead into an index."""
    if value.literal is not None:
        return _equal(column, value)
    reach, exact = _range(column, value), _equal(column, value)
    return Clause(f"{reach.sql} AND {exact.sql}", (*reach.values, *exact.values))


def _equal(column: str, value: Pattern) -> Clause:
    """That a column is what a pattern means."""
    if value.literal is not None:
        return Clause(f"{column} = ?", (value.literal,))
    return Clause(f"{column} GLOB ?", ("".join(map(_glob, value.parts)),))


def _range(column: str, value: Pattern) -> Clause:
    """The bounds of what begins as a pattern does."""
    if value.literal is not None:
        return _equal(column, value)
    beyond = _beyond(value.prefix)
    if beyond is None:
        return Clause(f"{column} >= ?", (value.prefix,))
    return Clause(f"{column} >= ? AND {column} < ?", (value.prefix, beyond))


def _glob(part: str | Wild) -> str:
    if isinstance(part, Wild):
        return part.value
    return "".join(f"[{one}]" if one in "*?[" else one for one in part)


def _beyond(prefix: str) -> str | None:
    """The least text that is greater than all that begins with a prefix; None if there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Halves of a pair are no text of their own.
    return kept[:-1] + chr(0xE000 if 0xD800 <= following <= 0xDFFF else following)  # noqa: PLR2004 - the halves


# -- clauses ------------------------------------------------------------------------------------------------------


def _joined(word: str, clauses: Sequence[Clause]) -> Clause:
    return Clause(
        word.join(clause.sql for clause in clauses), tuple(value for clause in clauses for value in clause.values)
    )


def _in_brackets(clause: Clause) -> Clause:
    return Clause(f"({clause.sql})", clause.values)


def _after(query: str, clause: Clause, *values: str) -> Clause:
    return Clause(f"{query} {clause.sql}", (*values, *clause.values))
