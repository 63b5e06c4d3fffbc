"""One of several shares of Parquet files, which a process of its own works on.

A share is of row groups that follow each other, of about as many bytes as each of the others has;
of sequences it has those that begin in its row groups, whole.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from jaxem.cli import streamed_sequences, tables
from jaxem.cli.errors import BadInput, as_bad_input
from jaxem.cli.options import Share
from jaxem.cli.streamed_sequences import grouping
from jaxem.cli.tables import Table
from jaxem.sources.parquet_files import files as of_files

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them

Parts = Iterator[tuple[Path, Table]]


class _RowGroup(NamedTuple):
    path: Path
    index: int


def rows(file: Path, share: Share) -> Parts:
    """Those of a share, some at a time; there may be none."""
    _, own, _ = _divided(file, share)
    return _read(own)


def sequences(file: Path, share: Share, group_by: str | None) -> Parts:
    """Those that begin in a share, some whole ones at a time; there may be none.

    Every share looks whether the rows of each sequence, in all files, follow each other.
    """
    if not group_by:
        raise BadInput(
            f"{file}: --share is of whole sequences: tell them apart by --group-by, or leave out "
            "--share for a single one"
        )
    before, own, after = _divided(file, share)
    column = ((group.path, _column(group, group_by)) for group in (*before, *own, *after))
    for _ in streamed_sequences.of_whole_groups(column, group_by):
        pass
    cells = _begun(before, own, after, group_by)
    whole = streamed_sequences.of_whole_groups(cells, group_by)
    return ((path, tables.cleaned(table)) for path, table in whole)


def applied(
    file: Path,
    share: Share,
    parts: Callable[[Path, Share], Parts],
    function: Callable[[Path, Table], pa.Table],
) -> Iterator[pa.Table]:
    """function of the parts of a share; of one that is empty a table that has the columns alone."""
    own = itertools.starmap(function, parts(file, share))
    first = next(own, None)
    if first is None:
        some = next(parts(file, Share(0, 1)), None)
        if some is None:
            raise BadInput(f"{file}: has column names but no rows; there is nothing to work on")
        first = function(*some).slice(0, 0)
    return itertools.chain([first], own)


def _divided(
    file: Path, share: Share
) -> tuple[Sequence[_RowGroup], Sequence[_RowGroup], Sequence[_RowGroup]]:
    """-> (row groups before the share, its own, those after it)."""
    with as_bad_input():  # which names the files
        found = of_files(str(file))
    each = [
        _RowGroup(Path(path), i)
        for path, groups in zip(found.paths, found.groups, strict=True)
        for i in range(len(groups))
    ]
    size = np.concatenate([groups[:, 1] for groups in found.groups])
    middle = np.cumsum(size) - size / 2
    owner = middle * share.n // max(size.sum(), 1)
    first, stop = np.searchsorted(owner, [share.i, share.i + 1])
    return each[:first], each[first:stop], each[stop:]


def _read(groups: Sequence[_RowGroup]) -> Parts:
    for path, own in itertools.groupby(groups, key=lambda group: group.path):
        with as_bad_input(path):
            yield from ((path, part) for part in tables.parts(path, [of.index for of in own]))


def _column(group: _RowGroup, name: str) -> pa.Table:
    with as_bad_input(group.path), pq.ParquetFile(group.path) as file:
        return file.read_row_group(group.index, [name])


# ---- sequences that begin in a share


def _begun(
    before: Sequence[_RowGroup],
    own: Sequence[_RowGroup],
    after: Sequence[_RowGroup],
    group_by: str,
) -> Iterator[tuple[Path, pa.Table]]:
    """The rows from where the first sequence begins, to the end of the last, wherever it lies."""
    last = _last(before, group_by)
    begun = False
    for path, part in _read(own):
        column = grouping(path, part.cells, group_by)
        begin = 0 if begun else _n_alike(column, last)
        if begin < len(column):
            begun, last = True, column[-1]
            yield path, part.cells.slice(begin)
    for path, part in _read(after if begun else ()):
        column = grouping(path, part.cells, group_by)
        n = _n_alike(column, last)
        if n:
            yield path, part.cells.slice(0, n)
        if n < len(column):
            return


def _last(groups: Sequence[_RowGroup], name: str) -> Any:
    """What the last row has in a column; None where there is no row."""
    for group in reversed(groups):
        column = grouping(group.path, _column(group, name), name)
        if len(column):
            return column[-1]
    return None


def _n_alike(column: pa.ChunkedArray, value: Any) -> int:
    """How many rows from the first on have the value."""
    if value is None:
        return 0
    differs = ~pc.fill_null(pc.equal(column, value), False).to_numpy()
    return int(differs.argmax()) if differs.any() else len(column)
