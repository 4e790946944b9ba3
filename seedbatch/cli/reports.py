"""What `validate` found, for machines: from problems and warnings to text, without printing it."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from seedbatch import __version__
from seedbatch.cli.words import clean
from seedbatch.domain.errors import Problem

if TYPE_CHECKING:
    from seedbatch.manifest import Loaded

_HOME: Final = "https://github.com/seedbatch/seedbatch"
_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def json_text(loaded: Loaded) -> str:
    """One JSON object: `version`, `valid`, and `problems` and `warnings` with their places."""
    report = {
        "version": 1,
        "valid": not loaded.problems,
        "problems": [_facts(problem) for problem in loaded.problems],
        "warnings": [_facts(problem) for problem in loaded.warnings],
    }
    return json.dumps(report)


def github_text(loaded: Loaded) -> str:
    """Workflow commands, one a line: GitHub shows them at their lines in a pull request. Empty if there is nothing.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    return _encodable("\n".join(_command(level, problem) for level, problem in _leveled(loaded)))


def sarif_text(loaded: Loaded) -> str:
    """A SARIF 2.1.0 log with one run; each code that occurs is a rule, with its explanation as help."""
    found = list(_leveled(loaded))
    codes = list(dict.fromkeys(problem.code for _, problem in found))
    driver = {
        "name": "seedbatch",
        "version": __version__,
        "informationUri": _HOME,
        "rules": [_rule(code) for code in codes],
    }
    results = [_result(level, problem, codes.index(problem.code)) for level, problem in found]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": _told_apart(results, [problem for _, problem in found]),
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


def _leveled(loaded: Loaded) -> Iterator[tuple[str, Problem]]:
    yield from (("error", problem) for problem in loaded.problems)
    yield from (("warning", problem) for problem in loaded.warnings)


def _facts(problem: Problem) -> dict[str, object]:
    return {
        "file": _encodable(problem.file),
        "line": problem.line,
        "column": problem.column,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }


def _encodable(text: str) -> str:
    """Half a surrogate pair stands for a byte in the name of a file, and cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode()


# -- GitHub ------------------------------------------------------------------------------------------------------------


def _command(level: str, problem: Problem) -> str:
    place = {"line": problem.line, "col": problem.column} if problem.line else {}
    properties = {"file": _relative(problem.file), **place, "title": problem.code}
    told = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    words = clean(problem.message) + (f"\n{clean(problem.hint)}" if problem.hint else "")
    return f"::{level} {told}::{_data(words)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(clean(text)).replace(":", "%3A").replace(",", "%2C")


def _relative(path: str) -> str:
    """A path as seen from the working directory, which a workflow begins at the top of the repository."""
    found = os.path.relpath(path)
    return path if found.startswith("..") else found


# -- SARIF -------------------------------------------------------------------------------------------------------------


def _rule(code: str) -> dict[str, Any]:
    from seedbatch.manifest.explanations import explanations

    found = explanations().get(code)
    if found is None:
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": f"{found.title}."},
        "fullDescription": {"text": f"{found.means} {found.why}"},
        "help": {"text": f"{found.means}\n\n{found.why}\n\nWhat to do: {found.mend}"},
        "helpUri": f"{_HOME}/blob/main/docs/problems.md#{code.replace('/', '')}",
        "defaultConfiguration": {"level": "warning" if found.warning else "error"},
    }


def _result(level: str, problem: Problem, rule: int) -> dict[str, Any]:
    words = clean(problem.message) + (f"\n{clean(problem.hint)}" if problem.hint else "")
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(problem.file)}}
    if problem.line:
        physical["region"] = {"startLine": problem.line, "startColumn": problem.column}
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": level,
        "message": {"text": _encodable(words)},
        "locations": [{"physicalLocation": physical}],
    }


def _told_apart(results: Sequence[dict[str, Any]], problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Each result with what stays the same of it while other lines come and go: its rule, its file, its line's text."""
    seen: Counter[bytes] = Counter()
    told = []
    for result, problem in zip(results, problems, strict=True):
        same = json.dumps([problem.code, _uri(problem.file), problem.source.strip() or problem.message]).encode()
        seen[same] += 1
        digest = hashlib.sha256(same + b"%d" % seen[same]).hexdigest()
        told.append({**result, "partialFingerprints": {"lineText/v1": digest}})
    return told


def _uri(path: str) -> str:
    relative = _relative(path)
    if os.path.isabs(relative) or relative.startswith(".."):  # noqa: PTH117 - text in, text out
        return "file://" + quote(os.fsencode(os.path.abspath(path)))  # noqa: PTH100 - the same
    return quote(os.fsencode(relative))
