from __future__ import annotations

from datetime import timedelta

import pytest
from samples import NOON

from seedbatch.domain.answers import Evidence, NotFound, QueryRefused, Refusal, TaskReport, Unanswered
from seedbatch.domain.errors import Exit
from seedbatch.domain.health import Arrival, Contact, Descriptors, Ground, Health, LedgerState, Locking, Trip
from seedbatch.engine import diagnosis

OK, WARNING, PROBLEM, SKIPPED = Health
GIB, MIB = 1024**3, 1024**2
URL = "https://hooks.example/in"


def told(check):
    """Its verdict; whatever is not as it should be says what to type next."""
    assert check.words
    if check.verdict in {WARNING, PROBLEM}:
        assert check.hint
    return check.verdict


@pytest.mark.parametrize(
    ("answer", "verdict", "code", "words"),
    [
        (NotFound(Evidence()), OK, None, "answers, and takes the key"),
        (TaskReport("t", "SUCCESS"), OK, None, "answers, and takes the key"),
        (QueryRefused(Refusal.KEY, Evidence()), PROBLEM, Exit.KEY, "refuses the API key"),
        (QueryRefused(Refusal.ADDRESS, Evidence()), PROBLEM, Exit.PROVIDER, "no such API"),
        (Unanswered("the name x could not be resolved"), PROBLEM, Exit.PROVIDER, "the name x could not be resolved"),
        (Unanswered("HTTP 429", 30.0), WARNING, None, "takes no query now: HTTP 429"),
    ],
)
def test_the_provider(answer, verdict, code, words):
    check = diagnosis.provider("https://api.example", answer)
    assert told(check) is verdict
    assert words in check.words
    if code is not None:
        assert check.exit is code


def contact(told_at, *, took=1.0):
    return Contact(NotFound(Evidence()), told_at, NOON, NOON + timedelta(seconds=took))


@pytest.mark.parametrize(
    ("off", "verdict", "words"),
    [
        (0, OK, "agrees"),
        (-61, OK, "agrees"),  # its answer tells whole seconds
        (61, OK, "agrees"),  # and took one to come
        (62, WARNING, "behind"),
        (-62, WARNING, "ahead of"),
        (600, WARNING, "behind"),
        (602, PROBLEM, "behind"),
        (-602, PROBLEM, "ahead of"),
    ],
)
def test_the_clock(off, verdict, words):
    check = diagnosis.clock(contact(NOON + timedelta(seconds=off)))
    assert told(check) is verdict
    assert words in check.words


def test_a_slow_answer_says_nothing_against_the_clock():
    assert told(diagnosis.clock(contact(NOON + timedelta(seconds=20), took=40))) is OK


def test_an_answer_without_a_date_and_none_at_all():
    assert told(diagnosis.clock(contact(None))) is SKIPPED
    assert "Date" in diagnosis.clock(contact(None)).words
    silent = Contact(Unanswered("x"), None, NOON, NOON)
    assert "no answer" in diagnosis.clock(silent).words


@pytest.mark.parametrize(
    ("version", "verdict", "lock"),
    [((3, 36, 0), PROBLEM, False), ((3, 37, 0), OK, True), ((3, 51, 2), OK, True), ((3, 51, 3), OK, False)],
)
def test_sqlite(version, verdict, lock):
    check = diagnosis.sqlite(version)
    assert told(check) is verdict
    assert ("seedbatch's own lock" in check.words) is lock


def ground(wanted="/x", **facts):
    return Ground(wanted, **{"there": wanted, "links": True, "locking": Locking.HOLDS, "free": 5 * GIB, **facts})


@pytest.mark.parametrize(
    ("ledger", "clips", "verdict"),
    [
        (5 * GIB, 5 * GIB, OK),
        (GIB, GIB, OK),
        (5 * GIB, GIB - 1, WARNING),
        (GIB - 1, 5 * GIB, WARNING),
        (100 * MIB, 5 * GIB, WARNING),
        (100 * MIB - 1, 5 * GIB, PROBLEM),
        (5 * GIB, 0, PROBLEM),
        (None, 5 * GIB, OK),
        (None, None, SKIPPED),
    ],
)
def test_the_disks(ledger, clips, verdict):
    assert told(diagnosis.disk(ground(free=ledger, device=1), ground(free=clips, device=2))) is verdict


def test_one_disk_is_named_once():
    assert diagnosis.disk(ground(device=3), ground(device=3)).words == "5.0 GiB free for the ledger and the clips"
    two = diagnosis.disk(ground(device=3), ground(device=4, free=150 * MIB))
    assert two.words == "5.0 GiB free for the ledger, 150 MiB free for the clips"


def test_the_output_folder():
    assert told(diagnosis.output(ground())) is OK
    assert "not there yet" in diagnosis.output(ground(there="/")).words
    assert "by renaming" in diagnosis.output(ground(links=False)).words
    check = diagnosis.output(ground(trouble="Permission denied", links=None))
    assert told(check) is PROBLEM
    assert check.exit is Exit.USAGE


@pytest.mark.parametrize(
    ("facts", "verdict", "words"),
    [
        ({"there": False}, OK, "none yet"),
        ({}, OK, "nothing is wrong at first sight"),
        ({"older": True}, WARNING, "an older seedbatch"),
        ({"kept": 2}, WARNING, "2 task ids"),
        ({"held": True}, WARNING, "write lock"),
        ({"trouble": "it is damaged"}, PROBLEM, "it is damaged"),
    ],
)
def test_the_ledger(facts, verdict, words):
    state = LedgerState("/x/ledger.db", **{"there": True, **facts})
    check = diagnosis.ledger(state, " --sandbox")
    assert told(check) is verdict
    assert words in check.words
    assert check.exit is (Exit.LEDGER if verdict is PROBLEM else Exit.USAGE)
    assert state.calm is (facts == {})


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({}, OK),
        ({"filesystem": "ext4"}, OK),
        ({"filesystem": "nfs4"}, WARNING),
        ({"filesystem": "9p"}, WARNING),
        ({"filesystem": "nfs4", "locking": Locking.PRETENDS}, PROBLEM),
        ({"locking": Locking.LACKING}, PROBLEM),
        ({"locking": None, "trouble": "Permission denied"}, PROBLEM),
    ],
)
def test_the_locks(facts, verdict):
    check = diagnosis.locks(ground(**facts))
    assert told(check) is verdict
    assert check.exit is (Exit.LEDGER if verdict is PROBLEM else Exit.USAGE)


@pytest.mark.parametrize(
    ("soft", "hard", "verdict", "words"),
    [
        (None, None, OK, "no limit"),
        (4_096, None, OK, "4,096"),
        (1_024, 524_288, OK, "a listener may raise that"),
        (256, 2_299, WARNING, "about 1,999 connections"),
        (256, 256, WARNING, "about 1 connection at once"),
    ],
)
def test_the_descriptors(soft, hard, verdict, words):
    check = diagnosis.descriptors(Descriptors(soft, hard))
    assert told(check) is verdict
    assert words in check.words


def trip(status=200, *, cause="", seconds=0.2, arrival=Arrival.MISSING, own=False, nobody=False):
    return Trip(status, cause, seconds, arrival, own, nobody)


@pytest.mark.parametrize(
    ("made", "verdict", "words", "hint"),
    [
        (trip(arrival=Arrival.KEPT), OK, "reaches the listener of this ledger", ""),
        (trip(arrival=Arrival.KEPT, own=True), OK, "reaches this machine", ""),
        (trip(arrival=Arrival.KEPT, seconds=6), WARNING, "no longer than 5 s", "slow"),
        (trip(arrival=Arrival.CHANGED), PROBLEM, "another body", "as they are"),
        (trip(), PROBLEM, "it is not the listener of this ledger", "seedbatch listen --sandbox"),
        (trip(own=True), PROBLEM, "it is not the listener of this ledger", "--bind"),
        (trip(404), PROBLEM, "a listener of another API key is there, or another server", "the key that submits"),
        (trip(404, own=True), PROBLEM, "another server than to this one", "--bind"),
        (trip(502), PROBLEM, "no working listener behind it", "seedbatch listen --sandbox"),
        (trip(530, own=True), PROBLEM, "no working listener behind it", "tunnel"),
        (trip(308), PROBLEM, "a redirect", "the URL that it leads to"),
        (trip(401), PROBLEM, "lets nobody in", "without a login"),
        (trip(204), PROBLEM, "a listener answers 200", "docs/webhooks.md"),
        (trip(None, cause="nobody listens there", nobody=True), PROBLEM, "nobody listens", "let doctor listen itself"),
        (trip(None, cause="no answer in 10 s"), PROBLEM, "no answer in 10 s", "from outside"),
    ],
)
def test_the_public_url(made, verdict, words, hint):
    check = diagnosis.public_url(URL, made, " --sandbox")
    assert told(check) is verdict
    assert URL in check.words
    assert words in check.words
    assert hint in check.hint


def test_without_a_public_url():
    check = diagnosis.no_public_url("", needed=True)
    assert (told(check), "stays in doubt" in check.words) == (SKIPPED, True)
    assert "docs/webhooks.md" in check.hint
    assert "none is needed" in diagnosis.no_public_url("", needed=False).words


@pytest.mark.parametrize(
    ("called", "uncalled", "verdict", "words"),
    [
        (None, None, SKIPPED, "no ledger"),
        (0, 0, OK, "no result so far"),
        (5, 0, OK, "5 results came, each with its callback"),
        (4, 1, OK, "5 results came, 1 of them without"),
        (0, 1, WARNING, "1 result came, and no callback ever did"),
    ],
)
def test_the_callbacks_so_far(called, uncalled, verdict, words):
    state = LedgerState("/x", there=True, called=called, uncalled=uncalled)
    check = diagnosis.callbacks(state, "", tested=False)
    assert told(check) is verdict
    assert words in check.words
    if verdict is WARNING:
        assert "--public-url" in check.hint
        assert "public_url above" in diagnosis.callbacks(state, "", tested=True).hint
