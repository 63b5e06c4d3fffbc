"""Parquet files as one table, read a few row groups at a time."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from jaxem.core.files import describe_os_errors
from jaxem.core.source import Piece, Source
from jaxem.sources.categories import Levels
from jaxem.sources.columns import Columns, chosen
from jaxem.sources.fingerprints import of_files
from jaxem.sources.schema import Schema, called, schema_of, together

_ROWS = 1 << 16  # a piece


def parquet(
    paths: Any,
    columns: Any = None,
    sample_weight: str | None = None,
    labels: str | None = None,
    categories: Any = (),
    missing: Sequence[str] = (),
) -> Source:
    """The rows of Parquet files as one table, file after file.

    paths: a name, a pattern such as "rows/*.parquet" (in the order of names), or a list of them.
    columns: names of a table's columns, all but those of weights and labels by default; for data of
        another form a tuple or a dict of such lists, as `fit` takes x: (["a", "b"], "y") of a
        regression, {"size": ["a", "b"], "colour": ["c"]} of a `families.Product`.
    sample_weight, labels: names of columns.
    categories: names of columns whose values, most often text, are categories; or a dict with the
        levels of each, such as the `levels` of the source that a model was fitted to. They become
        whole numbers from 0, the places among the levels, as `families.Categorical` takes them.
        Without levels the first use of the source reads these columns, and `source.levels` has what
        there is in all files, sorted: `Categorical(tuple(map(len, source.levels.values())))`.
    missing: words, such as "NA", that stand for a category that is missing, as null does.

    Numbers of several kinds become the widest of them; null is NaN.

    Errors: OSError where a file cannot be read; ValueError for files that differ, which are named,
    for columns that are not there or are no numbers, and for a value that is none of the levels.
    """
    found = files(paths)
    schema, first = found.schema, found.paths[0]
    own = chosen(schema, first, columns, sample_weight, labels, categories, missing)
    coded = sorted(own.levels.items()), own.unknown, own.absent
    told = of_files(found.paths, own.tree, sample_weight, labels, *(coded if own.coded else ()))
    return Parquet(found.paths, found.groups, own, own.names, told)


class Files(NamedTuple):
    """What footers say. groups: of each file its row groups, (g, 2) rows and bytes."""

    paths: tuple[str, ...]
    groups: tuple[np.ndarray, ...]
    schema: Schema


def files(paths: Any) -> Files:
    """Errors: OSError where a file cannot be read; ValueError for files that differ."""
    found = _files(paths)
    groups, schemas = zip(*map(_looked_at, found), strict=True)
    return Files(found, groups, _together(found, schemas))


@dataclass(frozen=True, eq=False)
class Parquet(Source):
    paths: tuple[str, ...]
    groups: tuple[np.ndarray, ...]  # of each file its row groups: (g, 2) rows and bytes
    columns: Columns
    names: tuple[str, ...] | None
    fingerprint: str

    @property
    def levels(self) -> Levels:
        return self._known.levels

    @cached_property
    def _known(self) -> Columns:
        """The columns, and the levels of all files."""
        own = self.columns
        return own.known(self._batches(own.unknown)) if own.unknown else own

    def _batches(self, names: Sequence[str]) -> Iterator[Any]:
        for path, groups in zip(self.paths, self.groups, strict=True):
            with _opened(path) as file:
                self._check(path, file, int(groups[:, 0].sum()))
                yield from _read(path, file.iter_batches(_ROWS, columns=list(names)))

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
        columns = self._known
        batches = file.iter_batches(_ROWS, groups.tolist(), list(columns.kinds))
        for batch in _read(path, batches):
            stop = at + batch.num_rows
            if stop > first:
                begin = max(at, first)
                where = f"{path}, rows {begin:,} to {stop - 1:,}"
                yield columns.piece(batch.slice(begin - at), where)
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
        except arrow.ArrowInvalid as error:
            raise ValueError(f"{path} is no Parquet file, or is cut short: {error}") from None


def _read(path: str, batches: Any) -> Iterator[Any]:
    try:
        yield from batches
    except (OSError, pyarrow().ArrowInvalid) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _together(paths: Sequence[str], schemas: Sequence[Schema]) -> Schema:
    """The kind of each column over all files."""
    first, found = paths[0], dict(schemas[0])
    for path, own in zip(paths[1:], schemas[1:], strict=True):
        for name in [*found, *own]:
            if name not in own or name not in found:
                lacks, has = (path, first) if name not in own else (first, path)
                raise ValueError(f"{lacks} has no column {name}, which {has} has")
            wide = together(found[name], own[name])
            if wide is None:
                here, there = called(own[name]), called(found[name])
                raise ValueError(f"column {name} is of {there} in {first}, and of {here} in {path}")
            found[name] = wide
    return found


def _looked_at(path: str) -> tuple[np.ndarray, Schema]:
    """-> (the rows and bytes of its row groups, its columns)."""
    with _opened(path) as file:
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        sizes = [(group.num_rows, group.total_byte_size) for group in groups]
        return np.array(sizes, np.int64).reshape(-1, 2), schema_of(file.schema_arrow)
