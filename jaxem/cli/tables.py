"""Files to tables, by pyarrow: CSV, Parquet and Arrow. Trouble is a ValueError with a remedy."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet

from jaxem.cli.errors import suggestion
from jaxem.sources import categories, parquet_files
from jaxem.sources.categories import is_numeric as is_numeric

STANDARD_INPUT = Path("-")
_PARQUET = (".parquet", ".pq")
_ARROW = (".arrow", ".feather", ".ipc")
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
_ROWS = 1 << 17  # of a part
MISSING = (*pyarrow.csv.ConvertOptions().null_values, "?")  # such as "", NA, NaN, nan, null


class Table(NamedTuple):
    """A file as a table.

    columns: with nulls in place of the words for a missing cell, in text too, and without the
    index of a pandas frame; cells: all that is there, to be written again. remarks: how it was
    read, where that is not plain.
    """

    columns: pa.Table
    cells: pa.Table
    remarks: tuple[str, ...]


def read(path: Path, separator: str | None = None, header: bool | None = None) -> Table:
    """The table in a file, its kind told by the extension; what is unknown is read as CSV.

    path: - is the standard input, a CSV.
    separator: one character, of a CSV file; None is a tab or a semicolon where the first line has
    one, else a comma. header: whether its first row holds names; None is yes, unless it is numbers.
    """
    try:
        if path.is_dir():
            raise ValueError("is a folder; give one of the files in it")
        cells, remarks = _read(path, separator, header)
    except FileNotFoundError:
        near = suggestion(path.name, _beside(path))
        raise ValueError(f"there is no such file; {near}check the path") from None
    except PermissionError:
        raise ValueError("may not be read; check its permissions") from None
    except OSError as error:
        raise ValueError(f"cannot be read ({first_sentence(error)}); check the file") from None
    if cells.num_rows == 0:
        raise ValueError("has column names but no rows; there is nothing to work on")
    return cleaned(cells, remarks)


def _beside(path: Path) -> list[str]:
    """The names of the files that lie where this one would."""
    try:
        return [own.name for own in path.parent.iterdir() if own.is_file()]
    except OSError:
        return []


def cleaned(cells: pa.Table, remarks: tuple[str, ...] = ()) -> Table:
    """What a file holds, or a part of it, as `read` gives it."""
    columns, left_out = _without_index(cells)
    names = columns.column_names
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"has columns of one name: {', '.join(twice)}; rename them")
    return Table(_missing_as_nulls(columns), cells, (*remarks, *left_out))


def parts(path: Path, groups: Sequence[int] | None = None) -> Iterator[Table]:
    """A Parquet file some rows at a time, each part as `read` gives a table; remarks once.

    groups: the row groups that are read; None for all.
    """
    try:
        with parquet_files.file_of(path) as file:
            for i, batch in enumerate(file.iter_batches(_ROWS, groups)):
                own = cleaned(pa.Table.from_batches([batch], file.schema_arrow), ())
                yield own._replace(remarks=()) if i else own
    except FileNotFoundError:
        raise ValueError("there is no such file; check the path") from None
    except (OSError, pa.ArrowException) as error:
        raise ValueError(_incomplete("Parquet", error)) from None


def _incomplete(what: str, error: Exception) -> str:
    return (
        f"is not a complete {what} file ({first_sentence(error)}); "
        "write it again, or name it .csv if it is text"
    )


_Read = tuple[pa.Table, tuple[str, ...]]  # a table and remarks


def _read(path: Path, separator: str | None, header: bool | None) -> _Read:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSED.get(path.suffix.lower())
    if compression:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    if kind in (*_PARQUET, *_ARROW):
        return _read_binary(path, kind), ()
    own = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()  # a pipe too
    with pa.input_stream(pa.py_buffer(own), compression) as stream:
        content = stream.read_buffer()
    return _read_csv(content, separator or ("\t" if kind == ".tsv" else None), header)


def _missing_as_nulls(table: pa.Table) -> pa.Table:
    for i, column in enumerate(table.columns):
        if is_text(column.type):  # words import pandas: where there is text alone
            text = categories.without(column, MISSING)
            table = table.set_column(i, table.column_names[i], text)
    return table


# ---- Parquet and Arrow


def _read_binary(path: Path, kind: str) -> pa.Table:
    try:
        if kind in _PARQUET:
            with pyarrow.parquet.ParquetFile(path) as file:  # read_table would read folders too
                return file.read()
        content = path.read_bytes()
        if content.startswith((b"ARROW1", b"FEA1")):
            return pyarrow.feather.read_table(pa.BufferReader(content))
        return pa.ipc.open_stream(content).read_all()
    except pa.ArrowException as error:
        what = "Parquet" if kind in _PARQUET else "Arrow or Feather"
        raise ValueError(_incomplete(what, error)) from None


def _without_index(table: pa.Table) -> _Read:
    """The table without the index that pandas writes beside the columns."""
    try:
        index = (table.schema.pandas_metadata or {}).get("index_columns", ())
        names = [name for name in index if name in table.column_names]
    except (ValueError, AttributeError, TypeError):  # no words of pandas
        names = []
    remark = f"left out, the index of a pandas frame: {', '.join(names)}"
    return (table.drop_columns(names), (remark,)) if names else (table, ())


# ---- CSV


def _read_csv(content: pa.Buffer, separator: str | None, header: bool | None) -> _Read:
    line = _first_line(content)
    separator = separator or next((s for s in "\t;" if len(_split(line, s)) > 1), ",")
    remarks: tuple[str, ...] = ()
    try:
        table = _parsed(content, separator, ".", header is not False)
        if separator != "," and n_numeric(table) < table.num_columns:
            other = _parsed(content, separator, ",", header is not False)
            if n_numeric(other) > n_numeric(table):
                table, remarks = other, ("commas in numbers are taken as decimal commas",)
    except UnicodeDecodeError:
        raise ValueError("has a header that is not UTF-8; save it as CSV in UTF-8") from None
    except pa.ArrowException as error:
        raise ValueError(
            f"is not a CSV table ({first_sentence(error)}); check the file and --separator"
        ) from None
    over_numbers = [field.name for field in table.schema if field.name and is_numeric(field.type)]
    if header is None and over_numbers and all(map(_is_number, over_numbers)):
        raise ValueError(
            "has a first row of numbers; give --no-header if it is data, --header if it holds names"
        )
    return table, remarks


def _first_line(content: pa.Buffer) -> str:
    head = content[: 1 << 16].to_pybytes().removeprefix(b"\xef\xbb\xbf").strip()
    if not head:
        raise ValueError("is empty; give a file with a header line and rows")
    if b"\0" in head:
        raise ValueError(
            "is not text; save it as CSV in UTF-8, or name it .parquet or .arrow if it is one"
        )
    return head.decode(errors="replace").splitlines()[0]


def _parsed(content: pa.Buffer, separator: str, decimal: str, named: bool) -> pa.Table:
    table = pyarrow.csv.read_csv(
        pa.BufferReader(content),
        pyarrow.csv.ReadOptions(autogenerate_column_names=not named),
        pyarrow.csv.ParseOptions(delimiter=separator),
        pyarrow.csv.ConvertOptions(
            null_values=[*MISSING, *(f" {word}" for word in MISSING)], decimal_point=decimal
        ),
    )
    numbers = [f"column_{i + 1}" for i in range(table.num_columns)]
    return table.rename_columns([n.strip() for n in table.column_names] if named else numbers)


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [""])


def _is_number(name: str) -> bool:
    try:
        return float(name.replace(",", ".")) is not None
    except ValueError:
        return name in MISSING


# ---- what columns hold


def split_names(text: str) -> list[str]:
    """Names between commas, a name with a comma in double quotes."""
    return [name.strip() for name in _split(text, ",")] or [""]


def is_text(kind: Any) -> bool:
    """Strings, and categories of strings."""
    types = pa.types
    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind)


def n_numeric(table: pa.Table) -> int:
    return sum(is_numeric(field.type) for field in table.schema)


def first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].split(". ")[0].rstrip(".;: ")
