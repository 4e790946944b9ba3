"""Strings of a manifest that are templates: undefined names are errors, a whole expression keeps its type."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, lru_cache, partial
from typing import Any, Final

from seedbatch.domain.fingerprint import Json

_LONGEST: Final = 100_000
_MOST_EXACT: Final = 2**53
_WHOLE: Final = re.compile(r"\{\{-?((?:(?!\{\{|\}\}|\{%|%\}).)*?)-?\}\}", re.DOTALL)
_NAME: Final = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")
# A name, or the text in `row["Shot ID"]`.
_WORD: Final = re.compile(r"\[ *(?:\"([^\"]*)\"|'([^']*)') *\]|[A-Za-z_][A-Za-z0-9_]*")
_UNKNOWN: Final = re.compile(r"'([^']*)' is undefined")

Names = Mapping[str, Json]


class Wrong(Exception):
    """A template that cannot be used, or a result that cannot; words for a person."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


def is_template(text: str) -> bool:
    """Whether a string has anything for Jinja."""
    return "{" in text and ("{{" in text or "{%" in text or "{#" in text)


def filler(value: Json) -> Callable[[Names], Json] | None:
    """What fills the templates in a value, None where there are none; one that is a whole expression keeps its type.

    The filler raises `Wrong`, with what is wrong and the nearest known name.
    """
    if value.__class__ is str:
        return _filler(value) if is_template(value) else None
    return partial(render, value) if _has_templates(value) else None


def _has_templates(value: Json) -> bool:
    match value:
        case str():
            return is_template(value)
        case list():
            return any(map(_has_templates, value))
        case dict():
            return any(map(_has_templates, value.values()))
        case _:
            return False


def render(value: Json, names: Names) -> Json:
    """`value` with every string in it rendered over `names`; one that is a whole expression keeps its type.

    Raises:
        Wrong: with what is wrong and the nearest known name.
    """
    match value:
        case str():
            return _filler(value)(names) if is_template(value) else value
        case list():
            return [render(item, names) for item in value]
        case dict():
            return {name: render(item, names) for name, item in value.items()}
        case _:
            return value


def text(template: str, names: Names) -> str:
    """A template whose result is text, whatever the expression gives.

    Raises:
        Wrong: as `render`.
    """
    return scalar_text(_filler(template)(names)) if is_template(template) else template


def scalar_text(value: Any) -> str:
    """What a value is inside other text: YAML's words for true, false and null.

    Raises:
        Wrong: it is a list or an object.
    """
    match value:
        case str():
            return value
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case int() | float():
            return str(value)
        case _:
            raise Wrong(
                "template/type", "the template gives a list or an object where text is needed", "join its items"
            )


@lru_cache(maxsize=4096)
def _filler(template: str) -> Callable[[Names], Json]:
    """What fills a template.

    Compiling takes Jinja a millisecond, and a large manifest has a hundred thousand prompts with nothing but
    `{{ name }}` in them: those it never sees.
    """
    pieces = _pieces(template)
    if pieces is None:
        return partial(_rendered, template)

    return _one(template, pieces) if isinstance(pieces, str) else _several(template, pieces)


def _one(template: str, name: str) -> Callable[[Names], Json]:
    def fill(names: Names) -> Json:
        try:
            value = names[name]
        except KeyError:
            return _rendered(template, names)  # which finds the words for it
        return value if value.__class__ is str and len(value) <= _LONGEST else _checked(value)

    return fill


def _several(template: str, pieces: tuple[str, ...]) -> Callable[[Names], Json]:
    def fill(names: Names) -> Json:
        parts = [*pieces]
        try:
            for index in range(1, len(parts), 2):
                parts[index] = scalar_text(names[parts[index]])
        except KeyError:
            return _rendered(template, names)
        filled = "".join(parts)
        _check_length(len(filled))
        return filled

    return fill


def _rendered(template: str, names: Names) -> Json:
    from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError  # noqa: PLC0415 - most manifests never need it

    if len(template) > _LONGEST:
        raise Wrong("template/size", f"the template has more than {_LONGEST:,} characters")
    try:
        return _checked(_compiled(template)(names))
    except Wrong:
        raise
    except UndefinedError as error:
        raise _undefined(error.message or "", names) from None
    except TemplateSyntaxError as error:
        hint = 'write literal braces as {{ "{{" }}' if "unexpected char" in (error.message or "") else ""
        raise Wrong("template/syntax", f"the template is broken: {error.message}", hint) from None
    except TemplateError as error:
        raise Wrong("template/refused", f"the template may not do that: {error}") from None
    except (RecursionError, MemoryError):
        raise Wrong("template/refused", "the template is nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - filters and operators raise what they like
        raise Wrong("template/failed", f"the template fails: {error}") from None


def _pieces(template: str) -> str | tuple[str, ...] | None:
    """Text and names in turn, the one name of a template that is nothing else, or None for what only Jinja reads."""
    parts = _NAME.split(template)
    literal = "".join(parts[::2])
    if "{" in literal or "}" in literal:
        return None
    if len(parts) == 3 and not parts[0].strip() and not parts[2].strip():  # noqa: PLR2004 - before, the name, after
        return parts[1]
    return tuple(parts)


def names_in(value: Json, names: Collection[str]) -> Iterator[str]:
    """Those of `names` that the templates in a value speak of."""
    match value:
        case str() if is_template(value):
            for found in _WORD.finditer(value):
                word = found.group(1) or found.group(2) or found.group(0)
                if word in names:
                    yield word
        case list():
            for item in value:
                yield from names_in(item, names)
        case dict():
            for item in value.values():
                yield from names_in(item, names)
        case _:
            pass


def single_name(value: Json) -> str | None:
    """The name that a template consists of (`{{ seconds }}`), if it does."""
    pieces = _pieces(value) if isinstance(value, str) and is_template(value) else None
    return pieces if isinstance(pieces, str) else None


@cache
def _environment() -> Any:
    from seedbatch.manifest.environment import Environment  # noqa: PLC0415 - see _rendered

    return Environment(text=_inner_text)


@lru_cache(maxsize=4096)
def _compiled(template: str) -> Callable[[Names], Any]:
    whole = _WHOLE.fullmatch(template.strip())
    if whole is not None:
        return _expression(whole.group(1))
    compiled = _environment().from_string(template)

    def fill(names: Names) -> str:
        parts: list[str] = []
        size = 0
        for part in compiled.generate(names):
            parts.append(part)
            size += len(part)
            _check_length(size)
        return "".join(parts)

    return fill


def _expression(source: str) -> Callable[[Names], Any]:
    from jinja2 import Undefined  # noqa: PLC0415 - see _rendered

    compiled = _environment().compile_expression(source, undefined_to_none=False)

    def evaluate(names: Names) -> Any:
        result = compiled(names)
        if isinstance(result, Undefined):
            str(result)  # a strict one raises, with its name
        return result

    return evaluate


def _checked(result: Any) -> Json:
    """`result`, if JSON can hold it and it is no longer than it may be."""
    value, size = _measured(result)
    _check_length(size)
    return value


def _measured(result: Any) -> tuple[Json, int]:
    match result:
        case str():
            return str(result), len(result)
        case bool() | None:
            return result, 1
        case int() if abs(result) <= _MOST_EXACT:
            return result, 1
        case int():
            raise Wrong("template/type", "the template gives a number that is larger than JSON carries exactly")
        case float() if math.isfinite(result):
            return result, 1
        case list() | tuple():
            items = [_measured(item) for item in result]
            return [item for item, _ in items], sum(size for _, size in items)
        case dict() if all(isinstance(name, str) for name in result):
            members = {name: _measured(item) for name, item in result.items()}
            size = sum(len(name) + size for name, (_, size) in members.items())
            return {name: item for name, (item, _) in members.items()}, size
        case _:
            raise Wrong("template/type", f"the template gives what JSON cannot hold ({type(result).__name__})")


def _inner_text(value: Any) -> Any:
    from jinja2 import Undefined  # noqa: PLC0415 - see _rendered

    return value if isinstance(value, Undefined) else scalar_text(value)


def _check_length(size: int) -> None:
    if size > _LONGEST:
        raise Wrong("template/size", f"the template gives more than {_LONGEST:,} characters")


def _undefined(message: str, names: Names) -> Wrong:
    found = _UNKNOWN.search(message)
    if found is None:
        return Wrong("template/undefined", message or "a name is not defined")
    name = found.group(1)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(names))}"
    return Wrong("template/undefined", f"{name} is not defined", hint)
