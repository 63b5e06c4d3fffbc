"""Tables with their holes filled; what was observed stays as it is, letter by letter."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa

from jaxem import families
from jaxem.cli import column_types
from jaxem.cli.column_types import Levels
from jaxem.cli.tables import Cells
from jaxem.core.contracts import Family

_WHOLE = (families.Bernoulli, families.Categorical, families.Poisson)


class Column(NamedTuple):
    """A column with holes and what goes into them.

    typed: as it was read; missing: which cells are filled, (n,). levels: of categories, else ().
    whole: whether its cells are whole numbers. fills: for each completed table, (m, holes).
    """

    name: str
    typed: pa.ChunkedArray
    missing: np.ndarray
    levels: tuple[str, ...]
    whole: bool
    fills: np.ndarray


def whole(family: Family, x: Any) -> list[bool]:
    """Which columns of x hold whole numbers by their family."""
    if isinstance(family, families.Product):
        return [own for name, of in family.blocks for own in whole(of, x[name])]
    return [isinstance(family, _WHOLE)] * x.shape[1]


def with_holes(
    table: pa.Table,
    names: Sequence[str],
    levels: Levels,
    whole: Sequence[bool],
    completed: Any,
) -> list[Column]:
    """The columns of a model that have holes, and the fills out of the completed data (m, n, d).

    Holes without a number stay. Fills of counts are rounded, and those of categories.
    """
    each = np.concatenate([np.asarray(leaf) for leaf in jax.tree.leaves(completed)], axis=2)
    columns = []
    for j, name in enumerate(names):
        typed = table[name]
        missing = column_types.missing(typed)
        if not missing.any():
            continue
        fills = each[:, missing, j]
        known = np.isfinite(fills).all(axis=0)
        if not known.any():
            continue
        missing[missing], fills = known, fills[:, known]
        yes_or_no = pa.types.is_boolean(typed.type)
        own = levels.get(name, column_types.levels(typed) if yes_or_no else ())
        if own:
            fills = np.clip(np.rint(fills), 0, len(own) - 1)
        if whole[j] and not own:
            fills = np.rint(fills)
            fills = np.maximum(fills, 0) if column_types.least(typed) >= 0 else fills
        columns.append(Column(name, typed, missing, own, whole[j], fills))
    return columns


def completed(cells: Cells, columns: Sequence[Column], draw: int, numbered: bool) -> pa.Table:
    """The file with the fills of one draw, and, where numbered, a first column with its number."""
    table, form = cells
    for column in columns:
        place = table.column_names.index(column.name)
        try:
            filled = _filled(table.column(place), column, column.fills[draw], form and form.decimal)
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"has the column {column.name} of type {column.typed.type}, which cannot hold what "
                f"fills it ({error}); write a .csv file, or leave it out by --columns"
            ) from None
        table = table.set_column(place, column.name, filled)
    if table.schema.types != cells.table.schema.types:
        table = table.replace_schema_metadata(None)  # what pandas notes there is of the old types
    if not numbered:
        return table
    name = "draw"
    while name in table.column_names:
        name += "_"
    number = np.full(len(table), draw + 1, np.int32)
    counter = pa.array(number) if form is None else pa.array(number.astype("S"), pa.binary())
    return table.add_column(0, name, counter)


def _filled(
    cells: pa.ChunkedArray, column: Column, values: np.ndarray, decimal: str | None
) -> pa.ChunkedArray:
    """decimal: the mark in numbers, where the cells are bytes of a text; else they have types."""
    if column.levels:
        return _with_levels(cells, column, values.astype(int))
    if decimal is not None:
        words = [str(int(v) if column.whole else v).replace(".", decimal) for v in values]
        return _placed(cells, column.missing, pa.array(words, pa.string()).cast(pa.binary()))
    kind = cells.type
    if pa.types.is_null(kind):
        kind = pa.int64() if column.whole else pa.float64()
    elif pa.types.is_integer(kind) and not column.whole:
        kind = pa.float64()
    return _placed(cells.cast(kind), column.missing, pa.array(values).cast(kind))


def _with_levels(cells: pa.ChunkedArray, column: Column, picks: np.ndarray) -> pa.ChunkedArray:
    """Each category as it is written where it is first, or by its name where it is nowhere."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        return _with_levels(cells.cast(kind.value_type), column, picks).cast(kind)
    if pa.types.is_null(kind):
        cells, kind = cells.cast(pa.string()), pa.string()
    codes = column_types.codes(column.typed, column.levels, column.name, "missing")
    there = ~np.isnan(codes)
    place = len(cells) + np.arange(len(column.levels))
    seen, first = np.unique(codes[there], return_index=True)
    place[seen.astype(int)] = np.flatnonzero(there)[first]
    names = pa.array(column.levels, pa.string()).cast(kind)
    index = np.arange(len(cells))
    index[column.missing] = place[picks]
    return pa.chunked_array([*cells.chunks, names]).take(pa.array(index))


def _placed(cells: pa.ChunkedArray, missing: np.ndarray, values: pa.Array) -> pa.ChunkedArray:
    index = np.arange(len(cells))
    index[missing] = len(cells) + np.arange(len(values))
    return pa.chunked_array([*cells.chunks, values]).take(pa.array(index))
