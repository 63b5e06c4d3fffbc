"""Text to tables: separators, headers and decimal commas as people have them."""

import csv

import pyarrow as pa
import pyarrow.csv

_HEAD = 1 << 16  # bytes that are looked at to find out how a file is written
_MISSING = (*pyarrow.csv.ConvertOptions().null_values, "?")
_FOUND = (";", "\t", "|")  # separators that are found by themselves
_SEPARATORS = {";": "';'", "\t": "tab", "|": "'|'", ",": "','", " ": "' '"}  # as a person types


def parse(
    content: pa.Buffer, separator: str | None, header: bool | None
) -> tuple[pa.Table, tuple[str, ...]]:
    """-> (the table, remarks on how it was read). What is None is found out by the first rows."""
    lines = _head(content)
    separator = separator or _separator(lines)
    other = _other_separator(lines[0], separator)
    try:
        table, remarks = _read(content, separator, named=header is not False)
        if header is None and _is_data(table):
            table, remarks = _read(content, separator, named=False)
            remarks = (
                "the first row is numbers: it is taken as data, and the columns are called "
                "column_1, column_2, ...; if it holds names, give --header",
                *remarks,
            )
    except UnicodeDecodeError:
        raise ValueError("has a header that is not UTF-8; save it as CSV in UTF-8") from None
    except pa.ArrowException as error:
        raise ValueError(
            other or f"is not a CSV table ({first_sentence(error)}); check the file and --separator"
        ) from None
    if other and not is_numeric(table.field(0).type):
        raise ValueError(other)
    return table, remarks


def _head(content: pa.Buffer) -> list[str]:
    """The first lines."""
    head = content[:_HEAD].to_pybytes().removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if not head.strip():
        raise ValueError("is empty; give a file with a header line and rows")
    if b"\0" in head:
        raise ValueError(
            "is not text; save it as CSV in UTF-8, or name it .parquet or .arrow if it is one"
        )
    lines = head.decode(errors="replace").splitlines()
    return lines if len(content) <= _HEAD else lines[:-1] or lines


def _separator(lines: list[str]) -> str:
    """What splits the first lines into equally many columns; a comma where nothing else does.

    Where both would, the commas are in names and decimals.
    """
    possible = [separator for separator in _FOUND if _splits(lines[:20], separator)]
    if len(possible) > 1:
        names = [_SEPARATORS[separator] for separator in possible[:2]]
        raise ValueError(
            f"may have its columns separated by {names[0]} or by {names[1]}; "
            f"give --separator {names[0]} or --separator {names[1]}"
        )
    return possible[0] if possible else ","


def _splits(lines: list[str], separator: str) -> bool:
    widths = {len(row) for row in csv.reader(lines, delimiter=separator) if row}
    return len(widths) == 1 and widths != {1}


def _read(content: pa.Buffer, separator: str, named: bool) -> tuple[pa.Table, tuple[str, ...]]:
    """With decimal points, or, where that makes more columns numeric, with decimal commas."""
    table = _parsed(content, separator, named, ".")
    if separator != "," and n_numeric(table) < table.num_columns:
        other = _parsed(content, separator, named, ",")
        if n_numeric(other) > n_numeric(table):
            return other, ("commas in numbers are taken as decimal commas",)
    return table, ()


def _parsed(content: pa.Buffer, separator: str, named: bool, decimal: str) -> pa.Table:
    table = pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(autogenerate_column_names=not named),
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator),
        convert_options=pyarrow.csv.ConvertOptions(
            null_values=[*_MISSING, *(f" {word}" for word in _MISSING)], decimal_point=decimal
        ),
    )
    if named:
        return table.rename_columns([name.strip() for name in table.column_names])
    return table.rename_columns([f"column_{i + 1}" for i in range(table.num_columns)])


def _is_data(table: pa.Table) -> bool:
    """Whether the names over columns of numbers are numbers too; 0, 1, 2, ... are names."""
    names = table.column_names
    if names in ([str(i) for i in range(len(names))], [str(i + 1) for i in range(len(names))]):
        return False
    over = [field.name for field in table.schema if field.name and is_numeric(field.type)]
    numbers = [_is_number(name) for name in over]
    return any(numbers) and all(
        number or name in _MISSING for name, number in zip(over, numbers, strict=True)
    )


def _is_number(name: str) -> bool:
    try:
        return float(name.replace(",", ".")) is not None
    except ValueError:
        return False


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


def n_numeric(table: pa.Table) -> int:
    return sum(is_numeric(field.type) for field in table.schema)


def first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].split(". ")[0].rstrip(".;: ")
