"""The whole story of a job, in words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import click

from seedbatch.cli.commands.list import job_json
from seedbatch.cli.spending import money_json
from seedbatch.cli.words import clean, moment_text, short_path, span
from seedbatch.domain.attempts import Origin, RecordedAttempt, permission
from seedbatch.domain.moments import stamp
from seedbatch.domain.records import Occurrence, RecordedJob


@dataclass(frozen=True, slots=True)
class Story:
    """One revision of a job, with all that the ledger knows of it."""

    job: RecordedJob
    origin: Origin
    attempts: Sequence[RecordedAttempt]
    events: Sequence[Occurrence]


def story_lines(story: Story) -> list[str]:
    """What it is, every try with what allowed it, its files, and every event."""
    job = story.job
    lines = [click.style(f"{job.batch}/{job.address}, revision {job.revision}", bold=True)]
    lines += [_fact(name, text) for name, text in _facts(story).items() if text]
    for attempt in story.attempts:
        lines += _attempt(attempt, permission(story.events, attempt.number, story.origin.tries))
    lines += [_fact("file", f"{file.path}  {file.bytes:,} bytes  sha256 {file.sha256}") for file in job.artifacts]
    lines.append("  story:")
    lines += [f"    {moment_text(event.at)}  {_event(event)}" for event in story.events]
    return lines


def _fact(name: str, text: str, indent: str = "  ") -> str:
    return f"{indent}{name + ':':<13} {clean(text)}"


def _facts(story: Story) -> dict[str, str]:
    job = story.job
    return {
        "state": f"{job.state}" + (f" ({job.failure})" if job.failure else ""),
        "reason": job.reason,
        "standing": str(job.standing),
        "manifest": _origin_text(story.origin),
        "model": job.request.model,
        **{name: json.dumps(value, ensure_ascii=False) for name, value in job.request.input.items()},
        "fingerprint": job.fingerprint,
        "task": job.task_id or "",
        "price": str(job.price) if job.price else "",
        "cost": f"{job.cost} at most" if job.cost else "",
        "link dies": moment_text(job.expires_at) if job.expires_at and not job.artifacts else "",
        "tags": ", ".join(job.tags),
    }


def _origin_text(origin: Origin) -> str:
    place = short_path(origin.file) + (f":{origin.line}" if origin.line else "")
    dirty = ", with changes of its own" if origin.dirty else ""
    commit = f", commit {origin.commit[:12]}{dirty}" if origin.commit else ""
    run = f", since run {origin.run}" if origin.run is not None else ""
    return f"{place}{commit}{run}" if place else ""


def _attempt(attempt: RecordedAttempt, allowed_by: str) -> Iterator[str]:
    run = f" of run {attempt.run}" if attempt.run is not None else ""
    yield f"  attempt {attempt.number}{run}:"
    facts = {
        "allowed by": allowed_by,
        "intended": moment_text(attempt.intended_at),
        "sent": _sent_text(attempt),
        "accepted": _accepted_text(attempt),
        "in doubt": attempt.doubt,
        "callback": _callback_text(attempt),
        "ended": _ended_text(attempt),
        "reserved": str(attempt.price) if attempt.price else "",
        "cost": _cost_text(attempt),
        "extra tasks": ", ".join(attempt.extras),
    }
    yield from (_fact(name, text, "    ") for name, text in facts.items() if text)


def _accepted_text(attempt: RecordedAttempt) -> str:
    if attempt.accepted_at is None:
        return ""
    return f"after {span(attempt.accepted_at - attempt.intended_at)}, as task {attempt.task_id}"


def _sent_text(attempt: RecordedAttempt) -> str:
    if attempt.by_others:
        return "by others, who paid for it: the lock file tells"
    match attempt.sent:
        case "no":
            return "no: nothing left this machine"
        case "yes":
            return f"yes, with user_id {attempt.reference}"
        case _:
            return f"not known; if so, with user_id {attempt.reference}"


def _callback_text(attempt: RecordedAttempt) -> str:
    if not attempt.asked:
        return "" if attempt.by_others else "none was asked for"
    if not attempt.received:
        return "asked for, and none came"
    return "; ".join(
        f"{moment_text(one.at)} {one.verdict or 'not read yet'}" + (f" ({one.reason})" if one.reason else "")
        for one in attempt.received
    )


def _ended_text(attempt: RecordedAttempt) -> str:
    if attempt.ended_at is None:
        return ""
    learned = {"callback": ", told by a callback and confirmed by a query", "query": ", found by a query", None: ""}
    took = f", after {span(timedelta(seconds=attempt.took))} of the provider's time" if attempt.took else ""
    return f"{moment_text(attempt.ended_at)} {attempt.outcome}{took}{learned[attempt.learned_by]}"


def _cost_text(attempt: RecordedAttempt) -> str:
    if attempt.by_others:
        return "nothing"
    if attempt.cost is None:
        return "" if attempt.sent == "no" else "not known: no price was"
    unknown = "; whether a failed task is refunded is not known" if attempt.refund_unknown else ""
    return f"{attempt.cost} at most{unknown}" if attempt.cost.micros else "nothing"


def _event(event: Occurrence) -> str:
    attempt = f" (attempt {event.attempt})" if event.attempt is not None else ""
    data = ", ".join(f"{name} {value}" for name, value in event.data.items())
    return clean(f"{event.type}{attempt}" + (f": {data}" if data else ""))


def story_json(story: Story) -> dict[str, object]:
    """One line of `show --json`; `docs/json-output.md`."""
    job, origin = story.job, story.origin
    return {
        **job_json(job),
        "request": {"model": job.request.model, "input": job.request.input},
        "price": money_json(job.price),
        "manifest": {
            "file": origin.file,
            "line": origin.line,
            "commit": origin.commit or None,
            "dirty": origin.dirty if origin.commit else None,
            "run": origin.run,
        },
        "tries": [_try_json(one, permission(story.events, one.number, origin.tries)) for one in story.attempts],
        "story": [
            {
                "at": stamp(event.at),
                "type": event.type,
                "from": event.from_state,
                "to": event.to_state,
                "attempt": event.attempt,
                "data": event.data,
            }
            for event in story.events
        ],
    }


def _try_json(attempt: RecordedAttempt, allowed_by: str) -> dict[str, object]:
    return {
        "attempt": attempt.number,
        "run": attempt.run,
        "allowed_by": allowed_by,
        "reference": attempt.reference,
        "intended_at": stamp(attempt.intended_at),
        "sent": attempt.sent,
        "accepted_at": attempt.accepted_at and stamp(attempt.accepted_at),
        "task_id": attempt.task_id,
        "doubt": attempt.doubt or None,
        "callback_asked": attempt.asked,
        "callbacks": [
            {"at": stamp(one.at), "verdict": one.verdict or None, "reason": one.reason} for one in attempt.received
        ],
        "ended_at": attempt.ended_at and stamp(attempt.ended_at),
        "outcome": attempt.outcome,
        "learned_by": attempt.learned_by,
        "took": attempt.took,
        "reserved": money_json(attempt.price),
        "cost": money_json(attempt.cost),
        "refund_unknown": attempt.refund_unknown,
        "extra_tasks": list(attempt.extras),
    }
