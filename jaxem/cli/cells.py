"""The cells of columns as their family takes them: of a fit, or of new rows for a model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa

from jaxem import families
from jaxem.cli import column_types
from jaxem.cli.column_types import KINDS, Levels
from jaxem.cli.columns import Columns, check_names, listed, named
from jaxem.cli.tables import is_numeric
from jaxem.core.contracts import Family
from jaxem.families.independent_columns import IndependentColumns

_WHOLE_ROWS = families.Multinomial, families.VonMisesFisher
_CENSORED = families.CensoredNormal, families.CensoredExponential


def values(table: pa.Table, columns: Columns, family: Family, gaps: bool = False) -> Any:
    """The columns as the family takes them; gaps: rows without any number are legal."""
    remedy = (
        "drop those rows (jaxem fit --missing drop), fill them by jaxem impute, or leave the "
        "columns out by --columns"
    )
    layout = _layout(family, _like(columns), len(columns.covariates))
    cells = _cells(table, columns.names, columns.levels, layout)
    return _arranged(cells, columns.names, layout, remedy, gaps)


def _like(columns: Columns) -> Any:
    """A row of those that are fitted, as their family takes it."""
    one = jax.ShapeDtypeStruct((1,), np.float64)

    def of(kind: str, names: Sequence[str]) -> Any:
        own = _row(len(names))
        if columns.response is not None:
            return own, one
        if kind not in columns.beside or not columns.beside[kind]:
            return own
        return own, one if KINDS[kind].beside == "row" else own

    each = {kind: of(kind, names) for kind, names in columns.by_kind.items()}
    return next(iter(each.values())) if len(each) == 1 else each


def _row(d: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, d), np.float64)


class _Layout(NamedTuple):
    """like: a row of the data. Of each of its arrays, whole: whether no cell may be missing, and
    sides: whether it tells limits."""

    like: Any
    whole: list[bool]
    sides: list[bool]

    def by_column(self, marks: list[bool]) -> list[bool]:
        """Marks of arrays for each of their columns."""
        pairs = zip(marks, jax.tree.leaves(self.like), strict=True)
        return [mark for mark, leaf in pairs for _ in range(n_columns(leaf))]


def _layout(family: Family, like: Any, n_covariates: int) -> _Layout:
    own = _Layout(like, _whole(family, like), _sides(family, like))
    if not n_covariates:
        return own
    return _Layout((like, _row(n_covariates)), [*own.whole, True], [*own.sides, False])


def matching(
    table: pa.Table,
    family: Family,
    like: Any,
    names: Sequence[str] | None,
    levels: Levels,
    unseen: str = "error",
    gaps: bool = False,
    n_covariates: int = 0,
) -> Any:
    """The columns that a model was fitted on, wherever they are in the table.

    like: a row of them, without covariates. names: of all; None, where the model does not know
    them, is every numeric column.
    """
    layout = _layout(family, like, n_covariates)
    names = matching_names(table, layout.like, names)
    check_names(table, names, f"the model was fitted on {listed(names)}")
    pairs = zip(names, layout.by_column(layout.sides), strict=True)
    numbers = [name for name, side in pairs if not side and name not in levels]
    text = [name for name in numbers if not is_numeric(table.schema.field(name).type)]
    if text:
        raise ValueError(
            f"has no numbers in the columns {listed(text)}; the model was fitted on numbers there"
        )
    remedy = "drop those rows, or fill them by jaxem impute"
    cells = _cells(table, names, levels, layout, unseen)
    return _arranged(cells, names, layout, remedy, gaps)


def _cells(
    table: pa.Table,
    names: Sequence[str],
    levels: Levels,
    layout: _Layout,
    unseen: str = "error",
) -> np.ndarray:
    """(n, d), NaN where a cell is missing."""

    def of(name: str, side: bool) -> np.ndarray:
        if side:
            return column_types.sides(table[name], name)
        if name in levels:
            return column_types.codes(table[name], levels[name], name, unseen)
        return column_types.numbers(table[name])

    each = map(of, names, layout.by_column(layout.sides))
    return np.stack(list(each), axis=1)


def _arranged(
    cells: np.ndarray, names: Sequence[str], layout: _Layout, remedy: str, gaps: bool
) -> Any:
    """As the model takes them: arrays (n, d) or (n,) in the tree of a row."""
    leaves, tree = jax.tree.flatten(layout.like)
    gone = gaps & np.isnan(cells).all(axis=1)
    arrays, first = [], 0
    for leaf, whole in zip(leaves, layout.whole, strict=True):
        own = slice(first, first + (leaf.shape[1] if leaf.ndim == 2 else 1))
        first = own.stop
        _check_cells(cells[~gone, own], names[own], remedy, whole)
        arrays.append(cells[:, own] if leaf.ndim == 2 else cells[:, first - 1])
    return jax.tree.unflatten(tree, arrays)


def matching_names(table: pa.Table, like: Any, names: Sequence[str] | None) -> Sequence[str]:
    """The names of the columns that a model was fitted on; of every numeric one for None."""
    if names is not None:
        return names
    d = n_columns(like)
    names = [name for name in named(table) if is_numeric(table.schema.field(name).type)]
    if len(names) != d:
        raise ValueError(
            f"has {len(names)} numeric columns ({listed(names)}), but the model was fitted on "
            f"{d}, whose names it does not know; give a table of those alone, in their order"
        )
    return names


def n_columns(like: Any) -> int:
    """Numbers in a row."""
    return sum(leaf.shape[1] if leaf.ndim == 2 else 1 for leaf in jax.tree.leaves(like))


def _whole(family: Family, like: Any) -> list[bool]:
    """Which arrays of the data must have no missing cells."""
    if isinstance(family, families.Product):
        return [whole for name, of in family.blocks for whole in _whole(of, like[name])]
    if isinstance(like, tuple) and not isinstance(family, IndependentColumns):
        return [True, False]  # a response may be missing, what it depends on may not
    if isinstance(like, tuple) and isinstance(family, families.Binomial):
        return [False, True]  # successes may be missing, trials may not
    if isinstance(family, families.Gaussian):
        holes = family.missing
    else:
        holes = isinstance(family, IndependentColumns) and not isinstance(family, _WHOLE_ROWS)
    return [not holes] * len(jax.tree.leaves(like))


def _sides(family: Family, like: Any) -> list[bool]:
    """Which arrays of the data tell limits."""
    if isinstance(family, families.Product):
        return [side for name, of in family.blocks for side in _sides(of, like[name])]
    n = len(jax.tree.leaves(like))
    return [False, True] if isinstance(family, _CENSORED) else [False] * n


def _check_cells(x: np.ndarray, names: Sequence[str], remedy: str, whole: bool) -> None:
    missing, infinite = np.isnan(x).sum(0), np.isinf(x).sum(0)
    correct = "correct them, or empty them, which is a missing cell"
    for count, what, do in ((missing * whole, "missing", remedy), (infinite, "infinite", correct)):
        if count.any():
            where = ", ".join(f"{name} ({c})" for name, c in zip(names, count, strict=True) if c)
            cells = f"{count.sum()} {what} cell{'s' if count.sum() > 1 else ''}"
            raise ValueError(f"has {cells}, in columns: {where}; {do}")
