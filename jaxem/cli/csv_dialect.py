"""Text to tables: separators, headers and decimal commas as people have them."""

import csv
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them
_HEAD = 1 << 16  # bytes that are looked at to find out how a file is written
_MISSING = (*pyarrow.csv.ConvertOptions().null_values, "?")  # such as "", NA, NaN, nan, null
_FOUND = (";", "\t", "|")  # separators that are found by themselves
_SEPARATORS = {";": "';'", "\t": "tab", "|": "'|'", ",": "','", " ": "' '"}  # as a person types


class Form(NamedTuple):
    """How a text is written; named: whether its first row holds names."""

    separator: str
    decimal: str
    named: bool


class Parsed(NamedTuple):
    """A table, remarks on how it was read, and how it is written."""

    table: pa.Table
    remarks: tuple[str, ...]
    form: Form


def parse(content: pa.Buffer, separator: str | None, header: bool | None) -> Parsed:
    """What is None is found out by the first rows."""
    lines = _head(content)
    separator = separator or _separator(lines)
    other = _other_separator(lines[0], separator)
    try:
        found = _read(content, separator, named=header is not False)
        if header is None and _is_data(found.table):
            found = _read(content, separator, named=False)
            remark = (
                "the first row is numbers: it is taken as data, and the columns are called "
                "column_1, column_2, ...; if it holds names, give --header"
            )
            found = found._replace(remarks=(remark, *found.remarks))
    except UnicodeDecodeError:
        raise ValueError("has a header that is not UTF-8; save it as CSV in UTF-8") from None
    except pa.ArrowException as error:
        raise ValueError(
            other or f"is not a CSV table ({first_sentence(error)}); check the file and --separator"
        ) from None
    if other and not is_numeric(found.table.field(0).type):
        raise ValueError(other)
    return found


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


def _read(content: pa.Buffer, separator: str, named: bool) -> Parsed:
    """Read with decimal points, or with decimal commas where that makes more columns numeric."""
    form = Form(separator, ".", named)
    table = _parsed(content, form)
    if separator != "," and n_numeric(table) < table.num_columns:
        commas = form._replace(decimal=",")
        other = _parsed(content, commas)
        if n_numeric(other) > n_numeric(table):
            return Parsed(other, ("commas in numbers are taken as decimal commas",), commas)
    return Parsed(table, (), form)


def _parsed(content: pa.Buffer, form: Form) -> pa.Table:
    convert = pyarrow.csv.ConvertOptions(
        null_values=[*_MISSING, *(f" {word}" for word in _MISSING)], decimal_point=form.decimal
    )
    table = pyarrow.csv.read_csv(pa.BufferReader(content), **_layout(form), convert_options=convert)
    return _renamed(table, form)


def cells(content: pa.Buffer, form: Form) -> pa.Table:
    """The same table with every cell as it is written, in bytes."""
    with pyarrow.csv.open_csv(pa.BufferReader(content), **_layout(form)) as reader:
        names = reader.schema.names
    convert = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary()))
    table = pyarrow.csv.read_csv(pa.BufferReader(content), **_layout(form), convert_options=convert)
    return _renamed(table, form)


def _layout(form: Form) -> dict[str, Any]:
    return {
        "read_options": pyarrow.csv.ReadOptions(autogenerate_column_names=not form.named),
        "parse_options": pyarrow.csv.ParseOptions(delimiter=form.separator),
    }


def _renamed(table: pa.Table, form: Form) -> pa.Table:
    if form.named:
        return table.rename_columns([name.strip() for name in table.column_names])
    return table.rename_columns([f"column_{i + 1}" for i in range(table.num_columns)])


def missing_as_nulls(table: pa.Table) -> pa.Table:
    """In columns of text too the words for a missing cell are no values."""
    words = pa.array(_MISSING, pa.string())
    for i, column in enumerate(table.columns):
        if not is_text(column.type):
            continue
        values = pc.cast(column, pa.string())
        missing = pc.is_in(pc.utf8_trim_whitespace(values), value_set=words)
        if pc.any(missing).as_py():
            values = pc.if_else(missing, pa.scalar(None, pa.string()), values)
            table = table.set_column(i, table.column_names[i], values)
    return table


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
