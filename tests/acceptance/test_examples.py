"""Every example manifest, validated, planned and applied."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
FORMATS = {".png": ("PNG", "image/png"), ".jpg": ("JPEG", "image/jpeg"), ".webp": ("WEBP", "image/webp")}
EXAMPLES = sorted(path.name for path in (ROOT / "manifests").glob("*.yaml"))


def test_there_are_enough():
    named = {"autumn-campaign", "image-to-video", "quickstart", "shot-list", "stills", "storyboard"}
    assert {f"{name}.yaml" for name in named} <= set(EXAMPLES)


def assert_is_whole(artifact):
    """A decoder reads it to its end, and finds what its name says."""
    path = Path(artifact["path"])
    if path.suffix == ".mp4":
        with av.open(str(path)) as clip:
            assert clip.streams.video[0].codec_context.name == "h264"
        return
    with Image.open(path) as picture:
        picture.load()
        assert (picture.format, artifact["content_type"]) == FORMATS[path.suffix]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_becomes_clips(project, name):
    shutil.copytree(ROOT / "manifests", project.folder / "manifests")
    manifest = f"manifests/{name}"
    assert "valid" in project.run("validate", manifest).stdout
    plan = json.loads(project.run("plan", manifest, "--sandbox", "--format", "json").stdout)
    assert {job["action"] for job in plan["jobs"]} == {"create"}
    assert not (project.folder / ".seedbatch").exists()

    project.apply(manifest)
    jobs = project.jobs()
    assert {(job["key"], job["state"]) for job in jobs} == {(job["key"], "completed") for job in plan["jobs"]}
    assert project.submitted() == len(jobs)
    for job in jobs:
        assert job["artifacts"]
        for artifact in job["artifacts"]:
            assert_is_whole(artifact)
            sidecar = json.loads(Path(artifact["path"]).with_suffix(".json").read_text())
            assert (sidecar["key"], sidecar["sha256"], sidecar["task_id"]) == (
                job["key"],
                artifact["sha256"],
                job["task_id"],
            )

    again = json.loads(project.run("plan", manifest, "--sandbox", "--format", "json").stdout)
    assert {job["action"] for job in again["jobs"]} == {"unchanged"}
    project.apply(manifest)
    assert project.submitted() == len(jobs)


def test_clips_have_the_asked_shape(project):
    project.write(
        "m.yaml",
        """
version: 1
batch: shapes
defaults: {model: seedance-2.0, input: {resolution: 480p, duration: 4}}
matrix: {ratio: ["16:9", "9:16", "1:1", "4:3", "3:4"]}
jobs: [{key: clip, prompt: a cat, input: {ratio: "{{ ratio }}"}}]
""",
    )
    project.apply("m.yaml")
    shapes = {}
    for job in project.jobs():
        with av.open(job["artifacts"][0]["path"]) as clip:
            video = clip.streams.video[0]
            shapes[job["key"].partition("=")[2].strip("]")] = round(video.width / video.height, 2)
            assert clip.duration / av.time_base == pytest.approx(4, abs=0.1)
    assert shapes == {"16:9": 1.78, "9:16": 0.56, "1:1": 1.0, "4:3": 1.33, "3:4": 0.75}
