r"""Choosing jobs by an expression, as `--select` and `--exclude` take it; `docs/selection.md`.

    selection   = alternative, { space, alternative }     a job is chosen if any of them holds
    alternative = condition, { ",", condition }           which it does if all of its conditions do
    condition   = kind, ":", pattern | name, "=", pattern | "picked" | pattern
    kind        = "key" | "tag" | "state" | "reason" | "model" | "batch"

A pattern alone is one of keys, but for the word `picked`: what a person chose. `*` stands for any text, `?` for one
character, `\\` takes the next character as it is; between `"` and `"`, and between `[` and `]`, spaces and commas
belong to the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Final, assert_never

from seedbatch.domain.errors import UsageError
from seedbatch.domain.fingerprint import Json
from seedbatch.domain.states import FailureClass, JobState

_LONGEST: Final = 10_000  # characters
# Fewer than SQLite's bound for the parts of a compound select, with room for the other side.
_MOST: Final = 200
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PLAIN: Final = re.compile(r"[\w.:=#/+@%~-]+")
_SHOWN: Final = 60  # characters around a caret
LABEL_BYTES: Final = 200  # of what can be asked about


class Wild(Enum):
    """What stands for other text in a pattern."""

    ANY = "*"
    ONE = "?"


_WILD: Final = {wild.value: wild for wild in Wild}


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text and what stands for text; neither two texts nor two `ANY` follow one another, and no text is empty."""

    parts: tuple[str | Wild, ...] = ()

    @property
    def literal(self) -> str | None:
        """The one text that it means, if nothing in it is wild."""
        if not self.parts:
            return ""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], str) else None

    @property
    def prefix(self) -> str:
        """What all that it means begins with."""
        return self.parts[0] if self.parts and isinstance(self.parts[0], str) else ""

    def matches(self, text: str) -> bool:
        """Whether it means this text."""
        literal = self.literal
        return text == literal if literal is not None else _expression(self).fullmatch(text) is not None

    def then(self, *parts: str | Wild) -> Pattern:
        """This, followed by more."""
        return pattern((*self.parts, *parts))

    def __str__(self) -> str:
        plain = self.literal
        if plain is not None and _PLAIN.fullmatch(plain):
            return plain
        shown = (part.value if isinstance(part, Wild) else re.sub(r'([*?"\\])', r"\\\1", part) for part in self.parts)
        return f'"{"".join(shown)}"'


def pattern(parts: Iterable[str | Wild]) -> Pattern:
    """A pattern of these parts."""
    found: list[str | Wild] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if text := "".join(texts):
            found.append(text)
        texts.clear()
        if part is not Wild.ANY or found[-1:] != [Wild.ANY]:
            found.append(part)
    if text := "".join(texts):
        found.append(text)
    return Pattern(tuple(found))


@lru_cache(maxsize=2_000)
def _expression(wanted: Pattern) -> re.Pattern[str]:
    # What follows a `*` is taken where it first fits and never again elsewhere, but for the last: no search is longer
    # than pattern times text.
    chunks = [""]
    for part in wanted.parts:
        match part:
            case Wild.ANY:
                chunks.append("")
            case Wild.ONE:
                chunks[-1] += "."
            case _:
                chunks[-1] += re.escape(part)
    first, *others = chunks
    middle = "".join(f"(?>.*?{chunk})" for chunk in others[:-1])
    return re.compile(first + middle + "".join(f".*{chunk}" for chunk in others[-1:]), re.DOTALL)


@lru_cache(maxsize=2_000)
def address_patterns(key: Pattern) -> tuple[Pattern, ...]:
    """The addresses that a pattern of keys means: `river` means `river`, `river[ratio=16:9]` and `river#2` as well."""
    if key.parts[-1:] == (Wild.ANY,):
        return (key,)
    return key, key.then("[", Wild.ANY), key.then("#", Wild.ANY)


class Kind(StrEnum):
    """What a condition asks about."""

    KEY = "key"
    TAG = "tag"
    STATE = "state"
    REASON = "reason"
    MODEL = "model"
    BATCH = "batch"
    LABEL = "label"  # an axis, a var, or a parameter of the request's input
    PICKED = "picked"  # a word of its own


_KINDS: Final = tuple(str(kind) for kind in Kind if kind not in {Kind.LABEL, Kind.PICKED})

Pick = tuple[str, str]  # a batch, and an address as `pick_of` has it


def pick_of(batch: str, address: str) -> Pick:
    """A job as picks name it: without other takes, `river` is `river#1`."""
    return batch, address.removesuffix("#1")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. `name` is that of an axis, a var or a parameter, for the kind `LABEL`; `picks` is for `PICKED`."""

    kind: Kind
    value: Pattern = Pattern()
    name: str = ""
    picks: frozenset[Pick] = frozenset()

    @property
    def states(self) -> tuple[JobState, ...]:
        """The states that it means, for the kind `STATE`."""
        return tuple(state for state in JobState if self.value.matches(state))

    @property
    def failures(self) -> tuple[FailureClass, ...]:
        """The classes of failure that it means, for the kind `REASON`."""
        return tuple(failure for failure in FailureClass if self.value.matches(failure))

    def __str__(self) -> str:
        if self.kind is Kind.PICKED:
            return str(self.kind)
        return f"{self.name}={self.value}" if self.kind is Kind.LABEL else f"{self.kind}:{self.value}"


Alternative = tuple[Condition, ...]
_PICKED: Final = Condition(Kind.PICKED)


@dataclass(frozen=True, slots=True)
class Selection:
    """Jobs for which all conditions of any alternative hold. There is at least one, and none is empty."""

    alternatives: tuple[Alternative, ...]

    @property
    def labels(self) -> tuple[Condition, ...]:
        """The conditions on axes and parameters."""
        return tuple(one for conditions in self.alternatives for one in conditions if one.kind is Kind.LABEL)

    def picking(self, picks: frozenset[Pick]) -> Selection:
        """The same selection, told what is picked."""
        told = replace(_PICKED, picks=picks)
        return Selection(
            tuple(
                tuple(told if one.kind is Kind.PICKED else one for one in conditions)
                for conditions in self.alternatives
            )
        )

    def __str__(self) -> str:
        return " ".join(",".join(map(str, conditions)) for conditions in self.alternatives)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a command is about: what `select` means (None: everything) without what `exclude` means."""

    select: Selection | None = None
    exclude: Selection | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self.select is None and self.exclude is None

    @property
    def labels(self) -> tuple[Condition, ...]:
        """The conditions on axes and parameters."""
        return tuple(label for part in (self.select, self.exclude) if part is not None for label in part.labels)

    @property
    def kinds(self) -> frozenset[Kind]:
        """What its conditions ask about."""
        parts = [part for part in (self.select, self.exclude) if part is not None]
        return frozenset(one.kind for part in parts for conditions in part.alternatives for one in conditions)

    @property
    def asks_for_picks(self) -> bool:
        """Whether it must be told what is picked."""
        return Kind.PICKED in self.kinds

    def picking(self, picks: frozenset[Pick]) -> Choice:
        """The same choice, told what is picked."""
        return Choice(*(part and part.picking(picks) for part in (self.select, self.exclude)))

    def takes(self, facts: Facts) -> bool:
        """Whether a job belongs to it."""
        if self.exclude is not None and matches(self.exclude, facts):
            return False
        return self.select is None or matches(self.select, facts)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a selection may ask about a job. One that no ledger knows yet will be pending."""

    batch: str
    address: str
    model: str
    tags: Collection[str] = ()
    axes: Mapping[str, Json] = field(default_factory=dict)
    input: Mapping[str, Json] = field(default_factory=dict)
    state: JobState = JobState.PENDING
    failure: FailureClass | None = None
    reason: str = ""
    vars: Mapping[str, Json] = field(default_factory=dict)


def matches(selection: Selection, facts: Facts) -> bool:
    """Whether a selection means a job."""
    return any(all(_holds(one, facts) for one in conditions) for conditions in selection.alternatives)


def _holds(condition: Condition, facts: Facts) -> bool:
    value = condition.value
    match condition.kind:
        case Kind.KEY:
            return any(one.matches(facts.address) for one in address_patterns(value))
        case Kind.TAG:
            return any(value.matches(tag) for tag in facts.tags)
        case Kind.STATE:
            return value.matches(facts.state)
        case Kind.REASON:
            failed = facts.failure is not None and value.matches(facts.failure)
            return failed or (facts.reason != "" and value.matches(facts.reason))
        case Kind.MODEL:
            return value.matches(facts.model)
        case Kind.BATCH:
            return value.matches(facts.batch)
        case Kind.LABEL:
            return any(value.matches(text) for text in _labels(condition.name, facts))
        case Kind.PICKED:
            return pick_of(facts.batch, facts.address) in condition.picks
        case _:
            assert_never(condition.kind)


def _labels(name: str, facts: Facts) -> list[str]:
    """What axis, var and parameter of this name say: as the ledger's `labels` do, so both choose the same."""
    found = []
    if name in facts.axes:
        found.append(_text(facts.axes[name]))
    for values in (facts.vars, facts.input if name != "prompt" else {}):
        text = _text(values[name]) if name in values else None
        if text is not None and len(text.encode("utf-8", "surrogatepass")) <= LABEL_BYTES:
            found.append(text)
    return [text for text in found if text is not None and "\0" not in text]


def label_of(name: str, facts: Facts) -> str | None:
    """What a job has under this name: its axis, else a var, else a parameter; None if that is nothing short."""
    return next(iter(_labels(name, facts)), None)


def _text(value: Json) -> str | None:
    """A scalar as an address shows it, and as SQLite makes text of it; None for what is no scalar."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() if -(2**63) <= value < 2**63:
            return str(value)
        case int() | float():
            try:
                mantissa, exponent, digits = f"{float(value):.15g}".partition("e")
            except OverflowError:
                return None
            return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{exponent}{digits}"
        case _:
            return None


def label_names(axes: Mapping[str, Json], params: Mapping[str, Json], constants: Mapping[str, Json]) -> set[str]:
    """What `name=value` may name of a job."""
    names = {name for name, value in params.items() if not isinstance(value, Mapping | list | tuple)}
    return names - {"prompt"} | set(axes) | set(constants)


def unknown_label(condition: Condition, known: Iterable[str]) -> UsageError:
    """That no job has an axis, a var or a parameter of this name."""
    names = sorted(known)
    name = condition.name[:_SHOWN]
    near = get_close_matches(name, names, n=1)
    if near:
        hint = f"did you mean {near[0]}={condition.value}?"
    elif condition.name in _KINDS:
        hint = f"did you mean {condition.name}:{condition.value}?"
    elif names:
        hint = f"there are: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"  # noqa: PLR2004 - a line
    else:
        hint = "no job has any axis, var or parameter"
    return UsageError(f"no job has an axis, a var or a parameter named {name!r}", hint=hint)


# -- parsing ------------------------------------------------------------------------------------------------------


def choice(selects: Sequence[str], excludes: Sequence[str] = ()) -> Choice:
    """What `--select` and `--exclude` say together, each as often as it was given.

    Raises:
        UsageError: one of them is no selection.
    """
    return Choice(_united("--select", selects), _united("--exclude", excludes))


def _united(option: str, texts: Sequence[str]) -> Selection | None:
    if not texts:
        return None
    found = Selection(tuple(one for text in texts for one in parse(text, option).alternatives))
    _check_count(found, option)
    return found


def parse(text: str, option: str = "--select") -> Selection:
    """The selection that a text writes down; `parse(str(selection)) == selection`.

    Raises:
        UsageError: it writes down none; the message points at the place.
    """
    if len(text) > _LONGEST:
        raise UsageError(f"{option}: {len(text):,} characters are too many", hint=f"at most {_LONGEST:,}")
    found = _Parser(text, option).selection()
    _check_count(found, option)
    return found


def _check_count(selection: Selection, option: str) -> None:
    count = sum(map(len, selection.alternatives))
    if count > _MOST:
        raise UsageError(
            f"{option}: {count:,} conditions are too many",
            hint=f"at most {_MOST}: use * in a key, or give the jobs a tag",
        )


class _Parser:
    """Reads one text from left to right, each character once."""

    def __init__(self, text: str, option: str) -> None:
        self._text = text
        self._option = option
        self._at = 0

    def selection(self) -> Selection:
        for at, character in enumerate(self._text):
            if _is_refused(character):
                raise self._error("a selection holds no control characters", at, 1)
        alternatives = []
        self._skip_spaces()
        while self._at < len(self._text):
            alternatives.append(self._alternative())
            self._skip_spaces()
        if not alternatives:
            raise UsageError(f"{self._option}: the selection is empty", hint="for example tag:hero, or key:river*")
        return Selection(tuple(alternatives))

    def _skip_spaces(self) -> None:
        while self._next.isspace():
            self._at += 1

    @property
    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _alternative(self) -> Alternative:
        conditions = [self._condition()]
        while self._next == ",":
            self._at += 1
            if self._next in {"", ","} or self._next.isspace():
                raise self._error(
                    "a condition must follow this comma at once",
                    self._at - 1,
                    1,
                    "a comma means both: tag:hero,state:failed; a space means either: tag:hero state:failed",
                )
            conditions.append(self._condition())
        return tuple(conditions)

    def _condition(self) -> Condition:
        start = self._at
        end = start
        while end < len(self._text) and self._text[end] not in ':=,"\\[]*?' and not self._text[end].isspace():
            end += 1
        head, mark = self._text[start:end], self._text[end : end + 1]
        if mark == "," and not head:
            raise self._error("a condition is missing before this comma", start, 1)
        if head == Kind.PICKED and (mark in {"", ","} or mark.isspace()):
            self._at = end
            return _PICKED
        if mark in {":", "="} and mark:
            self._at = end + 1
            return self._kind(head, start) if mark == ":" else self._label(head, start)
        return Condition(Kind.KEY, self._pattern())

    def _kind(self, head: str, start: int) -> Condition:
        if head not in _KINDS:
            near = get_close_matches(head.lower(), _KINDS, n=1)
            if head == Kind.PICKED:
                raise self._error("picked is a word of its own", start, len(head), "write picked, without the colon")
            rest = self._text[self._at :].partition(" ")[0].partition(",")[0]
            named = _NAME.fullmatch(head[:_SHOWN]) and rest
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(_KINDS)}"
            if named and not near:
                hint += f"; for an axis, a var or a parameter: {head[:_SHOWN]}={_shown(rest[:_SHOWN])}"
            raise self._error(f"{_brief(head)} is nothing that can be asked about", start, len(head) or 1, hint)
        kind = Kind(head)
        at = self._at
        value = self._value(start)
        match kind:
            case Kind.STATE:
                self._check_word(value, at, "state", JobState)
            case Kind.REASON if value.literal is not None:
                words = "for other words of a reason use *, as in reason:*timeout*"
                self._check_word(value, at, "class of failure", FailureClass, words)
            case _:
                pass
        return Condition(kind, value)

    def _label(self, head: str, start: int) -> Condition:
        if not _NAME.fullmatch(head):
            hint = (
                f"there is no !=, but --exclude {_shown(head[:-1][:_SHOWN])}=…"
                if head.endswith("!")
                else "for example ratio=16:9"
            )
            raise self._error(
                f"{_brief(head)} is no name of an axis, a var or a parameter", start, len(head) or 1, hint
            )
        return Condition(Kind.LABEL, self._value(start), head)

    def _value(self, start: int) -> Pattern:
        if self._next in {"", ","} or self._next.isspace():
            raise self._error("nothing follows", start, self._at - start, 'for an empty value write ""')
        return self._pattern()

    def _check_word(
        self, value: Pattern, at: int, what: str, words: type[JobState | FailureClass], more: str = ""
    ) -> None:
        if any(value.matches(word) for word in words):
            return
        near = get_close_matches(str(value).lower(), [str(word) for word in words], n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(words)}"
        hint = f"{hint}; {more}" if more else hint
        raise self._error(f"no {what} is called {_brief(str(value))}", at, self._at - at, hint)

    def _pattern(self) -> Pattern:
        start = self._at
        parts: list[str | Wild] = []
        quote = bracket = -1
        while self._at < len(self._text):
            character = self._next
            inside = quote >= 0 or bracket >= 0
            if not inside and (character == "," or character.isspace()):
                break
            self._at += 1
            if character == "\\":
                if not self._next:
                    raise self._error("nothing follows this backslash", self._at - 1, 1, "for a backslash write two")
                parts.append(self._next)
                self._at += 1
            elif character == '"':
                quote = self._at - 1 if quote < 0 else -1
            elif character in _WILD:
                parts.append(_WILD[character])
            else:
                parts.append(character)
                if quote < 0 and character == "[":
                    bracket = self._at - 1
                elif quote < 0 and character == "]":
                    bracket = -1
        if quote >= 0:
            raise self._error("this quote is never closed", quote, 1)
        if bracket >= 0:
            raise self._error("this bracket is never closed", bracket, 1, "for a bracket alone write \\[")
        assert self._at > start
        return pattern(parts)

    def _error(self, message: str, at: int, length: int, hint: str = "") -> UsageError:
        begin = max(0, at - _SHOWN)
        shown = _shown(self._text[begin : at + _SHOWN])
        carets = "^" * max(1, min(length, _SHOWN))
        return UsageError(f"{self._option}: {message}\n    | {shown}\n    | {' ' * (at - begin)}{carets}", hint=hint)


def _is_refused(character: str) -> bool:
    return (character < " " and character not in "\t\n\r") or "\x7f" <= character <= "\x9f" or _is_half(character)


def _is_half(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _brief(text: str) -> str:
    return repr(_shown(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"))


def _shown(text: str) -> str:
    return "".join("�" if _is_refused(one) or one in "\t\n\r" else one for one in text)
