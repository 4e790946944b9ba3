"""Selections in SQL: they mean what they mean in memory, and every one begins at an index."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NOON, batch, claim, spec

from seedbatch.domain.answers import Evidence, MediaKind, StoredFile, TaskReport
from seedbatch.domain.errors import LedgerDamaged, UsageError
from seedbatch.domain.jobs import Limits, Request, SourceFile, address
from seedbatch.domain.selection import (
    Choice,
    Condition,
    Facts,
    Kind,
    Pattern,
    Selection,
    Wild,
    choice,
    parse,
    pattern,
    pick_of,
)
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.work import Caps, Failure, JobName
from seedbatch.ledger.care import examine
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.selecting import selected
from seedbatch.ledger.sqlite import SqliteLedger

FREE = Limits(submits_per_minute=None)
KEYS = ("river", "river-2", "r*ver", "market", "Ōsaka", "a", "shot[1", "shot#x", "\U0010ffff", "b?")
WORDS = (
    "16:9",
    "9:16",
    "hero",
    "her*o",
    "two words",
    "a,b",
    "",
    "Ōsaka",
    "5",
    "x" * 199,
    "é" * 101,
    "\U0010ffff\U0010ffff",
)
SCALARS = (*WORDS, 5, 5.0, 0.1, -3, 2**53, 1e-7, 1e20, True, False, None)


def random_spec(chance: random.Random, key: str, take: int):
    axes = {
        name: chance.choice((*SCALARS, 2**62, 10**20)) for name in ("season", "ratio", "tag") if chance.random() < 0.4
    }
    params = {name: chance.choice(SCALARS) for name in ("ratio", "duration", "scale") if chance.random() < 0.6}
    extra = {"images": ["hero"], "prompt": chance.choice(WORDS)}
    request = Request(chance.choice(("seedance-2.0", "seedance-2.0-fast", "other")), {**extra, **params})
    base = address(key, axes, 1, 1)
    return replace(
        spec(key, take=take),
        base=base,
        address=address(key, axes, take, 2),
        axes=axes,
        vars={name: chance.choice(SCALARS) for name in ("style", "scale", "tag") if chance.random() < 0.3},
        request=request,
        fingerprint=request.fingerprint,
        tags=tuple({chance.choice(WORDS) for _ in range(chance.randrange(3))}),
        output=f"b/{chance.random()}",
    )


async def fill(ledger, chance: random.Random):
    """Two batches of random jobs, a good part of them moved on to random ends."""
    specs = {}
    for name in ("autumn", "b"):
        jobs = {}
        for number in range(60):
            one = random_spec(chance, chance.choice(KEYS) + chance.choice(("", "x")), 1 + number % 2)
            jobs.setdefault((one.base, one.take), one)
        specs |= {JobName(name, one.address): one for one in jobs.values()}
        await ledger.declare(batch(*jobs.values(), name=name), NOON)
    for one in (await claim(ledger, None, Limits(submitting=99, submits_per_minute=None), NOON, 80))[0]:
        await end(ledger, one.attempt_id, chance)
    return specs


async def end(ledger, attempt_id: int, chance: random.Random):
    words = chance.choice(("timeout", "flagged: *", "no answer came"))
    way = chance.randrange(5)
    if way == 0:
        await ledger.doubted(attempt_id, words, Evidence(502), NOON)
    elif way == 1:
        await ledger.refused(attempt_id, Failure(chance.choice(list(FailureClass)), words), Evidence(400), NOON)
    elif way > 1:
        await ledger.accepted(attempt_id, f"t{attempt_id}", NOON, NOON)
        if way == 3:
            report = TaskReport(f"t{attempt_id}", "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
            await ledger.succeeded(attempt_id, report, NOON, NOON)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[1, 2])
async def known(request, tmp_path_factory):
    """The records of a random ledger, and the facts of its jobs by row."""
    place = tmp_path_factory.mktemp("random") / "ledger.db"
    ledger = SqliteLedger(place, kind="real", folder=place.parent / "outputs", now=NOON)
    specs = await fill(ledger, random.Random(request.param))
    await ledger.aclose()
    with closing(SqliteRecords(place)) as records:
        yield records, {job.job_id: facts(job, specs[JobName(job.batch, job.address)]) for job in records.jobs()}


def facts(job, one) -> Facts:
    what = (one.address, one.request.model, one.tags, one.axes, one.request.input)
    return Facts(job.batch, *what, job.state, job.failure, job.reason, one.vars)


PIECES = st.sampled_from([*KEYS, *WORDS, "river[", "#2", "season=", "r", "timeout", "flagged", "seedance", "au", *Wild])
PATTERNS = st.lists(PIECES, max_size=3).map(pattern)
NAMES = st.sampled_from(["season", "ratio", "tag", "duration", "scale"])
PICKS = st.frozensets(
    st.tuples(
        st.sampled_from(["autumn", "b", "c"]),
        st.sampled_from([f"{key}{end}" for key in KEYS for end in ("", "x", "#2", "x#2", "[season=16:9]")]),
    ).map(lambda pick: pick_of(*pick)),
    max_size=6,
)
CONDITIONS = (
    st.builds(Condition, st.sampled_from([Kind.KEY, Kind.TAG, Kind.REASON, Kind.MODEL, Kind.BATCH]), PATTERNS)
    | st.builds(Condition, st.just(Kind.LABEL), PATTERNS, NAMES)
    | st.builds(Condition, st.just(Kind.LABEL), st.sampled_from(["null", "true", "5.0", "0.1", "1.0e+20"]).map(
        lambda text: Pattern((text,))), NAMES)
    | st.builds(Condition, st.just(Kind.STATE), st.sampled_from(JobState).map(lambda state: Pattern((str(state),))))
    | st.builds(lambda picks: Condition(Kind.PICKED, picks=picks), PICKS)
)  # fmt: skip
SELECTIONS = st.lists(st.lists(CONDITIONS, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(
    lambda alternatives: Selection(tuple(alternatives))
)
CHOICES = st.builds(Choice, st.none() | SELECTIONS, st.none() | SELECTIONS)


@given(wanted=CHOICES, scope=st.none() | st.just({"b"}), states=st.sets(st.sampled_from(JobState), max_size=2))
@settings(max_examples=120)
def test_sql_and_memory_mean_the_same(known, wanted, scope, states):
    records, jobs = known
    found = [job.job_id for job in records.select(wanted, scope, states)]
    meant = {
        job_id
        for job_id, fact in jobs.items()
        if wanted.takes(fact) and (scope is None or fact.batch in scope) and (not states or fact.state in states)
    }
    assert len(found) == len(set(found))
    assert set(found) == meant


ATOMS = [
    *("key:river", "key:river*", "key:*river", "r?ver*", "tag:hero", "tag:her*", "tag:*", "state:failed", "state:*"),
    *("reason:timeout", "reason:*words*", "reason:words*", "model:seedance-2.0", "model:*fast", "batch:b", "batch:a*"),
    *("ratio=16:9", "ratio=1*", "ratio=*9"),
]


@pytest.mark.parametrize("text", [*ATOMS, " ".join(ATOMS), "tag:hero,state:failed,ratio=16:9"])
def test_every_condition_begins_at_an_index(known, text):
    records, _ = known
    connection = records._connection
    where = selected(connection, choice([text]))
    query = f"EXPLAIN QUERY PLAN SELECT j.id FROM jobs j WHERE {where.sql}"  # noqa: S608
    plan = connection.execute(query, where.values)
    steps = [step for *_, step in plan]
    assert any("jobs" in step or "labels" in step or step.startswith("SEARCH") for step in steps)
    whole = [step for step in steps if step.startswith("SCAN") and "INDEX" not in step]
    assert [step for step in whole if step.split()[1] in {"j", "jobs", "l", "labels", "attempts", "a"}] == []


def test_picks_are_found_by_their_addresses(known):
    records, jobs = known
    every = frozenset(pick_of(fact.batch, fact.address) for fact in jobs.values())
    found = records.select(choice(["picked"]).picking(frozenset(sorted(every)[::3])))
    assert {pick_of(job.batch, job.address) for job in found} == set(sorted(every)[::3])
    where = selected(records._connection, choice(["picked"]).picking(every))
    query = f"EXPLAIN QUERY PLAN SELECT j.id FROM jobs j WHERE {where.sql}"  # noqa: S608
    steps = [step for *_, step in records._connection.execute(query, where.values)]
    assert any("jobs_address" in step for step in steps)


def test_a_choice_of_most_labels_is_tested_not_collected(known):
    records, _ = known
    where = selected(records._connection, choice(["state:failed,ratio=*"]))
    assert where.sql.index("j.state IN") < where.sql.index("EXISTS (SELECT 1 FROM labels")


def test_the_bounds_of_what_can_be_asked_are_no_bounds_of_sqlite(known):
    records, jobs = known
    everything = parse(" ".join(["r*,tag:*,*"] * 66))
    many = parse(" ".join(f"key:k{number}*" for number in range(199)) + " *")
    assert len(list(records.select(Choice(many, None)))) == len(jobs)
    assert list(records.select(Choice(many, many))) == []
    assert len(list(records.select(Choice(None, everything)))) <= len(jobs)


def test_names_that_no_job_has_are_refused(known):
    records, _ = known
    with pytest.raises(UsageError) as refused:
        records.select(choice(["saeson=spring"]))
    assert "'saeson'" in refused.value.message
    assert refused.value.hint == "did you mean season=spring?"
    with pytest.raises(UsageError) as refused:
        records.select(choice([], ["x=1"]))
    assert refused.value.hint == "there are: duration, ratio, scale, season, style, tag"


# -- labels ---------------------------------------------------------------------------------------------------------


def ask(place, query):
    with closing(sqlite3.connect(place)) as connection:
        return connection.execute(query).fetchall()


async def test_labels_follow_what_a_manifest_says(ledger, place):
    one = replace(spec("a"), axes={"season": "spring"}, tags=("x",))
    await ledger.declare(batch(one), NOON)
    assert set(ask(place, "SELECT name, value FROM labels")) == {
        *(("tag:", "x"), ("season", "spring"), ("ratio", "16:9"), ("duration", "5")),
    }
    request = Request("seedance-2.0", {"prompt": "other", "duration": 7})
    await ledger.declare(batch(replace(one, tags=("y", "z"), request=request, fingerprint=request.fingerprint)), NOON)
    assert set(ask(place, "SELECT name, value FROM labels")) == {
        *(("tag:", "y"), ("tag:", "z"), ("season", "spring"), ("duration", "7")),
    }
    assert examine(place, files=False, accept_as=None, now=NOON).ledger == ()


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        ("DELETE FROM labels WHERE name = 'tag:'", "lacks the label tag:=one"),
        ("UPDATE labels SET value = 'two' WHERE name = 'tag:'", "has the label tag:=two, and does not come to it"),
    ],
)
async def test_the_check_finds_labels_that_are_wrong(ledger, place, edit, found):
    await ledger.declare(batch(spec("a")), NOON)
    await ledger.aclose()
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute(edit)
    assert found in " ".join(map(str, examine(place, files=False, accept_as=None, now=NOON).ledger))
    with pytest.raises(LedgerDamaged, match="labels of job 1"):
        SqliteLedger(place, kind="real", folder=place.parent, now=NOON)
    assert examine(place, files=False, accept_as="me", now=NOON).ledger == ()
    assert ask(place, "SELECT value FROM labels WHERE name = 'tag:'") == [("one",)]


async def test_the_files_of_a_manifest_are_recorded(ledger, place):
    wanted = batch(spec("a"))
    await ledger.declare(replace(wanted, sources=(SourceFile("shots.csv", "1" * 64),)), NOON)
    expected = '[{"path":"shots.csv","sha256":"' + "1" * 64 + '"}]'
    assert ask(place, "SELECT sources FROM batches") == [(expected,)]
    await ledger.declare(wanted, NOON)
    assert ask(place, "SELECT sources FROM batches") == [("[]",)]


# -- the chosen -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [("k7", "k3"), tuple(f"k{number}" for number in range(1, 20))])
async def test_only_the_chosen_are_claimed_in_their_order(ledger, another, chosen):
    await ledger.declare(batch(*(spec(f"k{number}") for number in range(20))), NOON)
    await ledger.choose([JobName("b", key) for key in chosen] + [JobName("b", "nobody"), JobName("x", "k1")])
    (tally,) = await ledger.tally(None)
    assert tally.counts == {JobState.PENDING: len(chosen)}
    submissions, due = await claim(ledger, {"b"}, Limits(submitting=99), NOON, 99)
    assert [one.name.address for one in submissions] == sorted(chosen, key=lambda key: int(key[1:]))
    assert (await claim(ledger, None, FREE, NOON, 99)) == ([], None)
    assert due is None
    other = await another()
    (rest,) = await other.tally(None)
    assert rest.counts == {JobState.PENDING: 20 - len(chosen), JobState.SUBMITTING: len(chosen)}
    assert len((await claim(other, None, Limits(submitting=99), NOON, 99))[0]) == 20 - len(chosen)


async def test_what_comes_back_is_claimed_again_when_it_is_due(ledger, clock):
    await ledger.declare(batch(*(spec(f"k{number}") for number in range(9))), NOON)
    await ledger.choose([JobName("b", "k5")])
    ((one,), _) = await claim(ledger, None, FREE, NOON, 9)
    later = clock.after(60)
    await ledger.not_sent(one.attempt_id, "refused", NOON, later)
    assert await claim(ledger, None, FREE, NOON, 9) == ([], later)
    ((again,), _) = await claim(ledger, None, FREE, later, 9)
    assert again.name == one.name


async def test_a_barrier_is_told_for_the_chosen_only(ledger):
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    await ledger.choose([JobName("b", "b")])
    await claim(ledger, None, FREE, NOON, 1)
    found = await ledger.claim_submissions(None, FREE, Caps(), NOON, 9)
    assert (found.submissions, found.bars, found.due) == ((), (), None)


async def test_only_the_chosen_are_downloaded_and_all_are_asked_about(ledger):
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    for one in (await claim(ledger, None, FREE, NOON, 2))[0]:
        await ledger.accepted(one.attempt_id, f"t-{one.name.address}", NOON, NOON)
    await ledger.choose([JobName("b", "b")])
    tasks, _ = await ledger.claim_queries(None, NOON, 9)
    assert len(tasks) == 2
    for task in tasks:
        report = TaskReport(task.task_id, "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
        await ledger.succeeded(task.attempt_id, report, NOON, NOON)
    ((delivery,), due) = await ledger.claim_deliveries(None, NOON, 9)
    assert (delivery.name.address, due) == ("b", None)
    await ledger.stored(delivery.attempt_id, 1, StoredFile("b/b-1.mp4", 1, "a" * 64, "video/mp4"), NOON)
    (tally,) = await ledger.tally(None)
    assert tally.counts == {JobState.COMPLETED: 1}


async def test_earlier_revisions_belong_to_the_chosen(ledger):
    await ledger.declare(batch(spec("a"), spec("b")), NOON)
    await claim(ledger, None, FREE, NOON, 2)
    await ledger.declare(batch(spec("a", prompt="other"), spec("b")), NOON)
    await ledger.choose([JobName("b", "a")])
    (tally,) = await ledger.tally(None)
    assert tally.counts == {JobState.PENDING: 1, JobState.SUBMITTING: 1}


@pytest.mark.parametrize("count", [1, 30])
async def test_every_claim_among_the_chosen_is_indexed(ledger, count):
    await ledger.declare(batch(*(spec(f"k{number}") for number in range(40))), NOON)
    await ledger.choose([JobName("b", f"k{number}") for number in range(count)])
    plans = await ledger._run(lambda connection: explained(connection, ledger._among))
    assert [step for step in plans if step.startswith("SCAN") and "INDEX" not in step] == []
    assert any(("jobs_queue" if count > 20 else "chosen_order") in step for step in plans)
    assert not any("TEMP B-TREE" in step for step in plans)


def explained(connection, among):
    from seedbatch.ledger.claims import _IN_ORDER, _PENDING  # noqa: PLC0415 - what only this test looks at

    query = f"EXPLAIN QUERY PLAN {_PENDING[among]} ORDER BY {_IN_ORDER[among]} LIMIT :most"
    return [step for *_, step in connection.execute(query, {"batch": 1, "now": "", "most": 1, "reuse": True})]
