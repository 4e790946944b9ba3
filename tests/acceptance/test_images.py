"""Image models on the installed command: several files of one task, what lies beside them, and what is not kept."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

MANIFEST = """
version: 1
batch: stills
jobs:
  - {key: mood, model: gpt-image-2/text-to-image, prompt: A river, input: {ratio: 16:9, n: 3}, tags: [look]}
  - {key: sea, model: seedream-4.5, prompt: A sea, input: {ratio: 1:1, resolution: 1k, n: 2}}
  - {key: grid, model: seedream-4.6, prompt: A road, input: {ratio: 1:1, resolution: 1k}}
  - {key: old, model: jimeng-4.5, prompt: A hill, input: {ratio: 1:1}}
"""
STEMS = {"mood": ["mood", "mood-2", "mood-3"], "sea": ["sea", "sea-2"], "old": ["old"]}
STEMS["grid"] = ["grid", "grid-2", "grid-3", "grid-4"]  # that model was not asked for several
FORMS = {
    "mood": ("png", "PNG", "image/png", (112, 64)),
    "sea": ("jpg", "JPEG", "image/jpeg", (64, 64)),
    "grid": ("jpg", "JPEG", "image/jpeg", (64, 64)),
    "old": ("webp", "WEBP", "image/webp", (64, 64)),
}


def assert_is_told(job, artifact, position):
    """What `list --json` and the sidecar say of a file is what lies there; a decoder reads it to its end."""
    extension, form, content_type, size = FORMS[job["key"]]
    path = Path(artifact["path"])
    content = path.read_bytes()
    assert path.is_absolute()
    assert path.name == f"{STEMS[job['key']][position - 1]}.{extension}"
    assert artifact["bytes"] == len(content)
    assert artifact["sha256"] == hashlib.sha256(content).hexdigest()
    assert artifact["content_type"] == content_type
    with Image.open(path) as picture:
        picture.load()
        assert (picture.format, picture.size) == (form, size)
    sidecar = json.loads(path.with_suffix(".json").read_text())
    told = {name: sidecar[name] for name in ("key", "model", "task_id", "position", "outputs", "file", "sha256")}
    assert told == {
        **{name: job[name] for name in ("key", "model", "task_id")},
        "position": position,
        "outputs": len(STEMS[job["key"]]),
        "file": path.name,
        "sha256": artifact["sha256"],
    }


def assert_all_is_there(project):
    jobs = project.jobs()
    assert {job["key"]: len(job["artifacts"]) for job in jobs} == {key: len(stems) for key, stems in STEMS.items()}
    for job in jobs:
        for position, artifact in enumerate(job["artifacts"], start=1):
            assert_is_told(job, artifact, position)
    names = {path.name for path in project.folder.glob("outputs/sandbox/stills/*")}
    wanted = {(stem, FORMS[key][0]) for key, stems in STEMS.items() for stem in stems}
    assert names == {f"{stem}.{extension}" for stem, one in wanted for extension in (one, "json")}
    assert project.submitted() == len(jobs)


def test_every_file_of_every_task_has_its_name_and_its_sidecar(project):
    project.write("m.yaml", MANIFEST)
    project.apply("m.yaml")
    assert_all_is_there(project)
    shown = project.run("show", "mood", "--sandbox").stdout
    assert [shown.count(f"/{stem}.png ") for stem in STEMS["mood"]] == [1, 1, 1]


@pytest.mark.parametrize("fault", ["truncated", "html"])
def test_what_came_damaged_is_not_kept_and_fetched_again(project, fault):
    """The first file of every task, so one of each format at least; no task is paid for again."""
    rules = [{"on": "file", "do": fault, "at": [1, 2, 3, 4]}]
    project.environment["SEEDBATCH_SANDBOX_FAULTS"] = project.write("faults.yaml", json.dumps({"rules": rules}))
    project.write("m.yaml", MANIFEST)
    done = project.apply("m.yaml", "--verbose")  # each of them, not some of the kind
    missed = [line.split()[2] for line in done.stderr.splitlines() if line.startswith("  not fetched")]
    assert sorted(missed) == [f"stills/{key}" for key in sorted(STEMS)]
    assert ("it is no image: it begins with" in done.stderr) == (fault == "html")
    assert_all_is_there(project)


def test_another_revision_leaves_every_file_of_the_earlier_beside_its_own(project):
    project.write("m.yaml", MANIFEST)
    project.apply("m.yaml")
    before = [
        Path(one["path"]).read_bytes() for job in project.jobs() if job["key"] == "mood" for one in job["artifacts"]
    ]
    project.write("m.yaml", MANIFEST.replace("A river", "A wide river"))
    project.apply("m.yaml")
    folder = project.folder / "outputs/sandbox/stills"
    assert [(folder / f"{stem}.rev1.png").read_bytes() for stem in STEMS["mood"]] == before
    for stem in STEMS["mood"]:
        facts = [json.loads((folder / name).read_text()) for name in (f"{stem}.rev1.json", f"{stem}.json")]
        assert [(one["revision"], one["file"]) for one in facts] == [(1, f"{stem}.rev1.png"), (2, f"{stem}.png")]
        assert (folder / f"{stem}.png").read_bytes() not in before


LAKE = "version: 1\nbatch: b\njobs:\n  - {key: mood-2, model: gpt-image-2/text-to-image, prompt: A lake}\n"
RIVER = "  - {key: mood, model: gpt-image-2/text-to-image, prompt: A river, input: {n: 2}}\n"


def test_names_that_further_files_will_have_are_refused_before_anything_is_paid(project):
    project.write("m.yaml", LAKE)
    project.apply("m.yaml")
    project.write("m.yaml", LAKE + RIVER)
    assert "mood would write to b/mood-2, and so would mood-2" in project.apply("m.yaml", code=2).stderr
    # Also where the other job left the manifest, and only its file stands there.
    project.write("m.yaml", LAKE.replace("mood-2", "hill").replace("lake", "hill") + RIVER)
    assert "taken by files of other jobs, or of none: b/mood-2.*" in project.apply("m.yaml", code=2).stderr
    assert project.submitted() == 1


def test_a_further_file_that_nobody_announced_never_takes_the_name_of_another_job(project):
    """It waits, and the way out that the message names costs nothing."""
    project.write("m.yaml", LAKE)
    project.apply("m.yaml")
    both = LAKE + "  - {key: mood, model: gpt-image-2/text-to-image, prompt: 'A river [two]'}\n"
    project.write("m.yaml", both)
    lake = project.folder / "outputs/sandbox/b/mood-2.png"
    before = lake.read_bytes()
    stopped = project.apply("m.yaml", code=6)
    assert f"{lake} belongs to another task: give this job another output in the manifest" in stopped.stderr
    project.write("m.yaml", both.replace("key: mood,", "key: mood, output: b/river,"))
    plan = json.loads(project.run("plan", "m.yaml", "--sandbox", "--format", "json").stdout)
    assert {job["key"]: job["action"] for job in plan["jobs"]} == {"mood-2": "unchanged", "mood": "download"}
    assert lake.read_bytes() == before
    assert project.submitted() == 2


def test_what_an_earlier_revision_gave_beyond_this_one_is_moved_aside_as_well(project):
    project.write("m.yaml", "version: 1\nbatch: b\njobs:\n" + RIVER.replace("n: 2", "n: 3"))
    project.apply("m.yaml")
    project.write("m.yaml", "version: 1\nbatch: b\njobs:\n" + RIVER.replace("n: 2", "n: 1"))
    project.apply("m.yaml")
    names = {path.name for path in project.folder.glob("outputs/sandbox/b/*.png")}
    assert names == {"mood.png", "mood.rev1.png", "mood-2.rev1.png", "mood-3.rev1.png"}
    assert "ok" in project.run("ledger", "check", "--files", "--sandbox").stdout


def test_a_cap_counts_every_image_of_a_task(project):
    """Three images at 0.02 are 0.06: one unit of money too little stops it before anything is sent."""
    price = {"model": "gpt-image-2/text-to-image", "unit": "image", "price": "0.02", "currency": "USD"}
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in price.items())
    prices = ["--prices", project.write("p.toml", f"[[prices]]\n{lines}\n")]
    job = {"key": "a", "model": "gpt-image-2/text-to-image", "prompt": "A river", "input": {"n": 3}}
    project.write("m.yaml", json.dumps({"version": 1, "batch": "b", "jobs": [job]}))
    stopped = project.run("apply", "m.yaml", "--sandbox", "--yes", *prices, "--max-cost", "0.059999", code=5)
    assert "0.06" in stopped.stderr
    assert project.submitted() == 0
    project.run("apply", "m.yaml", "--sandbox", "--yes", "--sandbox-speed=50", *prices, "--max-cost", "0.06")
    (found,) = project.jobs()
    assert (len(found["artifacts"]), found["cost"]) == (3, {"micros": 60_000, "currency": "USD"})
