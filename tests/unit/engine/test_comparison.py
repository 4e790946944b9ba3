"""What an edit of manifests means, job by job."""

from __future__ import annotations

from dataclasses import replace

from samples import batch, spec

from seedbatch.domain.budget import Budget
from seedbatch.domain.jobs import Limits, SourceFile
from seedbatch.domain.money import Money
from seedbatch.domain.prices import PriceRow, PriceTable, Unit
from seedbatch.domain.renames import Rename
from seedbatch.engine.comparison import Kind, compare

PRICES = PriceTable({("seedance-2.0", None): PriceRow("seedance-2.0", None, Unit.CLIP, Money(250_000, "USD"))})


def kinds(found):
    return {f"{edit.batch}/{edit.address}": edit.kind for edit in found.edits}


def test_the_same_is_no_edit():
    jobs = spec("a"), spec("b", take=2)
    found = compare([batch(*jobs)], [batch(*reversed(jobs))])
    assert (found.edits, found.requests, found.settings, found.files) == ((), 0, {}, False)


def test_two_jobs_that_exchange_their_requests_ask_for_nothing_new():
    before = batch(spec("a", prompt="one"), spec("b", prompt="two"))
    now = batch(spec("a", prompt="two"), spec("b", prompt="one"))
    found = compare([before], [now])
    assert kinds(found) == {"b/a": Kind.MOVED, "b/b": Kind.MOVED}
    assert found.requests == 0


def test_a_batch_that_was_renamed_asks_for_nothing_new():
    found = compare([batch(spec("a"))], [batch(spec("a"), name="other")])
    assert kinds(found) == {"other/a": Kind.MOVED, "b/a": Kind.REMOVED}
    assert found.edits[0].reason == "asks for what b/a asked for"


def test_another_take_of_a_request_is_a_new_one():
    found = compare([batch(spec("a"))], [batch(spec("a"), replace(spec("a"), take=2, address="a#2"))])
    assert kinds(found) == {"b/a#2": Kind.ADDED}


def test_what_may_change_at_no_cost_is_cosmetic_and_told():
    before = spec("a")
    now = replace(before, output="elsewhere/a", tags=("hero",), vars={"style": "noir"}, line=9, file="other.yaml")
    found = compare([batch(before)], [batch(now)])
    (edit,) = found.edits
    assert (edit.kind, edit.price) == (Kind.COSMETIC, None)
    assert edit.reason == "output b/a-1 → elsewhere/a, tags, vars"
    assert compare([batch(before)], [batch(replace(before, line=9, file="other.yaml"))]).edits == ()


def test_the_price_is_that_of_new_requests_and_the_sums_are_of_all():
    before = replace(batch(spec("a"), spec("b"), spec("c")), prices=PRICES)
    changed = spec("a", prompt="else")
    unknown = replace(spec("x"), request=replace(spec("x").request, model="other"), fingerprint="1" * 64)
    now = replace(batch(changed, spec("b"), spec("d"), unknown), prices=PRICES)
    found = compare([before], [now])
    assert kinds(found) == {
        "b/a": Kind.CHANGED, "b/d": Kind.ADDED, "b/x": Kind.ADDED, "b/c": Kind.REMOVED,
    }  # fmt: skip
    assert found.price == (Money(500_000, "USD"),)
    assert (found.requests, found.unpriced) == (3, 1)
    assert (found.before, found.now) == ({"USD": 750_000}, {"USD": 750_000})


def test_settings_of_a_batch_that_was_there_are_told():
    before = replace(batch(spec("a")), budget=Budget(5, None), limits=Limits(in_flight=10))
    now = replace(batch(spec("a")), budget=Budget(5, Money(1_000_000, "USD")), attempts=2, limits=Limits(submitting=1))
    found = compare([before], [now, batch(spec("b"), name="new")])
    assert found.settings == {
        "b": [
            "budget 5 jobs → 5 jobs and 1.00 USD",
            "retry.attempts 1 → 2",
            "limits.submitting none → 1",
            "limits.in_flight 10 → none",
        ]
    }


def test_a_byte_of_a_file_is_noticed():
    one, two = (replace(batch(spec("a")), files=(SourceFile("m.yaml", digest * 64),)) for digest in "ab")
    assert compare([one], [two]).files
    assert not compare([one], [replace(one, files=(SourceFile("renamed.yaml", "a" * 64),))]).files


def test_a_renamed_job_is_the_job_that_it_was():
    before = batch(spec("a"), spec("b"))
    kept = replace(spec("x"), request=before.jobs[0].request, fingerprint=before.jobs[0].fingerprint)
    now = replace(batch(kept, spec("y")), renames=(Rename("a", "x"), Rename("b", "y")))
    found = compare([before], [now])
    assert (found.edits[0].kind, found.edits[0].reason) == (Kind.MOVED, "was a")
    assert kinds(found) == {"b/x": Kind.MOVED, "b/y": Kind.CHANGED}
    assert found.requests == 1
