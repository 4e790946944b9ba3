"""The folder of a report: what is ours changes, what is not stays, and a crash in between is mended."""

from __future__ import annotations

import errno
import json
import os

import pytest

from seedbatch.domain.errors import UsageError
from seedbatch.report.folder import INDEX, MARK, opened


def test_what_was_intended_is_ours_although_the_report_died(tmp_path):
    with opened(tmp_path / "r") as ours:
        ours.intend({"data/1.js", "data/2.js"})
        ours.write("data/1.js", b"one")
    (tmp_path / "r/data/.seedbatch-00ff.part").write_bytes(b"half")
    (tmp_path / "r/data/mine.js").write_text("mine")
    with opened(tmp_path / "r") as ours:
        assert not (tmp_path / "r/data/.seedbatch-00ff.part").exists()
        ours.intend({INDEX})
        ours.write(INDEX, b"page")
        ours.settle({INDEX})
    assert sorted(path.name for path in (tmp_path / "r/data").iterdir()) == ["mine.js"]
    assert json.loads((tmp_path / "r" / MARK).read_text())["files"] == [INDEX]


def test_one_writer_at_a_time(tmp_path):
    with opened(tmp_path), pytest.raises(UsageError, match="another report is being written"), opened(tmp_path):
        pass


@pytest.mark.parametrize(
    "files", [["../x"], ["/etc/passwd"], ["data/../../x"], ["notes.txt"], ["data/a/b"], [3], ["data/.."]]
)
def test_a_mark_that_names_what_no_report_writes_is_refused(tmp_path, files):
    (tmp_path / MARK).write_text(json.dumps({"version": 1, "files": files, "notes": {}}))
    with pytest.raises(UsageError, match="is not as seedbatch wrote it"), opened(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"version": 2, "files": [], "notes": {}}'])
def test_a_mark_that_cannot_be_read_is_refused(tmp_path, content):
    (tmp_path / MARK).write_text(content)
    with pytest.raises(UsageError, match="is not as seedbatch wrote it"), opened(tmp_path):
        pass


def test_a_folder_that_leads_elsewhere_is_refused(tmp_path):
    with opened(tmp_path / "r"):
        pass
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "r/media").rmdir()
    (tmp_path / "r/media").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "r" / MARK).write_text(json.dumps({"version": 1, "files": [], "notes": {}}))
    with pytest.raises(UsageError, match="media is in the way"), opened(tmp_path / "r"):
        pass


def test_a_clip_is_linked_and_where_links_cannot_be_made_copied(tmp_path, monkeypatch):
    source = tmp_path / "clip.mp4"
    source.write_bytes(b"clip")
    with opened(tmp_path / "r") as ours:
        ours.bring("media/a.mp4", source)

        def refuse(*_, **__):
            raise OSError(errno.EXDEV, "another disk")

        monkeypatch.setattr(os, "link", refuse)
        ours.bring("media/b.mp4", source)
    assert source.samefile(tmp_path / "r/media/a.mp4")
    assert not source.samefile(tmp_path / "r/media/b.mp4")
    assert (tmp_path / "r/media/b.mp4").read_bytes() == b"clip"
