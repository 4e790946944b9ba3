"""The provider's language: requests as bytes, answers as values. Pure, and total: no answer makes it raise.

What decides about money is here, in one table (`read_submit`):

=====================================================================  =======================
answer to a submit                                                     is read as
=====================================================================  =======================
2xx, `code` 0, a well-formed `data.taskId`                             `Accepted`
4xx except 408, 429, 499, without a task id                            `Refused`
2xx with `code` 400 to 499 except 408 and 429, without a task id       `Refused`
429 as status or `code`; 503 with a readable `Retry-After`             `Throttled`
3xx                                                                    `InDoubt`, wrong address
everything else                                                        `InDoubt`
=====================================================================  =======================
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, cast

from seedbatch.domain.answers import (
    Accepted,
    InDoubt,
    MediaKind,
    NotFound,
    QueryAnswer,
    QueryRefused,
    Refusal,
    Refused,
    SubmitAnswer,
    TaskReport,
    TaskStatus,
    Throttled,
    Unanswered,
)
from seedbatch.domain.calls import Hint
from seedbatch.domain.fingerprint import Json
from seedbatch.domain.moments import provider_moment
from seedbatch.domain.work import Submission
from seedbatch.provider.envelope import Answer, Conceal

# The documented examples are UUIDs, but ids are opaque (maxapi contract, 2). This admits what is harmless in a URL,
# a file and a terminal, and nothing else.
TASK_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}")
LONGEST_WAIT: Final = 600.0

_LONGEST_WORD: Final = 60
_LONGEST_URL: Final = 8192
_SECONDS: Final = re.compile(r"[0-9]{1,12}")

_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_CLIENT_ERRORS: Final = range(400, 500)
# A proxy or the server gave up waiting: the request may have gone through behind it.
_ABANDONED: Final = frozenset({408, 499})
_NOT_HERE: Final = frozenset({404, 405, 410})

# Insufficient credits at submit have no documented shape (maxapi contract, open question 21). English words count
# only beside a word for "too few", since a message may quote a prompt.
_MONEY: Final = re.compile(r"(?<![a-z])(?:credits?|points?|balance|quota|funds?)(?![a-z])", re.IGNORECASE)
_SHORT: Final = re.compile(
    r"insufficient|not[ _-]*enough|too[ _-]*(?:low|few)|is (?:low|zero|0|negative)|exhaust|deplet|lack of|exceed"
    r"|(?:out|short)[ _-]of|us(?:ed|e)[ _-]*up|no[ _-](?:more|remaining|credits?|points?|balance|funds?)(?![a-z])"
    r"|top[ _-]*up|recharge",
    re.IGNORECASE,
)
_MONEY_CHINESE: Final = re.compile("积分|余额|点数不足|额度不足|欠费|充值|積分|餘額")
# An internal callback URL is refused, in words that are not documented (maxapi contract, 2 and 5).
_CALLBACK: Final = re.compile(r"call[ _-]?back[ _-]?url", re.IGNORECASE)
_PAYMENT: Final = re.compile(r"payment[ _-]*required|arrears", re.IGNORECASE)

# Spellings that clients of this API have met or guessed, beside the documented words (maxapi contract, 4.2).
_STATUS_WORDS: Final[Mapping[str, TaskStatus]] = {
    **{status.value: status for status in TaskStatus},
    "FAILED": TaskStatus.FAILURE,
    "FAIL": TaskStatus.FAILURE,
    "SUCCEEDED": TaskStatus.SUCCESS,
    "CANCELED": TaskStatus.CANCELLED,
    "TIMED_OUT": TaskStatus.TIMEOUT,
}
# Source: maxapi contract, 4.3.
_REASON_WORDS: Final = frozenset({"CONTENT_MODERATION", "INVALID_PARAMETERS", "INSUFFICIENT_POINTS"})
_REASON_FIELDS: Final = ("failure_reason", "failReason", "fail_reason")
_TASK_ID_FIELDS: Final = ("taskId", "task_id")
_MENTION: Final = re.compile(rb'"(?:taskId|task_id)"\s*:(?!\s*null)')


def submit_body(submission: Submission) -> bytes:
    """The JSON of `POST /api/v1/task/submit`: `model`, `input`, the attempt's reference as `user_id`, its callback URL.

    Raises `ValueError` or `TypeError` for an input that is not JSON. Source: maxapi contract, 2.
    """
    request = submission.request
    body: dict[str, Any] = {"model": request.model, "input": dict(request.input), "user_id": submission.reference}
    if submission.callback_url is not None:
        body["callBackUrl"] = submission.callback_url.reveal()
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")


def read_submit(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime, *, conceal: Conceal = ""
) -> SubmitAnswer:
    """What an HTTP answer to a submit says about money. `conceal` is text that no message may carry, such as the key.

    Source: maxapi contract, 1.3 to 1.5 and open questions 19 to 21.
    """
    answer = Answer.read(status, body, conceal)
    evidence = answer.evidence
    task_id, named = _named_task(answer.envelope, body)
    if status in _REDIRECTS:
        return InDoubt(f"HTTP {status}: redirected, and never followed", evidence, wrong_address=True, task_id=task_id)
    if named:
        clean = status in _OK and answer.code == 0 and not _flagged(answer.data)
        if clean and task_id is not None and answer.data.get("taskId") == task_id:
            return Accepted(task_id, evidence)
        return InDoubt(f"{answer.words}: contradictory, yet it names a task", evidence, task_id=task_id)
    return _without_task(answer, retry_after(headers, now))


def read_query(
    status: int, headers: Mapping[str, str], body: bytes, asked_task_id: str, now: datetime, *, conceal: Conceal = ""
) -> QueryAnswer:
    """What an HTTP answer to a query says about the task that was asked for. A failed task is a successful query.

    A 404 without the provider's envelope says nothing about a task: the base URL may be wrong.
    Source: maxapi contract, 4.
    """
    answer = Answer.read(status, body, conceal)
    pair = (status, answer.code)
    if status in _OK and answer.code == 0:
        return _report(answer, asked_task_id)
    if status in _REDIRECTS or status == HTTPStatus.METHOD_NOT_ALLOWED:
        return QueryRefused(Refusal.ADDRESS, answer.evidence)
    if status in _OK or status in _CLIENT_ERRORS:
        if HTTPStatus.UNAUTHORIZED in pair or HTTPStatus.FORBIDDEN in pair:
            return QueryRefused(Refusal.KEY, answer.evidence)
        if answer.code is not None and _NOT_HERE.intersection(pair):
            return NotFound(answer.evidence)
    if status in _NOT_HERE:
        return Unanswered(f"HTTP {status} without the provider's envelope: is the base URL right?")
    return Unanswered(_unclear(answer), retry_after(headers, now))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait by `Retry-After`, from 0 to 600; None if the header is absent or unreadable.

    Seconds and HTTP dates are understood; a date that has passed is 0.
    """
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_WAIT)
    if not text or not text[0].isalpha():
        return None
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


# -- submit -----------------------------------------------------------------------------------------------------


def _named_task(envelope: Mapping[str, Any] | None, body: bytes) -> tuple[str | None, bool]:
    """The one usable task id that an answer carries, and whether it carries any at all, however malformed.

    An answer that cannot be parsed is searched for the mere mention of one: it may not pass for a clean refusal.
    """
    if envelope is None:
        return None, _MENTION.search(body) is not None
    data = envelope.get("data")
    places = [data, envelope] if isinstance(data, dict) else [envelope]
    named = [place[name] for place in places for name in _TASK_ID_FIELDS if place.get(name)]
    usable = {name for name in named if isinstance(name, str) and TASK_ID.fullmatch(name)}
    return (usable.pop() if len(usable) == 1 else None), bool(named)


def _without_task(answer: Answer, wait: float | None) -> SubmitAnswer:
    if answer.status in _ABANDONED:
        return InDoubt(f"{answer.words}: given up on the way", answer.evidence)
    if _throttled(answer.status, answer.code, wait):
        return Throttled(wait, answer.evidence)
    if _refuses(answer.status, answer.code):
        return _refusal(answer)
    return InDoubt(_unclear(answer), answer.evidence)


def _throttled(status: int, code: int | None, wait: float | None) -> bool:
    if HTTPStatus.TOO_MANY_REQUESTS in (status, code):
        return True
    return status == HTTPStatus.SERVICE_UNAVAILABLE and wait is not None and code != 0


def _refuses(status: int, code: int | None) -> bool:
    if code == HTTPStatus.REQUEST_TIMEOUT:
        return False
    return status in _CLIENT_ERRORS or (status in _OK and code in _CLIENT_ERRORS)


def _refusal(answer: Answer) -> Refused:
    """Which refusal it is. The rarest and most specific signs come first, since a message is free text."""
    decisive = answer.code if answer.status in _OK else answer.status
    pair = (answer.status, answer.code)
    if _flagged(answer.data):
        return Refused(Refusal.MODERATION, answer.evidence, _categories(answer))
    if HTTPStatus.UNAUTHORIZED in pair:
        refusal = Refusal.KEY
    elif decisive in _NOT_HERE:
        refusal = Refusal.ADDRESS
    elif HTTPStatus.PAYMENT_REQUIRED in pair or _speaks_of_credits(answer):
        refusal = Refusal.CREDITS
    elif HTTPStatus.FORBIDDEN in pair:
        refusal = Refusal.KEY
    elif _CALLBACK.search(answer.evidence.message):
        refusal = Refusal.CALLBACK
    else:
        refusal = Refusal.INVALID
    return Refused(refusal, answer.evidence)


def _flagged(data: Mapping[str, Any]) -> bool:
    return data.get("flagged") is True


def _categories(answer: Answer) -> tuple[str, ...]:
    """The categories that the pre-submission screening found true. Source: maxapi contract, 6."""
    categories = answer.data.get("categories")
    if not isinstance(categories, dict):
        return ()
    return tuple(answer.shown(name, _LONGEST_WORD) for name, found in categories.items() if found is True)


def _speaks_of_credits(answer: Answer) -> bool:
    text = answer.evidence.message or answer.evidence.body
    if _MONEY_CHINESE.search(text) or _PAYMENT.search(text):
        return True
    return bool(_MONEY.search(text) and _SHORT.search(text))


def _unclear(answer: Answer) -> str:
    if answer.envelope is None:
        return f"HTTP {answer.status} without a readable answer"
    if answer.status in _OK and answer.code == 0:
        return f"HTTP {answer.status} and code 0, but no task is named"
    return answer.words


# -- query ------------------------------------------------------------------------------------------------------


def read_callback(body: bytes) -> Hint:
    """What the body of a callback says: the envelope of a query, as far as it is one. Source: maxapi contract, 5."""
    data = Answer.read(HTTPStatus.OK, body, "").data
    found = next((data[name] for name in _TASK_ID_FIELDS if data.get(name) is not None), None)
    task_id = found if isinstance(found, str) and TASK_ID.fullmatch(found) else None
    status = data.get("status")
    return Hint(task_id, status[:_LONGEST_WORD] if isinstance(status, str) else None)


def _report(answer: Answer, asked_task_id: str) -> TaskReport | Unanswered:
    data = answer.data
    if data.get("taskId") != asked_task_id:
        return Unanswered("the answer is about another task, or about none")
    word = data.get("status")
    if not isinstance(word, str) or not word.strip():
        return Unanswered("the answer names no status")
    result = data.get("result")
    result = result if isinstance(result, dict) else {}
    return TaskReport(
        task_id=asked_task_id,
        status=_status(answer, word),
        kind=_kind(result.get("type")),
        urls=_urls(result),
        failure_reason=_failure_reason(answer),
        created_at=provider_moment(data.get("created_at")),
        updated_at=provider_moment(data.get("updated_at")),
        echo=_echo(data.get("input")),
    )


def _status(answer: Answer, word: str) -> str:
    """The documented word that is meant, or the word as it came: an unknown status is not terminal."""
    known = _STATUS_WORDS.get(word.strip().upper())
    return known.value if known else answer.shown(word, _LONGEST_WORD)


def _kind(word: object) -> MediaKind | None:
    try:
        return MediaKind(word.strip().lower()) if isinstance(word, str) else None
    except ValueError:
        return None


def _urls(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The outputs in the provider's order, each once.

    Elements are strings; objects with a `url` are taken too, as the provider itself uses them for inputs (maxapi
    contract, 3.5). Whether a URL may be fetched is for the download to decide.
    """
    urls = result.get("urls")
    elements = urls if isinstance(urls, list) else [urls]
    found = (element.get("url") if isinstance(element, dict) else element for element in [*elements, result.get("url")])
    texts = (text.strip() for text in found if isinstance(text, str))
    return tuple(dict.fromkeys(text for text in texts if 0 < len(text) <= _LONGEST_URL and text.isprintable()))


def _failure_reason(answer: Answer) -> str | None:
    """None where the provider gives no reason, which is what it documents as retryable; else the word.

    A reason that is no text is kept as text, so that it does not pass for none.
    """
    reason = next((answer.data[name] for name in _REASON_FIELDS if answer.data.get(name) is not None), None)
    if reason is None or (isinstance(reason, str) and not reason.strip()):
        return None
    word = reason if isinstance(reason, str) else json.dumps(reason)
    known = word.strip().upper()
    return known if known in _REASON_WORDS else answer.shown(word) or "unreadable"


def _echo(value: object) -> Mapping[str, Json]:
    """The echoed input, with lone surrogates replaced: no file and no database would take them."""
    if not isinstance(value, dict):
        return {}
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return cast("Mapping[str, Json]", json.loads(text))
