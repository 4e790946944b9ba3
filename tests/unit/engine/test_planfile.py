"""What a plan file says of the plan that it was made of, and of another one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.jobs import SourceFile
from seedbatch.domain.money import Money
from seedbatch.domain.records import Identity
from seedbatch.engine.planfile import Binding, Terms, departure, moved, read, requests, write
from seedbatch.engine.planned import SPENDING, Action, Plan, Planned

FILES = (SourceFile("a.yaml", "1" * 64), SourceFile("b.csv", "2" * 64))
BOUND = Binding(Terms(("a.yaml",), ("key:x",)), FILES, "3" * 64, Identity("real", "one", 7))


def planned(number: int, action: Action = Action.CREATE, price: int | None = 5) -> Planned:
    cost = None if price is None else Money(price, "USD")
    return Planned("b", f"j{number}", 1, action, "new", "m", f"b/j{number}", f"{number:064}", price=cost)


def written(plan: Plan) -> list[bytes]:
    lines: list[str] = []
    write(plan, BOUND, lines.append)
    return [line.encode() for line in lines]


@given(st.lists(st.tuples(st.sampled_from(Action), st.none() | st.integers(0, 9))))
def test_a_plan_reads_as_it_was_written_and_is_what_it_is(jobs):
    plan = Plan(planned(number, *job) for number, job in enumerate(jobs))
    lines = written(plan)
    bound, digest = read(lines, "p")
    assert bound == BOUND
    assert digest.encode() in lines[-1]
    assert [one["key"] for one in requests(lines)] == [job.address for job in plan.of(*SPENDING)]
    assert departure(requests(lines), plan, begun=False) == []


@given(st.lists(st.booleans(), max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_only_what_was_approved_is_sent_and_all_of_it_unless_begun(approved, wanted):
    then = Plan(planned(number) for number, yes in enumerate(approved) if yes)
    now = Plan(planned(number) for number, yes in enumerate(wanted) if yes)
    before, after = ({job.address for job in plan.jobs} for plan in (then, now))
    assert (departure(requests(written(then)), now, begun=True) == []) == (after <= before)
    assert (departure(requests(written(then)), now, begun=False) == []) == (after == before)


def test_another_request_of_the_same_name_is_another():
    lines = written(Plan([planned(1), planned(2)]))
    for change in (
        {"revision": 2},
        {"model": "n"},
        {"fingerprint": "f" * 64},
        {"price": Money(6, "USD")},
        {"price": None},
        {"batch": "c"},
    ):
        plan = Plan([planned(1), replace(planned(2), **change)])
        (words,) = departure(requests(lines), plan, begun=True)
        assert "would be submitted, and is not in it" in words
    # Declared and not submitted yet, it is sent for another reason.
    plan = Plan([planned(1), replace(planned(2), reason="recorded", action=Action.REGENERATE)])
    assert departure(requests(lines), plan, begun=False) == []


def test_what_moved_is_told_in_words():
    def words(begun=False, **changes):
        return moved(BOUND, replace(BOUND, **changes), begun=begun)

    assert words() == []
    assert words(files=(FILES[0], SourceFile("b.csv", "9" * 64))) == ["b.csv changed"]
    assert words(files=FILES[:1]) == ["the files are others"]
    assert words(prices="") == ["the price table changed"]
    assert words(ledger=Identity("real", "one", 8)) == ["the ledger has taken 1 submission since"]
    assert words(ledger=Identity("real", "two", 7)) == ["it was made for another ledger"]
    assert words(ledger=Identity("real")) == ["its ledger is not here"]
    # A ledger that began it went on, and is the right one.
    assert words(begun=True, ledger=Identity("real", "one", 9)) == []
    assert words(begun=True, prices="") == ["the price table changed"]
