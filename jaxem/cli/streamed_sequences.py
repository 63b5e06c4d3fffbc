"""Sequences of files that do not fit into memory: read so many whole ones at a time.

The rows of a sequence must follow each other in the files; what else a table in memory may be, such
as out of order or with gaps, each part of them may be too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from jaxem.cli import sequence_order, streaming, tables
from jaxem.cli.cells import values
from jaxem.cli.columns import Columns
from jaxem.cli.errors import BadInput, as_bad_input
from jaxem.cli.fit_input import FitInput
from jaxem.cli.options import ColumnOptions, ReadOptions, SequenceOptions
from jaxem.cli.tables import Table
from jaxem.core.contracts import Family
from jaxem.core.source import Piece, Source, after
from jaxem.fitting import processes
from jaxem.sources import parquet_files
from jaxem.sources.fingerprints import of_files
from jaxem.sources.parquet_files import Files

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them


def parts(
    file: Path, memory: int | None, options: ReadOptions, group_by: str | None
) -> Iterator[tuple[Path, Table]]:
    """A table; or files, one after another, in parts of whole sequences."""
    own = streaming.parts(file, memory, options)
    if not streaming.is_wanted(file, memory):
        return own
    _check_grouped(file, group_by)
    cells = ((path, table.cells) for path, table in own)
    return ((path, tables.cleaned(whole)) for path, whole in of_whole_groups(cells, group_by))


def once() -> Callable[[Sequence[str]], list[str]]:
    """A function of what is to be said of the order of the rows of each part -> what is said: that
    of the first with any, as the others have the like."""
    told: list[str] = []

    def said(remarks: Sequence[str]) -> list[str]:
        new = [] if told else [f"in some of the sequences {remark}" for remark in remarks]
        told.extend(new)
        return new

    return said


def _check_grouped(file: Path, group_by: str | None) -> None:
    if not group_by:
        raise BadInput(
            f"{file}: is read some whole sequences at a time: tell them apart by --group-by, or "
            "give a larger --memory for a single one"
        )


def of_whole_groups(
    parts: Iterator[tuple[Path, pa.Table]], group_by: Any
) -> Iterator[tuple[Path, pa.Table]]:
    """The same rows, cut between groups. The rows of the last one wait for the next part."""
    held: list[pa.Table] = []
    last, path, groups = None, Path(), []
    for path, table in parts:
        column = grouping(path, table, group_by)
        begin = _last_begin(column, last, bool(held))
        last = column[-1].as_py()
        if begin is None:
            held.append(table)
            continue
        if held or begin:
            whole = _joined([*held, table.slice(0, begin)])
            groups.append(pc.unique(_plain(whole[group_by])))
            yield path, whole
        held = [table.slice(begin)]
    if held:
        whole = _joined(held)
        groups.append(pc.unique(_plain(whole[group_by])))
        yield path, whole
    if groups:
        _check_together(path, groups, group_by)


def grouping(path: Path, table: pa.Table, group_by: str) -> pa.ChunkedArray:
    """The column that tells sequences apart. path: of the table."""
    with as_bad_input(path):
        sequence_order.check_names(table, [group_by])
    return _plain(table[group_by])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Categories of pandas as their values."""
    kind: Any = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _last_begin(column: pa.ChunkedArray, last: Any, more: bool) -> int | None:
    """Where the last group of a part begins, None before it. last: the value before; more: whether
    there is one."""
    differs = pc.fill_null(pc.not_equal(column[1:], column[:-1]), True).to_numpy()
    places = np.flatnonzero(differs)
    if len(places):
        return int(places[-1]) + 1
    return None if more and column[0].as_py() == last else 0


def _joined(each: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(each, promote_options="permissive")


def _check_together(path: Path, groups: Sequence[Any], group_by: str) -> None:
    """BadInput for a group that is in parts that do not follow each other."""
    counts = pc.value_counts(pa.chunked_array(groups))
    again = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(again):
        raise BadInput(
            f"{path}: has rows of {group_by} {again[0]['values'].as_py()!r} in several places; "
            f"sort the rows by {group_by}, or give a larger --memory"
        )


# ---- a fit


@dataclass(frozen=True, eq=False)
class Sequences(Source):
    """Of Parquet files. columns: those that are fitted, by the family; order: how rows are
    sequences."""

    files: Files
    columns: Columns
    family: Family
    order: SequenceOptions
    names: tuple[str, ...] | None
    fingerprint: str

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        at = 0
        for path, table in _groups(self.files, self.columns.names, self.order):
            with as_bad_input(path):
                steps = sequence_order.arrange(table, *self.order)
                x = steps.opened(values(table, self.columns, self.family, gaps=True))
            piece = Piece(x, None, None, str(path), steps.lengths)
            before, at = at, at + piece.n_rows
            if at > first:
                yield after(piece, max(0, first - before))


def source_of(
    file: Path,
    options: ColumnOptions,
    family: str,
    order: SequenceOptions,
    everyone: Any = None,
) -> tuple[Source, FitInput]:
    """The columns that are asked for, after one look at all rows, and one at their order.

    everyone: a mesh over the devices of all processes that run the command.
    """
    _check_grouped(file, order.group_by)
    told_by = [name for name in order[:2] if name]
    found, columns, data = streaming.looked_at(file, options, family, everyone, told_by=told_by)
    team, _ = processes.of_mesh(everyone)

    def look() -> list[str]:
        return _remarks(found, order)

    remarks = look() if team is None else team.own(look)
    told = of_files(found.paths, columns.by_kind, sorted(columns.levels.items()), *map(str, order))
    source = Sequences(found, columns, data.families[0], order, columns.names, told)
    return source, data._replace(remarks=[*data.remarks, *remarks])


def _remarks(found: Files, order: SequenceOptions) -> list[str]:
    said = once()
    remarks = []
    for path, table in _groups(found, [], order):
        with as_bad_input(path):
            remarks += said(sequence_order.arrange(table, *order).remarks)
    return remarks


def _groups(
    found: Files, names: Sequence[str], order: SequenceOptions
) -> Iterator[tuple[Path, pa.Table]]:
    """The columns of these names, and of those that tell the order."""
    wanted = list(dict.fromkeys([*names, *filter(None, order[:2])]))

    def read() -> Iterator[tuple[Path, pa.Table]]:
        for path, groups in zip(found.paths, found.groups, strict=True):
            own = found._replace(paths=(path,), groups=(groups,))
            for batch in parquet_files.batches(own, wanted):
                if batch.num_rows:
                    yield Path(path), pa.Table.from_batches([batch])

    for path, table in of_whole_groups(read(), order.group_by):
        yield path, tables.cleaned(table).columns
