from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from unit.sandbox.driving import INPUT, Drive, driving

BODY = {"model": "seedance-2.0", "input": INPUT}
SUBMIT = "/api/v1/task/submit"


def always(on: str, do: object) -> dict[str, Any]:
    return {"rules": [{"on": on, "do": do}]}


async def ask(drive: Drive, on: str, **options: Any) -> tuple[int, aiohttp.ClientResponse, bytes]:
    """A submit, or a query for the first task there is."""
    options.setdefault("allow_redirects", False)
    if on == "submit":
        request = drive.http.post(f"{drive.url}{SUBMIT}", json=BODY, **options)
    else:
        request = drive.http.get(f"{drive.url}/api/v1/task/{await drive.submit()}", **options)
    async with request as answer:
        return answer.status, answer, await answer.read()


@pytest.mark.parametrize("on", ["submit", "query"])
@pytest.mark.parametrize(
    ("do", "status", "retry_after"),
    [
        (429, 429, None),
        ({"429-retry-after": 7}, 429, "7"),
        (500, 500, None),
        ({"503-retry-after": 2.5}, 503, "2.5"),
        (401, 401, None),
        ("code-400-in-200", 200, None),
    ],
)
async def test_a_refusal_comes_in_the_envelope_and_nothing_is_done(
    file: Path, on: str, do: object, status: int, retry_after: str | None
) -> None:
    async with driving(file, plan=always(on, do)) as drive:
        got, answer, _ = await ask(drive, on)
        body = await answer.json()
        assert (got, answer.headers.get("Retry-After")) == (status, retry_after)
        assert body["code"] == (400 if status == 200 else status)
        assert "data" not in body
        assert len(drive.lines()) == (0 if on == "submit" else 1)


@pytest.mark.parametrize("on", ["submit", "query"])
async def test_a_gateway_answers_html(file: Path, on: str) -> None:
    async with driving(file, plan=always(on, "502-html")) as drive:
        status, answer, content = await ask(drive, on)
        assert (status, answer.content_type) == (502, "text/html")
        assert b"<html>" in content


@pytest.mark.parametrize(("do", "created"), [("cut-before-accept", 0), ("cut-after-accept", 1)])
async def test_a_cut_submit_is_without_an_answer(file: Path, do: str, created: int) -> None:
    async with driving(file, plan=always("submit", do)) as drive:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await ask(drive, "submit")
        assert len(drive.lines()) == created


async def test_a_cut_query_is_without_an_answer(file: Path) -> None:
    async with driving(file, plan=always("query", "cut")) as drive:
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask(drive, "query")


async def test_a_delayed_submit_is_billed_before_the_wait(file: Path) -> None:
    async with driving(file, plan=always("submit", {"delay": 30})) as drive:
        with pytest.raises(TimeoutError):
            await ask(drive, "submit", timeout=aiohttp.ClientTimeout(total=0.3))
        assert len(drive.lines()) == 1


async def test_a_delayed_answer_comes(file: Path) -> None:
    async with driving(file, plan=always("query", {"delay": 0.2})) as drive:
        started = time.monotonic()
        status, _, _ = await ask(drive, "query")
        assert (status, time.monotonic() - started >= 0.2) == (200, True)


@pytest.mark.parametrize("on", ["submit", "query"])
async def test_truncated_json_is_whole_as_http_and_the_task_is_billed(file: Path, on: str) -> None:
    async with driving(file, plan=always(on, "truncated-json")) as drive:
        status, answer, content = await ask(drive, on)
        assert (status, answer.content_type, len(content)) == (200, "application/json", answer.content_length)
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            await answer.json()
        assert len(drive.lines()) == 1


async def test_a_redirected_submit_creates_a_task_only_where_it_is_followed(file: Path) -> None:
    async with driving(file, plan=always("submit", "redirect-307")) as drive:
        status, answer, _ = await ask(drive, "submit")
        assert (status, answer.headers["Location"], drive.lines()) == (307, f"{SUBMIT}?redirected=1", [])
        assert (await ask(drive, "submit", allow_redirects=True))[0] == 200
        assert len(drive.lines()) == 1


async def test_a_query_may_not_find_a_task(file: Path) -> None:
    async with driving(file, plan={"rules": [{"on": "query", "do": 404, "first": 1}]}) as drive:
        task_id = await drive.submit()
        assert [(await drive.get(task_id))[0] for _ in range(2)] == [404, 200]


async def test_a_new_task_is_hidden_for_a_while(file: Path) -> None:
    async with driving(file, plan={"hide_for": 1.5}) as drive:
        task_id = await drive.submit()
        assert await drive.get(task_id) == (404, {"code": 404, "msg": "task not found"})
        drive.clock.pass_by(1.5)
        assert (await drive.get(task_id))[0] == 200


@pytest.mark.parametrize(
    ("do", "check"),
    [
        ("sparse", lambda body: not {"result", "failure_reason"} & set(body["data"])),
        ("partial-echo", lambda body: set(body["data"]["input"]) == {"model", "prompt"}),
        ("extra-fields", lambda body: "progress" in body["data"] and "request_id" in body),
        ("whole-seconds", lambda body: len(body["data"]["created_at"]) == len("2026-03-01T08:00:00Z")),
        ("nanoseconds", lambda body: len(body["data"]["updated_at"]) == len("2026-03-01T08:00:00.123456789Z")),
    ],
)
async def test_a_query_answers_in_another_documented_shape(file: Path, do: str, check: Any) -> None:
    async with driving(file, plan=always("query", do)) as drive:
        status, answer, _ = await ask(drive, "query")
        assert (status, check(await answer.json())) == (200, True)
        assert (await drive.get("unknown"))[0] == 404


async def test_a_result_may_come_later_than_the_success(file: Path) -> None:
    async with driving(file, plan={"rules": [{"on": "query", "do": "late-result", "at": [2]}]}) as drive:
        task_id = await drive.submit()
        drive.clock.pass_by(6 * 3600)
        answers = [(await drive.get(task_id))[1]["data"] for _ in range(3)]
    assert [answer["status"] for answer in answers] == ["SUCCESS"] * 3
    assert [answer["result"] is None for answer in answers] == [False, True, False]


async def output(drive: Drive) -> str:
    return str((await drive.finished("a river", resolution="480p", duration=4))["result"]["urls"][0])


@pytest.mark.parametrize(("do", "status"), [(403, 403), (404, 404), (500, 500), ("html", 200)])
async def test_a_download_is_a_page(file: Path, do: object, status: int) -> None:
    async with driving(file, plan=always("file", do)) as drive:
        got, headers, content = await drive.fetch(await output(drive))
        assert (got, headers["Content-Type"].partition(";")[0]) == (status, "text/html")
        assert b"<html>" in content


async def test_a_download_ends_before_its_length(file: Path) -> None:
    async with driving(file, plan=always("file", "truncated")) as drive:
        url = await output(drive)
        async with aiohttp.ClientSession() as bare, bare.get(url) as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()


async def test_a_download_is_cut(file: Path) -> None:
    async with driving(file, plan=always("file", "cut")) as drive:
        url = await output(drive)
        with pytest.raises(aiohttp.ClientConnectionError):
            await drive.fetch(url)


async def test_a_slow_download_is_whole(file: Path) -> None:
    async with driving(file, plan={"rules": [{"on": "file", "do": {"slow": 0.4}, "at": [1]}]}) as drive:
        url, started = await output(drive), time.monotonic()
        status, _, slow = await drive.fetch(url)
        assert (status, time.monotonic() - started >= 0.4) == (200, True)
        assert slow == (await drive.fetch(url))[2]


async def test_a_download_is_redirected_once(file: Path) -> None:
    async with driving(file, plan=always("file", "redirect")) as drive:
        url = await output(drive)
        status, headers, _ = await drive.fetch(url, allow_redirects=False)
        assert (status, headers["Location"]) == (302, f"{url.removeprefix(drive.url)}?redirected=1")
        assert (await drive.fetch(url))[2][4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("condition", "hit"),
    [
        ({"every": 3}, [3, 6]),
        ({"first": 2}, [1, 2]),
        ({"at": [2, 5]}, [2, 5]),
        ({"chance": 0}, []),
        ({"chance": 1}, [1, 2, 3, 4, 5, 6]),
        ({}, [1, 2, 3, 4, 5, 6]),
    ],
)
async def test_a_condition_chooses_requests_by_their_number(
    file: Path, condition: dict[str, Any], hit: list[int]
) -> None:
    async with driving(file, plan={"rules": [{"on": "submit", "do": 500, **condition}]}) as drive:
        answers = [(await drive.post(BODY))[0] for _ in range(6)]
        assert [number for number, status in enumerate(answers, 1) if status == 500] == hit


async def test_the_first_rule_that_fits_decides_and_kinds_are_counted_apart(file: Path) -> None:
    rules = [{"on": "query", "do": 500, "at": [1]}, {"on": "query", "do": 429, "first": 2}]
    async with driving(file, plan={"rules": rules}) as drive:
        task_id = await drive.submit()
        assert [(await drive.get(task_id))[0] for _ in range(3)] == [500, 429, 200]
