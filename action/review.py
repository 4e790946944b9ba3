"""The plan in a pull request: one comment that is brought up to date, and what of it was approved.

Standard library alone: it runs where seedbatch runs, while `gh` and `jq` are not on every runner.

    review.py comment     write the text of INPUT_BODY as the comment, with the digest of INPUT_DIGEST
    review.py approved    give the digest of the merged pull request's comment as the output `digest`
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

_PATIENCE = 30  # seconds
_PER_PAGE = 100
_NOT_ALLOWED = frozenset({401, 403, 404})
_SCHEMES = ("https://", "http://")


def main() -> None:
    """Do what the first argument says."""
    {"comment": comment, "approved": approved}[sys.argv[1]]()


def comment() -> None:
    """Write the comment, or bring it up to date; a token that may not is a warning: the summary has the plan."""
    number = _event()["pull_request"]["number"]
    text = Path(os.environ["INPUT_BODY"]).read_text(encoding="utf-8")
    body = f"{_mark()} digest={os.environ['INPUT_DIGEST']} -->\n{text}"
    try:
        known = _own_comment(number)
        if known is None:
            _ask("POST", f"issues/{number}/comments", {"body": body})
        else:
            _ask("PATCH", f"issues/comments/{known['id']}", {"body": body})
    except urllib.error.HTTPError as error:
        if error.code not in _NOT_ALLOWED:
            raise
        print(f"::warning title=seedbatch::this token may not comment ({error.code}): the plan is in the summary alone")


def approved() -> None:
    """Find the pull request that was merged, and the plan that its comment named."""
    numbers = list(_merged())
    for number in numbers:
        known = _own_comment(number)
        found = known and re.match(re.escape(_mark()) + r" digest=([0-9a-f]{64}) -->", known["body"])
        if found:
            print(f"Approved in #{number}: the plan {found[1]}")
            with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
                file.write(f"digest={found[1]}\n")
            return
    where = ", ".join(f"#{number}" for number in numbers)
    _fail(f"{where} has no comment with a plan" if where else "this commit belongs to no merged pull request")


def _merged() -> Iterator[int]:
    event = _event()
    if "pull_request" in event:
        if event["pull_request"].get("merged"):
            yield event["pull_request"]["number"]
        return
    branch = os.environ.get("GITHUB_REF_NAME", "")
    for pull in _ask("GET", f"commits/{os.environ['GITHUB_SHA']}/pulls"):
        if pull.get("merged_at") and pull["base"]["ref"] == branch:
            yield pull["number"]


def _own_comment(number: int) -> dict[str, Any] | None:
    """The one that this action wrote: anybody may write a comment that looks like it."""
    for page in range(1, 1000):
        comments = _ask("GET", f"issues/{number}/comments?per_page={_PER_PAGE}&page={page}")
        for one in comments:
            author = (one["user"] or {}).get("login")  # whose account was deleted is nobody
            if author == os.environ["INPUT_AUTHOR"] and (one["body"] or "").startswith(_mark()):
                return dict(one)
        if len(comments) < _PER_PAGE:
            break
    return None


def _mark() -> str:
    """How the comment begins: one for each set of manifests, so that several plans have a comment each."""
    name = hashlib.sha256(os.environ["INPUT_MANIFESTS"].strip().encode()).hexdigest()[:12]
    return f"<!-- seedbatch plan {name}"


def _event() -> dict[str, Any]:
    return dict(json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8")))


def _ask(method: str, path: str, body: dict[str, str] | None = None) -> Any:
    base = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    if not base.startswith(_SCHEMES):
        _fail("GITHUB_API_URL is no URL")
    request = urllib.request.Request(  # noqa: S310 - checked above
        f"{base}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['INPUT_TOKEN']}",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - checked above
        return json.load(answer)


def _fail(words: str) -> NoReturn:
    print(f"::error title=seedbatch::{words}. Nothing was submitted.")
    sys.exit(2)


if __name__ == "__main__":
    try:
        main()
    except urllib.error.HTTPError as error:
        _fail(f"GitHub answered {error.code} {error.reason}")
    except OSError as error:
        _fail(f"GitHub cannot be reached: {error}")
    except (ValueError, KeyError, TypeError) as error:
        _fail(f"GitHub answered what cannot be read: {error!r}")
