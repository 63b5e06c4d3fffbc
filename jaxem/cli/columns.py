"""Which columns of a table are fitted, and their numbers."""

import csv
import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jaxem.cli.text import is_numeric


class Columns(NamedTuple):
    """The columns to fit: names, and x (n, d) float64; left_out: what was not taken, and why."""

    names: tuple[str, ...]
    x: np.ndarray
    left_out: tuple[str, ...]


def choose(table: pa.Table, wanted: str | None = None) -> Columns:
    """The columns named in `wanted`, between commas, a name with a comma in double quotes.

    None is every numeric column that has a name and is not constant.
    """
    names = _numeric(table) if wanted is None else _wanted(table, wanted)
    x = _cells(table, names, "drop those rows, impute them first, or leave the columns out by "
               "--columns")  # fmt: skip
    if wanted is not None:
        return Columns(tuple(names), x, ())
    varies = x.min(axis=0) < x.max(axis=0)
    if not varies.any():  # a single row, or all alike: nothing can be left out
        return Columns(tuple(names), x, _left_out(table, ()))
    constant = [name for name, kept in zip(names, varies, strict=True) if not kept]
    names = [name for name, kept in zip(names, varies, strict=True) if kept]
    return Columns(tuple(names), x[:, varies] if constant else x, _left_out(table, constant))


def matching(table: pa.Table, names: Sequence[str] | None, d: int) -> np.ndarray:
    """x (n, d) of the columns that a model was fitted on, wherever they are in the table.

    names: of those columns; None, where the model does not know them, is every numeric column.
    """
    if names is None:
        names = _numeric(table)
        if len(names) != d:
            raise ValueError(
                f"has {len(names)} numeric columns ({_listed(names)}), but the model was fitted on "
                f"{d}, whose names it does not know; give a table of those alone, in their order"
            )
    _check_names(table, names, f"the model was fitted on {_listed(names)}")
    _check_numeric(table, names, "the model was fitted on numbers there")
    return _cells(table, names, "drop those rows or impute them first")


def _numeric(table: pa.Table) -> list[str]:
    names = [field.name for field in table.schema if field.name and is_numeric(field.type)]
    if not names:
        raise ValueError(
            f"has no numeric columns (it has {_listed(table.column_names)}); "
            "give one with at least one column of numbers, and check --separator"
        )
    return names


def _left_out(table: pa.Table, constant: Sequence[str]) -> tuple[str, ...]:
    text = [field.name for field in table.schema if field.name and not is_numeric(field.type)]
    # Without a name are the row numbers that R and pandas write, and what follows a last comma.
    nameless = table.column_names.count("")
    return (
        *([f"not numeric: {_listed(text)}"] if text else []),
        *([f"without a name: {nameless}"] if nameless else []),
        *([f"constant: {_listed(constant)}"] if constant else []),
    )


def _wanted(table: pa.Table, wanted: str) -> list[str]:
    names = [name.strip() for name in next(csv.reader([wanted], skipinitialspace=True)) or [""]]
    _check_names(table, names)
    if len(set(names)) < len(names):
        raise ValueError(f"--columns names a column twice: {wanted}; name each once")
    _check_numeric(table, names, "take them out of --columns or encode them as numbers")
    return names


def _check_names(table: pa.Table, names: Sequence[str], why: str = "") -> None:
    known = [name for name in table.column_names if name]
    missing = [name for name in names if name not in known]
    if missing:
        spare = [name for name in known if name not in names]
        raise ValueError(
            f"has no column {' and no column '.join(map(repr, missing[:3]))}"
            f"{' and more' if len(missing) > 3 else ''}; {suggestion(missing[0], spare)}"
            f"its columns are {_listed(known)}{why and '; '}{why}"
        )


def _check_numeric(table: pa.Table, names: Sequence[str], remedy: str) -> None:
    text = [name for name in names if not is_numeric(table.schema.field(name).type)]
    if text:
        raise ValueError(f"has no numbers in the columns {_listed(text)}; {remedy}")


def _cells(table: pa.Table, names: Sequence[str], remedy: str) -> np.ndarray:
    x = np.stack([_numbers(table[name]) for name in names], axis=1)
    _check_cells(x, names, remedy)
    return x


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """As float64, empty cells as NaN."""
    if pa.types.is_boolean(column.type):  # arrow has no cast from these to floats
        column = column.cast(pa.int8())
    column = pc.cast(column, pa.float64(), safe=False)
    return column.to_numpy()


def _check_cells(x: np.ndarray, names: Sequence[str], remedy: str) -> None:
    missing, infinite = np.isnan(x).sum(0), np.isinf(x).sum(0)
    for count, what in ((missing, "missing"), (infinite, "infinite")):
        if count.any():
            where = ", ".join(f"{name} ({c})" for name, c in zip(names, count, strict=True) if c)
            raise ValueError(f"has {count.sum()} {what} cells, in columns: {where}; {remedy}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """A question after the nearest known name, with a space to go on; "" where none is near."""
    by_lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"did you mean {by_lower[near[0]]!r}? " if near else ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
