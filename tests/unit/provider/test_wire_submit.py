from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.answers import Accepted, InDoubt, Refusal, Refused, SubmitAnswer, Throttled
from seedbatch.domain.jobs import Request
from seedbatch.domain.work import JobName, Submission
from seedbatch.provider import wire

NOW = datetime(2026, 11, 23, 18, 7, tzinfo=UTC)
TASK = "0b6c1b52-6d1e-4c38-9d0b-1d1f6a2f7a10"
LONE_SURROGATE = json.loads('"\\ud800"')


def envelope(code: object, data: object = None, msg: str = "x") -> bytes:
    body: dict[str, object] = {"code": code, "msg": msg}
    if data is not None:
        body["data"] = data
    return json.dumps(body).encode()


def read(status: int, body: bytes = b"", **headers: str) -> SubmitAnswer:
    return wire.read_submit(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW)


def test_the_body_holds_model_input_and_reference_and_nothing_else():
    params = MappingProxyType({"prompt": "a river, 河", "duration": 5, "fallback": False})
    body = wire.submit_body(Submission(7, 9, JobName("b", "river"), Request("seedance-2.0", params), 1, "attempt-9"))
    assert body == (
        rb'{"model":"seedance-2.0","input":{"prompt":"a river, \u6cb3","duration":5,"fallback":false},'
        rb'"user_id":"attempt-9"}'
    )


def test_what_json_cannot_carry_is_not_sent():
    with pytest.raises(ValueError, match="not JSON compliant"):
        wire.submit_body(Submission(1, 1, JobName("b", "a"), Request("m", {"x": float("nan")}), 1, ""))


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_code_0_with_a_task_id_is_accepted(status):
    answer = read(status, envelope(0, {"taskId": TASK}, "ok"))
    assert isinstance(answer, Accepted)
    assert (answer.task_id, answer.evidence.status, answer.evidence.code) == (TASK, status, 0)
    assert TASK in answer.evidence.body


@pytest.mark.parametrize("task_id", ["t", "42", "task_1:a.b-c", "-x", "_x", "Task-B", "A" * 128])
def test_ids_are_opaque(task_id):
    assert read(200, envelope(0, {"taskId": task_id})) == Accepted(
        task_id, read(200, envelope(0, {"taskId": task_id})).evidence
    )


def test_an_accepted_answer_may_have_a_mark_at_its_beginning_and_fields_of_its_own():
    assert isinstance(read(200, b"\xef\xbb\xbf" + envelope(0, {"taskId": TASK, "eta": 12.5})), Accepted)


IN_DOUBT_BODIES = {
    "empty": b"",
    "html": b"<html>502</html>",
    "truncated": envelope(0, {"taskId": TASK})[:-3],
    "not utf-8": b'{"code":0,"data":{"taskId":"\xff"}}',
    "utf-16": envelope(0, {"taskId": TASK}).decode().encode("utf-16"),
    "a list": b"[0]",
    "a number": b"0",
    "null": b"null",
    "no data": envelope(0),
    "data null": b'{"code":0,"data":null}',
    "data a list": envelope(0, [TASK]),
    "data a text": envelope(0, TASK),
    "no id": envelope(0, {"id": TASK}),
    "id empty": envelope(0, {"taskId": ""}),
    "id null": envelope(0, {"taskId": None}),
    "id a number": envelope(0, {"taskId": 7}),
    "id a list": envelope(0, {"taskId": [TASK]}),
    "id with a colon first": envelope(0, {"taskId": ":x"}),
    "id with a path": envelope(0, {"taskId": "/../admin"}),
    "id with a space": envelope(0, {"taskId": "a b"}),
    "id with a line break": envelope(0, {"taskId": TASK + "\n"}),
    "id a dot": envelope(0, {"taskId": ".."}),
    "id too long": envelope(0, {"taskId": "a" * 129}),
    "id of a megabyte": envelope(0, {"taskId": "a" * 1_000_000}),
    "a member twice": b'{"code":0,"code":400,"data":{"taskId":"x"}}',
    "an id twice": b'{"code":0,"data":{"taskId":"x","taskId":"y"}}',
    "nan": b'{"code":0,"data":{"taskId":"x","n":NaN}}',
    "infinity": b'{"code":0,"data":{"taskId":"x","n":1e999}}',
    "deep": b'{"code":0,"data":{"taskId":"x","n":' + b"[" * 40 + b"]" * 40 + b"}}",
    "very deep": b'{"a":' * 100_000,
    "code a text": envelope("0", {"taskId": TASK}),
    "code true": envelope(True, {"taskId": TASK}),
    "code false": envelope(False, {"taskId": TASK}),
    "code 0.0": envelope(0.0, {"taskId": TASK}),
    "code missing": b'{"data":{"taskId":"x"}}',
    "code enormous": b'{"code":' + b"9" * 5000 + b"}",
    "code 1": envelope(1),
    "code 200": envelope(200, {"taskId": TASK}),
    "code 399": envelope(399),
    "code 500": envelope(500),
    "code 503": envelope(503),
    "code -1": envelope(-1),
    "code 408": envelope(408),
    "flagged and accepted": envelope(0, {"taskId": TASK, "flagged": True}),
    "id under another name": envelope(0, {"task_id": TASK}),
    "id under another name and no text": envelope(0, {"task_id": [TASK]}),
    "id outside of data": b'{"code":0,"taskId":"x"}',
    "id outside of data, which is empty": b'{"code":400,"data":{},"taskId":"x"}',
    "id outside of data, which is missing": b'{"code":400,"taskId":"x"}',
    "code 400 and an id": envelope(400, {"taskId": TASK}),
    "code 429 and an id": envelope(429, {"taskId": TASK}),
}


@pytest.mark.parametrize("body", IN_DOUBT_BODIES.values(), ids=IN_DOUBT_BODIES.keys())
def test_an_unclear_2xx_is_in_doubt(body):
    answer = read(200, body)
    assert isinstance(answer, InDoubt)
    assert not answer.wrong_address
    assert len(answer.cause) < 400
    assert "HTTP 200" in answer.cause
    assert answer.evidence.status == 200


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, envelope(507, msg="no workers"), ["code 507", '"no workers"']),
        (201, envelope(0), ["code 0", "task"]),
        (201, b"<html>", ["readable"]),
        (408, envelope(400, msg="no workers"), ["code 400", '"no workers"']),
        (500, envelope(0, msg="no workers"), ["code 0", '"no workers"']),
        (500, envelope(507, {"taskId": TASK}, msg="no workers"), ["code 507", '"no workers"']),
        (302, b"", ["redirect"]),
    ],
)
def test_a_doubt_is_told_with_what_the_provider_said(status, body, words):
    answer = read(status, body)
    assert isinstance(answer, InDoubt)
    assert answer.evidence.status == status
    for word in (f"HTTP {status}", *words):
        assert word in answer.cause


def test_a_doubt_is_told_without_what_the_provider_did_not_say():
    answer = read(500, envelope(None, msg=""))
    assert isinstance(answer, InDoubt)
    assert answer.cause == "HTTP 500"


@pytest.mark.parametrize("status", [400, 402, 404, 429, 500, 503, 302])
def test_an_answer_that_names_a_task_beside_an_error_is_in_doubt_and_keeps_the_id(status):
    answer = read(status, envelope(0, {"taskId": TASK}), Retry_After="5")
    assert isinstance(answer, InDoubt)
    assert answer.task_id == TASK
    assert answer.evidence.status == status
    assert f"HTTP {status}" in answer.cause


@pytest.mark.parametrize("status", [400, 404, 429, 200])
@pytest.mark.parametrize(
    "body",
    [
        b'{"code":0,"code":400,"data":{"taskId":"t-1"}}',
        b'{"code":400,"data":{"taskId":"t-1"',
        b'\xff{"task_id" : "t-1"}',
        b'{"code":400,"n":NaN,"taskId":7}',
        b'{"code":400,"n":NaN,"taskId":["t-1"]}',
        b'{"code":400,"data":{"taskId":',
        b'{"code":400,"data":{"taskId":nul',
    ],
)
def test_an_unreadable_answer_that_mentions_a_task_is_no_refusal(status, body):
    answer = read(status, body)
    assert isinstance(answer, InDoubt)
    assert answer.task_id is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"taskId":null',
        b'{"code":400,"data":{"taskId" : null',
        b'{"task_id":  null',
        b'{"subtask_id":"x"',
        b'{"parent-taskId":"x"',
        b"taskId is missing",
    ],
)
def test_an_unreadable_answer_that_mentions_no_task_may_refuse(body):
    assert isinstance(read(400, body), Refused)


def test_an_id_that_is_said_twice_alike_is_one():
    assert isinstance(read(200, envelope(0, {"taskId": TASK, "task_id": TASK})), Accepted)


def test_two_ids_are_no_id():
    assert isinstance(read(200, envelope(0, {"taskId": TASK, "task_id": "another"})), InDoubt)
    answer = read(400, envelope(0, {"taskId": TASK, "task_id": "another"}))
    assert isinstance(answer, InDoubt)
    assert answer.task_id is None


@pytest.mark.parametrize(
    "status", [408, 499, 500, 501, 502, 504, 505, 507, 520, 524, 527, 530, 599, 100, 103, 199, 600, 0]
)
@pytest.mark.parametrize("body", [b"", b"<html>", envelope(400), envelope(0), envelope(500)])
@pytest.mark.parametrize("headers", [{}, {"Retry_After": "7"}], ids=["", "with a time"])
def test_statuses_that_prove_nothing(status, body, headers):
    answer = read(status, body, **headers)
    assert isinstance(answer, InDoubt)
    assert not answer.wrong_address
    assert answer.evidence.status == status
    assert f"HTTP {status}" in answer.cause


@pytest.mark.parametrize("status", [100, 199, 408, 499, 500, 503])
def test_a_task_id_beside_a_status_that_proves_nothing_is_in_doubt(status):
    answer = read(status, envelope(0, {"taskId": TASK}))
    assert isinstance(answer, InDoubt)
    assert answer.task_id == TASK


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_a_redirect_is_a_wrong_address_that_may_have_taken_the_request(status):
    answer = read(status, b"", Location="https://elsewhere.example/")
    assert isinstance(answer, InDoubt)
    assert answer.wrong_address
    assert answer.evidence.status == status
    assert f"HTTP {status}" in answer.cause


REFUSALS = [
    (400, envelope(400, msg="prompt is required"), Refusal.INVALID),
    (400, b"", Refusal.INVALID),
    (400, b"<html>no", Refusal.INVALID),
    (400, envelope(0), Refusal.INVALID),
    (400, envelope(500), Refusal.INVALID),
    (400, envelope(404), Refusal.INVALID),
    (406, b"", Refusal.INVALID),
    (413, b"", Refusal.INVALID),
    (415, b"", Refusal.INVALID),
    (422, envelope(422), Refusal.INVALID),
    (451, b"", Refusal.INVALID),
    (200, envelope(400), Refusal.INVALID),
    (200, envelope(422), Refusal.INVALID),
    (200, envelope(499), Refusal.INVALID),
    (401, b"", Refusal.KEY),
    (401, envelope(401, msg="unauthorized"), Refusal.KEY),
    (401, envelope(401, msg="insufficient credits"), Refusal.KEY),
    (400, envelope(401, msg="unauthorized"), Refusal.KEY),
    (200, envelope(401, msg="unauthorized"), Refusal.KEY),
    (403, b"", Refusal.KEY),
    (200, envelope(403), Refusal.KEY),
    (400, envelope(403), Refusal.KEY),
    (402, b"", Refusal.CREDITS),
    (402, envelope(402), Refusal.CREDITS),
    (200, envelope(402), Refusal.CREDITS),
    (400, envelope(402), Refusal.CREDITS),
    (404, b"<html>not found", Refusal.ADDRESS),
    (404, envelope(404), Refusal.ADDRESS),
    (405, b"", Refusal.ADDRESS),
    (410, b"", Refusal.ADDRESS),
    (200, envelope(404), Refusal.ADDRESS),
    (200, envelope(405), Refusal.ADDRESS),
    (400, envelope(400, msg="callBackUrl must be a public http(s) URL"), Refusal.CALLBACK),
    (400, envelope(400, msg="invalid callback url"), Refusal.CALLBACK),
    (200, envelope(400, msg="the call_back-URL is internal"), Refusal.CALLBACK),
    (400, envelope(400, msg="call me back"), Refusal.INVALID),
]


@pytest.mark.parametrize(("status", "body", "refusal"), REFUSALS)
def test_refusals(status, body, refusal):
    answer = read(status, body)
    assert isinstance(answer, Refused)
    assert answer.refusal is refusal
    assert answer.evidence.status == status


MONEY = ("credit", "credits", "point", "points", "balance", "quota", "fund", "funds")


def refusal_of(text: str, status: int = 400) -> Refusal:
    answer = read(status, envelope(400 if status == 200 else status, msg=text))
    assert isinstance(answer, Refused)
    return answer.refusal


@pytest.mark.parametrize("status", [400, 403, 422, 200])
@pytest.mark.parametrize(
    "text",
    [
        "insufficient credits",
        "Insufficient balance, please recharge",
        "INSUFFICIENT_POINTS",
        "not enough points",
        "your credit balance is too low",
        "out of credits",
        "no credits left",
        "quota exceeded",
        "account in arrears",
        "Payment Required",
        "积分不足",
        "账户余额不足",
        "账号已欠费",
        "请充值",
        "点数不足",
        "额度不足",
        "積分",
        "餘額",
    ],
)
def test_credits_are_recognised_by_words(status, text):
    assert refusal_of(text, status) is Refusal.CREDITS


JOINED = (" ", "_", "-")
LOOSELY_JOINED = (*JOINED, "")


@pytest.mark.parametrize(
    "text",
    [
        *(f"insufficient {money}" for money in MONEY),
        *(f"no {money}" for money in MONEY if money != "quota"),
        *(f"your balance is {amount}" for amount in ("low", "zero", "0", "negative")),
        *(f"quota {gone}" for gone in ("exhausted", "depleted", "exceeded")),
        "lack of funds",
        "to use this model, recharge your points",
    ],
)
def test_credits_are_money_and_too_little_of_it(text):
    assert refusal_of(text) is Refusal.CREDITS


@pytest.mark.parametrize(
    ("phrase", "joints"),
    [
        *((phrase, LOOSELY_JOINED) for phrase in ("not enough", "too low", "too few", "used up", "use up", "top up")),
        *((phrase, JOINED) for phrase in ("out of", "short of", "no more", "no remaining")),
    ],
)
def test_credits_are_recognised_however_the_words_are_joined(phrase, joints):
    for joint in joints:
        assert refusal_of(f"{phrase.replace(' ', joint)}: credits") is Refusal.CREDITS, joint


@pytest.mark.parametrize("text", [f"payment{joint}required" for joint in LOOSELY_JOINED])
def test_a_payment_that_is_required_needs_no_other_word(text):
    assert refusal_of(text) is Refusal.CREDITS


SIGNS = ("insufficient", "not enough", "too low", "too few", "is low", "is zero", "is 0", "is negative", "exhaust",
         "deplet", "lack of", "exceed", "out of", "short of", "used up", "use up", "no more", "no remaining",
         "no credit", "no point", "no balance", "no fund", "top up", "recharge")  # fmt: skip


@pytest.mark.parametrize("sign", SIGNS)
def test_a_part_of_a_word_is_no_sign_of_too_little(sign):
    assert refusal_of(f"{sign} or less: credits") is Refusal.CREDITS
    for part in (sign[1:], sign[:-1]):
        assert refusal_of(f"{part} or less: credits") is Refusal.INVALID, part


@pytest.mark.parametrize("part", ["ayment required", "payment require", "rrears", "arrear"])
def test_a_part_of_a_word_is_no_payment(part):
    assert refusal_of(f"{part} of it") is Refusal.INVALID


def test_credits_are_recognised_without_an_envelope():
    answer = read(403, b"insufficient balance")
    assert isinstance(answer, Refused)
    assert answer.refusal is Refusal.CREDITS


@pytest.mark.parametrize(
    "text",
    [
        "prompt is required",
        "endpoint does not support this model",
        "invalid prompt: 'a gymnast on a balance beam, low angle'",
        "end credits roll over a city",
        "duration must be at most 15",
        "checkpoint too low",
        "pointer too low",
        "no pointer may balance there",
        "prompt is too long, give at most 5 points",
        "the camera points low",
        "fade into credits",
        "fly out over a balance beam",
        "no audio: 'end credits roll'",
        "分辨率不支持",
        "积极",
        "额外参数",
        "多余参数",
        "免费模型",
        "参数值无效",
        "填充模式无效",
        "欠曝",
        "长度不足",
        "帧数不足",
        "点数不能为空",
        "額外",
        "剩餘",
        "積極",
        "關鍵點不足",
        "关键点不足",
        "额度不限",
    ],
)
def test_other_words_are_no_credits(text):
    assert refusal_of(text) is Refusal.INVALID


@pytest.mark.parametrize(("status", "code"), [(400, 400), (200, 400), (403, 403), (422, 400)])
def test_flagged_is_moderation_with_the_categories_that_are_true(status, code):
    categories = {"harassment": False, "sexual": True, "violence/graphic": True, "hate": None, "x": 1, "y": "true"}
    answer = read(status, envelope(code, {"flagged": True, "categories": categories}, "content rejected by moderation"))
    assert isinstance(answer, Refused)
    assert answer.refusal is Refusal.MODERATION
    assert answer.categories == ("sexual", "violence/graphic")
    assert answer.evidence.message == "content rejected by moderation"


def test_the_name_of_a_category_is_kept_short():
    answer = read(400, envelope(400, {"flagged": True, "categories": {"x" * 100: True}}))
    assert isinstance(answer, Refused)
    assert answer.categories == ("x" * 59 + "…",)


@pytest.mark.parametrize("data", [{"flagged": True}, {"flagged": True, "categories": ["sexual"]}])
def test_flagged_without_categories_is_moderation_all_the_same(data):
    answer = read(400, envelope(400, data))
    assert isinstance(answer, Refused)
    assert (answer.refusal, answer.categories) == (Refusal.MODERATION, ())


@pytest.mark.parametrize("flagged", [False, None, "true", 1])
def test_only_true_is_flagged(flagged):
    answer = read(400, envelope(400, {"flagged": flagged}))
    assert isinstance(answer, Refused)
    assert answer.refusal is Refusal.INVALID


@pytest.mark.parametrize(
    ("status", "body"), [(429, b""), (429, envelope(429)), (429, b"<html>"), (200, envelope(429)), (400, envelope(429))]
)
def test_429_is_not_accepted_with_and_without_a_time(status, body):
    assert read(status, body) == Throttled(None, read(status, body).evidence)
    timed = read(status, body, Retry_After="7")
    assert isinstance(timed, Throttled)
    assert timed.retry_after == 7
    assert timed.evidence.status == status
    dated = read(status, body, Retry_After="Mon, 23 Nov 2026 18:07:30 GMT")
    assert isinstance(dated, Throttled)
    assert dated.retry_after == 30


def test_503_is_not_accepted_only_if_it_says_when_to_come_back():
    assert isinstance(read(503, b"", Retry_After="7"), Throttled)
    for body in (b"", b"<html>", envelope(400), envelope(0), envelope(500)):
        assert isinstance(read(503, body), InDoubt)
    assert isinstance(read(503, b"", Retry_After="soon"), InDoubt)
    assert isinstance(read(503, envelope(0), Retry_After="7"), InDoubt)


WAITS = {
    "0": 0,
    "7": 7,
    " 7 ": 7,
    "600": 600,
    "601": 600,
    "1000000000": 600,
    "-5": None,
    "1.5": None,
    "": None,
    "soon": None,
    "٣": None,
    "9" * 5000: None,
    "23 Nov 2026 18:07:30 GMT": None,
    "Mon, 23 Nov 2026 18:07:30 +99999999999": None,
    "Mon, 23 Nov 2026 18:07:30 GMT": 30,
    "Mon, 23 Nov 2026 18:07:30 -0000": 30,
    "Mon, 23 Nov 2026 20:07:30 +0200": 30,
    "Monday, 23-Nov-26 18:07:30 GMT": 30,
    "Sun, 22 Nov 2026 18:07:30 GMT": 0,
    "Mon, 23 Nov 2099 18:07:30 GMT": 600,
    "Mon, 99 Nov 2026 18:07:30 GMT": None,
    "Mon, 23 Nov 99999999 18:07:30 GMT": None,
}


# Every name by which pytest finds the test again: not empty, and in ASCII.
WAIT_IDS = [f"'{text[:40]}'" if text.isascii() else "another script" for text in WAITS]


@pytest.mark.parametrize(("text", "wait"), WAITS.items(), ids=WAIT_IDS)
def test_retry_after(text, wait):
    assert wire.retry_after({"Age": "3", "retry-AFTER": text, "Date": "4"}, NOW) == wait


def test_retry_after_is_absent():
    assert wire.retry_after({}, NOW) is None
    assert wire.retry_after({"Age": "3"}, NOW) is None


@given(st.timedeltas(min_value=timedelta(days=-400), max_value=timedelta(days=400)))
def test_retry_after_as_a_date_is_never_negative_and_never_long(gap):
    wait = wire.retry_after({"Retry-After": format_datetime(NOW + gap, usegmt=True)}, NOW)
    assert wait is not None
    assert 0 <= wait <= 600
    assert abs(wait - min(max(gap.total_seconds(), 0), 600)) <= 1


def test_what_the_provider_says_is_kept_short_and_harmless():
    said = "\x1b[31mred\x00\u202e" + LONE_SURROGATE + "\r\nline " + "x" * 5000
    answer = read(400, envelope(400, msg=said))
    assert isinstance(answer, Refused)
    assert answer.evidence.message.startswith("[31mred line xxx")
    for text in (answer.evidence.message, answer.evidence.body):
        assert len(text) <= 300
        assert text.isprintable()


def test_a_key_in_an_answer_is_not_kept():
    body = envelope(401, msg="invalid key sk-very-secret")
    answer = wire.read_submit(401, {}, body, NOW, conceal="sk-very-secret")
    assert "very" not in repr(answer)
    assert isinstance(answer, Refused)
    assert answer.evidence.message == "invalid key [key]"


def test_a_key_in_a_category_is_not_kept():
    body = envelope(400, {"flagged": True, "categories": {"by sk-very-secret": True}})
    answer = wire.read_submit(400, {}, body, NOW, conceal="sk-very-secret")
    assert isinstance(answer, Refused)
    assert answer.categories == ("by [key]",)
    assert "very" not in repr(answer)


def test_without_a_key_nothing_is_masked():
    answer = read(400, envelope(400, msg="no XXXX"))
    assert isinstance(answer, Refused)
    assert answer.evidence.message == "no XXXX"


# -- whatever comes ---------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([TASK, "SUCCESS", 0, 400]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["code", "msg", "data", "taskId", "flagged", "categories"]) | st.text(), inner
        )
    ),
    max_leaves=12,
)
ENVELOPES = st.fixed_dictionaries(
    {"code": st.sampled_from([0, 0, 0, 400, 401, 429, 500, "0", None, True]) | JSON_VALUES},
    optional={
        "msg": JSON_VALUES,
        "data": st.fixed_dictionaries({}, optional={"taskId": st.sampled_from([TASK, "", "a/b"]) | JSON_VALUES})
        | JSON_VALUES,
    },
)
BODIES = (
    st.binary()
    | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | ENVELOPES.map(lambda value: json.dumps(value).encode())
)
HEADERS = st.dictionaries(st.sampled_from(["Retry-After", "retry-after", "Content-Type"]), st.text(), max_size=2)
STATUSES = st.sampled_from([200, 201, 204, 302, 400, 401, 404, 429, 503]) | st.integers(0, 999)


@given(STATUSES, HEADERS, BODIES)
def test_no_answer_raises_and_only_a_clean_one_is_accepted(status, headers, body):
    answer = wire.read_submit(status, headers, body, NOW)
    if isinstance(answer, Accepted):
        said = json.loads(body)
        assert 200 <= status < 300
        assert type(said["code"]) is int
        assert said["code"] == 0
        assert said["data"]["taskId"] == answer.task_id
        assert wire.TASK_ID.fullmatch(answer.task_id)
    assert answer.evidence.status == status
    if isinstance(answer, InDoubt):
        assert f"HTTP {status}" in answer.cause
    if isinstance(answer, Refused):
        assert 400 <= status < 500 or 200 <= status < 300
    if isinstance(answer, Throttled):
        assert answer.retry_after is None or 0 <= answer.retry_after <= 600
    repr(answer).encode()


@given(st.integers(1, 400))
def test_every_cut_of_a_good_answer_is_in_doubt(kept):
    whole = envelope(0, {"taskId": TASK, "padding": "x" * 400}, "ok")
    assert isinstance(read(200, whole[:kept]), InDoubt)


@given(STATUSES, HEADERS, ENVELOPES, st.sampled_from([TASK, 7, [TASK], {"id": TASK}, True]), st.booleans())
def test_whatever_names_a_task_is_never_sent_again(status, headers, said, task_id, inside):
    place = said["data"] if inside and isinstance(said.get("data"), dict) else said
    place["task_id"] = task_id
    body = json.dumps(said).encode()
    for end in (len(body), body.rindex(b'"task_id":') + len(b'"task_id":')):
        assert isinstance(wire.read_submit(status, headers, body[:end], NOW), Accepted | InDoubt)
