"""The rows of a source as a Parquet file, written piece by piece."""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxem.core.files import replacing
from jaxem.core.source import Piece, Source
from jaxem.sources.parquet_files import pyarrow

_BESIDE = ("sample_weight", "labels")


def to_parquet(source: Source, path: str | os.PathLike) -> None:
    """Write the rows of a source to a Parquet file, a row group for each piece.

    Columns have the names of the source, else column_1, column_2, ..., in blocks with the name of
    the block in the place of "column"; after them come sample_weight and labels, where the rows
    have them.

    Errors: OSError where the file cannot be written; ValueError for a source without rows, and for
    names that are there twice; what is wrong with the rows. Then the file is as it was.
    """
    tables = _tables(source)
    first = next(tables, None)
    if first is None:
        raise ValueError("the source has no rows; there is nothing to write")
    with (
        replacing(path) as temporary,
        pyarrow().parquet.ParquetWriter(temporary, first.schema) as writer,
    ):
        for table in itertools.chain([first], tables):
            writer.write_table(table.cast(first.schema))


def _tables(source: Source) -> Iterator[Any]:
    try:
        for piece in source.pieces():
            yield pyarrow().table(_columns(piece), _names(piece, source.names))
    except OSError as error:  # else it would be told of the file that is written
        raise ValueError(str(error)) from None


def _names(piece: Piece, given: Sequence[str] | None) -> list[str]:
    of_x = _numbered(piece.x) if given is None else list(given)
    beside = zip(_BESIDE, (piece.weight, piece.labels), strict=True)
    names = [*of_x, *(name for name, values in beside if values is not None)]
    if len(set(names)) < len(names):
        raise ValueError(f"columns that would have the same name: {', '.join(names)}; rename some")
    return names


def _numbered(x: Any) -> list[str]:
    found = []
    for path, leaf in jax.tree.leaves_with_path(x):
        block = jax.tree_util.keystr(path, simple=True, separator="_") or "column"
        found += [f"{block}_{j + 1}" for j in range(leaf.shape[1])]
    return found


def _columns(piece: Piece) -> list[np.ndarray]:
    beside = [np.asarray(of) for of in (piece.weight, piece.labels) if of is not None]
    return [*(column for leaf in jax.tree.leaves(piece.x) for column in leaf.T), *beside]
