"""Mutants of what mutmut leaves out: tables and constants, patterns, defaults, decorated functions, words of SQL.

    python tests/proof/mutants.py [MODULE...]

Each mutant is written over its module in a copy of the project, and the tests that speak of the module run there. What
survives is printed; what is known to be equal to the program is explained in docs/mutants.md.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies  # noqa: F401  what every run needs is loaded once, before the forks
import pytest

ROOT = Path(__file__).parent.parent.parent
UNIT, LEDGER = "tests/unit", "tests/ledger"
TESTS = {
    "seedbatch/domain/states.py": [f"{UNIT}/domain/test_states.py"],
    "seedbatch/domain/money.py": [f"{UNIT}/domain/test_money.py", f"{UNIT}/domain/test_prices.py"],
    "seedbatch/domain/budget.py": [f"{UNIT}/domain/test_budget.py"],
    "seedbatch/domain/brake.py": [f"{UNIT}/domain/test_brake.py"],
    "seedbatch/domain/prices.py": [f"{UNIT}/domain/test_prices.py", f"{UNIT}/models/test_price_table.py"],
    "seedbatch/provider/envelope.py": [f"{UNIT}/provider"],
    "seedbatch/provider/wire.py": [f"{UNIT}/provider"],
    "seedbatch/ledger/locks.py": [f"{LEDGER}/test_locks.py"],
    "seedbatch/ledger/spending.py": [f"{LEDGER}/test_caps.py", f"{LEDGER}/test_conformance.py"],
    "seedbatch/ledger/claims.py": [
        *(f"{LEDGER}/test_conformance.py", f"{LEDGER}/test_caps.py"),
        *(
            f"{LEDGER}/test_sharing.py",
            f"{LEDGER}/test_locked.py",
            f"{LEDGER}/test_selecting.py",
            f"{LEDGER}/test_callbacks.py",
            "tests/engine/test_chosen.py",
        ),
    ],
}
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd,
}  # fmt: skip
SQL = re.compile(r"\b(?:SELECT|INSERT|UPDATE|ORDER BY)\b")
WORDS = [
    (r" AND ", " OR "), (r" IS NULL OR ", " IS NULL AND "), (r"\? IS NULL", "? IS NOT NULL"),
    (r" IS NOT :", " IS :"), (r" IS :", " IS NOT :"), (r" NOT IN ", " IN "), (r"<= ", "< "), (r">= ", "> "),
    (r" < ", " <= "), (r" > ", " >= "), (r" = ", " <> "), (r" = ", " >= "), (r" = ", " <= "), (r" [<>]=? ", " = "),
    (r"\bmax\(", "min("), (r"\bmin\(", "max("), (r"count\(\*\)", "count(*) + 1"), (r", 0\)", ", 1)"),
    (r"LIMIT 1$", "LIMIT 0"), (r"LIMIT :most", "LIMIT 1"), (r"LIMIT :most", "LIMIT :most + 1"),
    (r" ORDER BY [\w.]+", ""), (r"(?<= ORDER BY )[\w.]+", r"\g<0> DESC"), (r" DISTINCT", ""), (r"CROSS JOIN", "JOIN"),
    (r" INDEXED BY \w+", ""), (r"'[\w{} !]*', ", ""), (r", '[\w{} !]*'", ""), (r"'[\w{} !]*'", "'XX'"),
    (r"(?<=WHERE )(.+?) AND (?![^(]*\))", ""), (r" AND [^(]+?(?= AND |$)", ""),
    (r" AND \(j\.not_before .*?\)", ""), (r" AND \(\? .*?\)\)\)", ""), (r" WHERE \(\? .*?\)\)\)", ""),
]  # fmt: skip
OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
LONGEST = 180.0


def left_out(tree: ast.Module) -> Iterator[ast.stmt]:
    for statement in tree.body:
        for one in statement.body if isinstance(statement, ast.ClassDef) else [statement]:
            plain = isinstance(one, ast.FunctionDef) and (
                not one.decorator_list or ast.unparse(one.decorator_list[0]) in {"classmethod", "staticmethod"}
            )
            if not plain and isinstance(one, ast.Assign | ast.AnnAssign | ast.FunctionDef):
                yield one


def others(node: ast.AST, pattern: bool, states: set[str]) -> Iterator[ast.AST]:  # noqa: PLR0912
    """What may stand in place of an expression."""
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=None):
            yield ast.Constant("")
        case ast.Constant(value=int() | float() as value):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(value=str() | bytes() as value) if pattern:
            yield from (ast.Constant(value[:at] + value[at + 1 :]) for at in range(len(value)))
        case ast.Constant(value=str(value)) if not SQL.search(value):
            yield from (ast.Constant(f"XX{value}XX"), ast.Constant(value.lower()), ast.Constant(value.upper()))
        case ast.Compare(left, [op], right):
            yield ast.Compare(left, [SWAPS[type(op)]()], right)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(SWAPS[type(op)](), values)
        case ast.BinOp(left, op, right):
            yield ast.BinOp(left, SWAPS[type(op)](), right)
        case ast.IfExp(_, one, other):
            yield from (one, other)
        case ast.Tuple(elements, ctx=ast.Load()) if elements[1:]:
            yield from (ast.Tuple(rest, ast.Load()) for rest in without_one(elements))
        case ast.Set(elements):
            yield from (ast.Set(rest) for rest in without_one(elements) if rest)
            held = {element.attr for element in elements if isinstance(element, ast.Attribute)}
            yield from (ast.Set([*elements, ast.parse(f"_S.{more}").body[0].value]) for more in sorted(states - held))
        case ast.Dict(keys, values):
            rests = zip(without_one(keys), without_one(values), strict=True)
            yield from (ast.Dict(fewer, others_) for fewer, others_ in rests)
        case ast.Call(func, arguments, keywords):
            yield ast.Constant(None)
            yield from (ast.Call(func, rest, keywords) for rest in without_one(arguments))
            yield from (ast.Call(func, arguments, rest) for rest in without_one(keywords))


def without_one(many: list[Any]) -> Iterator[list[Any]]:
    return (many[:at] + many[at + 1 :] for at in range(len(many)))


def changes(node: ast.AST, pattern: bool, states: set[str]) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Every child of `node` that can be another, with what it would be."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "target", "targets", "args"} - (
            {"args"} if isinstance(node, ast.Call) else set()
        ):
            continue
        for at, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if not isinstance(child, ast.AST) or docstring:
                continue
            inside = pattern or (isinstance(child, ast.Call) and ast.unparse(child.func) == "re.compile")
            for other in others(child, pattern, states):
                yield node, field, at, other
            if isinstance(child, ast.Expr | ast.Return | ast.Raise):
                yield node, field, at, ast.Pass()
            yield from changes(child, inside, states)


def compared(old: str, new: str) -> str:
    """Both from shortly before they begin to differ."""
    alike = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), 0)
    start = max(0, alike - 20)
    return f"{old[start : start + 60]} -> {new[start : start + 60]}"


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Every mutant with a word on what it is."""
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    table = re.search(r"^class JobState\b.*?^class ", source, re.MULTILINE | re.DOTALL)
    states = set(re.findall(r"^    ([A-Z_]+) = ", table[0], re.MULTILINE)) if table else set()
    for statement in left_out(tree):
        for parent, field, at, other in list(changes(statement, pattern=False, states=states)):
            before = getattr(parent, field)
            if at is None:
                setattr(parent, field, other)
            else:
                setattr(parent, field, [*before[:at], other, *before[at + 1 :]])
            text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree)))
            setattr(parent, field, before)
            if text not in seen:
                seen.add(text)
                old = before if at is None else before[at]
                line = getattr(old, "lineno", statement.lineno)
                yield f"{line}: {compared(ast.unparse(old), ast.unparse(other))}", text
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
            before = node.value
            for word, other in WORDS:
                for found in re.finditer(word, before):
                    node.value = before[: found.start()] + found.expand(other) + before[found.end() :]
                    text = ast.unparse(tree)
                    if text not in seen:
                        seen.add(text)
                        yield f"{node.lineno}: {before[max(0, found.start() - 20) : found.end()]} -> {other}", text
            node.value = before


def passes(tests: list[str], most: float) -> bool:
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os._exit(pytest.main([*OPTIONS, *tests]))
    end = time.monotonic() + most
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main(modules: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "seedbatch"
        shutil.copytree(ROOT, home, ignore=shutil.ignore_patterns(".*", "__pycache__", "mutants", "dist", "build"))
        os.chdir(home)
        sys.path[:0] = [str(home)]
        os.environ["PYTHONPATH"] = str(home)
        for module in modules or TESTS:
            path, tests = home / module, TESTS[module]
            source = path.read_text(encoding="utf-8")
            began = time.monotonic()
            if not passes(tests, LONGEST):
                sys.exit(f"{module}: the tests fail without a mutant")
            most = 10 * (time.monotonic() - began) + 5
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            sys.dont_write_bytecode = True
            number = survived = 0
            for number, (what, mutant) in enumerate(mutants(source), start=1):  # noqa: B007
                path.write_text(mutant, encoding="utf-8")
                if passes(tests, most):
                    survived += 1
                    print(f"survived: {module}:{what}", flush=True)
            path.write_text(source, encoding="utf-8")
            print(f"{module}: {number} mutants, {number - survived} killed, {survived} survived", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
