"""Which columns of a table are fitted, and their numbers."""

import difflib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jaxem.cli.tables import is_numeric


class Columns(NamedTuple):
    """The columns to fit: names, and x (n, d) float64; left_out: what was not taken, and why."""

    names: tuple[str, ...]
    x: np.ndarray
    left_out: tuple[str, ...]


def choose(table: pa.Table, wanted: str | None = None) -> Columns:
    """The columns named in `wanted`, between commas; None is every numeric column with a name."""
    if wanted is None:
        names, left_out = _numeric(table), _left_out(table)
    else:
        names, left_out = _named(table, wanted), ()
    x = np.stack([_numbers(table[name]) for name in names], axis=1)
    _check_cells(x, names)
    return Columns(tuple(names), x, left_out)


def _numeric(table: pa.Table) -> list[str]:
    names = [field.name for field in table.schema if field.name and is_numeric(field.type)]
    if not names:
        raise ValueError(
            f"has no numeric columns (it has {_listed(table.column_names)}); "
            "give one with at least one column of numbers, and check --separator"
        )
    return names


def _left_out(table: pa.Table) -> tuple[str, ...]:
    text = [field.name for field in table.schema if field.name and not is_numeric(field.type)]
    # Without a name are the row numbers that R and pandas write, and what follows a last comma.
    nameless = table.column_names.count("")
    return (
        *([f"not numeric: {_listed(text)}"] if text else []),
        *([f"without a name: {nameless}"] if nameless else []),
    )


def _named(table: pa.Table, wanted: str) -> list[str]:
    known = [name for name in table.column_names if name]
    names = [name.strip() for name in wanted.split(",")]
    for name in names:
        if name not in known:
            raise ValueError(
                f"has no column {name!r}; {suggestion(name, known)}its columns are {_listed(known)}"
            )
    if len(set(names)) < len(names):
        raise ValueError(f"--columns names a column twice: {wanted}; name each once")
    text = [name for name in names if not is_numeric(table.schema.field(name).type)]
    if text:
        raise ValueError(
            f"has no numbers in the columns {_listed(text)}; "
            "take them out of --columns or encode them as numbers"
        )
    return names


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """As float64, empty cells as NaN."""
    if pa.types.is_boolean(column.type):  # arrow has no cast from these to floats
        column = column.cast(pa.int8())
    column = pc.cast(column, pa.float64(), safe=False)
    return column.to_numpy()


def _check_cells(x: np.ndarray, names: list[str]) -> None:
    missing, infinite = np.isnan(x).sum(0), np.isinf(x).sum(0)
    for count, what in ((missing, "missing"), (infinite, "infinite")):
        if count.any():
            where = ", ".join(f"{name} ({c})" for name, c in zip(names, count, strict=True) if c)
            raise ValueError(
                f"has {count.sum()} {what} cells, in columns: {where}; "
                "drop those rows, impute them first, or leave the columns out by --columns"
            )


def suggestion(name: str, known: Iterable[str]) -> str:
    """A question after the nearest known name, with a space to go on; "" where none is near."""
    by_lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"did you mean {by_lower[near[0]]!r}? " if near else ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
