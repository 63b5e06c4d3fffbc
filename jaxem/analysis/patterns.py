"""Which cells a table lacks, row by row: the patterns of its holes, and how often each is there."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxem.core import tables
from jaxem.core.dataset import as_given
from jaxem.core.missing_patterns import never_together, seen_together


class Patterns(NamedTuple):
    """The different patterns of holes in a table, the most frequent first.

    columns: their names, (d,). missing: which columns a pattern lacks, (p, d) bool.
    rows: how many rows have it, (p,).
    """

    columns: tuple[str, ...]
    missing: np.ndarray
    rows: np.ndarray

    @property
    def cells(self) -> np.ndarray:
        """Missing cells of each column, (d,)."""
        return self.rows @ self.missing

    @property
    def n_rows(self) -> int:
        return int(self.rows.sum())

    @property
    def n_incomplete(self) -> int:
        """Rows with a hole."""
        return int(self.rows[self.missing.any(axis=1)].sum())

    @property
    def n_empty(self) -> int:
        """Rows that are holes throughout."""
        return int(self.rows[self.missing.all(axis=1)].sum())

    @property
    def never_together(self) -> tuple[tuple[str, str], ...]:
        """Pairs of columns that no row has both of: nothing tells their covariance."""
        pairs = never_together(seen_together(self.missing))
        return tuple((self.columns[i], self.columns[j]) for i, j in pairs)


def missing_patterns(x: Any, names: Sequence[str] | None = None) -> Patterns:
    """The patterns of the holes in a table, or in a dict of tables; NaN is a hole.

    names: of the columns, in place of those of a frame. A column of a dict is called by its part
    too, "size 0", unless the part has but one, or is a frame.
    Errors: ValueError for what is no table, and for names of another number.
    """
    x = as_given(x)
    parts = dict(sorted(x.items())) if isinstance(x, Mapping) else {"": x}
    each = {name: tables.table(part, name or "x") for name, part in parts.items()}
    if len({len(table) for table in each.values()}) > 1:
        rows = {name: len(table) for name, table in each.items()}
        raise ValueError(f"the blocks of x have different numbers of rows: {rows}")
    missing = np.concatenate([np.isnan(np.asarray(own)) for own in each.values()], axis=1)
    if names is None:
        names = [n for part, own in each.items() for n in _called(part, parts[part], own.shape[1])]
    if len(names) != missing.shape[1]:
        raise ValueError(f"names has {len(names)} names, x has {missing.shape[1]} columns")
    return patterns_of(missing, names)


def patterns_of(missing: np.ndarray, names: Sequence[str]) -> Patterns:
    """The same, from a mask of the holes, (n, d) bool."""
    packed = np.packbits(missing, axis=1)
    _, first, rows = np.unique(packed, axis=0, return_index=True, return_counts=True)
    return _in_order(tuple(map(str, names)), missing[first], rows)


def together(parts: Sequence[Patterns]) -> Patterns:
    """Of several tables of the same columns as one table."""
    missing, place = np.unique(
        np.concatenate([part.missing for part in parts]), axis=0, return_inverse=True
    )
    rows = np.bincount(np.ravel(place), np.concatenate([part.rows for part in parts]))
    return _in_order(parts[0].columns, missing, rows.astype(int))


def _in_order(columns: tuple[str, ...], missing: np.ndarray, rows: np.ndarray) -> Patterns:
    order = np.lexsort((*(~missing.T[::-1]), missing.sum(axis=1), -rows))
    return Patterns(columns, missing[order], rows[order])


def _called(part: str, table: Any, d: int) -> list[str]:
    names = tables.column_names(table)
    if names is not None:
        return list(names)
    if not part:
        return ["x"] if d == 1 else [f"column {j}" for j in range(d)]
    return [part] if d == 1 else [f"{part} {j}" for j in range(d)]
