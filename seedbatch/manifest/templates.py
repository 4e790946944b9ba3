"""Jinja2 in a sandbox: no attribute of Python's is reachable, undefined names are errors, results are bounded."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from seedbatch.domain.fingerprint import Json

_LONGEST: Final = 100_000
_LONGEST_RANGE: Final = 1_000
_MARKS: Final = ("{{", "{%", "{#")
_WHOLE: Final = re.compile(r"\{\{-?((?:(?!\{\{|\}\}|\{%|%\}).)*?)-?\}\}", re.DOTALL)
_UNKNOWN: Final = re.compile(r"'([^']*)' is undefined")


class Wrong(Exception):
    """A template that cannot be used, or a result that cannot; words for a person."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = f"template/{code}"
        self.message = message
        self.hint = hint


def is_template(text: str) -> bool:
    """Whether a string has anything for Jinja."""
    return any(mark in text for mark in _MARKS)


def render(value: Json, names: Mapping[str, Json]) -> Json:
    """`value` with every string in it rendered over `names`; one that is a whole expression keeps its type.

    Raises:
        Wrong: with what is wrong and the nearest known name.
    """
    match value:
        case str():
            return _rendered(value, names) if is_template(value) else value
        case list():
            return [render(item, names) for item in value]
        case dict():
            return {name: render(item, names) for name, item in value.items()}
        case _:
            return value


def text(template: str, names: Mapping[str, Json]) -> str:
    """A template whose result is text, whatever the expression gives.

    Raises:
        Wrong: as `render`.
    """
    if not is_template(template):
        return template
    result = _rendered(template, names)
    match result:
        case str():
            return result
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[result]
        case int() | float():
            return str(result)
        case _:
            raise Wrong("type", f"{template} gives a list or an object where text is needed")


def _rendered(template: str, names: Mapping[str, Json]) -> Json:
    try:
        return _checked(_compiled(template)(names), template)
    except UndefinedError as error:
        raise _undefined(error, names) from None
    except TemplateSyntaxError as error:
        raise Wrong("syntax", f"the template is broken: {error.message}") from None
    except (SecurityError, TemplateError) as error:
        raise Wrong("refused", f"the template may not do that: {error}") from None
    except RecursionError:
        raise Wrong("refused", "the template is nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - filters and operators raise what they like
        raise Wrong("failed", f"the template fails: {error}") from None


@lru_cache(maxsize=4096)
def _compiled(template: str) -> Callable[[Mapping[str, Json]], Any]:
    whole = _WHOLE.fullmatch(template.strip())
    if whole is not None:
        return _expression(whole.group(1))
    compiled = _ENVIRONMENT.from_string(template)

    def fill(names: Mapping[str, Json]) -> str:
        parts: list[str] = []
        size = 0
        for part in compiled.generate(names):
            parts.append(part)
            size += len(part)
            _check_length(size)
        return "".join(parts)

    return fill


def _expression(source: str) -> Callable[[Mapping[str, Json]], Any]:
    compiled = _ENVIRONMENT.compile_expression(source, undefined_to_none=False)

    def evaluate(names: Mapping[str, Json]) -> Any:
        result = compiled(names)
        if isinstance(result, Undefined):
            str(result)  # a strict one raises, with its name
        return result

    return evaluate


def _checked(result: Any, template: str) -> Json:
    match result:
        case str():
            _check_length(len(result))
            return str(result)
        case bool() | int() | None:
            return result
        case float() if result == result and abs(result) != float("inf"):  # noqa: PLR0124 - that is how NaN is known
            return result
        case list() | tuple():
            return [_checked(item, template) for item in result]
        case dict() if all(isinstance(name, str) for name in result):
            return {name: _checked(item, template) for name, item in result.items()}
        case _:
            raise Wrong("type", f"{template} gives something that JSON cannot hold ({type(result).__name__})")


def _check_length(size: int) -> None:
    if size > _LONGEST:
        raise Wrong("size", f"the template gives more than {_LONGEST:,} characters")


def _undefined(error: UndefinedError, names: Mapping[str, Json]) -> Wrong:
    found = _UNKNOWN.search(error.message or "")
    if found is None:
        return Wrong("undefined", error.message or "a name is not defined")
    near = difflib.get_close_matches(found.group(1), names, n=1)
    known = ", ".join(sorted(names))
    hint = f"did you mean {near[0]}?" if near else f"known here: {known}"
    return Wrong("undefined", f"{found.group(1)} is not defined", hint)


class _Environment(ImmutableSandboxedEnvironment):
    """Refuses what makes a short template into a long computation."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(side) if isinstance(side, str | list | tuple) else 1 for side in (left, right)]
        numbers = [abs(side) for side in (left, right) if isinstance(side, int | float)]
        if max(sizes) > 1 and max(sizes) * max(numbers, default=1) > _LONGEST:
            raise SecurityError("the result would be too long")
        if operator == "**" and max(numbers, default=0) > _LONGEST_RANGE:
            raise SecurityError("the result would be too large")
        return super().call_binop(context, operator, left, right)


def _short_range(*bounds: int) -> range:
    result = range(*bounds)
    if len(result) > _LONGEST_RANGE:
        raise SecurityError(f"a range has at most {_LONGEST_RANGE:,} numbers")
    return result


_ENVIRONMENT: Final = _Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
_ENVIRONMENT.globals = {"range": _short_range}
