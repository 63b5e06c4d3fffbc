"""Rows of a table as sequences: which follow each other, in what order, and how far apart."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa
import pyarrow.compute

from jaxem.cli import clock, column_types, report
from jaxem.cli.clock import Step
from jaxem.cli.columns import check_names

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them
_MOST = 10_000_000  # steps that gaps may open


class Series(NamedTuple):
    """order: the rows of the table, sequence after sequence; lengths: steps of each.

    places: of those rows, among the steps of all sequences; the other steps have no row.
    remarks: what is to be said of the times.
    """

    order: np.ndarray
    lengths: np.ndarray
    grouped: bool
    places: np.ndarray
    remarks: tuple[str, ...] = ()

    def split(self, x: Any) -> Any:
        """Rows of a table as sequences: a list of them, or the one there is. Steps without a row
        are NaN."""

        def steps(leaf: np.ndarray) -> np.ndarray:
            opened = np.full((int(self.lengths.sum()), *leaf.shape[1:]), np.nan)
            opened[self.places] = leaf[self.order]
            return opened

        x, ends = jax.tree.map(steps, x), np.cumsum(self.lengths)
        each = [
            jax.tree.map(lambda leaf: leaf[end - n : end], x)  # noqa: B023  # called at once
            for end, n in zip(ends, self.lengths, strict=True)
        ]
        return each if self.grouped else each[0]

    def joined(self, values: Any, axis: int = 0) -> np.ndarray:
        """What was found for the steps of the sequences, in the order of the table."""
        each = [np.asarray(own) for own in (values if self.grouped else [values])]
        flat = np.take(np.concatenate(each, axis=axis), self.places, axis=axis)
        return np.take(flat, np.argsort(self.order), axis=axis)


def arrange(
    table: pa.Table, group_by: str | None, order_by: str | None, step: Step | None = None
) -> Series:
    """A sequence for each value of one column, or a single one, in the order of another column.

    step: how far rows are apart; where they are further, the steps between are not observed. None
    takes every row as the step after that before it.
    ValueError for columns that are not there, have empty cells, or cells that are no plain values,
    for rows of a group that other groups come between where no column tells the order, for two
    rows at one time, and for rows that are no whole number of steps apart.
    """
    named = [name for name in (group_by, order_by) if name is not None]
    check_names(table, named)
    for name in named:
        _check_plain(table[name], name)
    group, called = _groups(table, group_by)
    lengths, grouped = np.bincount(group), group_by is not None
    if order_by is None:
        if step is not None:
            raise ValueError("has no times that --step could be of; give --order-by too")
        _check_together(group, called, str(group_by))
        order = np.arange(table.num_rows)
        return Series(order, lengths, grouped, order)
    column = _decoded(table[order_by])
    order = _ordered(column, order_by, group, called, group_by)
    rows = _Rows(column.take(pa.array(order)), order_by, group[order], called, group_by)
    if step is None:
        return Series(order, lengths, grouped, np.arange(len(order)), _gaps(rows))
    places, lengths = _opened(rows, step)
    left = int(lengths.sum()) - len(order)
    said = f"{report.several(left, 'step')} of {step} without a row, which were not observed"
    return Series(order, lengths, grouped, places, (said,) if left else ())


def as_fitted(
    table: pa.Table,
    notes: Mapping[str, Any],
    group_by: str | None,
    order_by: str | None,
    step: Step | str | None,
) -> Series:
    """The sequences grouped and ordered as given ("" for not at all), else as the model file says.

    notes: of that file.
    """
    given = {"group_by": group_by, "order_by": order_by}
    used = {name: notes.get(name) if own is None else own for name, own in given.items()}
    for name, column in used.items():
        if given[name] is None and column is not None and column not in table.column_names:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"has no column {column!r}, by which the model was fitted ({option}); give another "
                f'by {option}, or {option} "" where there is none'
            )
    if step is None and "step" in notes and used["order_by"] == notes.get("order_by"):
        step = clock.read(str(notes["step"]))
    own = step if isinstance(step, Step) else None
    return arrange(table, used["group_by"] or None, used["order_by"] or None, own)


class _Rows(NamedTuple):
    """Rows in their order: times, their column, the group of each, and what groups are called."""

    column: pa.ChunkedArray
    order_by: str
    group: np.ndarray
    called: Sequence[Any]
    group_by: str | None

    @property
    def follows(self) -> np.ndarray:
        """Which rows come after one of their own group, (n - 1,)."""
        return np.diff(self.group) == 0

    def between(self, i: int) -> str:
        of = f" of {self.group_by} {self.called[self.group[i]]!r}" if self.group_by else ""
        return f"from {self.column[i]} to {self.column[i + 1]}{of}"


def _gaps(rows: _Rows) -> tuple[str, ...]:
    """What is to be said of rows that are further apart than most, where each is one step."""
    times, after = clock.times(rows.column), np.flatnonzero(rows.follows)
    elapsed = np.diff(times.ticks)[after]
    if not len(elapsed) or not np.isfinite(elapsed).all():
        return ()
    size = clock.usual(elapsed)
    longer = clock.longer(elapsed, size)
    if not longer.any():
        return ()
    where, step = rows.between(int(after[np.argmax(elapsed)])), times.step(size)
    regular = not np.isnan(clock.steps_between(elapsed, size)).any()
    lost = int(np.sum(np.rint(elapsed[longer] / size) - 1))
    remedy = (
        f"give --step {step} to leave such steps open"
        if regular
        else "a chain has equal steps: bring the rows to such, and give --step"
    )
    return (
        f"{rows.order_by} has {report.several(int(longer.sum()), 'gap')}, of "
        f"{'' if regular else 'about '}{report.several(lost, 'step')} of {step} without a row, the "
        f"longest {where}; each gap is taken as one step: {remedy}",
    )


def _opened(rows: _Rows, step: Step) -> tuple[np.ndarray, np.ndarray]:
    """-> (the places of the rows among the steps, how many steps each group has)."""
    times = clock.times(rows.column)
    many = clock.steps_between(np.diff(times.ticks), times.of(step, rows.order_by))
    wrong = np.flatnonzero(np.isnan(many) & rows.follows)
    if len(wrong):
        raise ValueError(
            f"has rows that are no whole number of steps of {step} apart: {rows.order_by} goes on "
            f"{rows.between(int(wrong[0]))}; mend them, or give another --step"
        )
    many = np.where(rows.follows, many, 1)
    if many.sum() > max(_MOST, len(rows.group)):
        raise ValueError(
            f"has {many.sum():.3g} steps of {step} between its rows, too many to open; give a "
            "larger --step, or --group-by where recordings are apart"
        )
    places = np.concatenate([[0], np.cumsum(many)]).astype(int)
    lasts = np.flatnonzero(np.append(~rows.follows, True))
    return places, np.diff(places[lasts], prepend=-1)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Categories of pandas as their values."""
    kind: Any = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _check_plain(column: pa.ChunkedArray, name: str) -> None:
    if pa.types.is_nested(column.type):
        raise ValueError(f"has cells of several values in the column {name}; give plain values")
    numbers = column_types.numbers(column) if pa.types.is_floating(column.type) else np.zeros(0)
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
