"""Which columns of an Arrow table are x, weights and labels, and their numbers as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxem.core.source import Piece

_ROWS = 1 << 12  # that stay in the cache
Schema = dict[str, Any]  # the dtype of each column, None for what is no number


@dataclass(frozen=True, eq=False)
class Columns:
    """tree: lists of names, in the form of x; kinds: the dtype of each column that is taken."""

    tree: Any
    sample_weight: str | None
    labels: str | None
    kinds: dict[str, str]

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns of a table."""
        return tuple(self.tree) if _is_names(self.tree) else None

    def check(self, schema: Schema, where: str) -> None:
        """ValueError where a column is gone, or is no longer of numbers."""
        lost = [name for name in self.kinds if schema.get(name) is None]
        if lost:
            raise ValueError(
                f"{where} has no numbers any more in the columns {', '.join(lost)}: it must stay as"
                " it is"
            )

    def piece(self, batch: Any, where: str) -> Piece:
        """The rows of a record batch."""

        def column(name: str) -> np.ndarray:
            values = batch.column(name).to_numpy(zero_copy_only=False)
            return values.astype(self.kinds[name], copy=False)

        def table(names: list[str]) -> np.ndarray:
            return _side_by_side([column(name) for name in names])

        x = jax.tree.map(table, self.tree, is_leaf=_is_names)
        weight = None if self.sample_weight is None else column(self.sample_weight)
        labels = None if self.labels is None else _as_labels(column(self.labels))
        return Piece(x, weight, labels, where)


def _side_by_side(columns: list[np.ndarray]) -> np.ndarray:
    """`np.stack(columns, axis=1)`, some rows at a time, in half of its time."""
    found = np.empty((len(columns[0]), len(columns)), np.result_type(*columns))
    for first in range(0, len(found), _ROWS):
        rows = slice(first, first + _ROWS)
        for j, values in enumerate(columns):
            found[rows, j] = values[rows]
    return found


def _as_labels(values: np.ndarray) -> np.ndarray:
    """Whole numbers as such, null as unknown; others as they are, to be refused."""
    known = np.where(np.isnan(values), -1, values)
    whole = known.astype(np.int64)
    return whole if np.array_equal(whole, known) else values


def chosen(
    schema: Schema, where: str, columns: Any, sample_weight: str | None, labels: str | None
) -> Columns:
    """columns: as a person names them; None for all but those of weights and labels.

    Errors: ValueError for names that are not there, and for columns that are no numbers.
    """
    beside = [name for name in (sample_weight, labels) if name is not None]
    if columns is None:
        columns = [name for name in schema if name not in beside]
    tree = _lists(columns)
    of_x = [name for names in jax.tree.leaves(tree, is_leaf=_is_names) for name in names]
    wanted = [*of_x, *beside]
    missing = [name for name in wanted if name not in schema]
    if missing:
        raise ValueError(f"{where} has no column {', '.join(missing)}; it has {', '.join(schema)}")
    odd = [name for name in wanted if schema[name] is None]
    if odd:
        raise ValueError(
            f"{where}: columns that are not numeric: {', '.join(odd)}; name the others in columns=,"
            " or encode them as numbers"
        )
    return Columns(tree, sample_weight, labels, {name: str(schema[name]) for name in wanted})


def schema_of(fields: Any) -> Schema:
    """Of an Arrow schema."""
    return {field.name: _dtype(field.type) for field in fields}


def _dtype(kind: Any) -> Any:
    import pyarrow.types

    if pyarrow.types.is_boolean(kind) or pyarrow.types.is_integer(kind):
        return np.dtype(np.float64)
    if pyarrow.types.is_floating(kind):
        return np.dtype(np.float64 if kind.bit_width > 32 else np.float32)
    return None


def _is_names(value: Any) -> bool:
    return isinstance(value, list)


def _lists(columns: Any) -> Any:
    """The names of each table in a list."""
    if isinstance(columns, str):
        return [columns]
    if isinstance(columns, Mapping):
        return {name: _lists(part) for name, part in columns.items()}
    if isinstance(columns, tuple) and any(isinstance(part, list | tuple) for part in columns):
        return tuple(map(_lists, columns))
    names = list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"columns is {columns!r}; give names of columns")
    return names
