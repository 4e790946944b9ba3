"""The gallery as a folder: what `report` writes, keeps and refuses. What a browser makes of it: test_gallery.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PROMPTS = ("a river", "a sea [fail]", "a <b>bold</b> '\\u2028' hill")


def told(folder: Path) -> list[dict]:
    """What the scripts hand to the page, in the order in which it loads them."""
    page = (folder / "index.html").read_text()
    first = re.findall(r'src="(data/[^"]+)"', page)
    more = re.search(r'data-more="([^"]*)"', page).group(1).split()
    jobs = []
    for name in (*first, *more):
        literal = re.fullmatch(r"gallery\.receive\('(.*)'\);\n", (folder / name).read_text(), flags=re.DOTALL).group(1)
        assert "<" not in literal
        assert not {"\u2028", "\u2029", "\n"} & set(literal)
        text = literal.replace("\\\\", "\0").replace("\\'", "'").replace("\0", "\\")
        jobs += json.loads(text)
    return jobs


def listing(folder: Path) -> dict[str, int]:
    """Every file below it, with its inode: the same number is the same file, untouched."""
    return {
        str(path.relative_to(folder)): path.stat().st_ino
        for path in folder.rglob("*")
        if path.is_file() and path.name != "report.json"
    }


@pytest.fixture
def applied(project):
    project.apply(project.manifest(*PROMPTS), code=3)
    return project


def report(project, *arguments, code=0):
    return project.run("report", "--output", "gallery", "--sandbox", *arguments, code=code)


def test_it_tells_what_the_ledger_tells_and_brings_the_clips(applied):
    done = report(applied)
    folder = applied.folder / "gallery"
    assert done.stdout == f"{folder}/index.html\n"
    assert "Written: 3 jobs, 2 new posters." in done.stderr
    jobs = {job["address"]: job for job in told(folder)}
    for listed in applied.jobs():
        job = jobs[listed["key"]]
        assert (job["batch"], job["state"], job["model"]) == (listed["batch"], listed["state"], listed["model"])
        assert job.get("task") == listed["task_id"]
        assert [one["sha256"] for one in job.get("files", [])] == [one["sha256"] for one in listed["artifacts"]]
        for one, artifact in zip(job.get("files", []), listed["artifacts"], strict=True):
            assert (folder / "media" / one["media"]).samefile(artifact["path"])  # a link: no second copy
            assert one["size"] == [480, 480]
            assert (folder / "posters" / one["poster"]).read_bytes().startswith(b"\xff\xd8")
        (attempt,) = job["attempts"]
        assert attempt["sent"] <= attempt["accepted"] <= attempt["ended"]
        assert attempt["began"] < attempt["finished"]
    assert jobs["j2"]["input"]["prompt"] == "a <b>bold</b> '\u2028' hill"
    assert (jobs["j1"]["failure"], jobs["j1"]["reason"]) == ("provider", "the provider failed and gave no reason")


def test_nothing_of_this_machine_and_no_secret_is_in_it(applied):
    applied.environment["MAXAPI_API_KEY"] = "sk-secret-of-mine"
    report(applied)
    for path in (applied.folder / "gallery").rglob("*"):
        if path.suffix in {".html", ".js", ".css", ".json"}:
            text = path.read_text()
            assert str(applied.folder) not in text
            assert "sk-secret-of-mine" not in text
            assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_second_report_makes_only_what_is_new(applied):
    report(applied)
    folder = applied.folder / "gallery"
    (folder / "CNAME").write_text("mine")
    before = listing(folder)
    assert "new poster" not in report(applied).stderr
    after = listing(folder)
    assert {name for name in before if before[name] != after.get(name)} == {"index.html"}
    applied.apply(applied.manifest(*PROMPTS, "a fourth"), code=3)
    assert "Written: 4 jobs, 1 new poster." in report(applied).stderr
    last = listing(folder)
    kept = {name for name in before if name.startswith(("media", "posters", "assets", "CNAME"))}
    assert {name for name in kept if before[name] != last.get(name)} == set()
    assert len([name for name in last if name.startswith("data/")]) == 1  # the earlier one is gone
    report(applied, "--select", "state:failed")
    assert {name.partition("/")[0] for name in listing(folder)} == {"index.html", "assets", "data", "CNAME"}


def test_a_clip_that_is_gone_or_no_clip_does_not_end_the_report(project):
    project.apply(project.manifest("one", "two", "three"))
    files = {job["key"]: Path(job["artifacts"][0]["path"]) for job in project.jobs()}
    files["j0"].unlink()
    files["j1"].write_bytes(b"x" * files["j1"].stat().st_size)
    done = report(project)
    assert "1 file of the ledger cannot be shown: gone, or changed since they were stored." in done.stderr
    assert "1 file could not be decoded, and have no poster." in done.stderr
    jobs = {job["address"]: job["files"][0] for job in told(project.folder / "gallery")}
    assert [("media" in jobs[key], "poster" in jobs[key]) for key in ("j0", "j1", "j2")] == [
        *((False, False), (True, False), (True, True)),
    ]
    # What the report holds stays in it, whatever becomes of the original.
    files["j2"].unlink()
    report(project)
    assert "media" in {job["address"]: job["files"][0] for job in told(project.folder / "gallery")}["j2"]


def test_without_the_video_extra_there_are_clips_without_posters(project):
    project.write("absent/av.py", "raise ImportError\n")
    project.environment["PYTHONPATH"] = str(project.folder / "absent")
    project.apply(project.manifest("one"))
    done = report(project)
    assert "1 file without a poster: posters need the video extra." in done.stderr
    assert "→ pip install 'seedbatch[video]'" in done.stderr
    (job,) = told(project.folder / "gallery")
    assert ("media" in job["files"][0], "poster" in job["files"][0]) == (True, False)
    del project.environment["PYTHONPATH"]
    assert "1 new poster" in report(project).stderr
    (job,) = told(project.folder / "gallery")
    assert "poster" in job["files"][0]


def test_selections_and_earlier_revisions(project):
    project.apply(project.manifest("one", "two"))
    project.apply(project.manifest("one", "two again"), project.manifest("three", batch="other"))
    report(project, "--select", "j1", "--batch", "test")
    (job,) = told(project.folder / "gallery")
    assert (job["address"], job["revision"], job["input"]["prompt"]) == ("j1", 2, "two again")
    (earlier,) = job["earlier"]
    assert (earlier["revision"], earlier["input"]["prompt"], len(earlier["files"])) == (1, "two", 1)
    # Chosen by what only the present revision has: the earlier one is there all the same.
    project.apply(project.manifest("one", "two [fail]"), code=3)
    report(project, "--select", "state:failed")
    (job,) = told(project.folder / "gallery")
    assert [one["revision"] for one in job["earlier"]] == [2, 1]
    assert "No job matches: the gallery is empty." in report(project, "--select", "tag:none").stderr
    assert told(project.folder / "gallery") == []
    assert "did you mean duration=5?" in report(project, "--select", "dration=5", code=2).stderr


def test_what_is_refused(applied):
    folder = applied.folder / "gallery"
    folder.mkdir()
    (folder / "holiday.jpg").write_text("mine")
    done = report(applied, code=2)
    assert "gallery is no report and not empty: holiday.jpg would be among its files" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["holiday.jpg"]
    (folder / "holiday.jpg").unlink()
    report(applied)
    mark = json.loads((folder / "report.json").read_text())
    outside = applied.write("outside", "mine")
    (folder / "report.json").write_text(json.dumps({**mark, "files": [f"../{outside}", *mark["files"]]}))
    assert "is not as seedbatch wrote it" in report(applied, code=2).stderr
    assert (applied.folder / outside).read_text() == "mine"
    file = applied.write("file", "")
    assert "cannot be made" in applied.run("report", "--output", f"{file}/x", "--sandbox", code=2).stderr
    assert "Missing option '--output'" in applied.run("report", "--sandbox", code=2).stderr


def test_without_a_ledger_and_without_jobs(project):
    done = report(project)
    assert "There is no ledger" in done.stderr
    assert (done.stdout, list(project.folder.iterdir())) == ("", [])
    project.apply(project.manifest("[reject] one"), "--max-jobs", "0", code=5)
    report(project)
    assert [job["state"] for job in told(project.folder / "gallery")] == ["pending"]
