"""The Jinja2 environment of manifests: nothing of Python's is reachable, and a short template is a short computation.

What is not listed here is not there. A template comes with a cloned repository and is rendered before anybody looked
at it, and Jinja's own sandbox guards secrets, not time and memory: `center(10**9)`, nested loops and doubling with
`set` are all fine with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from itertools import islice
from typing import Any, Final, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

LONGEST: Final = 100_000
_MOST_ROUNDS: Final = 1_000
_LARGEST_BASE: Final = 1_000
_MOST_DIGITS: Final = 20

_STATEMENTS: Final = (nodes.Output, nodes.If, nodes.For)
_FILTERS: Final = frozenset({
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length",
    "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "string",
    "sum", "title", "trim", "truncate", "unique", "upper", "wordcount",
})  # fmt: skip
# These look at every item, some of them many times; inside a loop, or under `map`, that is a long computation.
_WALKING: Final = ("map", "max", "min", "reject", "rejectattr", "select", "selectattr", "sort", "sum", "unique")
# These make text of whatever they get, and the text of a short list of long texts is longer than any memory.
_OF_TEXT: Final = ("capitalize", "lower", "string", "title", "trim", "truncate", "upper", "wordcount")
_METHODS: Final[Mapping[type, frozenset[str]]] = {
    str: frozenset({
        "capitalize", "endswith", "lower", "lstrip", "rstrip", "split", "startswith", "strip", "title", "upper",
    }),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset(),
    tuple: frozenset(),
    int: frozenset(),
    float: frozenset(),
}  # fmt: skip
_ROUNDS: Final = "seedbatch rounds"  # a name that no template can write


class Environment(ImmutableSandboxedEnvironment):
    """Jinja2 with `if`, `for`, expressions, and the filters and methods whose cost is bounded by their input.

    `text` makes text of what `{{ }}`, `~` and `join` put into other text.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, text: Callable[[Any], Any]) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=text)
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters |= {
            "join": partial(_join, text),
            "replace": partial(_replace, text),
            "round": _round,
            _ROUNDS: _rounds,
        }
        self.filters |= {name: _walking(self.filters[name]) for name in _WALKING}
        self.filters |= {name: _of_text(text, self.filters[name]) for name in _OF_TEXT}
        self.globals = {"range": _range}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for statement in tree.find_all(nodes.Stmt):
            if not isinstance(statement, _STATEMENTS):
                word = type(statement).__name__.lower()
                raise TemplateSyntaxError(f"{word} is not available in manifests", statement.lineno)
        return tree

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,  # noqa: FBT001, FBT002 - Jinja's signature
    ) -> str:
        # Templates and single expressions both come through here on their way to code.
        return super()._generate(_Bounding().visit(source), name, filename, defer_init=defer_init)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may reach `obj.attr`."""
        for kind, allowed in _METHODS.items():
            if isinstance(obj, kind):
                return attr in allowed
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, _value: Any) -> None:
        """Nothing: `format` is no method here, for it pads to any width."""

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """`left operator right`, for the operators that can make much of little."""
        sizes = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
        numbers = [abs(side) for side in (left, right) if isinstance(side, int | float)]
        if operator == "%" and sizes:
            raise SecurityError("% formats no text here")
        if operator == "+" and sum(sizes) > LONGEST:
            raise SecurityError("the result would be too long")
        if operator == "*" and sizes and max(sizes) * max(numbers, default=0) > LONGEST:
            raise SecurityError("the result would be too long")
        if operator == "**" and max(numbers, default=0) > _LARGEST_BASE:
            raise SecurityError("the result would be too large")
        return super().call_binop(context, operator, left, right)


class _Bounding(NodeTransformer):
    """Puts limits where Jinja has none: rounds of a loop, and the length of `a ~ b`."""

    def visit_For(self, loop: nodes.For) -> nodes.For:  # noqa: N802 - Jinja's name
        if loop.recursive or any(isinstance(inner, nodes.For) or inner.find(nodes.For) for inner in loop.body):
            raise TemplateSyntaxError("a loop inside a loop is not available in manifests", loop.lineno)
        self.generic_visit(loop)
        loop.iter = _filter(loop.iter, _ROUNDS)
        return loop

    def visit_Concat(self, concat: nodes.Concat) -> nodes.Filter:  # noqa: N802 - Jinja's name
        self.generic_visit(concat)
        return _filter(nodes.List(concat.nodes, lineno=concat.lineno), "join")


def _filter(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, [], [], None, None, lineno=node.lineno)


def _range(*bounds: int) -> list[int]:
    return _rounds(range(*bounds))


def _rounds(values: Iterable[Any]) -> list[Any]:
    rounds = list(islice(values, _MOST_ROUNDS + 1))
    if len(rounds) > _MOST_ROUNDS:
        raise SecurityError(f"a loop, or a filter, goes over at most {_MOST_ROUNDS:,} items")
    return rounds


def _walking(applied: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja's that takes no more items than a loop has rounds."""
    at = 1 if hasattr(applied, "jinja_pass_arg") else 0

    @wraps(applied)
    def bounded(*arguments: Any, **named: Any) -> Any:
        return applied(*arguments[:at], _rounds(arguments[at]), *arguments[at + 1 :], **named)

    return bounded


def _of_text(text: Callable[[Any], Any], applied: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja's that takes what `text` makes text of, and no lists."""
    at = 1 if hasattr(applied, "jinja_pass_arg") else 0

    @wraps(applied)
    def bounded(*arguments: Any, **named: Any) -> Any:
        return applied(*arguments[:at], str(text(arguments[at])), *arguments[at + 1 :], **named)

    return bounded


def _join(text: Callable[[Any], Any], values: Iterable[Any], between: str = "") -> str:
    parts = [str(text(value)) for value in values]
    between = str(text(between))
    if sum(map(len, parts)) + len(between) * len(parts) > LONGEST:
        raise SecurityError("the result would be too long")
    return between.join(parts)


def _replace(text: Callable[[Any], Any], value: Any, old: Any, new: Any) -> str:
    before, old, new = (str(text(part)) for part in (value, old, new))
    if len(before) + before.count(old) * len(new) > LONGEST:
        raise SecurityError("the result would be too long")
    return before.replace(old, new)


def _round(number: float, digits: int = 0) -> float:
    return round(number, max(-_MOST_DIGITS, min(digits, _MOST_DIGITS)))
