from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbatch.domain.answers import (
    MediaKind,
    NotFound,
    QueryAnswer,
    QueryRefused,
    Refusal,
    TaskReport,
    TaskStatus,
    Unanswered,
)
from seedbatch.provider import wire

NOW = datetime(2026, 11, 23, 18, 7, tzinfo=UTC)
TASK = "0b6c1b52-6d1e-4c38-9d0b-1d1f6a2f7a10"


def body(**data: object) -> bytes:
    return json.dumps({"code": 0, "msg": "ok", "data": {"taskId": TASK, "status": "SUCCESS", **data}}).encode()


def error(code: int) -> bytes:
    return json.dumps({"code": code, "msg": "x"}).encode()


def read(status: int, answer: bytes, **headers: str) -> QueryAnswer:
    return wire.read_query(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, answer, TASK, NOW
    )


def report(**data: object) -> TaskReport:
    answer = read(200, body(**data))
    assert isinstance(answer, TaskReport)
    return answer


def test_a_whole_answer():
    assert report(
        input={"model": "seedance-2.0", "prompt": "河", "duration": 5},
        result={"type": "video", "urls": ["https://files.example/a.mp4"]},
        failure_reason=None,
        created_at="2026-03-01T08:00:00.120000Z",
        updated_at="2026-03-01T08:09:00Z",
    ) == TaskReport(
        TASK,
        "SUCCESS",
        MediaKind.VIDEO,
        ("https://files.example/a.mp4",),
        None,
        datetime(2026, 3, 1, 8, 0, 0, 120000, tzinfo=UTC),
        datetime(2026, 3, 1, 8, 9, tzinfo=UTC),
        {"model": "seedance-2.0", "prompt": "河", "duration": 5},
    )


def test_the_barest_answer():
    assert report(status="PENDING") == TaskReport(TASK, "PENDING")


@pytest.mark.parametrize("word", list(TaskStatus))
def test_documented_words_in_any_case(word):
    for spelling in (word.value, word.value.lower(), word.value.title(), f" {word.value}\n"):
        assert report(status=spelling).status == word.value


@pytest.mark.parametrize(
    ("spelling", "word"),
    [
        ("FAILED", "FAILURE"),
        ("fail", "FAILURE"),
        ("canceled", "CANCELLED"),
        ("Succeeded", "SUCCESS"),
        ("timed_out", "TIMEOUT"),
        (" failed\n", "FAILURE"),
    ],
)
def test_spellings_that_clients_have_met(spelling, word):
    assert report(status=spelling).status == word


@pytest.mark.parametrize("word", ["DONE", "QUEUED", "successful", "FAILURES", "运行中"])
def test_an_unknown_status_stays_what_it_is(word):
    assert report(status=word).status == word


def test_an_unknown_status_is_short_and_harmless():
    assert report(status="\x1b[31m" + "x" * 500).status == "[31m" + "x" * 55 + "…"


@pytest.mark.parametrize("word", [None, "", "  ", 7, True, ["SUCCESS"]])
def test_no_status_is_no_answer(word):
    assert read(200, body(status=word)) == Unanswered("the answer names no status")


@pytest.mark.parametrize("task_id", [None, "", "another", 7, TASK.upper(), TASK + " "])
def test_an_answer_about_another_task_is_rejected(task_id):
    assert read(200, body(taskId=task_id)) == Unanswered("the answer is about another task, or about none")


URLS = {
    "several": (["https://a/1", "https://a/2"], ("https://a/1", "https://a/2")),
    "twice": (["https://a/2", "https://a/1", "https://a/2"], ("https://a/2", "https://a/1")),
    "objects": ([{"url": "https://a/1"}, "https://a/2"], ("https://a/1", "https://a/2")),
    "one text": ("https://a/1", ("https://a/1",)),
    "spaces around": ([" https://a/1\n"], ("https://a/1",)),
    "one letter": (["x"], ("x",)),
    "the longest": (["https://a/" + "x" * 8182], ("https://a/" + "x" * 8182,)),
    "too long by one": (["https://a/" + "x" * 8183], ()),
    "empty": ([], ()),
    "null": (None, ()),
    "nulls": ([None, "", 7, {}, [], "https://a/1"], ("https://a/1",)),
    "control characters": (["https://a/\x00", "https://a/\n1", "https://a/\u202e1"], ()),
    "surrogate": (["https://a/\ud800"], ()),
    "a megabyte": (["https://a/" + "x" * 500_000], ()),
    "another scheme": (["file:///etc/passwd"], ("file:///etc/passwd",)),
}


@pytest.mark.parametrize(("urls", "expected"), URLS.values(), ids=URLS.keys())
def test_outputs_in_order_each_once(urls, expected):
    assert report(result={"type": "video", "urls": urls}).urls == expected


def test_a_single_output_beside_the_list():
    assert report(result={"url": "https://a/1"}).urls == ("https://a/1",)


@pytest.mark.parametrize("result", [None, [], "x", 7, {}])
def test_no_result_is_no_output(result):
    assert report(result=result).urls == ()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("video", MediaKind.VIDEO),
        ("IMAGE", MediaKind.IMAGE),
        (" Video\n", MediaKind.VIDEO),
        ("audio", None),
        (None, None),
        (7, None),
    ],
)
def test_the_kind_of_media(kind, expected):
    assert report(result={"type": kind}).kind is expected


REASONS = [
    ({}, None),
    ({"failure_reason": None}, None),
    ({"failure_reason": ""}, None),
    ({"failure_reason": " \n"}, None),
    ({"failure_reason": "CONTENT_MODERATION"}, "CONTENT_MODERATION"),
    ({"failure_reason": " content_moderation "}, "CONTENT_MODERATION"),
    ({"failure_reason": "Invalid_Parameters"}, "INVALID_PARAMETERS"),
    ({"failure_reason": "insufficient_points"}, "INSUFFICIENT_POINTS"),
    ({"failure_reason": "CONTENT_MODERATON"}, "CONTENT_MODERATON"),
    ({"failure_reason": "null"}, "null"),
    ({"failure_reason": 7}, "7"),
    ({"failure_reason": False}, "false"),
    ({"failure_reason": {"code": 1}}, '{"code": 1}'),
    ({"failure_reason": "\x00"}, "unreadable"),
    ({"failReason": "CONTENT_MODERATION"}, "CONTENT_MODERATION"),
    ({"failure_reason": None, "failReason": "boom"}, "boom"),
    ({"fail_reason": "boom"}, "boom"),
    ({"failure_reason": "x" * 301}, "x" * 299 + "…"),
    ({"failure_reason": "first", "failReason": "second"}, "first"),
]


@pytest.mark.parametrize(("data", "reason"), REASONS)
def test_only_a_missing_reason_is_none(data, reason):
    assert report(status="FAILURE", **data).failure_reason == reason


@pytest.mark.parametrize("moment", [None, "", "yesterday", 7, "2026-03-01", "2026-03-01T08:00:00"])
def test_a_moment_that_is_none(moment):
    assert report(updated_at=moment).updated_at is None


@pytest.mark.parametrize("fraction", ["", ".1", ".123", ".123456", ".123456789"])
def test_moments_with_any_fraction(fraction):
    moment = report(updated_at=f"2026-03-01T08:00:00{fraction}+08:00").updated_at
    assert moment is not None
    assert moment.replace(microsecond=0) == datetime(2026, 3, 1, 0, 0, tzinfo=UTC)


def test_an_echo_can_be_written_down():
    echo = report(input={"prompt": "a\ud800b", "n": [1, {"x": "\udfff"}]}).echo
    json.dumps(echo, ensure_ascii=False).encode("utf-8")
    assert echo == {"prompt": "a?b", "n": [1, {"x": "?"}]}


def test_an_echo_keeps_every_kind_of_value():
    said = {"a": 12.5, "b": -3, "c": True, "d": None, "e": ["x", {"f": 1e-7}]}
    assert report(input=said).echo == said


@pytest.mark.parametrize("value", [None, [], "x", 7])
def test_an_echo_that_is_none(value):
    assert report(input=value).echo == {}


@pytest.mark.parametrize(
    ("status", "answer"),
    [(401, b""), (401, error(401)), (403, error(403)), (200, error(401)), (200, error(403)), (400, error(401))],
)
def test_a_refused_key(status, answer):
    refused = read(status, answer)
    assert isinstance(refused, QueryRefused)
    assert refused.refusal is Refusal.KEY
    assert refused.evidence.status == status


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 399, 405])
@pytest.mark.parametrize("answer", [b"", body(), error(404)])
def test_a_wrong_address(status, answer):
    refused = read(status, answer)
    assert isinstance(refused, QueryRefused)
    assert refused.refusal is Refusal.ADDRESS
    assert refused.evidence.status == status


@pytest.mark.parametrize(
    ("status", "answer"),
    [(404, error(404)), (404, error(400)), (410, error(410)), (200, error(404)), (400, error(404))],
)
def test_a_task_that_the_provider_does_not_know(status, answer):
    unknown = read(status, answer)
    assert isinstance(unknown, NotFound)
    assert unknown.evidence.status == status


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("answer", [b"", b"404: Not Found", b"<html>", b"{}"])
def test_a_404_of_somebody_else_tells_nothing_about_the_task(status, answer):
    unanswered = read(status, answer)
    assert isinstance(unanswered, Unanswered)
    assert f"HTTP {status}" in unanswered.cause
    assert "base URL" in unanswered.cause


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, body()[:-2]),
        (200, error(500)),
        (200, error(400)),
        (200, b'{"code":0}'),
        (200, b'{"code":0,"data":[]}'),
        (200, b'{"code":"0","data":{}}'),
        (400, b""),
        (400, error(400)),
        (408, b""),
        (429, error(429)),
        (500, error(500)),
        (500, error(401)),
        (500, error(404)),
        (100, error(404)),
        (199, body()),
        (500, body()),
        (502, b"<html>"),
        (503, b""),
    ],
)
def test_no_usable_answer(status, answer):
    unanswered = read(status, answer)
    assert isinstance(unanswered, Unanswered)
    assert unanswered.cause
    assert unanswered.retry_after is None


def test_no_usable_answer_is_told_with_what_the_provider_said():
    unanswered = read(500, json.dumps({"code": 507, "msg": "no workers"}).encode())
    assert isinstance(unanswered, Unanswered)
    for word in ("HTTP 500", "code 507", '"no workers"'):
        assert word in unanswered.cause


@pytest.mark.parametrize(("status", "time", "wait"), [(429, "12", 12), (503, "Mon, 23 Nov 2026 18:07:30 GMT", 30)])
def test_the_provider_may_say_when_to_ask_again(status, time, wait):
    answer = read(status, error(status), Retry_After=time)
    assert isinstance(answer, Unanswered)
    assert answer.retry_after == wait


@pytest.mark.parametrize("name", ["failure_reason", "status"])
def test_a_key_in_a_report_is_not_kept(name):
    answer = wire.read_query(200, {}, body(**{name: "by sk-very-secret"}), TASK, NOW, conceal="sk-very-secret")
    assert isinstance(answer, TaskReport)
    assert getattr(answer, name) == "by [key]"
    assert "very" not in repr(answer)


def test_without_a_key_nothing_is_masked():
    assert report(status="XXXX").status == "XXXX"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([TASK, "SUCCESS", "FAILURE"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["url", "urls", "type"]) | st.text(), inner)
    ),
    max_leaves=12,
)
OPTIONAL = ("input", "result", "failure_reason", "failReason", "created_at", "updated_at")
DATA = st.fixed_dictionaries(
    {"taskId": st.just(TASK) | JSON_VALUES, "status": st.sampled_from(list(TaskStatus)) | JSON_VALUES},
    optional=dict.fromkeys(
        ("input", "result", "failure_reason", "failReason", "created_at", "updated_at"), JSON_VALUES
    ),
)
ENVELOPES = st.fixed_dictionaries({"code": st.just(0) | JSON_VALUES, "data": DATA | JSON_VALUES})
BODIES = st.binary() | (JSON_VALUES | ENVELOPES).map(lambda value: json.dumps(value).encode())


@given(st.sampled_from([200, 200, 404, 429, 503]) | st.integers(0, 999), BODIES)
def test_no_answer_raises_and_a_report_is_about_the_task_that_was_asked_for(status, answer):
    read_ = read(status, answer)
    if isinstance(read_, TaskReport):
        said = json.loads(answer)
        assert 200 <= status < 300
        assert said["code"] == 0
        assert said["data"]["taskId"] == TASK == read_.task_id
        json.dumps(dict(read_.echo), ensure_ascii=False, allow_nan=False).encode()
        assert len(set(read_.urls)) == len(read_.urls)
    repr(read_).encode()
