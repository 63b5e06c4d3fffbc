"""Data as a person has it -> arrays of numbers. Host side only.

Arrays, lists and frames are read; what cannot be says what to do. What a mask or a frame marks as
missing becomes NaN.
"""

from collections.abc import Iterable, Mapping, Sized
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core import frames


def opened(data: Any) -> Any:
    """Data as a person has it, read from whatever holds it once: arrays, opened frames, lists.

    In a dict, a tuple or a list of sequences each part is.
    """
    if isinstance(data, Mapping):
        return {name: opened(part) for name, part in data.items()}
    if isinstance(data, tuple) and not hasattr(data, "_fields"):
        return tuple(map(opened, data))
    if isinstance(data, list):
        return data if not data or _is_plain(data[0]) else list(map(opened, data))
    if data is None or isinstance(data, jax.Array | np.ndarray) or np.isscalar(data):
        return data
    frame = frames.opened(data)
    if frame is not None:
        return frame
    return np.asarray(data) if _is_array(data) else data


def column_names(data: Any) -> tuple[str, ...] | None:
    """What the columns of a frame, a series or a dict of these are called; None where one has none.

    Parts of a dict come in the order of their names.
    """
    if isinstance(data, Mapping):
        parts = [column_names(data[name]) for name in sorted(data, key=str)]
        named = [own for own in parts if own is not None]
        return tuple(name for own in named for name in own) if len(named) == len(parts) else None
    frame = frames.opened(data)
    if frame is None:
        return None
    found = frames.names(frame)
    return found if found is not None else ((str(frame.name),) if frame.name else None)


def table(data: Any, what: str = "x") -> Any:
    """Numbers as a person has them -> a float array (n, d); (n,) is one feature."""
    values = array(data, what)
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


def array(data: Any, what: str, masked: float = np.nan) -> Any:
    """Anything that NumPy reads, a frame or a JAX array, as floats; ValueError for what is none.

    masked: what stands in the places of a mask.
    """
    if isinstance(data, jax.Array):
        values: Any = data
    else:
        frame = frames.opened(data, what)
        values = plain(data, what) if frame is None else frames.values(frame, what)
    if isinstance(values, np.ma.MaskedArray):
        values = _unmasked(values, masked)
    kind = np.dtype(values.dtype).kind if values.dtype != jnp.bfloat16 else "V"
    if kind in "biu":
        return values.astype(np.float64) if isinstance(values, np.ndarray) else values.astype(float)
    if kind == "f" and values.dtype.itemsize in (4, 8):
        return values
    floats = frames.as_floats(values) if kind == "O" else None
    if floats is None:
        raise ValueError(_not_numbers(values, what))
    return floats


def codes(data: Any, what: str) -> Any:
    """Whole numbers as they are, -1 where a mask or a frame has none."""
    if isinstance(data, jax.Array):
        return data
    frame = frames.opened(data, what)
    if frame is not None and frames.names(frame) is None:
        return frames.codes(frame)
    values = plain(data, what)
    if isinstance(values, np.ma.MaskedArray):
        return values.filled(-1) if values.dtype.kind in "iu" else np.asarray(values)
    return values


def plain(data: Any, what: str) -> np.ndarray:
    """As NumPy reads it, masks and all; ValueError for what is no array of anything."""
    if data is None:
        raise ValueError(f"{what} is None; give an array (n, d)")
    if isinstance(data, Mapping):
        raise ValueError(
            f"{what} is a {type(data).__name__}; give an array (n, d), such as "
            f"np.column_stack(list({what}.values())), or a frame"
        )
    if isinstance(data, Iterable) and not isinstance(data, Sized) and not _is_array(data):
        raise ValueError(f"{what} is a {type(data).__name__}; give list({what})")
    if hasattr(type(data), "toarray"):
        raise ValueError(f"{what} is a {type(data).__name__}; give {what}.toarray()")
    masked = isinstance(data, list | tuple) and any(
        isinstance(part, np.ma.MaskedArray) for part in data
    )
    try:
        if masked or isinstance(data, np.ma.MaskedArray):
            return np.ma.asarray(data)
        if hasattr(type(data), "__dlpack__") and not _is_array(data):
            capsule: Any = data
            return np.from_dlpack(capsule)
        return np.asarray(data)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        raise ValueError(_unreadable(data, what, error)) from None


def _is_array(data: Any) -> bool:
    return any(hasattr(data, of) for of in ("__array__", "__array_interface__", "__buffer__"))


def _unreadable(data: Any, what: str, error: Exception) -> str:
    if isinstance(data, list | tuple):
        lengths = sorted({len(row) if isinstance(row, Sized) else 1 for row in data})
        such = f": {lengths[0]} to {lengths[-1]} numbers" if len(lengths) > 1 else ""
        return f"{what} is not a table: its rows have different lengths{such}; fill them up"
    return f"{what} is a {type(data).__name__} that NumPy does not read ({error}); give an array"


def _unmasked(values: np.ma.MaskedArray, masked: float) -> np.ndarray:
    """The data, with `masked` where it is masked."""
    if not np.ma.is_masked(values) or values.dtype.kind not in "biufO":
        return np.asarray(values)
    numbers: Any = values if values.dtype.kind in "fO" else values.astype(np.float64)
    return numbers.filled(masked)


def _not_numbers(values: Any, what: str) -> str:
    """What an array holds in place of numbers, and what to do."""
    dtype = values.dtype
    kind = np.dtype(dtype).kind
    if kind == "c":
        return f"{what} is complex ({dtype}); give the real and imaginary parts as two columns"
    if kind in "US" or (kind == "O" and any(isinstance(v, str | bytes) for v in values.flat)):
        return f"{what} holds text; drop those columns or encode them as numbers"
    if kind == "O":
        odd = next(v for v in values.flat if not (frames.is_hole(v) or frames.is_number(v)))
        if not values.ndim:
            return f"{what} is of type {type(odd).__name__}; give an array (n, d)"
        return f"{what} holds {odd!r}, of type {type(odd).__name__}; give numbers"
    if kind == "M":
        days = f"({what} - {what}.min()) / np.timedelta64(1, 'D')"
        return f"{what} holds dates ({dtype}); give days: {days}"
    if kind == "m":
        return (
            f"{what} holds spans of time ({dtype}); give seconds: {what} / np.timedelta64(1, 's')"
        )
    if getattr(dtype, "names", None):
        return (
            f"{what} is a structured array ({', '.join(dtype.names)}); give "
            f"np.stack([{what}[name] for name in {what}.dtype.names], axis=1)"
        )
    return f"{what} has dtype {dtype}; give float32 or float64 ({what}.astype('float32'))"


def given_dtype(data: Any, dtype: Any) -> str:
    """float64 where the data, or a column of it, came so; else the dtype of the fit."""
    if isinstance(data, jax.Array):
        return str(data.dtype if data.dtype == jnp.float64 else dtype)
    if np.isscalar(data):
        return "float64" if isinstance(data, float) else str(np.dtype(dtype))
    first: Any = data[0] if isinstance(data, list) and data else None
    sequences = isinstance(first, dict | tuple) or (first is not None and not _is_plain(first))
    if sequences or isinstance(data, dict | tuple):
        parts = data.values() if isinstance(data, dict) else data
        return max((given_dtype(part, dtype) for part in parts), default=str(np.dtype(dtype)))
    frame = frames.opened(data)
    if frame is not None:
        doubles = frames.has_doubles(frame)
    else:
        doubles = np.asarray(data[:1] if isinstance(data, list) else data).dtype == np.float64
    return "float64" if doubles else str(np.dtype(dtype))


def _is_plain(value: Any) -> bool:
    return np.isscalar(value) or isinstance(value, list)
