"""Results in frames like those that the data came in: of the same library, of pandas by its index.

What rows are told of stays beside them: tables join, plot and write as those that were given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxem.core import checks, frames
from jaxem.core.dataset import Dataset


def framed(data: Dataset, values: Any, called: str | Sequence[str]) -> Any:
    """What is told of rows, arranged as they came, in frames where they came in frames.

    values: (n,), or (n, columns), of each sequence of a list. called: what its columns are called;
    a plain name for a series. Arrays stay arrays, and so does what is traced.
    """
    if not checks.is_concrete(values):
        return values
    if isinstance(values, list):
        pairs = zip(data.given, values, strict=True)
        return [_framed(like(given), own, called) for given, own in pairs]
    return _framed(like(data.given), values, called)


def like(given: Any) -> Any:
    """The first opened frame or series in data as a person has it; None where there is none."""
    parts = given.values() if isinstance(given, Mapping) else given
    if isinstance(given, Mapping | tuple):
        return next((found for found in map(like, parts) if found is not None), None)
    return frames.opened(given)


def backend(given: Any) -> str | None:
    """What reads the first frame or series in data as a person has it; None where there is none."""
    found = like(tuple(given[:1]) if isinstance(given, list) else given)  # sequences are alike
    return None if found is None else found.implementation.value


def made(backend: Any, columns: Mapping[str, np.ndarray]) -> Any:
    """A frame of columns, native, of a backend by its name."""
    import narwhals

    return narwhals.from_dict(dict(columns), backend=backend).to_native()


def _framed(beside: Any, values: Any, called: str | Sequence[str]) -> Any:
    if beside is None:
        return values
    values = np.array(values, order="F")  # the caller's own, column by column
    if isinstance(called, str):
        return series(beside, called, values).to_native()
    return table(beside, dict(zip(called, values.T, strict=True))).to_native()


def series(beside: Any, name: Any, values: np.ndarray) -> Any:
    """An opened series beside an opened frame or series."""
    import narwhals

    found = narwhals.new_series(name, values, backend=beside.implementation)
    if not beside.implementation.is_pandas_like():
        return found
    native = found.to_native()
    native.index = beside.to_native().index
    return narwhals.from_native(native, series_only=True)


def table(beside: Any, columns: Mapping[Any, np.ndarray]) -> Any:
    """An opened frame of columns (n,), beside an opened frame or series."""
    first, *rest = (series(beside, *column) for column in columns.items())
    return first.to_frame().with_columns(*rest)


def completed(given: Any, filled: np.ndarray, holes: np.ndarray) -> Any:
    """The frame or series with numbers in its holes, native; filled, holes: (n, d), (n,).

    Columns without holes are those that were given. Whole numbers and truth values stay what they
    are where what is filled is so; else they become floats. What is filled with NaN stays a hole.
    """
    if frames.names(given) is None:
        return _completed(given, np.ravel(filled), np.ravel(holes)).to_native()
    opened = _by_text(given)
    columns = zip(opened.iter_columns(), filled.T, holes.T, strict=True)
    changed = [_completed(own, *to) for own, *to in columns if to[1].any()]
    found = opened.with_columns(*changed).to_native()
    if opened is not given:
        found.columns = given.to_native().columns
    return found


def _by_text(given: Any) -> Any:
    """The opened frame; one of pandas, whose labels may be anything, with their text for labels."""
    import narwhals

    if not given.implementation.is_pandas_like():
        return given
    called = list(frames.names(given) or ())
    return narwhals.from_native(given.to_native().set_axis(called, axis="columns"))


def _completed(column: Any, filled: np.ndarray, holes: np.ndarray) -> Any:
    import narwhals

    kept, there = column.dtype, holes & ~np.isnan(filled)
    whole = kept.is_integer() or kept == narwhals.Boolean
    if not (kept.is_float() or (whole and np.all(filled[there] % 1 == 0))):
        kept = narwhals.Float64
        numbers = column.cast(kept) if column.dtype.is_numeric() else None
        if numbers is None:  # truth values, or objects
            numbers = series(column, column.name, frames.values(column, "x"))
        column = numbers
    new = series(column, column.name, np.where(there, filled, 0)).cast(kept)
    return column.zip_with(series(column, column.name, ~there), new)
