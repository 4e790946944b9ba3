"""Posters that are drawn when somebody looks."""

from __future__ import annotations

import hashlib

import pytest
from PIL import Image

from seedbatch.domain.records import Artifact
from seedbatch.report import posters
from seedbatch.report.poster_cache import PosterCache


@pytest.fixture
def image(tmp_path) -> Artifact:
    path = tmp_path / "a.png"
    Image.linear_gradient("L").convert("RGB").resize((640, 320)).save(path)
    content = path.read_bytes()
    return Artifact(str(path), len(content), hashlib.sha256(content).hexdigest(), "image/png")


def test_a_poster_is_drawn_once_and_known_to_the_next_process(tmp_path, image):
    folder = tmp_path / "state/posters"
    cache = PosterCache(folder)
    assert not folder.exists()
    assert cache.offers(image)
    assert cache.facts(image) is None
    jpeg = cache.poster(image)
    assert jpeg[:2] == b"\xff\xd8"
    assert cache.facts(image) == (640, 320, 0.0)
    (tmp_path / "a.png").unlink()
    again = PosterCache(folder)
    assert again.facts(image) == (640, 320, 0.0)
    assert again.poster(image) == jpeg
    assert sorted(path.name for path in folder.iterdir()) == [f"{image.sha256}.jpg", "facts.jsonl"]


def test_what_cannot_be_drawn_is_not_offered_again(tmp_path, image):
    broken = Artifact(str(tmp_path / "x"), 3, "0" * 64, "video/mp4")
    cache = PosterCache(tmp_path / "posters")
    assert cache.poster(broken) is None
    assert not cache.offers(broken)
    assert cache.offers(image)


def test_a_cache_that_was_damaged_is_drawn_anew(tmp_path, image):
    folder = tmp_path / "posters"
    PosterCache(folder).poster(image)
    facts = folder / "facts.jsonl"
    facts.write_bytes(b'\xff\n["../../etc/passwd", 1, 1, 0]\n[]\n' + facts.read_bytes() + b'["' + b"1" * 64)
    (folder / f"{image.sha256}.jpg").unlink()
    cache = PosterCache(folder)
    assert cache.facts(image) == (640, 320, 0.0)
    assert cache.poster(image)[:2] == b"\xff\xd8"


def test_a_folder_that_cannot_be_made(tmp_path, image):
    (tmp_path / "file").write_text("in the way")
    cache = PosterCache(tmp_path / "file/posters")
    assert cache.poster(image)[:2] == b"\xff\xd8"
    assert cache.poster(image)[:2] == b"\xff\xd8"


def test_without_decoders_there_are_those_that_were_drawn(tmp_path, image, monkeypatch):
    PosterCache(tmp_path / "posters").poster(image)
    monkeypatch.setattr(posters, "available", lambda: False)
    cache = PosterCache(tmp_path / "posters")
    assert cache.poster(image)[:2] == b"\xff\xd8"
    assert not cache.offers(Artifact("x", 1, "0" * 64, "image/png"))
