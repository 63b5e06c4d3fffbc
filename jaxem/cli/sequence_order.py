"""Rows of a table as sequences: which follow each other, in what order, and how far apart."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa
import pyarrow.compute

from jaxem.cli import column_types, report, time_steps
from jaxem.cli.columns import check_names
from jaxem.cli.options import SequenceOptions
from jaxem.cli.tables import is_text
from jaxem.cli.time_steps import Step

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them
_MOST = 10_000_000  # steps that gaps may open
_LONGER = 1.5  # usual steps, beyond which something is taken to be missing


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
        """Rows of a table as sequences: a list of them, or the one there is."""
        x, ends = self.opened(x), np.cumsum(self.lengths)
        each = [
            jax.tree.map(lambda leaf: leaf[end - n : end], x)  # noqa: B023  # called at once
            for end, n in zip(ends, self.lengths, strict=True)
        ]
        return each if self.grouped else each[0]

    def opened(self, x: Any) -> Any:
        """The steps of all sequences, one after another. Those without a row are NaN."""

        def steps(leaf: np.ndarray) -> np.ndarray:
            found = np.full((int(self.lengths.sum()), *leaf.shape[1:]), np.nan)
            found[self.places] = leaf[self.order]
            return found

        return jax.tree.map(steps, x)

    def joined(self, values: Any, axis: int = 0) -> Any:
        """What was found for the steps of the sequences, in the order of the table."""

        def rows(*each: Any) -> np.ndarray:
            flat = np.concatenate([np.asarray(own) for own in each], axis=axis)
            return np.take(np.take(flat, self.places, axis), np.argsort(self.order), axis)

        return jax.tree.map(rows, *(values if self.grouped else [values]))


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
    check_names(table, [name for name in (group_by, order_by) if name])
    values, called = _groups(table, group_by)
    if not order_by:
        if step:
            raise ValueError("has no times that --step could be of; give --order-by too")
        _check_together(values, called, group_by)
        order = np.arange(table.num_rows)
        return Series(order, np.bincount(values), bool(group_by), order)
    times = _times(table, order_by)
    keys = pa.table({"group": values, "time": times})
    sort_keys = [("group", "ascending"), ("time", "ascending")]
    order = pc.sort_indices(keys, sort_keys=sort_keys).to_numpy().astype(int)
    rows = _Rows(times.take(pa.array(order)), order_by, values[order], called, group_by)
    rows.check_apart()
    if step:
        places, lengths = _opened(rows, step)
        left = int(lengths.sum()) - len(order)
        said = f"{report.several(left, 'step')} of {step} without a row, which were not observed"
        return Series(order, lengths, bool(group_by), places, (said,) if left else ())
    return Series(order, np.bincount(values), bool(group_by), np.arange(len(order)), _gaps(rows))


def as_fitted(table: pa.Table, notes: Mapping[str, Any], given: SequenceOptions) -> Series:
    """The sequences grouped and ordered as given ("" for not at all), else as the model file says.

    notes: of that file.
    """
    fitted = SequenceOptions(*(notes.get(name) for name in SequenceOptions._fields))
    for name in ("group_by", "order_by"):
        column, option = getattr(fitted, name), f"--{name.replace('_', '-')}"
        if getattr(given, name) is None and column and column not in table.column_names:
            raise ValueError(
                f"has no column {column!r}, by which the model was fitted ({option}); give another "
                f'by {option}, or {option} "" where there is none'
            )
    group_by, order_by, step = used(notes, given)
    if isinstance(step, str):  # of the file, where the order is its own
        step = time_steps.parse(step) if step and order_by == fitted.order_by else None
    return arrange(table, group_by, order_by, step)


def used(notes: Mapping[str, Any], given: SequenceOptions) -> SequenceOptions:
    """What is given, else what the model file says."""
    pairs = ((notes.get(name), own) for name, own in given._asdict().items())
    return SequenceOptions(*(noted if own is None else own for noted, own in pairs))


class _Rows(NamedTuple):
    """Rows in their order: their times, the group of each, and what groups are called."""

    times: pa.ChunkedArray
    order_by: str
    group: np.ndarray
    called: Sequence[Any]
    group_by: str | None

    @property
    def follows(self) -> np.ndarray:
        """Which rows come after one of their own group, (n - 1,)."""
        return np.diff(self.group) == 0

    def group_of(self, i: int) -> str:
        return f" of {self.group_by} {self.called[self.group[i]]!r}" if self.group_by else ""

    def between(self, i: int) -> str:
        return f"from {self.times[i]} to {self.times[i + 1]}{self.group_of(i)}"

    def check_apart(self) -> None:
        """ValueError for two rows of a group at one time."""
        same = pc.equal(self.times[1:], self.times[:-1]).to_numpy()
        again = np.flatnonzero(same & self.follows)
        if len(again):
            i = int(again[0])
            remedy = "each its own time" if self.group_by else "--group-by if they are of several"
            raise ValueError(
                f"has two rows{self.group_of(i)} at {self.order_by} {self.times[i]}; give {remedy}"
            )


def _gaps(rows: _Rows) -> tuple[str, ...]:
    """What is to be said of rows that are further apart than most, where each is one step."""
    elapsed, after = time_steps.elapsed(rows.times), np.flatnonzero(rows.follows)
    elapsed = elapsed._replace(values=elapsed.values[after])
    if not len(after) or not np.isfinite(elapsed.values).all():
        return ()
    usual = float(np.quantile(elapsed.values, 0.5, method="lower"))
    gaps = elapsed.values > _LONGER * usual
    if not gaps.any():
        return ()
    where, step = rows.between(int(after[np.argmax(elapsed.values)])), elapsed.as_step(usual)
    regular = not np.isnan(elapsed.steps(usual)).any()
    lost = int(np.sum(np.rint(elapsed.values[gaps] / usual) - 1))
    remedy = (
        f"give --step {step} to leave such steps open"
        if regular
        else "a chain has equal steps: bring the rows to such, and give --step"
    )
    return (
        f"{rows.order_by} has {report.several(int(gaps.sum()), 'gap')}, of "
        f"{'' if regular else 'about '}{report.several(lost, 'step')} of {step} without a row, the "
        f"longest {where}; each gap is taken as one step: {remedy}",
    )


def _opened(rows: _Rows, step: Step) -> tuple[np.ndarray, np.ndarray]:
    """-> (the places of the rows among the steps, how many steps each group has)."""
    many = time_steps.elapsed(rows.times).in_step(step, rows.order_by)
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


def _plain(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column without empty cells, categories of pandas as their values."""
    column = table[name]
    if pa.types.is_nested(column.type):
        raise ValueError(f"has cells of several values in the column {name}; give plain values")
    if column_types.missing(column).any():
        raise ValueError(f"has empty cells in the column {name}; mend them, or drop those rows")
    kind: Any = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _times(table: pa.Table, name: str) -> pa.ChunkedArray:
    column = _plain(table, name)
    if is_text(column.type):
        raise ValueError(
            f"has text in the column {name} of --order-by; give numbers, or dates as 2026-01-31"
        )
    return column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column


def _groups(table: pa.Table, group_by: str | None) -> tuple[np.ndarray, Sequence[Any]]:
    """-> (the place of each row's group, in order of appearance; what they are called)."""
    if not group_by:
        return np.zeros(table.num_rows, int), [None]
    coded = pc.dictionary_encode(_plain(table, group_by).combine_chunks())
    return coded.indices.to_numpy().astype(int), coded.dictionary.to_pylist()


def _check_together(group: np.ndarray, called: Sequence[Any], group_by: str | None) -> None:
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    again = np.setdiff1d(begins, np.unique(group, return_index=True)[1])
    if len(again):
        row = int(again[0])
        raise ValueError(
            f"has rows of {group_by} {called[group[row]]!r} in several places: row {row + 1} comes "
            f"after those of {called[group[row - 1]]!r}; sort the file by {group_by}, or give the "
            "column that tells the order by --order-by"
        )
