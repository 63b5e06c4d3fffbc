"""Files to tables: CSV, Parquet and Arrow. Every trouble is a ValueError that says what to do."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet

_PARQUET = (".parquet", ".pq")
_ARROW = (".arrow", ".feather", ".ipc")
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
_MISSING = (*pyarrow.csv.ConvertOptions().null_values, "?")
_SEPARATORS = {";": "';'", "\t": "tab", "|": "'|'", ",": "','", " ": "' '"}  # as a person types


def read(path: Path, separator: str | None = None) -> pa.Table:
    """The table in a file, its kind told by the extension; what is unknown is read as CSV.

    separator: one character, of a CSV file; None is a comma, for .tsv a tab.
    """
    try:
        if path.is_dir():
            raise ValueError("is a folder; give one of the files in it")
        table = _read(path, separator)
    except FileNotFoundError:
        raise ValueError("there is no such file; check the path") from None
    except PermissionError:
        raise ValueError("may not be read; check its permissions") from None
    except OSError as error:
        raise ValueError(f"cannot be read ({_first_sentence(error)}); check the file") from None
    return _checked(table)


def _read(path: Path, separator: str | None) -> pa.Table:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    if kind in _PARQUET:
        return _binary(_read_parquet, path, "Parquet")
    if kind in _ARROW:
        return _binary(_read_arrow, path, "Arrow or Feather")
    return _read_csv(path, separator or ("\t" if kind == ".tsv" else ","))


def _binary(reader, path: Path, what: str) -> pa.Table:
    try:
        return reader(path)
    except pa.ArrowException as error:
        raise ValueError(
            f"is not a complete {what} file ({_first_sentence(error)}); "
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


def _text(path: Path) -> pa.Buffer:
    compression = _COMPRESSED.get(path.suffix.lower())
    with pa.input_stream(pa.py_buffer(path.read_bytes()), compression) as stream:
        content = stream.read_buffer()
    head = content[:4096].to_pybytes()
    if not head.strip():
        raise ValueError("is empty; give a file with a header line and rows")
    if b"\0" in head:
        raise ValueError(
            "is not text; save it as CSV in UTF-8, or name it .parquet or .arrow if it is one"
        )
    return content


def _read_csv(path: Path, separator: str) -> pa.Table:
    content = _text(path)
    header = content[:4096].to_pybytes().lstrip(b"\r\n").splitlines()[0]
    other = _other_separator(header.decode(errors="replace"), separator)
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=[*_MISSING, *(f" {word}" for word in _MISSING)]
            ),
        )
        names = [name.strip() for name in table.column_names]
    except UnicodeDecodeError:
        raise ValueError("has a header that is not UTF-8; save it as CSV in UTF-8") from None
    except pa.ArrowException as error:
        raise ValueError(
            other
            or f"is not a CSV table ({_first_sentence(error)}); check the file and --separator"
        ) from None
    if other and not is_numeric(table.field(0).type):
        raise ValueError(other)
    if _is_numbers(names):
        raise ValueError(
            f"begins with numbers ({', '.join(names[:3])}) where the column names should be; "
            "add a header line"
        )
    return table.rename_columns(names)


def delimiter(separator: str) -> str:
    """The character that a person means."""
    if separator in ("\\t", "tab"):
        return "\t"
    if len(separator) != 1 or not separator.isascii() or separator in '\r\n"':
        raise ValueError(f"{separator!r}; give one character, such as ';', or the word tab")
    return separator


def _other_separator(header: str, separator: str) -> str | None:
    """What to say of a header that is one column, but holds another separator; else None."""
    if separator in header:
        return None
    for other, name in _SEPARATORS.items():
        if other in header.strip():
            return (
                f"has one column of text, {header.strip()[:60]!r}; "
                f"if {name} separates the columns, give --separator {name}"
            )
    return None


def _is_numbers(names: list[str]) -> bool:
    """Whether a header is a row of data; 0, 1, 2, ... are names."""
    if names in ([str(i) for i in range(len(names))], [str(i + 1) for i in range(len(names))]):
        return False
    try:
        return all(float(name) is not None for name in names)
    except ValueError:
        return False


def is_numeric(kind: pa.DataType) -> bool:
    """Numbers, true and false, and columns without a single value."""
    types = pa.types
    return (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_boolean(kind)
        or types.is_null(kind)
    )


def _checked(table: pa.Table) -> pa.Table:
    names = table.column_names
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"has columns of one name: {', '.join(twice)}; rename them")
    if table.num_rows == 0:
        raise ValueError("has column names but no rows; there is nothing to fit")
    return table


def _first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].split(". ")[0].rstrip(".;: ")
