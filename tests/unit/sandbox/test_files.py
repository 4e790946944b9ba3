from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
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


@pytest.mark.parametrize(
    ("model", "asked", "count", "kind", "size"),
    [
        ("seedream-4.5", {"n": 3, "ratio": "16:9"}, 3, "JPEG", (112, 64)),
        ("seedream-4.6", {"ratio": "1:1"}, 4, "JPEG", (64, 64)),  # nobody asked for several
        ("gpt-image-2/text-to-image", {"n": 2, "ratio": "9:16"}, 2, "PNG", (64, 112)),
        ("nano-banana", {}, 1, "PNG", (112, 64)),
        ("jimeng-4.6", {"ratio": "1:1"}, 1, "WEBP", (64, 64)),
        ("grok-imagine/text-to-image-lite", {"n": 4}, 4, "JPEG", (64, 64)),
    ],
)
async def test_an_image_model_makes_pictures(drive: Drive, model, asked, count, kind, size) -> None:
    _, body = await drive.post({"model": model, "input": {"prompt": "a river", **asked}})
    assert body["code"] == 0, body
    drive.clock.pass_by(10)
    task = await drive.task(body["data"]["taskId"])
    assert task["result"]["type"] == "image"
    answers = [await drive.fetch(url) for url in task["result"]["urls"]]
    types = [(status, headers["Content-Type"]) for status, headers, _ in answers]
    assert types == [(200, f"image/{kind.lower()}")] * count
    assert len({content for *_, content in answers}) == count
    for *_, content in answers:
        with Image.open(BytesIO(content)) as picture:
            picture.load()
            assert (picture.format, picture.size) == (kind, size)


@pytest.mark.parametrize(
    ("model", "content_type"),
    [("nano-banana", "image/png"), ("seedream-4", "image/jpeg"), ("jimeng-4.6", "image/webp")],
)
async def test_a_picture_that_comes_slowly_has_its_type_too(file: Path, model: str, content_type: str) -> None:
    async with driving(file, plan={"rules": [{"on": "file", "do": {"slow": 0.1}, "at": [1]}]}) as drive:
        _, body = await drive.post({"model": model, "input": {"prompt": "a river"}})
        drive.clock.pass_by(10)
        (url,) = (await drive.task(body["data"]["taskId"]))["result"]["urls"]
        slow, usual = await drive.fetch(url), await drive.fetch(url)
    assert [answer[1]["Content-Type"] for answer in (slow, usual)] == [content_type] * 2
    assert slow[2] == usual[2]


async def test_a_picture_that_many_ask_for_at_once_is_drawn_whole(drive: Drive) -> None:
    for _ in range(5):
        _, body = await drive.post({"model": "seedream-4", "input": {"prompt": "a river", "ratio": "21:9"}})
        drive.clock.pass_by(10)
        (url,) = (await drive.task(body["data"]["taskId"]))["result"]["urls"]
        answers = await asyncio.gather(*(drive.fetch(url) for _ in range(12)))
        assert {status for status, *_ in answers} == {200}
        assert len({content for *_, content in answers}) == 1
    assert not [path for path in drive.path.with_name(f"{drive.path.name}-clips").iterdir() if path.suffix != ".jpg"]


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
