"""Frames and series of pandas, polars, pyarrow and their kin -> arrays, as narwhals reads them.

Whatever the labels of a frame are, whole numbers, tuples or dates, its columns are called by their
text. narwhals is imported once something comes in that is neither an array nor a list.
"""

import numbers
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import jax
import numpy as np

_NO_FRAMES = (jax.Array, np.ndarray, np.generic, list, tuple, Mapping, str, numbers.Number)
_TEXT = "let jaxem.mixed_columns(frame) take text as categories"
_PROTOCOLS = "__arrow_c_stream__", "__dataframe__"


def opened(data: Any, what: str = "x") -> Any:
    """The frame or series for narwhals; None where it is none.

    Errors: ValueError for frames that are not in memory, for labels that appear twice, and where
    narwhals is not installed.
    """
    if data is None or isinstance(data, _NO_FRAMES):
        return None
    if _is_opened(data):
        return data
    try:
        return _opened(data, what)
    except ModuleNotFoundError as error:
        if not any(hasattr(type(data), protocol) for protocol in _PROTOCOLS):
            return None
        raise ValueError(
            f"{what} is a {type(data).__name__}, which is read by {error.name}: "
            "pip install 'jaxem[frames]', or give an array"
        ) from None


def _opened(data: Any, what: str) -> Any:
    import narwhals

    try:
        found = narwhals.from_native(data, pass_through=True, allow_series=True, eager_only=True)
    except narwhals.exceptions.DuplicateError:
        arrow = narwhals.dependencies.is_pyarrow_table(data)
        _check_names(data.column_names if arrow else data.columns)
        raise
    if found is not data:
        return found
    if isinstance(narwhals.from_native(data, pass_through=True), narwhals.LazyFrame):
        raise ValueError(f"{what} is a {type(data).__name__}; give {what}.collect()")
    arrow = hasattr(type(data), "__arrow_c_stream__")
    return narwhals.from_arrow(data, backend="pyarrow") if arrow else None


def _is_opened(value: Any) -> bool:
    return type(value).__module__.startswith("narwhals")


def cloned(value: Any) -> Any:
    """A copy of an opened frame or series; anything else as it is."""
    if not _is_opened(value):
        return value
    if names(value) is None:
        return value.to_frame().clone().get_column(value.name)
    return value.clone()


def names(frame: Any) -> tuple[str, ...] | None:
    """What the columns are called; None for a series."""
    labels = getattr(frame, "columns", None)
    return None if labels is None else _check_names(labels)


def _check_names(labels: Any) -> tuple[str, ...]:
    called = tuple(map(str, labels))
    twice = sorted({name for name in called if called.count(name) > 1})
    if twice:
        raise ValueError(f"column names appear twice: {', '.join(twice)}; rename them")
    return called


def values(frame: Any, what: str) -> np.ndarray:
    """The numbers, (n, d), or (n,) of a series; ValueError for columns of anything else."""
    called = names(frame)
    if called is None:
        column = _column(frame)
        if column is None:
            raise ValueError(f"{what} is a series of {frame.dtype}, which are no numbers; {_TEXT}")
        return np.array(column)
    if not called:
        raise ValueError("the frame has no columns; give at least one numeric column")
    columns = list(map(_column, frame.iter_columns()))
    other = [name for name, column in zip(called, columns, strict=True) if column is None]
    if other:
        raise ValueError(f"columns that are not numeric: {', '.join(other)}; drop them, or {_TEXT}")
    return np.stack([column for column in columns if column is not None], axis=1)


def codes(series: Any) -> np.ndarray:
    """The values of a series as they are, with -1 in the holes of whole numbers."""
    return (series.fill_null(-1) if series.dtype.is_integer() else series).to_numpy()


def has_doubles(frame: Any) -> bool:
    columns = [frame] if names(frame) is None else frame.iter_columns()
    return any(column.head(1).to_numpy().dtype == np.float64 for column in columns)


def _column(series: Any) -> np.ndarray | None:
    import narwhals

    exact = series.dtype.is_integer() or series.dtype.is_decimal()
    return as_floats((series.cast(narwhals.Float64) if exact else series).to_numpy())


def as_floats(column: np.ndarray) -> np.ndarray | None:
    """Numbers as floats, what is not there as NaN; None where an array holds anything else."""
    if column.dtype.kind == "f":
        return column
    if column.dtype.kind in "biu":
        return column.astype(np.float64)
    if column.dtype.kind != "O":
        return None
    if any(not (is_hole(v) or is_number(v)) for v in column.flat):
        return None
    floats = [np.nan if is_hole(v) else float(v) for v in column.flat]
    return np.array(floats, np.float64).reshape(column.shape)


def is_hole(value: Any) -> bool:
    return value is None or value is np.ma.masked or type(value).__name__ == "NAType"


def is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real | Decimal | np.bool_)
