"""The rows of a source as a Parquet file, written piece by piece; or as one of several."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxem.core.files import replacing
from jaxem.core.source import Piece, Share, Source, numbered
from jaxem.sources.parquet_files import pyarrow

_BESIDE = ("sample_weight", "labels", "sequence")


def to_parquet(
    source: Source, path: str | os.PathLike, share: tuple[int, int] | None = None
) -> None:
    """Write the rows of a source to a Parquet file, a row group for each piece.

    Columns have the names of the source, else column_1, column_2, ..., in blocks with the name of
    the block in the place of "column"; those of categories are text. After them come sample_weight
    and labels, where the rows have them, and for sequences "sequence", the number of the row that
    each begins with.

    share: (i, n) writes the i-th of n shares of the rows, i from 0, and the path is a folder: its
        files, part-00000-of-00004.parquet and so on, have all rows in their order. Each of several
        processes writes its own: share=(jax.process_index(), jax.process_count()). A share may be
        without rows.

    Errors: OSError where the file cannot be written; ValueError for a source without rows, and for
    names that are there twice; what is wrong with the rows. Then the file is as it was.
    """
    if share is None:
        _write(source, path, None)
        return
    i, n = share
    if not 0 <= i < n:
        raise ValueError(f"share is {share}; give (i, n) with i from 0 to n - 1")
    cuts = source.cuts(n).tolist()
    begin, end = cuts[i : i + 2]
    empty = None
    if begin == end:  # which has the columns of the others
        empty = next(_tables(source, 0), None)
    os.makedirs(path, exist_ok=True)
    own = Share(source, begin, end, source.names, "")
    _write(own, Path(path) / part_name(i, n), empty, begin)


def part_name(i: int, n: int) -> str:
    """Of the file of a share."""
    return f"part-{i:05}-of-{n:05}.parquet"


def _write(source: Source, path: Any, empty: Any, first_row: int = 0) -> None:
    """empty: a table with the columns that one without rows is to have; None where that is an
    error."""
    tables = _tables(source, first_row)
    first = next(tables, None)
    if first is None and empty is None:
        raise ValueError("the source has no rows; there is nothing to write")
    begin = empty.slice(0, 0) if first is None else first
    with (
        replacing(path) as temporary,
        pyarrow().parquet.ParquetWriter(temporary, begin.schema) as writer,
    ):
        for table in itertools.chain([begin], tables):
            writer.write_table(table.cast(begin.schema))


def _tables(source: Source, first_row: int) -> Iterator[Any]:
    """first_row: the number of the first one."""
    try:
        at = first_row
        for piece in source.pieces():
            beside = _beside(piece, at)
            names = _names(piece, source.column_names, tuple(beside))
            own = [column for leaf in jax.tree.leaves(piece.x) for column in leaf.T]
            levels = source.levels
            coded = (
                _text(column, levels[name]) if name in levels else column
                for name, column in zip(names, own, strict=False)
            )
            yield pyarrow().table([*coded, *beside.values()], names)
            at += piece.n_rows
    except OSError as error:  # else it would be told of the file that is written
        raise ValueError(str(error)) from None


def _beside(piece: Piece, first_row: int) -> dict[str, np.ndarray]:
    """What comes with x, a number a row."""
    weight, sequence, lengths = piece.weight, None, piece.lengths
    if lengths is not None:
        sequence = np.repeat(first_row + np.cumsum(lengths) - lengths, lengths)
        weight = None if weight is None else np.repeat(weight, lengths)
    each = zip(_BESIDE, (weight, piece.labels, sequence), strict=True)
    return {name: np.asarray(values) for name, values in each if values is not None}


def _names(piece: Piece, given: Sequence[str] | None, beside: tuple[str, ...]) -> list[str]:
    names = [*(numbered(piece.x) if given is None else given), *beside]
    if len(set(names)) < len(names):
        raise ValueError(f"columns that would have the same name: {', '.join(names)}; rename some")
    return names


def _text(codes: np.ndarray, levels: Sequence[str]) -> Any:
    """The levels at codes, of which NaN, or one below 0, is missing."""
    missing = ~(codes >= 0)
    places = np.where(missing, 0, codes).astype(np.int64)
    arrow = pyarrow()
    return arrow.array(list(levels), arrow.string()).take(arrow.array(places, mask=missing))
