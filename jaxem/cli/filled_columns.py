"""Columns of a table with their holes filled; observed cells keep their values."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa
import pyarrow.compute

from jaxem import families
from jaxem.cli import column_types
from jaxem.cli.column_types import Levels
from jaxem.core.contracts import Family

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them
_WHOLE = (
    families.Bernoulli,
    families.Binomial,
    families.Categorical,
    families.NegativeBinomial,
    families.Poisson,
    families.ZeroInflatedPoisson,
)


class FilledColumn(NamedTuple):
    """A column with holes and what goes into them.

    cells: as they were read; missing: which of them are filled, (n,). levels: of categories, else
    (). whole: whether it is of whole numbers. fills: for each completed table, (m, holes).
    """

    name: str
    cells: pa.ChunkedArray
    missing: np.ndarray
    levels: tuple[str, ...]
    whole: bool
    fills: np.ndarray


def whole_by_family(family: Family, x: Any) -> list[bool]:
    """Which columns of x hold whole numbers by their family."""
    if isinstance(family, families.Product):
        return [own for name, of in family.blocks for own in whole_by_family(of, x[name])]
    return [isinstance(family, _WHOLE)] * x.shape[1]


def filled_columns(
    table: pa.Table, names: Sequence[str], levels: Levels, whole: Sequence[bool], imputed: Any
) -> list[FilledColumn]:
    """The columns of a model that have holes, and the fills out of the imputed data (m, n, d).

    Holes without a number stay. Fills of counts are rounded, and those of categories.
    """
    each = np.concatenate([np.asarray(leaf) for leaf in jax.tree.leaves(imputed)], axis=2)
    columns = []
    for j, name in enumerate(names):
        cells = table[name]
        missing = column_types.missing(cells)
        missing &= np.isfinite(each[:, :, j]).all(axis=0)
        if not missing.any():
            continue
        fills = each[:, missing, j]
        yes_or_no = pa.types.is_boolean(cells.type)
        own = levels.get(name, column_types.levels(cells) if yes_or_no else ())
        if own:
            fills = np.clip(np.rint(fills), 0, len(own) - 1)
        elif whole[j]:
            fills = np.rint(fills)
            fills = np.maximum(fills, 0) if column_types.least(cells) >= 0 else fills
        columns.append(FilledColumn(name, cells, missing, own, whole[j], fills))
    return columns


def completed(table: pa.Table, columns: Sequence[FilledColumn], draw: int) -> pa.Table:
    """The table with the fills of one draw."""
    types = table.schema.types
    for column in columns:
        place = table.column_names.index(column.name)
        try:
            filled = _filled(table.column(place), column, column.fills[draw])
        except pa.ArrowException as error:
            raise ValueError(
                f"has the column {column.name} of type {column.cells.type}, which cannot hold what "
                f"fills it ({error}); leave it out by --columns"
            ) from None
        table = table.set_column(place, column.name, filled)
    if table.schema.types != types:
        table = table.replace_schema_metadata(None)  # what pandas notes there is of the old types
    return table


def filled_type(kind: Any, coded: bool, whole: bool) -> Any:
    """The type of a column of this type once its holes are filled."""
    if pa.types.is_null(kind):
        return pa.string() if coded else pa.int64() if whole else pa.float64()
    return pa.float64() if pa.types.is_integer(kind) and not (coded or whole) else kind


def numbered(tables: Sequence[pa.Table]) -> pa.Table:
    """Completed tables one under another, with a first column that counts them from 1."""
    name = "draw"
    while name in tables[0].column_names:
        name += "_"
    counters = [np.full(len(table), i + 1, np.int32) for i, table in enumerate(tables)]
    pairs = zip(tables, counters, strict=True)
    counted = [table.add_column(0, name, pa.array(counter)) for table, counter in pairs]
    return pa.concat_tables(counted).unify_dictionaries()


def _filled(cells: pa.ChunkedArray, column: FilledColumn, values: np.ndarray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(cells.type):
        return _filled(cells.cast(cells.type.value_type), column, values).cast(cells.type)
    fills, kind = pa.array(values), filled_type(cells.type, bool(column.levels), column.whole)
    if column.levels:
        fills = pa.array(column.levels, pa.string()).take(pa.array(values.astype(int)))
    return pc.replace_with_mask(cells.cast(kind), pa.array(column.missing), fills.cast(kind))
