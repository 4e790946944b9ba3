from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import spec

from seedbatch.domain.difference import Change, Difference, Known, Step
from seedbatch.domain.records import Standing
from seedbatch.domain.renames import Rename, former_names
from seedbatch.domain.states import JobState

PROMPTS = ["one", "two", "three"]
SENT = [state for state in JobState if state is not JobState.PENDING]


def job(key, take=1, prompt="one"):
    return spec(key, take=take, prompt=prompt)


def known(wanted, *, job_id=1, revision=1, standing=Standing.CURRENT, state=JobState.PENDING, tried=False):
    return Known(job_id, wanted.base, wanted.take, revision, standing, state, wanted.fingerprint, tried)


@dataclass
class Found:
    steps: list[Step]
    vanished: tuple[Known, ...]


def difference(wanted, rows, renames=()):
    """All of a difference, from rows in memory."""

    def revisions(names):
        return [row for row in rows if (row.base, row.take) in names]

    found = Difference(wanted, revisions, renames)
    steps = list(found.steps())
    assert [found.keeps(row) for row in rows] == [any(step.target == row for step in steps) for row in rows]
    return Found(steps, tuple(row for row in rows if found.vanished(row)))


def recorded(found, rows=()):
    """The rows after a difference was written down, as a ledger has them."""
    rows = {row.job_id: row for row in rows}
    ids = count(max(rows, default=0) + 1)
    for row in found.vanished:
        rows[row.job_id] = replace(row, standing=Standing.ORPHAN)
    for step in found.steps:
        if step.before is not None:
            rows[step.before.job_id] = replace(step.before, standing=Standing.SUPERSEDED)
        if step.target is None:
            fresh = known(step.spec, job_id=next(ids), revision=step.revision)
            rows[fresh.job_id] = fresh
        else:
            rows[step.target.job_id] = replace(
                step.target, standing=Standing.CURRENT, fingerprint=step.spec.fingerprint
            )
    return list(rows.values())


@st.composite
def manifests(draw):
    """What a manifest may want: each job once."""
    names = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 2)), unique=True, max_size=6))
    return [job(key, take, draw(st.sampled_from(PROMPTS))) for key, take in names]


@st.composite
def histories(draw):
    """Rows that a ledger can hold: manifests declared one after the other, with work done in between."""
    rows = []
    for wanted in draw(st.lists(manifests(), max_size=4)):
        rows = recorded(difference(wanted, rows), rows)
        rows = [
            replace(row, state=draw(st.sampled_from(SENT)), tried=True)
            if row.state is JobState.PENDING and draw(st.booleans())
            else row
            for row in rows
        ]
    return rows


@settings(max_examples=300, deadline=None)
@given(manifests(), histories())
def test_each_wanted_job_gets_one_step_in_its_order(wanted, rows):
    assert [step.spec for step in difference(wanted, rows).steps] == wanted


@settings(max_examples=300, deadline=None)
@given(manifests(), histories())
def test_declared_twice_is_kept(wanted, rows):
    rows = recorded(difference(wanted, rows), rows)
    again = difference(wanted, rows)
    assert [step.change for step in again.steps] == [Change.KEEP] * len(wanted)
    assert [step.before for step in again.steps] == [None] * len(wanted)
    assert again.vanished == ()


@settings(max_examples=300, deadline=None)
@given(manifests(), histories())
def test_what_is_current_afterwards_is_what_is_wanted(wanted, rows):
    rows = recorded(difference(wanted, rows), rows)
    current = sorted((row.base, row.take, row.fingerprint) for row in rows if row.standing is Standing.CURRENT)
    assert current == sorted((one.base, one.take, one.fingerprint) for one in wanted)
    revisions = [(row.base, row.take, row.revision) for row in rows]
    assert len(revisions) == len(set(revisions))


@settings(max_examples=300, deadline=None)
@given(manifests(), histories())
def test_what_was_sent_is_never_rewritten(wanted, rows):
    after = {row.job_id: row for row in recorded(difference(wanted, rows), rows)}
    for row in rows:
        if row.tried:
            assert replace(after[row.job_id], standing=row.standing) == row


@settings(max_examples=200, deadline=None)
@given(manifests(), histories())
def test_a_request_that_is_recorded_is_not_made_again(wanted, rows):
    had = {(row.base, row.take, row.fingerprint) for row in rows}
    for step in difference(wanted, rows).steps:
        same = (step.spec.base, step.spec.take, step.spec.fingerprint) in had
        assert same == (step.change in {Change.KEEP, Change.RESTORE})


def test_a_new_job_is_added():
    (step,) = difference([job("a")], []).steps
    assert (step.change, step.revision, step.target, step.before) == (Change.ADD, 1, None, None)


def test_a_changed_prompt_before_anything_was_sent_is_amended():
    row = known(job("a"))
    (step,) = difference([job("a", prompt="two")], [row]).steps
    assert (step.change, step.revision, step.target, step.before) == (Change.AMEND, 1, row, None)


def test_a_changed_prompt_after_it_is_the_next_revision():
    row = known(job("a"), state=JobState.COMPLETED, tried=True)
    (step,) = difference([job("a", prompt="two")], [row]).steps
    assert (step.change, step.revision, step.target, step.before) == (Change.REVISE, 2, None, row)


def test_a_job_that_is_pending_again_was_sent_all_the_same():
    row = known(job("a"), tried=True)
    (step,) = difference([job("a", prompt="two")], [row]).steps
    assert step.change is Change.REVISE


def test_an_earlier_request_comes_back_as_it_was():
    first = known(job("a"), standing=Standing.SUPERSEDED, state=JobState.COMPLETED, tried=True)
    second = known(job("a", prompt="two"), job_id=2, revision=2, state=JobState.RUNNING, tried=True)
    (step,) = difference([job("a")], [first, second]).steps
    assert (step.change, step.revision, step.target, step.before) == (Change.RESTORE, 1, first, second)


def test_a_job_that_is_not_named_vanishes_once():
    row = known(job("a"))
    assert difference([], [row]).vanished == (row,)
    assert difference([], [replace(row, standing=Standing.ORPHAN)]).vanished == ()
    assert difference([job("a")], [row]).vanished == ()


def test_takes_are_jobs_of_their_own():
    row = known(job("a"))
    steps = difference([job("a"), job("a", take=2)], [row]).steps
    assert [step.change for step in steps] == [Change.KEEP, Change.ADD]


def test_a_renamed_job_goes_on_with_its_rows():
    rows = [
        known(job("a", prompt="two"), standing=Standing.SUPERSEDED, state=JobState.COMPLETED, tried=True),
        known(job("a"), job_id=2, revision=2, state=JobState.RUNNING, tried=True),
    ]
    (step,) = difference([job("b")], rows, [Rename("a", "b")]).steps
    assert (step.change, step.revision, step.target, step.renamed) == (Change.KEEP, 2, rows[1], tuple(rows))


def test_a_new_name_that_is_recorded_wins():
    rows = [known(job("a"), state=JobState.COMPLETED, tried=True), known(job("b"), job_id=2)]
    (step,) = difference([job("b")], rows, [Rename("a", "b")]).steps
    assert (step.target, step.renamed) == (rows[1], ())


def test_a_name_goes_back_step_by_step():
    row = known(job("a"), state=JobState.COMPLETED, tried=True)
    renames = [Rename("a", "b"), Rename("b", "c")]
    (step,) = difference([job("c")], [row], renames).steps
    assert (step.change, step.renamed) == (Change.KEEP, (row,))
    assert list(former_names("c", renames)) == ["b", "a"]


def test_rows_go_on_under_one_name_only():
    row = known(job("a[x=1]"), state=JobState.COMPLETED, tried=True)
    renames = [Rename("a", "b"), Rename("a[x=1]", "c")]
    steps = difference([job("b[x=1]"), job("c")], [row], renames).steps
    assert [step.renamed for step in steps] == [(row,), ()]
    assert [step.change for step in steps] == [Change.KEEP, Change.ADD]


@pytest.mark.parametrize(
    ("rename", "base", "former"),
    [
        (Rename("a", "b"), "b", "a"),
        (Rename("a", "b"), "b[x=1]", "a[x=1]"),
        (Rename("a", "b"), "bb", None),
        (Rename("a[x=1]", "b[y=1]"), "b[y=1]", "a[x=1]"),
        (Rename("a", "b[x=1]"), "b[x=1]", "a"),
        (Rename("a", "b[x=1]"), "b[x=1][y=2]", None),
    ],
)
def test_what_a_job_was_called(rename, base, former):
    assert rename.former(base) == former
