"""The combinations of a matrix, with `include` and `exclude` as GitHub Actions has them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final

from seedbatch.domain.jobs import Scalar

GUARD: Final = 10_000

Cell = dict[str, Scalar]


class TooLarge(Exception):
    """More combinations than one job may have."""


class UnknownAxis(Exception):
    """An `exclude` names an axis that there is not; `index` says which."""

    def __init__(self, index: int, name: str, axes: list[str]) -> None:
        super().__init__(name)
        self.index = index
        self.name = name
        self.axes = axes


def combinations(matrix: Mapping[str, Any], takes: int = 1, *, allow_large: bool = False) -> list[Cell]:
    """The cells of a matrix, the last axis turning fastest; one empty cell where there is no matrix.

    An entry of `include` joins every combination whose original values it would not change; one that joins none is a
    combination of its own. An entry of `exclude` leaves out every combination that holds all its values.

    Raises:
        TooLarge: the product, each cell taken `takes` times, is beyond the guard, and `allow_large` was not given.
        UnknownAxis: an `exclude` names an axis that does not exist.
    """
    axes = {name: values for name, values in matrix.items() if name not in {"include", "exclude"}}
    included = matrix.get("include", [])
    if not allow_large:
        _check_size(axes, len(included), takes)
    left_out = matrix.get("exclude", [])
    for index, entry in enumerate(left_out):
        for name in entry:
            if name not in axes:
                raise UnknownAxis(index, name, list(axes))
    cells = [cell for cell in _product(axes) if not any(_holds(cell, entry) for entry in left_out)]
    if not axes and included:
        cells = []
    return list(_included(cells, included, set(axes)))


def _check_size(axes: Mapping[str, list[Scalar]], included: int, takes: int) -> None:
    sizes = {name: len(values) for name, values in axes.items()}
    if takes > 1:
        sizes["takes"] = takes
    size = math.prod(sizes.values())
    if size > GUARD:
        factors = " x ".join(f"{count:,} {name}" for name, count in sizes.items())
        raise TooLarge(f"{factors} = {size:,}")
    if included > GUARD:
        raise TooLarge(f"{included:,} entries of include")


def _product(axes: Mapping[str, list[Scalar]]) -> Iterator[Cell]:
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _holds(cell: Cell, entry: Mapping[str, Scalar]) -> bool:
    return all(_same(cell.get(name), value) for name, value in entry.items())


def _same(one: Scalar, two: Scalar) -> bool:
    return one == two and isinstance(one, bool) == isinstance(two, bool)


def _included(cells: list[Cell], entries: list[Cell], original: set[str]) -> Iterator[Cell]:
    joined = [dict(cell) for cell in cells]
    alone: list[Cell] = []
    for entry in entries:
        fixed = {name: value for name, value in entry.items() if name in original}
        fits = [index for index, cell in enumerate(cells) if _holds(cell, fixed)]
        for index in fits:
            joined[index].update(entry)
        if not fits:
            alone.append(dict(entry))
    yield from joined
    yield from alone
