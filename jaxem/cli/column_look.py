"""A first look at the columns of files that are read block by block.

Of each column a few cells are kept, by which `columns.choose` decides as it would by all: each of
its values once where they may be categories, else the least, the greatest and one between.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from jaxem.cli import column_types, tables
from jaxem.cli.columns import Columns, listed
from jaxem.fitting.processes import Team
from jaxem.sources import categories, parquet_files
from jaxem.sources.parquet_files import Files

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them


class Cells(NamedTuple):
    """Some cells of a column. n_missing: of all; crowded: more values than categories may have."""

    some: pa.ChunkedArray
    n_missing: int
    crowded: bool


class Look(NamedTuple):
    """What all rows come to. remarks: how files were read, where that is not plain."""

    columns: Mapping[str, Cells]
    remarks: tuple[str, ...]

    @property
    def table(self) -> pa.Table:
        """The cells, each column as long as the longest."""
        n = max(len(own.some) for own in self.columns.values())
        return pa.table({name: _as_long(own.some, n) for name, own in self.columns.items()})

    def holed(self, names: Sequence[str]) -> dict[str, int]:
        """How many cells are missing, of the columns with any."""
        counts = {name: self.columns[name].n_missing for name in names}
        return {name: n for name, n in counts.items() if n}

    def check(self, columns: Columns) -> None:
        """ValueError for what the few cells leave out, and for columns of missing cells alone."""
        crowded = [name for name in columns.levels if self.columns[name].crowded]
        if crowded:
            raise ValueError(
                f"has over {categories.MOST:,} values in the columns {listed(crowded)}, too many "
                "for categories; give them another family, or leave them out by --columns"
            )
        cells = {name: self.columns[name].some for name in columns.names}
        never = [name for name, own in cells.items() if own.null_count == len(own)]
        if never:
            raise ValueError(
                f"has not a single value in the columns {listed(never)}, so that nothing is known "
                "of them; leave them out by --columns"
            )


def look(files: Files, wanted: Sequence[str] | None, team: Team | None) -> Look:
    """Every row is read, by several processes each its share. wanted: columns; None for all."""
    if team is None:
        own = [_looked(files, wanted, 0, 1)]
    else:
        place, n = team.place, team.n
        own = team.together(lambda: _looked(files, wanted, place, n))
    names = dict.fromkeys(name for of in own for name in of.columns)
    if not names:
        raise ValueError(f"{files.paths[0]}: there are no rows; there is nothing to work on")
    parts = {name: [of.columns[name] for of in own if name in of.columns] for name in names}
    remarks = dict.fromkeys(remark for of in own for remark in of.remarks)
    return Look({name: _together(of) for name, of in parts.items()}, tuple(remarks))


def _looked(files: Files, wanted: Sequence[str] | None, place: int, n: int) -> Look:
    """At the row groups of one of n processes."""
    found: dict[str, Cells] = {}
    remarks: dict[str, None] = {}
    for batch in parquet_files.batches(files, wanted, place, n):
        table = tables.cleaned(pa.Table.from_batches([batch]))
        remarks |= dict.fromkeys(table.remarks)
        for name in table.columns.column_names:
            own = _few(table.columns[name])
            found[name] = _together([found[name], own]) if name in found else own
    return Look(found, tuple(remarks))


def _together(parts: Sequence[Cells]) -> Cells:
    """What is kept of the columns end to end."""
    if len(parts) == 1:
        return parts[0]
    few = _few(_end_to_end([own.some for own in parts]))
    missing = sum(own.n_missing for own in parts)
    return few._replace(n_missing=missing, crowded=few.crowded or any(p.crowded for p in parts))


def _end_to_end(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Of one type: that of the others, where one has no value at all."""
    kinds = {own.type for own in columns if not pa.types.is_null(own.type)}
    if len(kinds) > 1:
        number = all(map(categories.is_numeric, kinds))
        cells = [_as_floats(own) if number else categories.text(own) for own in columns]
    else:
        kind = next(iter(kinds), pa.null())
        cells = [own.cast(kind) for own in columns]
    return pa.chunked_array([chunk for own in cells for chunk in _chunks(own)], cells[0].type)


def _as_floats(column: pa.ChunkedArray) -> pa.Array:
    return pa.array(categories.numbers(column), from_pandas=True)


def _chunks(column: Any) -> Iterable[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _few(column: pa.ChunkedArray) -> Cells:
    """A value that was there twice is kept twice, and a missing cell where there is one."""
    missing = column_types.missing(column)
    there, holes = column.filter(pa.array(~missing)), int(missing.sum())
    empty = pa.nulls(min(holes, 1), column.type)
    if categories.is_opaque(column.type):
        return Cells(_joined(there[:1], empty), holes, False)
    if categories.is_numeric(column.type) and not column_types.is_whole(there):
        return Cells(_joined(_ends(there), empty), holes, False)
    values = pc.unique(there)
    again = there[: int(len(values) < len(there))]
    if len(values) <= categories.MOST:
        return Cells(_joined(values, again, empty), holes, False)
    if categories.is_numeric(column.type):
        places = pc.array_sort_indices(values).take(
            pa.array([0, len(values) // 2, len(values) - 1])
        )
        return Cells(_joined(values.take(places), again, empty), holes, True)
    room = categories.MOST + 1 - len(again) - len(empty)
    return Cells(_joined(values[:room], again, empty), holes, True)


def _ends(column: pa.ChunkedArray) -> Any:
    """The least and the greatest number and one between them, which is not whole if any is."""
    values = categories.numbers(column)
    low, high = np.argmin(values), np.argmax(values)
    between = (values > values[low]) & (values < values[high])
    broken = between & (values != np.floor(values))
    place = np.flatnonzero(broken if broken.any() else between)[:1]
    return column.take(pa.array(np.concatenate([[low, high], place])))


def _joined(*parts: Any) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for own in parts for chunk in _chunks(own)], parts[0].type)


def _as_long(column: pa.ChunkedArray, n: int) -> pa.ChunkedArray:
    """Filled up with the last cell, which is missing where any is."""
    places = np.minimum(np.arange(n), len(column) - 1)
    return column.take(pa.array(places))
