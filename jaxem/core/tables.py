"""Data as a person has it -> arrays of numbers. Host side only.

Arrays, lists and pandas, polars or arrow frames are read; what cannot be says what to do.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def column_names(data: Any) -> tuple[str, ...] | None:
    """The column names of a pandas, polars or arrow frame, else None."""
    names = getattr(data, "column_names", None)
    if names is None:
        names = getattr(data, "columns", None)
    if names is None or callable(names):
        return None
    names = tuple(str(name) for name in names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"column names appear twice: {', '.join(twice)}; rename them")
    return names


def table(data: Any, what: str = "x") -> Any:
    """Numbers as a person has them -> a float array (n, d); (n,) is one feature."""
    for method, remedy in (("collect", ".collect()"), ("toarray", ".toarray()")):
        if hasattr(data, method):
            raise ValueError(f"{what} is a {type(data).__name__}; give {what}{remedy}")
    if isinstance(data, np.ma.MaskedArray):
        data = np.ma.filled(data.astype(np.float64), np.nan)
    values = array(_frame(data) if column_names(data) is not None else data, what)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise ValueError(
            f"{what} has shape {values.shape}; it must be (n, d), rows by columns, "
            "or (n,) for one feature"
        )
    if values.shape[0] == 0:
        raise ValueError(f"{what} has no rows; there is nothing to look at")
    if values.shape[1] == 0:
        raise ValueError(f"{what} has no columns; give at least one numeric column")
    return values


def pair(data: Any, what: str) -> tuple[Any, Any]:
    """The two parts of data that comes as a tuple."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"the data is a {type(data).__name__}; give the tuple {what}")
    return data[0], data[1]


def regression(data: Any) -> tuple[Any, Any]:
    """(X, y) as a table and a column, of one dtype."""
    X, y = pair(data, "(X, y)")
    X = table(X, "X")
    y = column(y, "y", X.shape[0])
    wide = np.result_type(X.dtype, y.dtype)
    return X.astype(wide), y.astype(wide)


def column(data: Any, what: str, n: int) -> Any:
    """One number for each of n rows."""
    values = array(data, what)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (n,):
        raise ValueError(f"{what} has shape {values.shape}, there are {n} rows: give ({n},)")
    return values


def float_dtype(value: Any) -> Any:
    """The float dtype that arrays like this one have on the device."""
    kept = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype
    dtype = jax.dtypes.canonicalize_dtype(kept)
    return dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)


def _frame(data: Any) -> np.ndarray:
    names = list(
        data.columns
        if hasattr(data, "columns") and not hasattr(data, "column_names")
        else data.column_names
    )
    if not names:
        raise ValueError("the frame has no columns; give at least one numeric column")
    columns = {name: _column(data[name]) for name in names}
    text = [str(name) for name, column in columns.items() if column is None]
    if text:
        raise ValueError(
            f"columns that are not numeric: {', '.join(text)}; drop them or encode them as numbers"
        )
    return np.stack([column for column in columns.values() if column is not None], axis=1)


def _column(values: Any) -> np.ndarray | None:
    """One column as floats, its missing cells as NaN; None where it holds anything else."""
    column = np.asarray(values)
    if column.dtype.kind == "f":
        return column
    if column.dtype.kind in "biu":
        return column.astype(np.float64)
    if column.dtype.kind != "O":
        return None
    holes = np.array([v is None or type(v).__name__ == "NAType" for v in column], bool)
    if not all(isinstance(v, (int, float, np.number)) for v in column[~holes]):
        return None
    return np.where(holes, np.nan, column).astype(np.float64)


def array(data: Any, what: str) -> Any:
    """Anything that NumPy reads, or a JAX array, as floats; ValueError for what is no number."""
    if isinstance(data, jax.Array):
        values = data
    else:
        try:
            values = np.asarray(data)
        except ValueError as error:
            raise ValueError(
                f"{what} is not a table: its rows have different lengths ({error})"
            ) from None
    kind = np.dtype(values.dtype).kind if values.dtype != jnp.bfloat16 else "V"
    if kind == "c":
        raise ValueError(
            f"{what} is complex ({values.dtype}); give the real and imaginary parts as two columns"
        )
    if kind in "biu":
        return values.astype(np.float64) if isinstance(values, np.ndarray) else values.astype(float)
    if kind == "f" and values.dtype.itemsize in (4, 8):
        return values
    if kind == "O":
        column = _column(np.ravel(values))
        if column is not None:
            return column.reshape(values.shape)
    if kind in "OUS":
        raise ValueError(f"{what} holds text; drop those columns or encode them as numbers")
    raise ValueError(
        f"{what} has dtype {values.dtype}; give float32 or float64 (x.astype('float32'))"
    )


def given_dtype(data: Any, dtype: Any) -> str:
    """float64 where the data, or a column of it, came so; else the dtype of the fit."""
    if isinstance(data, jax.Array):
        return str(data.dtype if data.dtype == jnp.float64 else dtype)
    if np.isscalar(data):
        return "float64" if isinstance(data, float) else str(np.dtype(dtype))
    first: Any = data[0] if isinstance(data, list) and data else None
    sequences = hasattr(first, "shape") or isinstance(first, dict | tuple)
    if sequences or isinstance(data, dict | tuple):
        parts = data.values() if isinstance(data, dict) else data
        return max((given_dtype(part, dtype) for part in parts), default=str(np.dtype(dtype)))
    names = column_names(data)
    frame: Any = data
    columns = [frame] if names is None else [frame[name] for name in names]
    doubles = any(np.asarray(column[:1]).dtype == np.float64 for column in columns)
    return "float64" if doubles else str(np.dtype(dtype))
