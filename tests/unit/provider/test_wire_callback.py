from __future__ import annotations

import json
import random

import pytest
from samples import NOON

from seedbatch.domain.calls import Hint
from seedbatch.domain.jobs import Request
from seedbatch.domain.secret import Secret
from seedbatch.domain.work import JobName, Submission
from seedbatch.provider.wire import read_callback, read_submit, submit_body

GOOD = {
    "code": 0,
    "msg": "ok",
    "data": {"taskId": "0b6c1b52-6d1e-4c38-9d0b-1d1f6a2f7a10", "status": "SUCCESS", "result": {"type": "video"}},
}


def body(**data):
    return json.dumps({**GOOD, "data": {**GOOD["data"], **data}}).encode()


def test_a_callback_names_its_task_and_its_status():
    assert read_callback(body()) == Hint("0b6c1b52-6d1e-4c38-9d0b-1d1f6a2f7a10", "SUCCESS")
    assert read_callback(body(status="FAILURE")).status == "FAILURE"


@pytest.mark.parametrize("task_id", [None, "", 7, [], {}, "../../etc", "a/b", "a" * 200, "x\n", " ", "\u0000"])
def test_what_is_no_task_id_is_not_taken_for_one(task_id):
    assert read_callback(body(taskId=task_id)).task_id is None


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"1", b"{", b"\xff\xfe", b'{"data": []}', b'{"data": null}', b'{"code":0}', b"[" * 10**5,
     b'{"data":{"taskId":"a","taskId":"b"}}'],
)  # fmt: skip
def test_anything_else_says_nothing(raw):
    assert read_callback(raw) == Hint()


def test_random_bytes_raise_nothing():
    dice = random.Random(1)
    whole = body()
    for _ in range(2_000):
        cut = bytearray(whole[: dice.randint(0, len(whole))])
        for _ in range(dice.randint(0, 4)):
            if cut:
                cut[dice.randrange(len(cut))] = dice.randrange(256)
        hint = read_callback(bytes(cut))
        assert hint.task_id is None or len(hint.task_id) <= 128


def test_the_callback_url_is_sent_under_its_documented_name():
    submission = Submission(
        1, 1, JobName("b", "a"), Request("m", {"prompt": "p"}), 1, "r", Secret("https://x.example/callbacks/token")
    )
    assert json.loads(submit_body(submission))["callBackUrl"] == "https://x.example/callbacks/token"
    assert "callBackUrl" not in json.loads(submit_body(Submission(1, 1, JobName("b", "a"), submission.request, 1, "r")))


def test_a_refusal_that_quotes_the_token_keeps_none_of_it():
    quoted = b'{"code":400,"msg":"callBackUrl https://x.example/callbacks/SECRETTOKEN is not public"}'
    answer = read_submit(400, {}, quoted, NOON, conceal=("the-key", "SECRETTOKEN"))
    assert "SECRETTOKEN" not in repr(answer)
