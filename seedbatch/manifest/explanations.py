"""What each code of a problem means, at length: the data stands in `explanations.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from seedbatch.manifest.builder import Builder

_SOURCE: Final = Path(__file__).with_name("explanations.yaml")
# What stands before an example that does not say it, and behind one that has no jobs.
BEGINNING: Final = """\
version: 1
batch: example
defaults:
  model: seedance-2.0
  input: {resolution: 480p, ratio: "16:9", duration: 5}
"""
_JOB: Final = """\
jobs:
  - {key: river, prompt: "A river"}
"""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code: what it means, why it is refused (or told), how to mend it.

    `wrong` and `right` are short YAML, or nothing where no short file shows it; `beside` are files that they name.
    """

    code: str
    title: str
    means: str
    why: str
    mend: str
    wrong: str = ""
    right: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)
    warning: bool = False


@cache
def explanations() -> Mapping[str, Explanation]:
    """Every explanation, by code."""
    entries = Builder(_SOURCE.read_text(encoding="utf-8")).build()
    return {entry["code"]: Explanation(**entry) for entry in entries}


def manifest_of(example: str) -> str:
    """The whole manifest that an example stands for."""
    if "version:" in example:
        return example
    has_jobs = any(line.startswith(("jobs:", "sources:")) for line in example.splitlines())
    return BEGINNING + example + ("" if has_jobs else _JOB)
