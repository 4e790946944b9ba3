"""A new model is a new file: an installation that gets one knows it, without a line of Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NEW = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Aurora video",
    "description": "What Aurora accepts.",
    "required": ["model", "input"],
    "properties": {
        "model": {"enum": ["aurora/one"]},
        "input": {
            "additionalProperties": False,
            "required": ["prompt"],
            "properties": {
                "prompt": {"type": "string", "description": "What to generate.", "x-source": "D aurora"},
                "glow": {"enum": ["dim", "bright"], "default": "dim", "description": "Light.", "x-source": "D aurora"},
                "pictures": {"type": "array", "maxItems": 2, "x-instead-of": ["imageUrls"], "x-source": "D aurora"},
            },
        },
    },
    "x-seedbatch": {
        "models": {"aurora/one": {"kind": "video", "era": "C", "status": "documented", "source": "D aurora"}},
        "warnings": [
            {
                "if": {"properties": {"input": {"properties": {"glow": {"const": "bright"}}, "required": ["glow"]}}},
                "path": ["input", "glow"],
                "message": "it may dazzle",
                "source": "D aurora",
            }
        ],
    },
}
MANIFEST = """\
version: 1
batch: b
defaults: {{model: aurora/one}}
jobs: [{{key: a, prompt: p, input: {{{input}}}}}]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The program beside a copy of the schemas that has one file more."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "seedbatch", folder / "seedbatch", ignore=shutil.ignore_patterns("__pycache__", "bundled"))
    shutil.copytree(ROOT / "schemas", folder / "schemas")
    (folder / "schemas/models/aurora.schema.json").write_text(json.dumps(NEW))
    return folder


def run(folder, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "seedbatch", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def test_models_knows_it(installed):
    known = {one["name"]: one for one in map(json.loads, run(installed, "models", "--json").stdout.splitlines())}
    assert len(known) == 39
    assert known["aurora/one"]["kind"] == "video"
    told = run(installed, "models", "aurora/one").stdout
    assert "glow: text; dim, bright; default dim" in told
    assert "it may dazzle" in told


def test_schema_knows_it(installed):
    assert json.loads(run(installed, "schema", "aurora/one").stdout) == NEW
    assert "aurora/one" in json.loads(run(installed, "schema").stdout)["$defs"]["model"]["enum"]


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ("glow: dim", 0, "valid"),
        ("glow: bright", 0, "it may dazzle"),
        ("glow: dark", 2, "allowed: dim, bright"),
        ("imageUrls: []", 2, "here it is called pictures"),
    ],
)
def test_validate_knows_it(installed, parameters, code, words):
    (installed / "m.yaml").write_text(MANIFEST.format(input=parameters))
    done = run(installed, "validate", "m.yaml", code=code)
    assert words in done.stdout + done.stderr
