from __future__ import annotations

import errno
import fcntl
import os
import resource
from pathlib import Path

import pytest

from seedbatch import machine
from seedbatch.domain.health import Descriptors, Locking
from seedbatch.machine import descriptors, filesystem_of, try_out

MOUNTS = """\
21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
22 21 0:20 / /home rw shared:5 master:1 - nfs4 server:/home rw
23 22 0:21 / /home/ann/my\\040clips rw - fuse.sshfs ann@host: rw
24 21 0:22 / /srv rw - xfs /dev/sdb1 rw
25 21 0:23 / /srv rw - cifs //host/share rw
nonsense
26 21 0:24 / /etc
"""


def test_a_folder_of_this_machine(tmp_path):
    found = try_out(tmp_path)
    assert (found.wanted, found.there, found.trouble) == (str(tmp_path), str(tmp_path), "")
    assert (found.links, found.locking) == (True, Locking.HOLDS)
    assert found.device == tmp_path.stat().st_dev
    assert found.free is not None
    assert found.filesystem == filesystem_of(tmp_path, Path("/proc/self/mountinfo").read_text())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    found = try_out(tmp_path / "a" / "b")
    assert (found.wanted, found.there) == (str(tmp_path / "a" / "b"), str(tmp_path))
    assert found.locking is Locking.HOLDS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below", "dangling", "dangling/below"])
def test_something_else_is_in_the_way(tmp_path, name):
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    found = try_out(tmp_path / name)
    assert (found.there, found.trouble, found.free) == ("", "a file is in the way", None)


def test_a_folder_that_cannot_be_written():
    found = try_out(Path("/proc/none/outputs"))  # where root cannot write either
    assert found.there == "/proc"
    assert found.trouble
    assert (found.links, found.locking) == (None, None)


@pytest.mark.parametrize(
    ("answer", "expected"), [(None, Locking.PRETENDS), (OSError(errno.ENOLCK, "no locks"), Locking.LACKING)]
)
def test_file_systems_that_cannot_lock(tmp_path, monkeypatch, answer, expected):
    def flock(_handle, _operation):  # stands for a kernel that this machine does not have
        if answer is not None:
            raise answer

    monkeypatch.setattr(fcntl, "flock", flock)
    assert try_out(tmp_path).locking is expected
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    def link(*_arguments, **_options):
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", link)
    assert try_out(tmp_path).links is False
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_trouble_and_leaves_nothing(tmp_path, monkeypatch):
    def write(_handle, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(machine.os, "write", write)
    assert "No space left" in try_out(tmp_path).trouble
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/x", "ext4"),
        ("/", "ext4"),
        ("/home", "nfs4"),
        ("/homes", "ext4"),
        ("/home/ann/clips", "nfs4"),
        ("/home/ann/my clips/a", "fuse.sshfs"),
        ("/srv/a", "cifs"),
    ],
)
def test_the_file_system_is_the_deepest_mount(path, expected):
    assert filesystem_of(Path(path), MOUNTS) == expected


def test_where_nothing_tells_of_mounts():
    assert filesystem_of(Path("/x"), "") == ""


def test_the_descriptors_are_those_of_this_process():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert descriptors() == Descriptors(
        None if soft == resource.RLIM_INFINITY else soft, None if hard == resource.RLIM_INFINITY else hard
    )
