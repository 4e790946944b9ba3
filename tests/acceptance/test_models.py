"""Every model: listed, explained, and applied to whole files of the right number, name and content."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest
from acceptance.test_terminal import COLOUR, ESCAPE, seen
from PIL import Image

from seedbatch.models import catalogue

LINK = "https://images.example.com/river.png"
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}
# What each is asked for: the cheapest that shows something; several images where it takes `n`.
ASKED = {
    "seedance": "{ratio: 1:1, resolution: 480p, duration: 5}",
    "veo": "{duration: 4}",
    "nano-banana": "{ratio: 9:16, resolution: 1k}",
    "seedream": "{ratio: 16:9, resolution: 1k, n: 3}",
    "seedream-4.6": "{ratio: 16:9, resolution: 1k}",
    "gpt-image-2/text-to-image": "{ratio: 2:1, n: 2}",
    "gpt-image-2/image-to-image": f"{{imageUrls: [{LINK}]}}",
    "grok-imagine/text-to-image": "{n: 2}",
    "grok-imagine/image-to-image": f"{{imageUrls: [{LINK}]}}",
    "grok-imagine/text-to-video": "{ratio: 1:1, resolution: 480p, duration: 6}",
    "jimeng": "{ratio: 16:9}",
    "jimeng-video": "{ratio: 16:9, duration: 5}",
    "seedance-2.0-pro": "{ratio: 16:9, duration: 5}",
}
COUNTS = {"seedream": 3, "seedream-4.6": 4, "gpt-image-2/text-to-image": 2, "grok-imagine/text-to-image": 2}


def longest(table, model):
    """The entry whose name is most of the model's."""
    return max((name for name in table if model.startswith(name)), key=len, default=None)


def manifest():
    jobs = [
        f"  - {{key: j{number}, model: {name}, prompt: A river, input: {ASKED[longest(ASKED, name)]}}}"
        for number, name in enumerate(catalogue().names)
    ]
    return "version: 1\nbatch: all\njobs:\n" + "\n".join(jobs) + "\n"


def test_every_model_becomes_its_files(project):
    done = project.run("validate", project.write("all.yaml", manifest()))
    legacy = [name for name in catalogue().names if status(name) != "documented"]
    assert all(f"{name} is legacy" in done.stderr or f"{name} is in no doc" in done.stderr for name in legacy)

    project.apply("all.yaml", speed=100)
    jobs = project.jobs()
    assert {job["model"] for job in jobs} == set(catalogue().names)
    assert {job["state"] for job in jobs} == {"completed"}
    for job in jobs:
        paths = [Path(one["path"]) for one in job["artifacts"]]
        assert len(paths) == COUNTS.get(longest(COUNTS, job["model"]), 1), job["model"]
        assert [path.stem for path in paths] == [job["key"], *(f"{job['key']}-{n}" for n in range(2, len(paths) + 1))]
        assert len({one["sha256"] for one in job["artifacts"]}) == len(paths)
        for path in paths:
            assert_is_whole(path, kind(job["model"]))
    assert {path.suffix for path in project.folder.glob("outputs/sandbox/all/*")} == {*FORMATS, ".mp4", ".json"}


def assert_is_whole(path, wanted):
    if wanted == "video":
        with av.open(str(path)) as clip:
            assert clip.streams.video[0].codec_context.name == "h264"
    else:
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == FORMATS[path.suffix]


def status(name):
    return catalogue().schema(name)["x-seedbatch"]["models"][name]["status"]


def kind(name):
    return catalogue().schema(name)["x-seedbatch"]["models"][name]["kind"]


def test_several_images_are_kept_and_found_again(project):
    """Two takes of two images each, and a second run that asks for nothing."""
    job = "{key: mood, model: gpt-image-2/text-to-image, prompt: A river, input: {n: 2}, takes: 2}"
    project.write("m.yaml", f"version: 1\nbatch: b\njobs: [{job}]\n")
    project.apply("m.yaml")
    names = sorted(path.name for path in project.folder.glob("outputs/sandbox/b/*.png"))
    assert names == ["mood-take1-2.png", "mood-take1.png", "mood-take2-2.png", "mood-take2.png"]
    assert project.submitted() == 2
    (project.folder / "outputs/sandbox/b/mood-take1-2.png").unlink()
    project.apply("m.yaml")
    assert project.submitted() == 2


def test_images_are_priced_by_their_number(project):
    project.write(
        "p.toml", '[[prices]]\nmodel = "gpt-image-2/text-to-image"\nunit = "image"\nprice = "0.02"\ncurrency = "USD"\n'
    )
    job = {"key": "a", "model": "gpt-image-2/text-to-image", "prompt": "A river", "input": {"n": 3}}
    project.write("m.yaml", json.dumps({"version": 1, "batch": "b", "jobs": [job]}))
    plan = json.loads(project.run("plan", "m.yaml", "--sandbox", "--prices", "p.toml", "--format", "json").stdout)
    assert plan["summary"]["price"] == {"micros": 60_000, "currency": "USD"}


def test_a_model_that_no_schema_knows_is_passed_through_with_a_warning(project):
    project.write("m.yaml", "version: 1\nbatch: b\njobs: [{key: a, model: sora, prompt: p, input: {size: big}}]\n")
    assert "there is no model sora" in project.run("validate", "m.yaml", code=2).stderr
    for arguments in (["validate", "m.yaml"], ["plan", "m.yaml", "--sandbox"]):
        told = project.run(*arguments, "--allow-unknown-model").stderr
        assert "no schema knows sora: its input is sent unchecked  [model/warning]" in told


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_table(project):
    head, *rows = [line.split("\t") for line in project.run("models").stdout.splitlines()]
    assert head == ["MODEL", "KIND", "STATUS", "ERA", "TAKES"]
    assert [row[0] for row in rows] == list(catalogue().names)
    assert {row[1] for row in rows} == {"video", "image"}
    assert {row[2] for row in rows} == {"documented", "legacy", "other clients only"}


def test_one_object_a_line(project):
    found = [json.loads(line) for line in project.run("models", "--json").stdout.splitlines()]
    assert [one["name"] for one in found] == list(catalogue().names)
    for one in (found[0], found[-1]):
        assert json.loads(project.run("models", one["name"], "--json").stdout) == one
    veo = next(one for one in found if one["name"] == "veo3")
    assert veo["version"] == 1
    assert {one["name"]: one["default"] for one in veo["parameters"]}["duration"] == 8
    assert veo["rules"][0]["text"] == "mode needs imageUrls."
    assert len(veo["warnings"]) == 3


def test_what_one_accepts(project):
    told = project.run("models", "seedream-5-lite").stdout
    assert told.startswith("seedream-5-lite  Seedream image\n  kind:    image\n  status:  documented\n")
    assert "  n: whole number; 1 to 4; default 1\n" in told
    assert "[D seedream-image (era C)]" in told
    assert "\x1b" not in told


def test_a_name_that_is_none(project):
    done = project.run("models", "veo4", code=2)
    assert done.stdout == ""
    assert "there is no model 'veo4'" in done.stderr
    assert "did you mean veo3?" in done.stderr


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_in_a_window(project, columns):
    for arguments in (["models"], ["models", "veo3"]):
        written, code = seen(project, *arguments, columns=columns)
        lines = [ESCAPE.sub("", line).rstrip() for line in written.splitlines()]
        assert code == 0
        assert any(line.startswith("veo3") for line in lines)
        assert columns < 80 or any("documented" in line for line in lines)
        assert max(map(len, lines)) <= columns
        assert COLOUR.search(written)


def test_no_color(project):
    for arguments in (["models"], ["models", "veo3"]):
        written, _ = seen(project, *arguments, NO_COLOR="1")
        assert "veo3" in written
        assert not any("3" in one or "4" in one for one in COLOUR.findall(written))
