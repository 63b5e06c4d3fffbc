"""Parquet files: what their footers say, and their row groups."""

import glob
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxem.core.files import describe_os_errors
from jaxem.sources.schema import Schema, called, schema_of, together

_BATCH = 12_000_000  # bytes of a record batch; columns a power of two apart share cache lines
_NUMBER = 8  # bytes, at most
_BUFFER = 1 << 20  # bytes of a column that are read at a time, not all of a row group


def pyarrow() -> Any:
    """The library, which is an extra; ValueError where it is not there."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ValueError("Parquet is read by pyarrow: pip install 'jaxem[stream]'") from None
    return pyarrow


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


def batches(
    found: Files, columns: Sequence[str] | None, place: int = 0, n: int = 1
) -> Iterator[Any]:
    """Record batches of every n-th row group, from the one at `place` on; None for all columns."""
    before = 0
    for path, groups in zip(found.paths, found.groups, strict=True):
        own = [i for i in range(len(groups)) if (before + i) % n == place]
        before += len(groups)
        if own:
            with opened(path) as file:
                yield from read(path, file, own, columns)


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


def opened(path: str) -> Any:
    arrow = pyarrow()
    with describe_os_errors(path, "cannot be read"):
        try:
            return file_of(path)
        except arrow.ArrowInvalid:
            raise ValueError(
                f"{path} is no Parquet file, or is cut short; write it again, such as by the "
                "to_parquet of pandas"
            ) from None


def file_of(path: Any) -> Any:
    """An open file, of which no more is held than what is being read: by default a reader keeps
    all row groups that it is asked for."""
    return pyarrow().parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def read(
    path: str, file: Any, groups: Sequence[int] | None, columns: Sequence[str] | None
) -> Iterator[Any]:
    """Record batches; None for all row groups, or columns."""
    n_columns = max(1, len(file.schema_arrow if columns is None else columns))
    try:
        yield from file.iter_batches(max(1, _BATCH // (_NUMBER * n_columns)), groups, columns)
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
    with opened(path) as file:
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        sizes = [(group.num_rows, group.total_byte_size) for group in groups]
        return np.array(sizes, np.int64).reshape(-1, 2), schema_of(file.schema_arrow)
