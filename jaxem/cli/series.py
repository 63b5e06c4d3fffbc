"""Rows of a table as sequences: which follow each other, and in what order."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa
import pyarrow.compute

from jaxem.cli import kinds
from jaxem.cli.columns import check_names

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them


class Series(NamedTuple):
    """order: the rows of the table, sequence after sequence; lengths: steps of each."""

    order: np.ndarray
    lengths: np.ndarray
    grouped: bool

    def split(self, x: Any) -> Any:
        """Rows of a table as sequences: a list of them, or the one there is."""
        ends = np.cumsum(self.lengths)[:-1]
        each = [
            jax.tree.map(lambda leaf: leaf[own], x)  # noqa: B023  # called at once
            for own in np.split(self.order, ends)
        ]
        return each if self.grouped else each[0]

    def joined(self, values: Any) -> np.ndarray:
        """What was found for the sequences, in the order of the table."""
        flat = np.concatenate([np.asarray(own) for own in (values if self.grouped else [values])])
        rows = np.empty_like(flat)
        rows[self.order] = flat
        return rows


def arrange(table: pa.Table, group_by: str | None, order_by: str | None) -> Series:
    """A sequence for each value of one column, or a single one, in the order of another column.

    ValueError for columns that are not there, have empty cells, or cells that are no plain values,
    for rows of a group that other groups come between where no column tells the order, and for two
    rows at one time.
    """
    named = [name for name in (group_by, order_by) if name is not None]
    check_names(table, named)
    for name in named:
        _check_plain(table[name], name)
    group, called = _groups(table, group_by)
    if order_by is None:
        _check_together(group, called, str(group_by))
        order = np.arange(table.num_rows)
    else:
        order = _ordered(_decoded(table[order_by]), order_by, group, called, group_by)
    return Series(order, np.bincount(group), group_by is not None)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Categories of pandas as their values."""
    kind: Any = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _check_plain(column: pa.ChunkedArray, name: str) -> None:
    if pa.types.is_nested(column.type):
        raise ValueError(f"has cells of several values in the column {name}; give plain values")
    numbers = kinds.numbers(column) if pa.types.is_floating(column.type) else np.zeros(0)
    if column.null_count or np.isnan(numbers).any():
        raise ValueError(f"has empty cells in the column {name}; mend them, or drop those rows")


def _groups(table: pa.Table, group_by: str | None) -> tuple[np.ndarray, Sequence[Any]]:
    """-> (the place of each row's group, in order of appearance; what they are called)."""
    if group_by is None:
        return np.zeros(table.num_rows, int), [None]
    coded = pc.dictionary_encode(_decoded(table[group_by]).combine_chunks())
    return coded.indices.to_numpy().astype(int), coded.dictionary.to_pylist()


def _check_together(group: np.ndarray, called: Sequence[Any], group_by: str) -> None:
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    firsts = np.unique(group, return_index=True)[1]
    again = np.setdiff1d(begins, firsts)
    if len(again):
        row = int(again[0])
        raise ValueError(
            f"has rows of {group_by} {called[group[row]]!r} in several places: row {row + 1} comes "
            f"after those of {called[group[row - 1]]!r}; sort the file by {group_by}, or give the "
            "column that tells the order by --order-by"
        )


def _ordered(
    times: pa.ChunkedArray,
    order_by: str,
    group: np.ndarray,
    called: Sequence[Any],
    group_by: str | None,
) -> np.ndarray:
    if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
        raise ValueError(
            f"has text in the column {order_by} of --order-by; give numbers, or dates as 2026-01-31"
        )
    if pa.types.is_boolean(times.type):  # arrow does not order these
        times = times.cast(pa.int8())
    keys = pa.table({"group": group, "time": times})
    sort_keys = [("group", "ascending"), ("time", "ascending")]
    order: np.ndarray = pc.sort_indices(keys, sort_keys=sort_keys).to_numpy().astype(int)
    sorted_times: Any = keys["time"].take(pa.array(order)).combine_chunks()
    same = pc.equal(sorted_times[1:], sorted_times[:-1]).to_numpy(zero_copy_only=False)
    again = np.flatnonzero(same & (np.diff(np.take(group, order)) == 0))
    if len(again):
        i = int(again[0])
        of = f" of {group_by} {called[int(group[order[i]])]!r}" if group_by else ""
        remedy = "give each its own time" if group_by else "give --group-by if they are of several"
        raise ValueError(f"has two rows{of} at {order_by} {sorted_times[i]}; {remedy}")
    return order
