"""Parquet files as one table, read a few row groups at a time."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxem.core.files import describe_os_errors
from jaxem.core.source import Piece, Source
from jaxem.sources.columns import Columns, Schema, chosen, schema_of
from jaxem.sources.fingerprints import of_files

_ROWS = 1 << 16  # a piece


def parquet(
    paths: Any, columns: Any = None, sample_weight: str | None = None, labels: str | None = None
) -> Source:
    """The rows of Parquet files as one table, file after file.

    paths: a name, a pattern such as "rows/*.parquet" (in the order of names), or a list of them.
    columns: names of a table's columns, all but those of weights and labels by default; for data of
        another form a tuple or a dict of such lists, as `fit` takes x: (["a", "b"], "y") of a
        regression, {"size": ["a", "b"], "colour": ["c"]} of a `families.Product`.
    sample_weight, labels: names of columns.

    Numbers of several kinds become the widest of them; null is NaN.

    Errors: OSError where a file cannot be read; ValueError for files that differ, which are named,
    and for columns that are not there or are no numbers.
    """
    found = _files(paths)
    groups, schemas = zip(*map(_looked_at, found), strict=True)
    own = chosen(_together(found, schemas), found[0], columns, sample_weight, labels)
    told = of_files(found, own.tree, sample_weight, labels)
    return Parquet(found, groups, own, own.names, told)


@dataclass(frozen=True, eq=False)
class Parquet(Source):
    paths: tuple[str, ...]
    groups: tuple[np.ndarray, ...]  # of each file its row groups: (g, 2) rows and bytes
    columns: Columns
    names: tuple[str, ...] | None
    fingerprint: str

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        skip = first
        for path, groups in zip(self.paths, self.groups, strict=True):
            n = int(groups[:, 0].sum())
            if not skip or skip < n:
                with _opened(path) as file:
                    self._check(path, file, n)
                    yield from self._of_file(path, file, skip)
            skip = max(0, skip - n)

    def cuts(self, n: int) -> np.ndarray:
        """Between row groups, for as many bytes each as those allow."""
        rows, size = np.cumsum([(0, 0), *np.concatenate(self.groups)], axis=0).T
        nearest = np.abs(size[:, None] - size[-1] * np.arange(n + 1) / n).argmin(axis=0)
        nearest[-1] = len(rows) - 1
        return rows[nearest]

    def _check(self, path: str, file: Any, had: int) -> None:
        """ValueError for a file that has become another."""
        self.columns.check(schema_of(file.schema_arrow), path)
        if file.metadata.num_rows != had:
            raise ValueError(
                f"{path} had {had:,} rows when it was first read, and now has "
                f"{file.metadata.num_rows:,}: it must stay as it is"
            )

    def _of_file(self, path: str, file: Any, first: int) -> Iterator[Piece]:
        """From row `first` on; row groups that lie before it are not read."""
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        stops = np.cumsum(sizes)
        groups = np.flatnonzero(stops > first)
        if not len(groups):
            return
        at = int(stops[groups[0]]) - sizes[groups[0]]
        batches = file.iter_batches(_ROWS, groups.tolist(), list(self.columns.kinds))
        for batch in _read(path, batches):
            stop = at + batch.num_rows
            if stop > first:
                begin = max(at, first)
                where = f"{path}, rows {begin:,} to {stop - 1:,}"
                yield self.columns.piece(batch.slice(begin - at), where)
            at = stop


# ---- what files hold


def _files(paths: Any) -> tuple[str, ...]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: list[str] = []
    for path in map(os.fspath, given):
        some = [path] if os.path.exists(path) else sorted(glob.glob(path))
        if not some:
            raise FileNotFoundError(f"{path}: there is no such file, and none that matches it")
        found += some
    if not found:
        raise ValueError("paths names no file")
    return tuple(found)


def pyarrow() -> Any:
    """The library, which is an extra; ValueError where it is not there."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ValueError("Parquet is read by pyarrow: pip install 'jaxem[stream]'") from None
    return pyarrow


def _opened(path: str) -> Any:
    arrow = pyarrow()
    with describe_os_errors(path, "cannot be read"):
        try:
            return arrow.parquet.ParquetFile(path)
        except arrow.ArrowInvalid:
            raise ValueError(
                f"{path} is no Parquet file, or is cut short; write it again, such as by the "
                "to_parquet of pandas"
            ) from None


def _read(path: str, batches: Any) -> Iterator[Any]:
    try:
        yield from batches
    except (OSError, pyarrow().ArrowInvalid) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _together(paths: Sequence[str], schemas: Sequence[Schema]) -> Schema:
    """The dtype of each column over all files."""
    first, found = paths[0], dict(schemas[0])
    for path, own in zip(paths[1:], schemas[1:], strict=True):
        for name in [*found, *own]:
            if name not in own or name not in found:
                lacks, has = (path, first) if name not in own else (first, path)
                raise ValueError(f"{lacks} has no column {name}, which {has} has")
            if (own[name] is None) != (found[name] is None):
                numbers, other = (first, path) if own[name] is None else (path, first)
                raise ValueError(f"column {name} is of numbers in {numbers}, and not in {other}")
            if own[name] is not None:
                found[name] = np.result_type(found[name], own[name])
    return found


def _looked_at(path: str) -> tuple[np.ndarray, Schema]:
    """-> (the rows and bytes of its row groups, its columns)."""
    with _opened(path) as file:
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        sizes = [(group.num_rows, group.total_byte_size) for group in groups]
        return np.array(sizes, np.int64).reshape(-1, 2), schema_of(file.schema_arrow)
