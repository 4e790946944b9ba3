from __future__ import annotations

import io
import json
import re
import stat
import uuid
from pathlib import Path
from typing import Any

import pytest
from unit.sandbox.driving import INPUT, PRICE, Drive, driving

from seedbatch.sandbox import read_tasks
from seedbatch.sandbox.rules import CATEGORIES

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def test_a_submit_is_answered_with_a_task_id_and_nothing_else(drive: Drive) -> None:
    status, body = await drive.post({"model": "seedance-2.0", "input": INPUT})
    assert status == 200
    assert body == {"code": 0, "msg": "ok", "data": {"taskId": str(uuid.UUID(body["data"]["taskId"]))}}


async def test_the_bill_and_the_task_are_there_when_the_answer_is(drive: Drive) -> None:
    task_id = await drive.submit()
    assert [(line.task_id, line.kind, line.units) for line in drive.lines()] == [(task_id, "charge", PRICE)]
    assert [row.task_id for row in read_tasks(drive.path)] == [task_id]


async def test_user_id_is_on_the_bill_and_in_no_answer(drive: Drive) -> None:
    _, body = await drive.post({"model": "seedance-2.0", "input": INPUT, "user_id": "someone"})
    assert drive.lines()[0].user_id == "someone"
    assert "user_id" not in await drive.task(body["data"]["taskId"])


async def test_a_task_goes_through_every_status_at_the_pace_its_id_decides(drive: Drive) -> None:
    task_id = await drive.submit()
    first, seen, polls = await drive.task(task_id), [], 0
    while not seen or seen[-1] != "SUCCESS":
        task = await drive.task(task_id)
        assert STAMP.fullmatch(task["created_at"])
        assert STAMP.fullmatch(task["updated_at"])
        assert (task["result"] is None) == (task["status"] != "SUCCESS")
        if not seen or seen[-1] != task["status"]:
            seen.append(task["status"])
        drive.clock.pass_by(0.05)
        polls += 1
    assert seen == ["PENDING", "PROCESSING", "SUBMITTED", "SUCCESS"]
    assert 2 <= polls * 0.05 <= 5.2
    assert first["created_at"] == first["updated_at"] == task["created_at"] < task["updated_at"]


async def test_a_finished_task_is_reported_whole(drive: Drive) -> None:
    task = await drive.finished("a river", fallback=True, unknown={"kept": 1})
    assert set(task) == {"taskId", "status", "input", "result", "failure_reason", "created_at", "updated_at"}
    assert task["input"] == {**INPUT, "fallback": True, "unknown": {"kept": 1}, "model": "seedance-2.0"}
    assert task["result"] == {"type": "video", "urls": [f"{drive.url}/files/{task['taskId']}-1.mp4"]}
    assert task["failure_reason"] is None


async def test_speed_divides_the_time_of_a_task(file: Path) -> None:
    async with driving(file, speed=100) as drive:
        task_id = await drive.submit()
        drive.clock.pass_by(0.051)
        assert (await drive.task(task_id))["status"] == "SUCCESS"


async def test_defaults_show_in_the_echo(drive: Drive) -> None:
    _, body = await drive.post({"model": "seedance-2.0", "input": {"prompt": "a river"}})
    echo = (await drive.task(body["data"]["taskId"]))["input"]
    assert echo == {**INPUT, "fallback": False, "model": "seedance-2.0"}


async def test_an_unknown_task_is_not_found(drive: Drive) -> None:
    assert await drive.get(str(uuid.uuid4())) == (404, {"code": 404, "msg": "task not found"})


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"X-API-Key": "k"}])
async def test_without_a_token_nothing_is_served(drive: Drive, header: dict[str, str]) -> None:
    drive.http.headers.clear()
    expected = (401, {"code": 401, "msg": "unauthorized"})
    assert await drive.post({"model": "seedance-2.0", "input": INPUT}, headers=header) == expected
    assert await drive.get(str(uuid.uuid4())) == expected
    assert drive.lines() == []


async def test_with_a_key_only_that_key_is_served(file: Path) -> None:
    async with driving(file, api_key="right") as drive:
        await drive.submit()
        wrong = {"Authorization": "Bearer wrong"}
        status, body = await drive.post({"model": "seedance-2.0", "input": INPUT}, headers=wrong)
        assert (status, body) == (401, {"code": 401, "msg": "unauthorized"})
        assert len(drive.lines()) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "the body must be a JSON object"),
        ({"input": INPUT}, "model is required"),
        ({"model": "sora", "input": INPUT}, "unknown model"),
        ({"model": ["seedance-2.0"], "input": INPUT}, "model is required"),
        ({"model": "seedance-2.0"}, "input is required and must be an object"),
        ({"model": "seedance-2.0", "input": "a river"}, "input is required and must be an object"),
        ({"model": "seedance-2.0", "input": {}}, "input.prompt is required"),
        ({"model": "seedance-2.0", "input": INPUT, "user_id": 7}, "user_id must be a string"),
        ({"model": "seedance-2.0", "input": INPUT, "user_id": "\ud800"}, "user_id must be a string"),
    ],
)
async def test_a_bad_envelope_is_refused(drive: Drive, body: Any, message: str) -> None:
    assert await drive.post(body) == (400, {"code": 400, "msg": message})
    assert drive.lines() == []


@pytest.mark.parametrize(
    ("model", "params", "field"),
    [
        ("seedance-2.0", {"ratio": "21:9"}, "ratio"),
        ("seedance-2.0", {"resolution": "4k"}, "resolution"),
        ("seedance-2.0", {"duration": 3}, "duration"),
        ("seedance-2.0", {"duration": 16}, "duration"),
        ("seedance-2.0", {"duration": "5"}, "duration"),
        ("seedance-2.0", {"duration": 5.0}, "duration"),
        ("seedance-2.0", {"duration": None}, "duration"),
        ("seedance-1.5-pro", {"duration": 6}, "duration"),
        ("seedance-2.0", {"fallback": "yes"}, "fallback"),
        ("seedance-2.0", {"mediaUrls": "https://example.net/a.png"}, "mediaUrls"),
        ("seedance-2.0", {"mediaUrls": ["data:image/png;base64,AA"]}, "mediaUrls"),
        ("seedance-2.0", {"prompt": "  "}, "prompt"),
        ("veo3", {"duration": 5, "resolution": "1080p"}, "duration"),
        ("veo3", {"duration": 8, "resolution": "1080p", "imageUrls": ["https://example.net/a.png"] * 4}, "imageUrls"),
        ("seedream-5-lite", {"resolution": "2k", "n": 5}, "n"),
        ("gpt-image-2/text-to-image", {"resolution": "4k", "ratio": "1:1"}, "ratio"),
        ("grok-imagine/text-to-image-lite", {"resolution": "720p"}, "r"),
    ],
)
async def test_a_bad_parameter_is_refused_and_named(
    drive: Drive, model: str, params: dict[str, Any], field: str
) -> None:
    status, body = await drive.post({"model": model, "input": {**INPUT, **params}})
    assert (status, body["code"]) == (400, 400)
    assert f"input.{field}" in body["msg"]
    assert drive.lines() == []


@pytest.mark.parametrize("body", [b"", b"{", b'{"model": NaN}', b"\xff\xfe", b"[" * 100_000])
async def test_a_body_that_is_no_json_is_refused(drive: Drive, body: bytes) -> None:
    async with drive.http.post(f"{drive.url}/api/v1/task/submit", data=body) as answer:
        assert (answer.status, await answer.json()) == (400, {"code": 400, "msg": "the body must be a JSON object"})


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://localhost:80/x",
            "https://127.0.0.1/",
            "http://10.1.2.3/",
            "http://[::1]/",
            "http://169.254.169.254/",
        ),
        *(
            "http://db.internal/",
            "ftp://example.net/",
            "example.net",
            "http://intranet/",
            "http://192.168.0.1./",
            "http://[",
        ),
    ],
)
async def test_an_internal_callback_is_refused(drive: Drive, url: str) -> None:
    status, body = await drive.post({"model": "seedance-2.0", "input": INPUT, "callBackUrl": url})
    assert (status, body["code"]) == (400, 400)
    assert "callBackUrl" in body["msg"]
    assert drive.lines() == []


async def test_a_public_callback_is_kept(drive: Drive) -> None:
    url = "https://hooks.example.net/done?token=abc"
    status, _ = await drive.post({"model": "seedance-2.0", "input": INPUT, "callBackUrl": url})
    assert status == 200
    assert read_tasks(drive.path)[0].callback_url == url


def links(*names: str) -> list[str]:
    return [f"https://example.net/{name}" for name in names]


@pytest.mark.parametrize(
    ("model", "media"),
    [
        ("seedance-2.0", []),
        ("seedance-2.0", links(*["a.png"] * 8, *["b.mp4"] * 5)),
        ("seedance-2.0", links(*["a.png"] * 10)),
        ("seedance-2.0", links("a.tiff")),
        ("seedance-2.0", links("a.mp4?seconds=9", "b.mov?seconds=7")),
        ("seedance-2.0", links("a.png", "b.mp3?seconds=15.5")),
        ("seedance-1.5-pro", links("a.png", "b.png", "c.png")),
        ("seedance-1.5-pro", links("a.mp4")),
    ],
)
async def test_broken_material_limits_are_found_by_the_task(drive: Drive, model: str, media: list[str]) -> None:
    task_id = await drive.submit(model=model, mediaUrls=media)
    assert (await drive.task(task_id))["status"] == "PENDING"
    drive.clock.pass_by(2)
    task = await drive.task(task_id)
    assert (task["status"], task["failure_reason"]) == ("FAILURE", "INVALID_PARAMETERS")


@pytest.mark.parametrize("field", ["mediaUrls", "imageUrls"])
async def test_good_materials_make_a_clip(drive: Drive, field: str) -> None:
    media = links(*["a.JPG"] * 9, "b.mp4?seconds=8", "c.mov?seconds=7", "d.wav?seconds=15")
    assert (await drive.finished("@1 meets @2", **{field: media}))["status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("prompt", "flagged"),
    [
        ("x [reject]", {"illicit"}),
        ("x [flag:sexual]", {"sexual"}),
        ("[flag:hate/threatening] [flag:violence]", {"hate/threatening", "violence"}),
    ],
)
async def test_screening_refuses_with_all_thirteen_categories(drive: Drive, prompt: str, flagged: set[str]) -> None:
    status, body = await drive.post({"model": "seedance-2.0", "input": {**INPUT, "prompt": prompt}})
    categories = {name: name in flagged for name in CATEGORIES}
    expected = {
        "code": 400,
        "msg": "content rejected by moderation",
        "data": {"flagged": True, "categories": categories},
    }
    assert (status, body, len(categories)) == (400, expected, 13)
    assert drive.lines() == []


async def test_an_unknown_category_is_named(drive: Drive) -> None:
    status, body = await drive.post({"model": "seedance-2.0", "input": {**INPUT, "prompt": "[flag:rude]"}})
    assert (status, body) == (400, {"code": 400, "msg": "unknown moderation category: rude"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v1/nothing", 404), ("GET", "/api/v1/task/submit/x", 404), ("DELETE", "/api/v1/task/submit", 405)],
)
async def test_other_paths_and_methods_answer_in_the_envelope(
    drive: Drive, method: str, path: str, status: int
) -> None:
    async with drive.http.request(method, f"{drive.url}{path}") as answer:
        assert (answer.status, (await answer.json())["code"]) == (status, status)


async def test_a_body_beyond_the_limit_answers_in_the_envelope(drive: Drive) -> None:
    body = io.BytesIO(json.dumps({"model": "seedance-2.0", "input": {**INPUT, "prompt": "x" * 5_000_000}}).encode())
    async with drive.http.post(f"{drive.url}/api/v1/task/submit", data=body) as answer:
        assert (answer.status, (await answer.json())["code"]) == (413, 413)


async def test_the_introspection_tells_tasks_and_bill(drive: Drive) -> None:
    good, bad = await drive.submit(), await drive.submit("[fail]")
    drive.clock.pass_by(10)
    async with drive.http.get(f"{drive.url}/_sandbox/bill") as answer:
        bill = await answer.json()
    async with drive.http.get(f"{drive.url}/_sandbox/tasks") as answer:
        tasks = await answer.json()
    assert bill["units"] == PRICE
    assert [(line["task_id"], line["kind"]) for line in bill["lines"]] == [
        (good, "charge"),
        (bad, "charge"),
        (bad, "refund"),
    ]
    assert (tasks["number"], [task["status"] for task in tasks["tasks"]]) == (2, ["SUCCESS", "FAILURE"])


async def test_only_the_owner_reads_the_file(drive: Drive) -> None:
    await drive.submit()
    files = list(drive.path.parent.glob("provider.db*"))
    assert {file.name for file in files} >= {"provider.db", "provider.db-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files if file.is_file()} == {0o600}


async def test_no_token_reaches_the_disk_or_the_logs(drive: Drive, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secret = "sk-very-secret-4711"
    await drive.post({"model": "seedance-2.0", "input": INPUT}, headers={"Authorization": f"Bearer {secret}"})
    await drive.post([], headers={"Authorization": f"Bearer {secret}"})
    assert secret not in caplog.text
    assert not any(secret.encode() in file.read_bytes() for file in drive.path.parent.rglob("*") if file.is_file())
