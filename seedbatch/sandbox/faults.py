"""Fault plans: which requests go wrong, and how.

A plan is a YAML file:

    seed: 7                       # of every `chance`; 0 when absent
    balance: 500000               # units the account may spend in all; no limit when absent
    hide_for: 2.5                 # seconds during which a query does not find a new task
    rules:
      - {on: submit, do: cut-after-accept, every: 10}
      - {on: submit, do: {delay: 30}, at: [3, 4]}
      - {on: query,  do: 429, first: 2}
      - {on: file,   do: truncated, chance: 0.1}

Requests of each kind are counted from 1 since the start of the process. A rule names at most one of `every: n`,
`first: n`, `at: [ordinals]` and `chance: p`; without any it holds for every request. The first rule that fits decides.
Of callbacks the tasks with a `callBackUrl` are counted as they are accepted; what will go wrong is kept with the task.

| fault | on | what the client sees |
| --- | --- | --- |
| `cut-before-accept` | submit | connection closed, nothing created |
| `cut-after-accept` | submit | connection closed, task created and billed |
| `contradict` | submit | HTTP 400 around an envelope that names the task, which was created and billed |
| `cut` | query, file | connection closed |
| `delay: s` | submit, query | the real answer, s seconds after the work was done (a submit is billed at once) |
| `truncated-json` | submit, query | two thirds of the real answer (a submit is billed), whole as HTTP sees it |
| `401`, `429`, `500` | submit, query | that status in the envelope, nothing done |
| `429-retry-after: s`, `503-retry-after: s` | submit, query | the same with the header |
| `502-html` | submit, query | an HTML page |
| `code-400-in-200` | submit, query | HTTP 200 with `code` 400, nothing done |
| `redirect-307` | submit, query | to the same path with `?redirected=1`, which meets no fault; nothing done |
| `404` | query, file | not found |
| `sparse` | query | null fields left out |
| `late-result` | query | a success whose result is still null |
| `partial-echo` | query | of the input only model and prompt |
| `extra-fields` | query | unknown fields in data and beside it |
| `whole-seconds`, `nanoseconds` | query | timestamps with no and with nine fractional digits |
| `403`, `500` | file | that status with an HTML page |
| `slow: s` | file | the file in small pieces over s seconds |
| `truncated` | file | half of the bytes that Content-Length promised, then closed |
| `html` | file | HTTP 200 with an HTML page |
| `redirect` | file | 302 to the same path with `?redirected=1`, which meets no fault |
| `drop` | callback | it never comes |
| `delay: s` | callback | it comes s seconds late |
| `duplicate` | callback | the same body three times, all at once |
| `early` | callback | the task ends at once; its callback is answered or timed out before the submit is answered |
| `forged` | callback | two lies while the task runs: SUCCESS with a link of their own, for its id and a strange one |
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

SUBMIT: Final = "submit"
QUERY: Final = "query"
FILE: Final = "file"
CALLBACK: Final = "callback"

_ANY_API: Final = frozenset(
    {
        *("delay", "401", "429", "429-retry-after", "500", "502-html", "503-retry-after"),
        *("code-400-in-200", "truncated-json", "redirect-307"),
    }
)
FAULTS: Final[Mapping[str, frozenset[str]]] = {
    SUBMIT: _ANY_API | {"cut-after-accept", "cut-before-accept", "contradict"},
    QUERY: _ANY_API
    | {"cut", "404", "sparse", "late-result", "partial-echo", "extra-fields", "whole-seconds", "nanoseconds"},
    FILE: frozenset({"403", "404", "500", "cut", "slow", "truncated", "html", "redirect"}),
    CALLBACK: frozenset({"drop", "delay", "duplicate", "early", "forged"}),
}
_WITH_SECONDS: Final = frozenset({"delay", "429-retry-after", "503-retry-after", "slow"})
_CONDITIONS: Final = ("every", "first", "at", "chance")
_OPTIONS: Final = frozenset({"rules", "seed", "balance", "hide_for"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request; `seconds` for those that take a time, otherwise 0."""

    kind: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a plan."""

    on: str
    fault: Fault
    every: int | None = None
    first: int | None = None
    at: frozenset[int] | None = None
    chance: float | None = None

    def holds(self, ordinal: int, dice: random.Random) -> bool:
        """Whether the request with this ordinal is hit."""
        if self.every is not None:
            return ordinal % self.every == 0
        if self.first is not None:
            return ordinal <= self.first
        if self.at is not None:
            return ordinal in self.at
        return self.chance is None or dice.random() < self.chance


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What goes wrong in a sandbox; the default is: nothing."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0
    balance: int | None = None
    hide_for: float = 0.0

    @classmethod
    def from_yaml(cls, path: Path) -> Self:
        """Read a plan.

        Raises:
            ValueError: it is no plan; the message names the key.
            OSError: it cannot be read.
        """
        try:
            content = yaml.safe_load(path.read_bytes())
        except (yaml.YAMLError, UnicodeError) as error:
            raise ValueError(f"not YAML: {error}") from error
        return cls.from_data({} if content is None else content)

    @classmethod
    def from_data(cls, content: object) -> Self:
        """Read a plan from what its YAML holds.

        Raises:
            ValueError: it is no plan; the message names the key.
        """
        if not isinstance(content, Mapping):
            raise ValueError("a fault plan is a mapping with the key rules")  # noqa: TRY004 -- one error for every bad plan
        _only(content, _OPTIONS, "")
        rules = content.get("rules", [])
        if not isinstance(rules, list):
            raise ValueError("rules: must be a list")  # noqa: TRY004 -- as above
        balance = content.get("balance")
        return cls(
            rules=tuple(_rule(rule, f"rules[{position}]") for position, rule in enumerate(rules)),
            seed=_whole(content.get("seed", 0), "seed", least=None),
            balance=None if balance is None else _whole(balance, "balance", least=0),
            hide_for=_seconds(content.get("hide_for", 0), "hide_for"),
        )


class FaultCounter:
    """A plan at work: counts the requests of each kind and tells which fault hits."""

    def __init__(self, plan: FaultPlan) -> None:
        self._rules = [(rule, random.Random(f"{plan.seed}:{place}")) for place, rule in enumerate(plan.rules)]  # noqa: S311
        self._seen: Counter[str] = Counter()

    def next(self, on: str) -> Fault | None:
        """Count one request; the fault it meets. Every rule throws its dice each time: none shifts another's."""
        self._seen[on] += 1
        hits = [rule.fault for rule, dice in self._rules if rule.on == on and rule.holds(self._seen[on], dice)]
        return hits[0] if hits else None


def _rule(data: object, where: str) -> Rule:
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: must be a mapping with on and do")  # noqa: TRY004 -- as above
    # YAML 1.1 reads a bare `on` as true.
    data = {"on" if key is True else key: value for key, value in data.items()}
    _only(data, {"on", "do", *_CONDITIONS}, f"{where}.")
    on = data.get("on")
    if not isinstance(on, str) or on not in FAULTS:
        raise ValueError(f"{where}.on: must be one of {', '.join(FAULTS)}, not {on!r}")
    given = [name for name in _CONDITIONS if name in data]
    if len(given) > 1:
        raise ValueError(f"{where}: {' and '.join(given)} exclude one another")
    return Rule(on=on, fault=_fault(data.get("do"), FAULTS[on], f"{where}.do"), **_condition(data, where))


def _condition(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    if "at" in data:
        ordinals = data["at"]
        if not isinstance(ordinals, list) or not ordinals:
            raise ValueError(f"{where}.at: must be a list of ordinals, counted from 1")
        return {"at": frozenset(_whole(each, f"{where}.at", least=1) for each in ordinals)}
    if "chance" in data:
        chance = data["chance"]
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
            raise ValueError(f"{where}.chance: must be a number from 0 to 1, not {chance!r}")
        return {"chance": float(chance)}
    return {name: _whole(data[name], f"{where}.{name}", least=1) for name in ("every", "first") if name in data}


def _fault(data: object, known: frozenset[str], where: str) -> Fault:
    seconds: object = None
    if isinstance(data, Mapping):
        if len(data) != 1:
            raise ValueError(f"{where}: names exactly one fault")
        ((data, seconds),) = data.items()
    if isinstance(data, bool) or not isinstance(data, str | int) or str(data) not in known:
        raise ValueError(f"{where}: must be one of {', '.join(sorted(known))}, not {data!r}")
    kind = str(data)
    if kind in _WITH_SECONDS:
        if seconds is None:
            raise ValueError(f"{where}: {kind} takes seconds, as in {{{kind}: 3}}")
        return Fault(kind, _seconds(seconds, where))
    if seconds is not None:
        raise ValueError(f"{where}: {kind} takes no value")
    return Fault(kind)


def _only(data: Mapping[Any, Any], known: frozenset[str] | set[str], where: str) -> None:
    for key in data:
        if key not in known:
            raise ValueError(f"{where}{key}: unknown key; known are {', '.join(sorted(known))}")


def _whole(value: object, where: str, *, least: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least}"
        raise ValueError(f"{where}: must be a whole number{bound}, not {value!r}")
    return value


def _seconds(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"{where}: must be a number of seconds, not {value!r}")
    return float(value)
