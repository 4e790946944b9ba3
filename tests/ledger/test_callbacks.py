"""What the ledger keeps of callbacks; this file names no adapter."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import permutations

import pytest
from samples import NOON, batch, spec

from seedbatch.domain.answers import Evidence, MediaKind, TaskReport
from seedbatch.domain.calls import Binding, Verdict
from seedbatch.domain.errors import InboxFull
from seedbatch.domain.jobs import Limits
from seedbatch.domain.secret import Secret
from seedbatch.domain.states import FailureClass, JobState
from seedbatch.domain.tokens import CallbackAddress, TokenKey, digest_of, minting
from seedbatch.domain.work import Caps, Failure

GAP = timedelta(seconds=30)
KEY = TokenKey(Secret("k" * 40))
BODY = b'{"code":0,"msg":"ok","data":{"taskId":"t1","status":"SUCCESS"}}'


class Mint:
    """Tokens in an order that a test knows, and their digests."""

    def __init__(self) -> None:
        self.number = 0
        self.digests = []

    def __call__(self) -> CallbackAddress:
        self.number += 1
        address = minting("https://x.example/in", KEY, lambda size: self.number.to_bytes(size, "big"))()
        self.digests.append(address.digest)
        return address


async def submit(ledger, clock, *keys, mint=None):
    """One attempt for each key, with its token's digest."""
    mint = mint or Mint()
    await ledger.declare(batch(*(spec(key) for key in keys)), NOON)
    found = await ledger.claim_submissions(None, Limits(), Caps(), clock.after(1), len(keys), mint)
    return list(zip(found.submissions, mint.digests, strict=True))


async def calls(ledger, clock, most=10):
    found, _ = await ledger.claim_calls(clock.after(1), most, GAP)
    return found


def job(records, key="a"):
    (found,) = (one for one in records.jobs() if one.address == key)
    return found


def story(records, key="a"):
    return [event.type for event in records.story(job(records, key).job_id)]


async def test_an_attempt_carries_its_callback_address_and_the_ledger_only_its_digest(ledger, clock, place):
    ((submission, digest),) = await submit(ledger, clock, "a")
    url = submission.callback_url.reveal()
    token = url.rpartition("/")[2]
    assert url == f"https://x.example/in/callbacks/{token}"
    assert digest == digest_of(token)
    assert await ledger.open_tokens() == {digest}
    await ledger.aclose()
    everything = b"".join(path.read_bytes() for path in place.parent.iterdir() if path.is_file())
    assert digest.encode() in everything
    assert token.encode() not in everything


async def test_without_a_mint_no_callback_is_asked_for(ledger, clock):
    await ledger.declare(batch(spec("a")), NOON)
    found = await ledger.claim_submissions(None, Limits(), Caps(), clock.after(1), 1)
    assert found.submissions[0].callback_url is None
    assert await ledger.open_tokens() == frozenset()


async def test_a_callback_of_a_running_task_makes_it_due_at_once(ledger, clock, records):
    ((submission, digest),) = await submit(ledger, clock, "a")
    await ledger.accepted(submission.attempt_id, "t1", clock.after(1), clock.now + timedelta(hours=1))
    assert (await ledger.claim_queries(None, clock.after(1), 1))[0] == []
    await ledger.receive(digest, BODY, clock.after(1))
    (call,) = await calls(ledger, clock)
    assert (call.body, call.attempt.task_id, call.attempt.open) == (BODY, "t1", True)
    await ledger.heard(call, clock.after(1))
    ((task,), _) = await ledger.claim_queries(None, clock.after(0), 1)
    assert task.called_at is not None
    assert not task.awaits_call
    assert await calls(ledger, clock) == []
    assert records.standings(clock.now, 0).without_webhook == 0


async def test_the_same_body_again_is_kept_once_and_read_once(ledger, clock):
    ((submission, digest),) = await submit(ledger, clock, "a")
    await ledger.accepted(submission.attempt_id, "t1", clock.after(1), clock.now)
    await asyncio.gather(*(ledger.receive(digest, BODY, clock.after(1)) for _ in range(1_000)))
    assert len(await calls(ledger, clock)) == 1
    assert await calls(ledger, clock) == []


async def test_of_one_token_one_callback_is_read_in_half_a_minute(ledger, clock):
    (_, first), (_, second) = await submit(ledger, clock, "a", "b")
    for number in range(3):
        await ledger.receive(first, b"%d" % number, clock.after(0))
    await ledger.receive(second, b"0", clock.after(0))
    begun = await calls(ledger, clock)
    assert [(call.body, call.attempt.name.address) for call in begun] == [(b"0", "a"), (b"0", "b")]
    for call in begun:
        await ledger.read(call, Verdict.REFUSED, None, "it names no task", clock.now)
    again, due = await ledger.claim_calls(clock.after(20), 10, GAP)
    assert again == []
    assert due is not None
    (call,), _ = await ledger.claim_calls(clock.after(11), 10, GAP)
    assert call.body == b"1"


async def test_a_body_that_nobody_could_ask_about_comes_back_with_its_misses(ledger, clock):
    (_, digest), *_ = await submit(ledger, clock, "a")
    await ledger.receive(digest, BODY, clock.after(1))
    (call,) = await calls(ledger, clock)
    await ledger.read_later(call, "t1", "no answer", clock.now + timedelta(seconds=60))
    assert await calls(ledger, clock) == []
    clock.after(60)
    (call,) = await calls(ledger, clock)
    assert call.misses == 1


async def test_a_hundred_bodies_of_a_token_are_kept_and_no_more(ledger, clock):
    (_, digest), *_ = await submit(ledger, clock, "a")
    for number in range(100):
        await ledger.receive(digest, b"%d" % number, clock.now)
    with pytest.raises(InboxFull):
        await ledger.receive(digest, b"one more", clock.now)
    await ledger.receive(digest, b"7", clock.now)  # known already


async def test_any_bytes_are_kept_as_they_came(ledger, clock):
    digests = [digest_of(f"unknown {number}") for number in range(4)]
    bodies = [b"", b"\xff\x00\xfe", '{"prompt": "\u6cb3"}'.encode(), b"nul\x00inside"]
    for digest, body in zip(digests, bodies, strict=True):
        await ledger.receive(digest, body, clock.after(1))
    found = await calls(ledger, clock)
    assert [call.body for call in found] == bodies
    assert all(call.attempt is None for call in found)


async def test_a_genuine_token_that_nobody_knows_is_kept_and_shown(ledger, clock, records):
    await ledger.receive(digest_of("stray"), BODY, clock.after(1))
    (call,) = await calls(ledger, clock)
    await ledger.read(call, Verdict.UNKNOWN, "t1", "nobody's", clock.now)
    (stray,) = records.standings(clock.now, 0).strays
    assert (stray.task_id, stray.body) == ("t1", BODY.decode())


async def test_an_attempt_in_doubt_is_adopted_and_claimed_by_who_asked(ledger, clock, records, another):
    ((submission, digest),) = await submit(ledger, clock, "a")
    await ledger.doubted(submission.attempt_id, "no answer", Evidence(), clock.after(1))
    assert await ledger.awaited(None, NOON) == 1
    assert await ledger.awaited(None, clock.now) == 0
    await ledger.receive(digest, BODY, clock.after(1))
    (call,) = await calls(ledger, clock)
    bound = await ledger.named(call, "t1", clock.after(1))
    assert (bound.verdict, bound.state, bound.task.task_id) == (Verdict.ADOPTED, JobState.RUNNING, "t1")
    assert (await (await another()).claim_queries(None, clock.after(9), 5))[0] == []  # it is being asked about
    assert story(records)[-1] == "adopted"
    await ledger.succeeded(
        bound.task.attempt_id, TaskReport("t1", "SUCCESS", MediaKind.VIDEO, ("https://x/1.mp4",)), clock.now, clock.now
    )
    assert job(records).state is JobState.SUCCEEDED


@pytest.mark.parametrize("order", list(permutations(["answer", "callback", "callback again"])))
async def test_answer_and_callback_lead_to_one_ledger_in_any_order(ledger, clock, records, order):
    ((submission, digest),) = await submit(ledger, clock, "a")
    for number, event in enumerate(order):
        if event == "answer":
            assert await ledger.accepted(submission.attempt_id, "t1", clock.after(40), clock.now) in {
                Binding.RUNNING, Binding.KNOWN,
            }  # fmt: skip
            continue
        await ledger.receive(digest, BODY + b" " * number, clock.after(40))
        (call,) = await calls(ledger, clock)
        if call.attempt.task_id is None:
            await ledger.named(call, "t1", clock.after(1))
        else:
            await ledger.heard(call, clock.after(1))
    found = job(records)
    assert (found.state, found.task_id, found.attempts) == (JobState.RUNNING, "t1", 1)
    assert records.standings(clock.now, 0).extras == ()


async def test_a_second_task_of_one_attempt_is_extra_and_counted(ledger, clock, records, place):
    ((submission, digest),) = await submit(ledger, clock, "a")
    await ledger.accepted(submission.attempt_id, "t1", clock.after(1), clock.now)
    await ledger.receive(digest, BODY.replace(b"t1", b"t2"), clock.after(1))
    (call,) = await calls(ledger, clock)
    bound = await ledger.named(call, "t2", clock.after(1))
    assert (bound.verdict, bound.state, bound.task) == (Verdict.EXTRA, JobState.RUNNING, None)
    (extra,) = records.standings(clock.now, 0).extras
    assert (extra.task_id, extra.address) == ("t2", "a")
    assert job(records).task_id == "t1"
    assert story(records)[-1] == "extra"
    # The answer names it as well, a moment later: nothing is counted twice.
    assert await ledger.accepted(submission.attempt_id, "t2", clock.after(1), clock.now) is Binding.KNOWN
    assert len(records.standings(clock.now, 0).extras) == 1


async def test_an_answer_that_names_another_task_than_the_callback_is_extra(ledger, clock, records):
    ((submission, digest),) = await submit(ledger, clock, "a")
    await ledger.receive(digest, BODY, clock.after(1))
    (call,) = await calls(ledger, clock)
    await ledger.named(call, "t1", clock.after(1))
    assert await ledger.accepted(submission.attempt_id, "t2", clock.after(1), clock.now) is Binding.EXTRA
    assert [extra.task_id for extra in records.standings(clock.now, 0).extras] == ["t2"]


@pytest.mark.parametrize("word", ["given_up", "resubmitted", "abandoned"])
async def test_a_callback_after_a_persons_word_is_written_down_and_moves_nothing(ledger, clock, records, word):
    ((submission, digest),) = await submit(ledger, clock, "a")
    await ledger.doubted(submission.attempt_id, "no answer", Evidence(), clock.after(1))
    await getattr(ledger, word)(submission.job_id, "me", clock.after(1))
    before = job(records).state
    await ledger.receive(digest, BODY, clock.after(1))
    (call,) = await calls(ledger, clock)
    assert not call.attempt.open
    bound = await ledger.named(call, "t1", clock.after(1))
    assert (bound.verdict, bound.state) == (Verdict.SURFACED, before)
    assert story(records)[-1] == "surfaced"


async def test_a_task_that_was_refused_and_calls_back_all_the_same_is_extra(ledger, clock, records):
    ((submission, digest),) = await submit(ledger, clock, "a")
    await ledger.refused(submission.attempt_id, Failure(FailureClass.INVALID, "no"), Evidence(), clock.after(1))
    await ledger.receive(digest, BODY, clock.after(1))
    (call,) = await calls(ledger, clock)
    assert (await ledger.named(call, "t1", clock.after(1))).verdict is Verdict.EXTRA
    assert job(records).state is JobState.FAILED


async def test_a_task_of_another_attempt_is_refused_and_told(ledger, clock, records):
    (first, _), (second, digest) = await submit(ledger, clock, "a", "b")
    await ledger.accepted(first.attempt_id, "t1", clock.after(1), clock.now)
    await ledger.doubted(second.attempt_id, "no answer", Evidence(), clock.after(1))
    await ledger.receive(digest, BODY, clock.after(1))
    (call,) = await calls(ledger, clock)
    bound = await ledger.named(call, "t1", clock.after(1))
    assert (bound.verdict, bound.state) == (Verdict.REFUSED, JobState.IN_DOUBT)
    assert story(records, "b")[-1] == "miscalled"


async def test_results_without_their_callback_are_counted_until_it_comes(ledger, clock, records):
    ((submission, digest),) = await submit(ledger, clock, "a")
    await ledger.accepted(submission.attempt_id, "t1", clock.after(1), clock.now)
    ((task,), _) = await ledger.claim_queries(None, clock.after(1), 1)
    assert task.awaits_call
    gone = Failure(FailureClass.PROVIDER, "no reason")
    await ledger.task_failed(task.attempt_id, gone, TaskReport("t1", "FAILURE"), clock.after(1), None)
    assert records.standings(clock.now, 0).without_webhook == 1
    await ledger.receive(digest, BODY, clock.after(1))
    (call,) = await calls(ledger, clock)
    assert not call.attempt.open
    await ledger.read(call, Verdict.KNOWN, "t1", "", clock.now)
    standings = records.standings(clock.now, 0)
    assert (standings.with_webhook, standings.without_webhook) == (1, 0)


async def test_what_a_dead_process_was_reading_is_read_by_another(another, clock):
    one, two = await another(), await another()
    await one.receive(digest_of("stray"), BODY, clock.after(1))
    assert len(await calls(one, clock)) == 1
    assert await calls(two, clock) == []
    await two.rescue(clock.after(1))
    assert await calls(two, clock) == []  # it lives
    await one.aclose()
    await two.rescue(clock.after(1))
    assert len(await calls(two, clock)) == 1


async def test_how_long_tasks_took_is_learned_by_the_providers_clock(ledger, clock):
    pairs = await submit(ledger, clock, "a", "b", "c")
    for number, (submission, _) in enumerate(pairs):
        await ledger.accepted(submission.attempt_id, f"t{number}", clock.after(1), clock.now)
        times = {"created_at": NOON, "updated_at": NOON + timedelta(seconds=60 * number)} if number else {}
        done = TaskReport(f"t{number}", "SUCCESS", MediaKind.VIDEO, ("https://x/1.mp4",), **times)
        await ledger.claim_queries(None, clock.after(1), 5)
        await ledger.succeeded(submission.attempt_id, done, clock.after(1), clock.now)
    assert await ledger.durations(10) == {"seedance-2.0": [120, 60]}
    assert await ledger.durations(1) == {"seedance-2.0": [120]}
