"""Files to tables: CSV, Parquet and Arrow. Every trouble is a ValueError that says what to do."""

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet

from jaxem.cli import csv_dialect

_PARQUET = (".parquet", ".pq")
_ARROW = (".arrow", ".feather", ".ipc")
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


class Table(NamedTuple):
    """A file as columns of numbers and of text, with nulls where a cell is missing.

    remarks: how it was read, where that is not plain. carried: the same columns, to be written
    again: a text that stands for a missing cell is kept.
    """

    columns: pa.Table
    remarks: tuple[str, ...]
    carried: pa.Table


class Cells(NamedTuple):
    """A file as it is, to be written again: of a text, whose form is there, cells are bytes."""

    table: pa.Table
    form: csv_dialect.Form | None


def read(path: Path, separator: str | None = None, header: bool | None = None) -> Table:
    """The table in a file, its kind told by the extension; what is unknown is read as CSV.

    separator: one character, of a CSV file; header: whether its first row holds names. None finds
    out by the first rows.
    """
    return _opened(path, separator, header)[0]


def read_with_cells(
    path: Path, separator: str | None = None, header: bool | None = None
) -> tuple[Table, Cells]:
    """`read`, and all that is in the file."""
    table, content, form = _opened(path, separator, header)
    if form is None or isinstance(content, pa.Table):
        return table, Cells(content, None)
    return table, Cells(csv_dialect.cells(content, form), form)


_Opened = tuple[Table, pa.Table | pa.Buffer, csv_dialect.Form | None]


def _opened(path: Path, separator: str | None, header: bool | None) -> _Opened:
    try:
        if path.is_dir():
            raise ValueError("is a folder; give one of the files in it")
        table, content, form = _read(path, separator, header)
    except FileNotFoundError:
        raise ValueError("there is no such file; check the path") from None
    except PermissionError:
        raise ValueError("may not be read; check its permissions") from None
    except OSError as error:
        raise ValueError(
            f"cannot be read ({csv_dialect.first_sentence(error)}); check the file"
        ) from None
    return _checked(table), content, form


def _read(path: Path, separator: str | None, header: bool | None) -> _Opened:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    if kind in _PARQUET:
        return _without_index(_binary(_read_parquet, path, "Parquet"))
    if kind in _ARROW:
        return _without_index(_binary(_read_arrow, path, "Arrow or Feather"))
    content = _content(path)
    separator = separator or ("\t" if kind == ".tsv" else None)
    table, remarks, form = csv_dialect.parse(content, separator, header)
    return _table(table, remarks), content, form


def _table(columns: pa.Table, remarks: tuple[str, ...]) -> Table:
    return Table(csv_dialect.missing_as_nulls(columns), remarks, columns)


def _binary(reader, path: Path, what: str) -> pa.Table:
    try:
        return reader(path)
    except pa.ArrowException as error:
        raise ValueError(
            f"is not a complete {what} file ({csv_dialect.first_sentence(error)}); "
            "write it again, or name it .csv if it is text"
        ) from None


def _read_parquet(path: Path) -> pa.Table:
    # Not read_table, which reads folders too, and cannot name duplicate columns.
    with pyarrow.parquet.ParquetFile(path) as file:
        return file.read()


def _read_arrow(path: Path) -> pa.Table:
    try:
        return pyarrow.feather.read_table(path, memory_map=False)
    except pa.ArrowException as error:
        try:
            with pyarrow.ipc.open_stream(path.read_bytes()) as stream:
                return stream.read_all()
        except pa.ArrowException:
            raise error from None


def _without_index(table: pa.Table) -> _Opened:
    """The table without the index that pandas writes beside the columns, and with it."""
    try:
        pandas = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
        names = [name for name in pandas["index_columns"] if name in table.column_names]
    except (ValueError, KeyError, TypeError):
        names = []
    if not names:
        return _table(table, ()), table, None
    remark = f"left out, the index of a pandas frame: {', '.join(names)}"
    return _table(table.drop_columns(names), (remark,)), table, None


def _content(path: Path) -> pa.Buffer:
    compression = _COMPRESSED.get(path.suffix.lower())
    with pa.input_stream(pa.py_buffer(path.read_bytes()), compression) as stream:
        return stream.read_buffer()


def _checked(table: Table) -> Table:
    names = table.columns.column_names
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"has columns of one name: {', '.join(twice)}; rename them")
    if table.columns.num_rows == 0:
        raise ValueError("has column names but no rows; there is nothing to work on")
    return table
