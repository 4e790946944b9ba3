from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from unit.sandbox.driving import Drive, driving

WEEK = 7 * 86_400


async def test_an_output_is_a_whole_mp4_that_needs_no_key(drive: Drive) -> None:
    task = await drive.finished("[two]", resolution="480p", duration=4)
    answers = [await drive.fetch(url) for url in task["result"]["urls"]]
    for status, headers, content in answers:
        assert (status, headers["Content-Type"]) == (200, "video/mp4")
        assert int(headers["Content-Length"]) == len(content)
        assert content[4:8] == b"ftyp"
    assert answers[0][2] != answers[1][2]


async def test_asked_again_an_output_is_the_same(drive: Drive) -> None:
    (url,) = (await drive.finished("a river", resolution="480p", duration=4))["result"]["urls"]
    first, again = await asyncio.gather(drive.fetch(url), drive.fetch(url))
    assert first[2] == again[2]
    status, headers, part = await drive.fetch(url, headers={"Range": "bytes=10-19"})
    assert (status, headers["Content-Length"], part) == (206, "10", first[2][10:20])


async def test_an_image_model_makes_pngs(drive: Drive) -> None:
    task = await drive.finished("a river", model="seedream-4.5", resolution="2k", n=3)
    assert task["result"]["type"] == "image"
    answers = [await drive.fetch(url) for url in task["result"]["urls"]]
    assert [(status, headers["Content-Type"]) for status, headers, _ in answers] == [(200, "image/png")] * 3
    assert len({content for *_, content in answers}) == 3
    assert all(content.startswith(b"\x89PNG") for *_, content in answers)


async def test_before_the_success_there_is_no_file(drive: Drive) -> None:
    task_id = await drive.submit()
    assert (await drive.fetch(f"{drive.url}/files/{task_id}-1.mp4"))[0] == 404


@pytest.mark.parametrize("name", ["{}-2.mp4", "{}-1.png", "{}-0.mp4", "{}.mp4", "x-1.mp4", "..%2F..%2Fprovider.db"])
async def test_other_names_are_not_found(drive: Drive, name: str) -> None:
    task = await drive.finished("a river")
    assert (await drive.fetch(f"{drive.url}/files/{name.format(task['taskId'])}"))[0] == 404


@pytest.mark.parametrize("marker", ["[fail]", "[no-output]"])
async def test_a_task_without_outputs_has_no_file(drive: Drive, marker: str) -> None:
    task = await drive.finished(marker)
    assert (await drive.fetch(f"{drive.url}/files/{task['taskId']}-1.mp4"))[0] == 404


async def test_a_link_expires_seven_days_after_the_success(drive: Drive) -> None:
    task = await drive.finished("a river", resolution="480p", duration=4)
    (url,) = task["result"]["urls"]
    drive.clock.pass_by(WEEK - 10)
    assert (await drive.fetch(url))[0] == 200
    drive.clock.pass_by(10)
    assert (await drive.fetch(url))[0] == 403
    assert (await drive.task(task["taskId"]))["result"]["urls"] == [url]  # a query still tells the dead link


async def test_links_point_at_the_address_that_was_asked(file: Path) -> None:
    async with driving(file) as drive:
        task = await drive.finished("a river")
        other = drive.url.replace("127.0.0.1", "localhost")
        async with drive.http.get(f"{other}/api/v1/task/{task['taskId']}") as answer:
            assert (await answer.json())["data"]["result"]["urls"][0].startswith(f"{other}/files/")
